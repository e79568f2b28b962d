"""The shop's own checkout: begun here, paid at the provider, found again whatever is lost (charging.md, 7 and 9)."""

from typing import Any

import pytest

from encore.services import budgets, checkout
from encore.services.checkout import CheckoutDown, NotSold, Started, StartResult
from tests.sandbox_process import COURSE
from tests.services.conftest import Open
from tests.services.points import PassPoint
from tests.services.world import DAY_S, LAN, MINH, World

CREATE = "POST /checkouts"


def start(world: World, *, slug: str = "starter-course", key: str = LAN, quantity: int = 1) -> StartResult:
    return checkout.start(world.shop, slug=slug, quantity=quantity, buyer_key=key, language="en")


def started(world: World, **facts: Any) -> str:
    result = start(world, **facts)
    assert isinstance(result, Started), result
    return result.url


def sessions(world: World) -> list[Any]:
    return [row["body"] for row in world.sandbox.requests("POST", "/checkouts")]


def ref_of(world: World) -> str:
    return str(world.rows("checkouts")[-1]["ref"])


def test_checkout_comes_back_to_a_reference_nobody_can_guess(world: World) -> None:
    """R1a"""
    started(world, quantity=2)

    (body,) = sessions(world)
    ref = body["return_url"].rsplit("/r/", 1)[1]
    assert len(ref) == 43
    assert (body["cancel_url"], ref) == (body["return_url"], ref_of(world))
    assert body["product_cart"] == [{"product_id": COURSE, "quantity": 2}]
    assert "customer" not in body


def test_second_press_leads_to_the_same_session(world: World) -> None:
    assert started(world) == started(world)

    assert len(sessions(world)) == 1


def test_other_browser_quantity_or_product_is_another_session(world: World) -> None:
    urls = {
        started(world),
        started(world, quantity=2),
        started(world, slug="design-templates"),
        started(world, key=MINH),
    }

    assert len(urls) == 4


def test_session_that_was_paid_is_not_offered_again(world: World) -> None:
    world.buy()

    assert len({row["checkout_url"] for row in world.rows("checkouts")} | {started(world)}) == 2


def test_what_is_not_sold_cannot_be_bought(world: World) -> None:
    world.sandbox.call("DELETE", f"/products/{COURSE}")
    world.sync()

    assert start(world) == NotSold()
    assert start(world, slug="no-such-product") == NotSold()


def test_provider_that_is_away_starts_nothing(world: World) -> None:
    world.sandbox.fault(CREATE, "status:503", times=5)

    assert start(world) == CheckoutDown()

    world.sandbox.clear_faults()
    assert started(world)


def test_no_budget_starts_nothing(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    assert started(world)
    world.block_budget()

    assert start(world, key=MINH) == CheckoutDown()


def test_too_many_calls_makes_the_next_buyer_wait_and_not_try_again(open_shop_with: Open) -> None:
    """The provider says 429 to one buyer; the other waits the second it asks for and gets the checkout."""
    world = open_shop_with(ENCORE_DODO_TIER="2")
    world.sandbox.fault(CREATE, "status:429")
    assert start(world) == CheckoutDown()
    assert not budgets.take(world.shop, "checkout")

    assert started(world, key=MINH)
    assert len(world.sandbox.requests("POST", "/checkouts")) == 2


def test_session_lost_on_the_way_is_found_by_its_mark(world: World, pass_point: PassPoint) -> None:
    """The process died when the provider had made the session; somebody pays it all the same."""

    def die() -> None:
        raise KeyboardInterrupt

    pass_point("checkout.posted", die)
    with pytest.raises(KeyboardInterrupt):
        start(world)
    (made,) = world.sandbox.control("objects/sessions")["items"]

    world.sandbox.pay(made["id"])
    world.poll()

    assert [row["state"] for row in world.rows("checkouts")] == ["paid"]
    assert len(world.rows("orders")) == 1


def test_buyer_who_never_comes_back_gets_the_order(world: World) -> None:
    """R19c: no webhook, no return: the look or the poll settles it."""
    world.buy()
    world.advance(61)

    assert checkout.look_due(world.shop) == 1

    assert len(world.rows("orders")) == 1
    assert len(world.messages("receipt")) == 1


def test_unpaid_checkout_is_looked_at_ever_less_and_closed(world: World) -> None:
    started(world)
    world.advance(61)
    checkout.look_due(world.shop)
    (row,) = world.rows("checkouts")
    assert row["next_check_at"] > world.shop.now()

    world.advance(DAY_S + 60)
    checkout.look_due(world.shop)

    (row,) = world.rows("checkouts")
    assert (row["state"], row["next_check_at"]) == ("closed", None)


def test_payment_after_the_checkout_was_closed_still_counts(world: World) -> None:
    """Nobody's money is kept for nothing."""
    url = started(world)
    with world.shop.store.write():
        world.shop.store.run("UPDATE checkouts SET state = 'closed', next_check_at = NULL")

    world.pay_at(url)
    world.poll()

    assert len(world.rows("orders")) == 1
    assert world.breaches() == ()


def test_failed_payment_leads_back_to_the_same_session(world: World) -> None:
    url = started(world)
    world.sandbox.pay(url.rsplit("/", 1)[1], card="4000000000000002")
    assert world.come_back(ref_of(world)).state == "payment_failed"

    assert checkout.pay_again(world.shop, ref_of(world), buyer_key=LAN) == Started(url)
    world.pay_at(url)

    assert world.come_back(ref_of(world)).state in ("offer", "thanks")
    assert len(world.rows("orders")) == 1


def test_paid_checkout_leads_to_its_order(world: World) -> None:
    ref = world.buy()

    again = checkout.pay_again(world.shop, ref, buyer_key=LAN)

    assert isinstance(again, Started)
    assert again.url.endswith(f"/r/{ref}")
    assert len(sessions(world)) == 1


def test_another_browser_cannot_pay_again(world: World) -> None:
    started(world)

    assert checkout.pay_again(world.shop, ref_of(world), buyer_key=MINH) == NotSold()


def test_other_cart_than_ordered_raises_an_alarm(world: World) -> None:
    """R20: product and quantity are compared."""
    ref = world.buy()
    with world.shop.store.write():
        world.shop.store.run("UPDATE checkouts SET quantity = 3")

    world.come_back(ref)

    assert [row["kind"] for row in world.rows("alarms")] == ["cart_mismatch"]
