"""The standard checkout as the other way to pay: one session, never beside a live try (charging.md, 3 and 7)."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from encore.services import charging, fallback, funnels
from encore.services.pages import OfferPage
from tests.sandbox_process import BUNDLE
from tests.services.points import PassPoint
from tests.services.world import DAY_S, LAN, MINH, World

CREATE = "POST /checkouts"
READ = "GET /checkouts/{id}"


def declined_by_bank(world: World) -> OfferPage:
    """A yes that the bank refused: the standard checkout is open to it."""
    page = world.offer()
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    world.accept(page)
    assert world.outcome(page) == "needs_checkout"
    return page


def sessions(world: World, page: OfferPage) -> list[Any]:
    """The bodies of the hosted sessions we asked for after the shop's own."""
    return [row["body"] for row in world.sandbox.requests("POST", "/checkouts") if not row["body"].get("confirm")][1:]


def test_checkout_carries_product_address_and_attribution(world: World) -> None:
    """R24b R11b R26c: and no customer id, for a browser that has only paid."""
    page = declined_by_bank(world)

    world.open_checkout(page)

    (body,) = sessions(world, page)
    assert body["product_cart"] == [{"product_id": BUNDLE, "quantity": 1}]
    assert body["customer"] == {"email": "lan@example.com"}
    assert body["show_saved_payment_methods"] is False
    assert str(body["return_url"]).endswith(f"/r/{page.order.ref}")
    (direct, hosted) = (world.charges(page)[0]["body"]["metadata"], body["metadata"])
    own = ("attempt_id", "attempt_sig")
    assert {k: v for k, v in direct.items() if k not in own} == {k: v for k, v in hosted.items() if k not in own}


def test_checkout_is_paid_and_leads_back_to_the_funnel(world: World) -> None:
    """R24b R28"""
    page = declined_by_bank(world)

    world.pay_at(world.open_checkout(page), card="5555555555554444")
    back = world.come_back(page.order.ref)

    assert back.state == "thanks"
    assert back.settled is not None
    assert back.settled.quote.method is not None
    assert (back.settled.state, back.settled.quote.method.last4) == ("receipt", "4444")
    assert world.outcome(page) == "charged"
    assert world.breaches() == ()


def test_every_press_leads_to_the_same_address(world: World) -> None:
    page = declined_by_bank(world)

    addresses = {world.open_checkout(page) for _ in range(3)}

    assert len(addresses) == 1
    assert len(sessions(world, page)) == 1
    assert world.page(page).state == "checkout_open"


def test_another_browser_opens_nothing(world: World) -> None:
    page = declined_by_bank(world)

    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=MINH) is None
    fallback.continue_without(world.shop, page.instance_id, buyer_key=MINH)

    assert sessions(world, page) == []
    assert world.outcome(page) == "needs_checkout"


@pytest.mark.parametrize("outcome", ["unknown", "processing"])
def test_no_checkout_while_the_first_outcome_is_uncertain(world: World, outcome: str) -> None:
    """R24c R27b"""
    page = world.offer()
    if outcome == "unknown":
        world.sandbox.fault(CREATE, "reset")
    else:
        world.sandbox.next_payment("processing")
    world.accept(page)

    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    assert world.outcome(page) == "open"
    assert sessions(world, page) == []


def test_offer_without_a_method_is_claimed_by_the_checkout(world: World) -> None:
    """R24a: the button says "Continue to checkout", and pressing it is the yes."""
    world.sandbox.switch(saves_cards=False)
    page = world.offered(world.buy())
    assert (page.state, page.reason) == ("no_method", "method.no_card")

    world.pay_at(world.open_checkout(page))
    world.look()

    assert world.outcome(page) == "charged"
    assert world.charges(page) == []
    assert world.breaches() == ()


def test_paused_offer_is_not_claimed_by_the_checkout(world: World) -> None:
    """P12"""
    world.sandbox.switch(saves_cards=False)
    page = world.offered(world.buy())
    funnels.set_state(world.shop, ["complete-bundle"], state="paused")

    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None

    assert world.attempts(page) == []
    assert sessions(world, page) == []


def test_refused_session_leaves_the_yes_for_another_try(world: World) -> None:
    page = declined_by_bank(world)
    world.sandbox.fault(CREATE, "status:422")

    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None
    assert (world.attempt(page).state, world.outcome(page)) == ("hosted_closed", "needs_checkout")

    assert world.open_checkout(page)


def test_product_that_is_gone_closes_the_yes(world: World) -> None:
    page = declined_by_bank(world)
    world.sandbox.fault(CREATE, "status:410")

    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None

    assert (world.attempt(page).state, world.outcome(page)) == ("hosted_closed", "closed")


