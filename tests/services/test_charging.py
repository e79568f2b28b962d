"""Charging a yes: one claim, one request, and what each answer of the provider makes of it (charging.md, 1, 3, 4)."""

import pytest

from encore.services import charging
from tests.sandbox_process import BUNDLE
from tests.services.conftest import Open
from tests.services.points import PassPoint
from tests.services.world import CONSENT, DAY_S, LAN, MINH, World

CONFIRM = "POST /checkouts"
UNCLEAR = (
    *("reset", "timeout", "empty", "truncated", "html", "wrong_type", "null_id", "redirect"),
    *("status:408", "status:409", "status:500", "status:503"),
)


def test_one_click_charges_the_shown_amount_once(world: World) -> None:
    """R6a R6b P3"""
    page = world.offer()

    assert world.accept(page) == "taken"

    (payment,) = world.standing(BUNDLE)
    assert (payment["total"], payment["currency"]) == (page.quote.total.minor, page.quote.currency)
    assert world.page(page).state == "receipt"
    assert world.outcome(page) == "charged"


def test_request_carries_what_the_row_says(world: World) -> None:
    """R6a R11a"""
    page = world.offer(country="US", zipcode="10001")

    world.accept(page)

    (request,) = world.charges(page)
    body = request["body"]
    assert page.quote.method is not None
    assert body["payment_method_id"] == page.quote.method.payment_method_id
    assert body["customer"] == {"customer_id": world.acceptance(page).customer_id}
    assert (body["confirm"], body["minimal_address"]) == (True, True)
    assert body["feature_flags"] == {"redirect_immediately": True}
    assert body["billing_address"]["country"] == "US"
    assert body["billing_address"]["zipcode"] == "10001"
    assert body["return_url"].endswith(f"/r/{page.order.ref}")
    assert (
        body["metadata"].items()
        >= {
            "attempt_id": world.attempt(page).id,
            "funnel_id": "starter-course",
            "step": "bundle",
            "role": "upsell",
            "placement": "return_page",
        }.items()
    )


def test_second_click_shows_the_first_result(world: World) -> None:
    """R6d R10c"""
    page = world.offer()

    results = [world.accept(page) for _ in range(3)]

    assert results == ["taken"] * 3
    assert len(world.charges(page)) == 1
    assert world.page(page).state == "receipt"


def test_another_browser_takes_nothing(world: World) -> None:
    """R10d"""
    page = world.offer()

    assert world.accept(page, key=MINH) == "taken"

    assert world.charges(page) == []
    assert world.page(page).state == "offer"


def test_hash_of_another_quote_takes_nothing(world: World) -> None:
    page = world.offer()

    result = charging.accept(world.shop, page.instance_id, buyer_key=LAN, quote_hash="0" * 64, consent=CONSENT)

    assert result == "moved"
    assert world.charges(page) == []
    assert world.page(page).state == "offer"


@pytest.mark.criterion("R10a")
def test_expired_offer_takes_nothing(world: World) -> None:
    page = world.offer()
    world.advance(31 * 60)

    assert world.accept(page) == "taken"

    assert world.charges(page) == []
    assert world.page(page).state == "expired"


# ---- What an answer means (charging.md, section 4) --------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 415, 422])
def test_well_formed_refusal_charges_nothing(world: World, status: int) -> None:
    page = world.offer()
    world.sandbox.fault(CONFIRM, f"status:{status}")

    world.accept(page)

    assert world.attempt(page).state == "rejected"
    assert world.outcome(page) == "needs_checkout"
    assert world.page(page).state == "not_charged"


@pytest.mark.parametrize("fault", UNCLEAR)
@pytest.mark.parametrize("effect", ["none", "before"])
def test_unclear_answer_is_unknown_and_then_settled(world: World, fault: str, effect: str) -> None:
    """R27a N2: whatever was lost, the page says "checking", and asking the provider ends it."""
    page = world.offer()
    world.sandbox.fault(CONFIRM, fault, effect=effect)

    world.accept(page)

    assert world.attempt(page).state == "unknown"
    assert world.glance(page).state == "checking"
    world.look()
    is_charged = effect == "before"
    assert world.outcome(page) == ("charged" if is_charged else "open")
    assert world.page(page).state == ("receipt" if is_charged else "checking")
    assert len(world.standing(BUNDLE)) == int(is_charged)
    assert len(world.charges(page)) == 1


