"""The price of a change: what is confirmed is what was shown, and what has no price cannot be confirmed."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from encore.rules.plan_changes import may_confirm
from encore.services import plan_changes
from encore.services.plan_changes import Confirmed
from encore.services.plan_quotes import NotQuoted, Quoted
from tests.sandbox_process import BASIC, PRO
from tests.services.plans import CHANGE_PLAN, changes, group, subscribe, usd, whole
from tests.services.world import World

# ---- The price promise -----------------------------------------------------------------------------------------------


@pytest.mark.criterion("R14c")
def test_a_price_raised_between_preview_and_confirm_charges_nothing(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.reprice(PRO, 9000)

    after = world.confirm(page)

    assert (after.state, after.quote_id != page.quote_id) == ("quote_changed", True)
    assert after.moved_from is not None
    assert (after.moved_from.due, after.quote.due) == (usd(5000), usd(6000))
    assert changes(world, row) == []
    assert world.rows("attempts") == []
    assert world.confirm(after).paid == usd(6000)


def test_a_price_lowered_meanwhile_is_charged_as_it_is(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.reprice(PRO, 7000)

    after = world.confirm(page)

    assert (after.state, after.paid) == ("changed", usd(4000))
    whole(world)


def test_a_dearer_renewal_is_shown_before_a_change_that_costs_nothing_now(world: World) -> None:
    group(world, upgrade_mode="do_not_bill")
    row = subscribe(world)
    page = world.preview(row)
    world.reprice(PRO, 9000)

    assert world.confirm(page).state == "quote_changed"
    assert changes(world, row) == []


@pytest.mark.criterion("R14c")
def test_a_quote_lives_ten_minutes(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.advance(10 * 60)
    # The worker calls it expired too; who confirms it all the same is shown the figures of that moment.
    world.tidy()

    assert world.quote(page.quote_id).state == "quote_expired"
    after = world.confirm(page)

    assert (after.state, after.quote_id != page.quote_id) == ("quote_expired", True)
    assert changes(world, row) == []
    assert world.confirm(after).state == "changed"


def test_any_change_of_the_subscription_voids_a_quote(world: World) -> None:
    """R14c"""
    row = subscribe(world)
    old = world.preview(row)
    world.confirm(world.preview(row))
    back = world.preview(world.subscription(row.id), "basic-plan")

    after = world.try_confirm(old)

    assert world.quote(old.quote_id).state == "quote_expired"
    assert isinstance(after, Quoted)
    assert len(changes(world, row)) == 1
    assert back.quote.wish.product_id == BASIC


def test_a_quote_used_twice_shows_its_outcome(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.confirm(page)

    again = [world.try_confirm(page) for _ in range(2)]

    assert again == [Confirmed("taken")] * 2
    assert world.quote(page.quote_id).state == "changed"
    assert len(changes(world, row)) == 1


def test_a_hash_that_was_not_shown_confirms_nothing(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)

    assert world.try_confirm(replace(page, quote_hash="0" * 64)) == Confirmed("moved")
    assert changes(world, row) == []


def test_an_overcharge_is_kept_told_and_found_by_the_audit(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    ask = may_confirm

    def raise_after(*quotes: Any) -> Any:
        world.reprice(PRO, 9000)
        return ask(*quotes)

    with patch.object(plan_changes, "may_confirm", raise_after):
        after = world.confirm(page)

    assert after.paid == usd(6000)
    assert [alarm["kind"] for alarm in world.rows("alarms")] == ["plan_change_overcharged"]
    assert world.breaches() == ("I12",)


def test_without_a_preview_there_is_no_quote_to_confirm(world: World) -> None:
    """R14d"""
    row = subscribe(world)
    world.sandbox.fault(CHANGE_PLAN + "/preview", "status:500", times=9)

    assert world.try_preview(row) == NotQuoted("no_price")
    assert changes(world, row) == []


# ---- What cannot be changed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "quantity", "reason"),
    [
        ("starter-course", None, "not_a_plan"),
        ("pdt_of_nobody", None, "not_a_plan"),
        ("", None, "not_a_plan"),
        ("basic-plan", None, "same_plan"),
        ("basic-plan", 1, "same_plan"),
        ("pro-plan", 0, "bad_quantity"),
        ("pro-plan", 10_001, "bad_quantity"),
        ("pro-plan", -1, "bad_quantity"),
    ],
)
def test_each_wrong_wish_has_its_own_answer(world: World, slug: str, quantity: int | None, reason: str) -> None:
    row = subscribe(world)

    assert world.try_preview(row, slug, quantity=quantity) == NotQuoted(reason)  # type: ignore[arg-type]
    assert world.rows("offer_instances") == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": "paused"}, "paused"),
        ({"status": "cancelled"}, "ended"),
    ],
)
def test_each_state_that_bars_a_change_has_its_own_answer(world: World, body: dict[str, Any], reason: str) -> None:
    row = subscribe(world)
    page = world.preview(row)
    answer = world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", body)
    assert answer.status_code == 200, answer.text

    assert world.try_preview(row) == NotQuoted(reason)  # type: ignore[arg-type]
    assert world.try_confirm(page) == NotQuoted(reason)  # type: ignore[arg-type]
    assert changes(world, row) == []


def test_an_archived_plan_cannot_be_changed_to(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.call("DELETE", f"/products/{PRO}")
    world.sync()

    assert world.try_preview(row) == NotQuoted("archived")
    assert world.try_confirm(page) == NotQuoted("archived")
    assert changes(world, row) == []


def test_a_quote_belongs_to_its_customer_alone(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)

    assert plan_changes.get_quote(world.shop, page.quote_id, customer_ids=(row.customer_id,)) is not None
    assert plan_changes.get_quote(world.shop, page.quote_id, customer_ids=("cus_other",)) is None
    assert plan_changes.get_quote(world.shop, "quo_none", customer_ids=(row.customer_id,)) is None


def test_an_offer_on_the_return_page_is_no_quote(world: World) -> None:
    page = world.offer()
    customer_id = world.rows("customers")[0]["id"]

    assert plan_changes.get_quote(world.shop, page.instance_id, customer_ids=(customer_id,)) is None