def test_session_whose_maker_is_lost_is_made_again_after_a_while(world: World) -> None:
    """An unconfirmed session charges nothing, so its creation may be repeated."""
    page = declined_by_bank(world)
    world.sandbox.fault(CREATE, "reset", effect="before")
    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None
    assert world.attempt(page).state == "opening"
    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None

    world.advance(26)

    assert world.open_checkout(page)
    assert [attempt.state for attempt in world.attempts(page)] == ["failed", "hosted_open"]


def test_only_the_session_that_was_stored_is_shown(world: World, pass_point: PassPoint) -> None:
    """Two requests make a session at once; both lead to the one that came first into the store."""
    page = declined_by_bank(world)
    stored: list[str] = []

    def overtake() -> None:
        world.advance(26)
        stored.append(world.open_checkout(page))

    pass_point("hosted.posted", overtake)

    shown = world.open_checkout(page)

    assert [shown] == stored
    assert len(sessions(world, page)) == 2
    assert len(world.attempts(page)) == 2


def test_second_tab_waits_for_the_session_of_the_first(world: World, pass_point: PassPoint) -> None:
    page = declined_by_bank(world)
    second = ThreadPoolExecutor(1)
    found: list[Future[str]] = []
    pass_point("hosted.opening_committed", lambda: found.append(second.submit(world.open_checkout, page)))

    first = world.open_checkout(page)

    assert found[0].result(timeout=10) == first
    assert len(sessions(world, page)) == 1
    second.shutdown()


def test_card_declined_at_the_checkout_keeps_the_address(world: World) -> None:
    page = declined_by_bank(world)
    url = world.open_checkout(page)
    world.sandbox.pay(url.rsplit("/", 1)[1], card="4000000000000002")

    world.look()

    assert world.attempt(page).state == "hosted_open"
    assert (world.page(page).state, world.page(page).reason) == ("checkout_open", "card_decline.general")
    assert world.open_checkout(page) == url
    world.pay_at(url)
    world.look()
    assert world.outcome(page) == "charged"


def test_payment_under_way_at_the_checkout_cannot_be_left(world: World) -> None:
    page = declined_by_bank(world)
    url = world.open_checkout(page)
    world.sandbox.next_payment("processing")
    world.pay_at(url)

    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    assert (world.attempt(page).state, world.outcome(page)) == ("pending", "needs_checkout")
    assert world.page(page).state == "processing"


def test_continue_without_closes_and_does_not_suppress(world: World) -> None:
    """W18 takes the failed edge; the product may be offered again after another order."""
    page = declined_by_bank(world)

    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    assert (world.outcome(page), world.rows("suppressions")) == ("closed", [])
    assert world.come_back(page.order.ref).state == "thanks"
    assert world.offer().product.id == BUNDLE


def test_yes_left_for_a_day_is_closed(world: World) -> None:
    """R24d"""
    page = declined_by_bank(world)
    world.open_checkout(page)

    world.advance(DAY_S + 1)
    world.tidy()

    assert (world.attempt(page).state, world.outcome(page)) == ("hosted_closed", "closed")
    assert world.breaches() == ()


def test_yes_is_not_closed_while_its_session_cannot_be_read(world: World) -> None:
    """A payment may be under way there: the day waits until we know."""
    page = declined_by_bank(world)
    world.pay_at(world.open_checkout(page))
    world.advance(DAY_S + 1)
    world.sandbox.fault(READ, "reset", times=10)

    fallback.close_due(world.shop)
    assert world.outcome(page) == "needs_checkout"

    world.sandbox.clear_faults()
    world.tidy()
    assert world.outcome(page) == "charged"


def test_bank_step_unfinished_for_a_day_is_closed(world: World) -> None:
    page = declined_by_bank(world)
    world.sandbox.next_payment("requires_customer_action")
    world.pay_at(world.open_checkout(page))
    world.look()
    assert world.attempt(page).state == "pending"

    world.advance(DAY_S + 1)
    world.tidy()

    assert (world.attempt(page).state, world.outcome(page)) == ("hosted_closed", "closed")


def test_bank_step_begun_late_keeps_its_own_day(world: World) -> None:
    page = declined_by_bank(world)
    url = world.open_checkout(page)
    world.advance(DAY_S - 60)
    world.sandbox.next_payment("requires_customer_action")
    world.pay_at(url)
    world.look()

    world.advance(120)
    world.tidy()

    assert (world.attempt(page).state, world.outcome(page)) == ("pending", "needs_checkout")


def test_one_one_click_attempt_an_offer(world: World) -> None:
    """R27b: afterwards only the standard checkout."""
    page = declined_by_bank(world)

    world.accept(page)
    charging.send_queued(world.shop)

    assert len(world.charges(page)) == 1
    assert [attempt.kind for attempt in world.attempts(page)] == ["one_click"]