def test_refused_connection_sends_nothing(world: World) -> None:
    page = world.offer()
    world.sandbox.control("listen", {"accept": False, "for_s": 30})
    try:
        # The methods are read first, and without them nothing is claimed.
        assert world.accept(page) == "unavailable"
    finally:
        world.sandbox.control("listen", {"accept": True})

    assert world.page(page).state == "offer"
    assert world.charges(page) == []


def test_connection_refused_after_the_claim_is_not_sent(world: World, pass_point: PassPoint) -> None:
    page = world.offer()
    pass_point("claim.committed", lambda: world.sandbox.control("listen", {"accept": False, "for_s": 30}))

    world.accept(page)

    world.sandbox.control("listen", {"accept": True})
    assert (world.attempt(page).state, world.outcome(page)) == ("not_sent", "needs_checkout")
    assert world.page(page).state == "not_charged"
    assert world.charges(page) == []


def test_too_many_requests_is_refused_and_blocks_the_budget(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.sandbox.fault(CONFIRM, "status:429", retry_after="30")

    world.accept(page)

    assert world.attempt(page).state == "rejected"
    assert len(world.charges(page)) == 1
    (budget,) = world.rows("rate_budget")
    assert budget["blocked_until"] > world.shop.now() + 20_000


def test_payment_id_of_another_attempt_proves_nothing(world: World) -> None:
    first = world.offer()
    world.accept(first)
    second = world.offer(email="minh@example.com")
    world.sandbox.fault(CONFIRM, "other_id", effect="before")

    world.accept(second)

    assert (world.attempt(second).state, world.attempt(second).provider_payment_id) == ("unknown", None)
    world.look()
    assert world.outcome(second) == "charged"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("INSUFFICIENT_FUNDS", "card_decline.insufficient_funds"),
        ("EXPIRED_CARD", "card_decline.expired"),
        ("GENERIC_DECLINE", "card_decline.general"),
        ("STOLEN_CARD", "card_decline.general"),
    ],
)
def test_card_decline_is_told_and_leads_to_the_checkout(world: World, code: str, words: str) -> None:
    """R25a R24a"""
    page = world.offer()
    world.sandbox.next_payment("failed", code)

    world.accept(page)

    assert (world.attempt(page).state, world.attempt(page).decline_code) == ("failed", code)
    assert world.outcome(page) == "needs_checkout"
    assert (world.page(page).state, world.page(page).reason) == ("failed", words)


def test_card_decline_may_come_as_a_refusal(world: World) -> None:
    """R5c: no payment exists then, but the buyer reads the same words."""
    world.sandbox.switch(saved_card_decline="http_422")
    page = world.offer()
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    world.accept(page)

    assert world.attempt(page).state == "rejected"
    assert world.page(page).state == "failed"
    assert len(world.charges(page)) == 1


def test_processing_payment_waits_and_is_followed(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(page)
    assert (world.attempt(page).state, world.page(page).state) == ("pending", "processing")

    world.sandbox.control("settle", {"payment_id": world.attempt(page).provider_payment_id, "status": "succeeded"})
    world.look()

    assert (world.outcome(page), world.page(page).state) == ("charged", "receipt")


def test_authentication_leads_to_the_bank_and_back(world: World) -> None:
    """P5"""
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)
    assert world.page(page).state == "action_required"

    bank = world.open_checkout(page)
    payment_id = bank.rsplit("/", 1)[1]
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})

    assert world.page(page).state == "receipt"
    assert world.outcome(page) == "charged"


def test_authentication_without_a_link_goes_to_the_checkout(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action", payment_link=False)

    world.accept(page)

    assert (world.attempt(page).state, world.outcome(page)) == ("dropped", "needs_checkout")
    assert world.page(page).state == "not_charged"


def test_authentication_ends_after_a_day(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)

    world.advance(DAY_S + 1)
    world.look()

    assert (world.attempt(page).state, world.outcome(page)) == ("dropped", "closed")
