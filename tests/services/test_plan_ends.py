"""The end of a plan: set and taken back, and withdrawn for a change that may not go through."""

from unittest.mock import patch

import pytest

from encore.services import plan_ends
from encore.services.plan_quotes import NotQuoted
from encore.store.subscriptions import Subscription
from tests.sandbox_process import BASIC, PRO
from tests.services.plans import changes, owned, paid, settle, subscribe, whole
from tests.services.world import DAY_S, World

CHANGE_PLAN = "POST /subscriptions/{id}/change-plan"
PATCH = "PATCH /subscriptions/{id}"


def ending(world: World, slug: str = "basic-plan") -> Subscription:
    row = subscribe(world, slug)
    assert plan_ends.set_end(world.shop, row, ends=True)
    return world.subscription(row.id)


def ends_there(world: World, row: Subscription) -> bool:
    return bool(world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")["cancel_at_next_billing_date"])


def let_the_worker_put_back(world: World) -> None:
    world.advance(31)
    plan_ends.put_back_due(world.shop)


def test_an_end_is_set_and_taken_back(world: World) -> None:
    row = ending(world)
    assert (row.cancels_at_period_end, row.status, ends_there(world, row)) == (1, "active", True)
    assert owned(world, row) == {BASIC}

    assert plan_ends.set_end(world.shop, row, ends=False)

    assert (world.subscription(row.id).cancels_at_period_end, ends_there(world, row)) == (0, False)
    whole(world)


def test_access_ends_with_the_period_and_nothing_more_is_charged(world: World) -> None:
    """R23"""
    row = ending(world)

    world.advance(31 * DAY_S)
    whole(world)

    assert world.subscription(row.id).status == "cancelled"
    assert owned(world, row) == frozenset()
    payments = world.sandbox.get("/payments", subscription_id=row.provider_subscription_id)["items"]
    assert [payment["charge_type"] for payment in payments] == ["new"]


def test_without_an_answer_nothing_is_said_to_be_done(world: World) -> None:
    row = subscribe(world)
    world.sandbox.fault(PATCH, "status:503")

    assert not plan_ends.set_end(world.shop, row, ends=True)
    assert not ends_there(world, row)


@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_an_end_without_an_answer_is_set_by_the_worker(world: World, is_withdrawn: bool) -> None:
    row = ending(world) if is_withdrawn else subscribe(world)
    if is_withdrawn:
        plan_ends.withdraw(world.shop, row.provider_subscription_id)
    world.sandbox.fault(PATCH, "status:503")

    assert not plan_ends.set_end(world.shop, row, ends=True)
    let_the_worker_put_back(world)

    assert ends_there(world, row)
    assert world.rows("ends_to_put_back") == []


def test_an_end_that_is_refused_is_not_asked_for_again(world: World) -> None:
    row = subscribe(world)
    world.sandbox.fault(PATCH, "status:422")

    assert not plan_ends.set_end(world.shop, row, ends=True)

    assert world.rows("ends_to_put_back") == []


def test_the_price_of_a_change_leaves_the_end_as_it_is(world: World) -> None:
    row = ending(world)

    page = world.preview(row)

    assert (page.state, page.quote.wish.resumes, page.quote.due.minor) == ("preview", True, 5000)
    assert ends_there(world, row)
    assert world.rows("ends_to_put_back") == []


def test_a_change_that_goes_through_lets_the_plan_go_on(world: World) -> None:
    row = ending(world)

    after = world.confirm(world.preview(row))

    assert (after.state, paid(world, row)) == ("changed", [5000])
    assert not ends_there(world, row)
    assert world.rows("ends_to_put_back") == []
    assert owned(world, row) == {PRO}
    whole(world)


def test_a_change_that_is_declined_puts_the_end_back(world: World) -> None:
    row = ending(world)
    page = world.preview(row)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")

    after = world.confirm(page)

    assert after.state == "failed"
    assert ends_there(world, row)
    assert world.rows("ends_to_put_back") == []
    whole(world)


def test_a_price_that_moved_puts_the_end_back(world: World) -> None:
    row = ending(world)
    page = world.preview(row)
    world.reprice(PRO, 9000)

    assert world.confirm(page).state == "quote_changed"
    assert ends_there(world, row)
    assert changes(world, row) == []


@pytest.mark.parametrize(("effect", "ends", "charged"), [("none", True, []), ("before", False, [5000])])
def test_a_lost_answer_decides_about_the_end_only_when_it_is_known(
    world: World, effect: str, ends: bool, charged: list[int]
) -> None:
    row = ending(world)
    page = world.preview(row)
    world.sandbox.fault(CHANGE_PLAN, "reset", effect=effect)

    world.confirm(page)
    for _ in range(8):
        world.advance(1)
        world.look()
    let_the_worker_put_back(world)

    assert paid(world, row) == charged
    assert ends_there(world, row) == ends
    assert world.rows("ends_to_put_back") == []


def test_a_payment_under_way_keeps_the_wish_open(world: World) -> None:
    row = ending(world)
    page = world.preview(row)
    world.sandbox.next_payment("processing")
    world.confirm(page)

    let_the_worker_put_back(world)
    assert len(world.rows("ends_to_put_back")) == 1
    settle(world)
    world.poll()
    world.look()
    let_the_worker_put_back(world)

    assert world.rows("ends_to_put_back") == []
    assert not ends_there(world, row)


def test_an_end_that_cannot_be_put_back_now_is_put_back_later(world: World) -> None:
    row = ending(world)
    page = world.preview(row)
    world.reprice(PRO, 9000)
    withdraw = plan_ends.withdraw

    def and_then_fail(shop: object, name: str) -> object:
        found = withdraw(world.shop, name)
        world.sandbox.fault(PATCH, "status:503")
        return found

    with patch.object(plan_ends, "withdraw", and_then_fail):
        world.confirm(page)

    assert not ends_there(world, row)
    let_the_worker_put_back(world)
    assert ends_there(world, row)


def test_the_buyers_own_word_replaces_what_was_to_be_put_back(world: World) -> None:
    row = ending(world)
    plan_ends.withdraw(world.shop, row.provider_subscription_id)

    plan_ends.set_end(world.shop, row, ends=False)
    let_the_worker_put_back(world)

    assert not ends_there(world, row)


def test_an_end_set_meanwhile_is_not_taken_back_by_a_quote_that_does_not_say_so(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    plan_ends.set_end(world.shop, row, ends=True)

    assert world.try_confirm(page) == NotQuoted("ending")
    assert (ends_there(world, row), changes(world, row)) == (True, [])


def test_right_before_the_end_nothing_is_withdrawn(world: World) -> None:
    row = ending(world)
    assert row.next_billing_at is not None
    world.advance(row.next_billing_at / 1000 - world.shop.now() / 1000 - 300)

    assert world.try_preview(world.subscription(row.id)) == NotQuoted("ending")
    assert ends_there(world, row)
