"""A plan on hold is ended at once by a buyer who does not want to pay, and never one that runs or is being paid."""

from typing import Any
from unittest.mock import patch

import pytest

from encore.services import dues, held_plans, hold_ends, plan_pages, subscriptions
from encore.store import card_changes
from encore.store.card_changes import CardChange
from encore.store.subscriptions import Subscription
from tests.sandbox_process import BASIC
from tests.services.points import PassPoint
from tests.services.test_dues import card, on_hold, shown, try_pay
from tests.services.world import DAY_S, LAN, World

PATCH = "PATCH /subscriptions/{id}"


def there(world: World, row: Subscription) -> Any:
    return world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")


def posts(world: World, row: Subscription) -> int:
    return len(world.sandbox.requests("POST", f"/subscriptions/{row.provider_subscription_id}/update-payment-method"))


def whole(world: World) -> bool:
    world.poll()
    world.read_subscriptions()
    world.tidy()
    return world.breaches() == ()


def test_a_plan_on_hold_ends_at_once_and_nothing_is_asked_for_any_more(world: World) -> None:
    world.sandbox.switch(dunning=True)
    row = on_hold(world)
    page = plan_pages.plan_page(world.shop, row, language="en")
    assert page is not None
    assert (page.state, page.can_end) == ("on_hold", True)
    charged = len(world.sandbox.payments())

    assert hold_ends.end(world.shop, row) == "ended"

    found = there(world, row)
    assert (found["status"], found["cancelled_by"]["actor_type"]) == ("cancelled", "customer")
    ended = world.subscription(row.id)
    page = plan_pages.plan_page(world.shop, ended, language="en")
    assert page is not None
    assert (page.state, page.can_end, dues.form(world.shop, ended)) == ("cancelled", False, None)
    assert held_plans.find(world.shop, BASIC, buyer_key=LAN) is None, "it may be bought anew"
    world.sandbox.clock(10 * DAY_S)
    assert len(world.sandbox.payments()) == charged
    assert world.rows("hold_ends") == []
    assert whole(world)


def test_a_plan_that_runs_is_not_ended_at_once(world: World) -> None:
    """What was paid for is not taken: the page was open while the plan was on hold, and our row still says so."""
    row = on_hold(world)
    saved = next(m for m in world.sandbox.methods(row.customer_id) if m["card"]["last4_digits"] == "4444")
    body = {"type": "existing", "payment_method_id": saved["payment_method_id"]}
    world.sandbox.post(f"/subscriptions/{row.provider_subscription_id}/update-payment-method", body)

    assert hold_ends.end(world.shop, row) == "not_on_hold"

    assert there(world, row)["status"] == "active"
    assert whole(world)


@pytest.mark.parametrize("whose", ["ours", "the provider's", "the provider's, at the bank", "a change of card"])
def test_a_plan_is_not_ended_beside_a_payment_of_it(world: World, whose: str) -> None:
    row = on_hold(world)
    form = shown(world, row)
    if whose == "a change of card":
        # Sent while the plan still ran, and not answered yet.
        change = CardChange(id="cch_1", subscription_id=row.provider_subscription_id, asked_at=world.shop.now())
        with world.shop.store.write():
            card_changes.insert_change(world.shop.store, change)
        assert hold_ends.end(world.shop, row) == "under_way"
        return
    world.sandbox.next_payment("requires_customer_action" if "bank" in whose else "processing")
    if whose == "ours":
        try_pay(world, row, form, name=card(form))
    else:
        saved = next(m for m in world.sandbox.methods(row.customer_id) if m["card"]["last4_digits"] == "4444")
        body = {"type": "existing", "payment_method_id": saved["payment_method_id"]}
        world.sandbox.post(f"/subscriptions/{row.provider_subscription_id}/update-payment-method", body)

    assert hold_ends.end(world.shop, row) == "under_way"

    assert there(world, row)["status"] == "on_hold"


def test_dues_are_not_paid_beside_the_end_of_the_plan(world: World, pass_point: PassPoint) -> None:
    """Both have asked the provider before either writes: the payment loses."""
    row = on_hold(world)
    form = shown(world, row)
    pass_point("hold_end.noted", lambda: try_pay(world, row, form, name=card(form)))

    assert hold_ends.end(world.shop, row) == "ended"

    assert posts(world, row) == 0
    assert whole(world)


class Died(Exception):
    """The process is gone."""


@pytest.mark.parametrize(("point", "status"), [("hold_end.noted", "on_hold"), ("hold_end.done", "cancelled")])
def test_a_process_that_dies_in_it_leaves_what_the_page_reads(
    world: World, pass_point: PassPoint, point: str, status: str
) -> None:
    row = on_hold(world)
    form = shown(world, row)

    def die() -> None:
        raise Died

    pass_point(point, die)
    with pytest.raises(Died):
        hold_ends.end(world.shop, row)

    try_pay(world, row, form, name=card(form))
    assert posts(world, row) == 0
    assert subscriptions.read_for_page(world.shop, row)
    assert world.subscription(row.id).status == status
    assert hold_ends.end(world.shop, row) == ("ended" if status == "on_hold" else "not_on_hold")
    assert whole(world)


def test_the_end_loses_against_dues_that_were_claimed_first(world: World) -> None:
    row = on_hold(world)
    form = shown(world, row)
    ask = dues.form
    world.sandbox.next_payment("processing")

    def claim_late(*arguments: Any, **options: Any) -> Any:
        found = ask(*arguments, **options)
        try_pay(world, row, form, name=card(form))
        return found

    with patch.object(dues, "form", claim_late):
        assert hold_ends.end(world.shop, row) == "under_way"

    assert (posts(world, row), there(world, row)["status"]) == (1, "on_hold")


def test_an_end_whose_answer_is_lost_shows_on_the_page_and_keeps_the_dues_from_being_paid(world: World) -> None:
    row = on_hold(world)
    form = shown(world, row)
    world.sandbox.fault(PATCH, "reset", effect="none")

    assert hold_ends.end(world.shop, row) == "no_answer"
    try_pay(world, row, form, name=card(form))
    assert posts(world, row) == 0, "it may still arrive"
    world.sandbox.fault(PATCH, "reset", effect="before")
    assert hold_ends.end(world.shop, row) == "no_answer"
    assert held_plans.find(world.shop, BASIC, buyer_key=LAN) is not None, "not sold anew while it is not known"

    assert subscriptions.read_for_page(world.shop, row)
    assert world.subscription(row.id).status == "cancelled"
    assert held_plans.find(world.shop, BASIC, buyer_key=LAN) is None
    assert hold_ends.end(world.shop, row) == "not_on_hold"


def test_an_end_that_never_arrived_leaves_the_dues_to_be_paid(world: World) -> None:
    row = on_hold(world)
    world.sandbox.fault(PATCH, "reset", effect="none")
    assert hold_ends.end(world.shop, row) == "no_answer"
    world.clock.wall_s += 31

    form = shown(world, row)
    try_pay(world, row, form, name=card(form))

    assert posts(world, row) == 1
    assert world.subscription(row.id).status == "active"


@pytest.mark.parametrize("status", [422, 429])
def test_an_end_that_is_refused_is_over_at_once(world: World, status: int) -> None:
    """It is known that nothing was done, so nobody is told that there was no answer."""
    row = on_hold(world)
    world.sandbox.fault(PATCH, f"status:{status}")

    assert hold_ends.end(world.shop, row) == "refused"

    assert world.rows("hold_ends") == []
    assert there(world, row)["status"] == "on_hold"


def test_an_end_that_is_refused_says_nothing_of_one_that_may_still_arrive(world: World) -> None:
    """The first request is lost on its way: until it cannot arrive any more, nothing is paid beside it."""
    row = on_hold(world)
    form = shown(world, row)
    world.sandbox.fault(PATCH, "reset", effect="none")
    assert hold_ends.end(world.shop, row) == "no_answer"
    world.sandbox.fault(PATCH, "status:429")
    assert hold_ends.end(world.shop, row) == "no_answer"

    try_pay(world, row, form, name=card(form))

    assert posts(world, row) == 0


def test_of_two_tabs_the_one_that_is_refused_leaves_the_others_end_standing(
    world: World, pass_point: PassPoint
) -> None:
    """Both are sent in the same millisecond, and the refused one is answered first."""
    row = on_hold(world)
    form = shown(world, row)
    refused: list[str] = []

    def other_tab() -> None:
        # The first tab has noted its end, and its request is slow.
        world.sandbox.fault(PATCH, "status:422")
        refused.append(hold_ends.end(world.shop, row))
        try_pay(world, row, form, name=card(form))

    pass_point("hold_end.noted", other_tab)

    assert hold_ends.end(world.shop, row) == "ended"

    assert (refused, posts(world, row)) == (["no_answer"], 0)
    assert whole(world)


def test_of_two_tabs_the_second_reads_that_the_plan_has_ended(world: World, pass_point: PassPoint) -> None:
    """The provider refuses to end it twice; what the buyer wanted is so."""
    row = on_hold(world)
    first: list[str] = []
    pass_point("hold_end.noted", lambda: first.append(hold_ends.end(world.shop, row)))

    assert hold_ends.end(world.shop, row) == "not_on_hold"

    assert (first, there(world, row)["status"]) == (["ended"], "cancelled")
    assert str(world.rows("ledger")).count("subscription.ended") == 1
    assert whole(world)


def test_an_answer_that_shows_it_on_hold_still_is_no_end(world: World) -> None:
    """Nothing is written down as ended, and for a moment nothing is paid beside what may come of it."""
    row = on_hold(world)
    form = shown(world, row)
    answer = world.shop.dodo.subscriptions.get(row.provider_subscription_id, budget=world.shop.dodo.budget())
    with patch.object(world.shop.dodo.subscriptions, "end_now", return_value=answer):
        assert hold_ends.end(world.shop, row) == "no_answer"

    assert "subscription.ended" not in str(world.rows("ledger"))
    try_pay(world, row, form, name=card(form))
    assert posts(world, row) == 0


@pytest.mark.parametrize("silent", ["GET /subscriptions/{id}", "GET /payments"])
def test_without_an_answer_nothing_is_ended(world: World, silent: str) -> None:
    row = on_hold(world)
    world.sandbox.fault(silent, "status:503", times=9)

    assert hold_ends.end(world.shop, row) == "no_answer"

    assert [sent for sent in world.sandbox.requests("PATCH") if "status" in sent["body"]] == []
