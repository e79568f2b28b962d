"""One change, whatever happens: clicks at once, two tabs, lost answers."""

from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from encore.services import charging, plan_changes, plan_quotes
from tests.concurrency.crowd import at_once
from tests.sandbox_process import BASIC
from tests.services.plans import CHANGE_PLAN, changes, paid, settle, subscribe, whole
from tests.services.world import World


@pytest.mark.criterion("R15d")
def test_six_clicks_on_one_quote_change_once(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)

    at_once([partial(world.try_confirm, page) for _ in range(6)])

    assert len(changes(world, row)) == 1
    assert paid(world, row) == [5000]
    whole(world)


def test_two_tabs_with_two_quotes_change_once(world: World) -> None:
    row = subscribe(world)
    world.sandbox.next_payment("processing", times=2)
    tabs = [world.preview(row), world.preview(row, "basic-plan", quantity=3)]

    at_once([partial(world.try_confirm, page) for page in tabs])

    assert len(changes(world, row)) == 1
    assert sorted(world.quote(page.quote_id).state for page in tabs) == ["pending_change", "processing"]


@pytest.mark.parametrize(("is_guarded", "sent"), [(True, 1), (False, 2)])
def test_the_constraint_alone_lets_one_of_two_tabs_through(world: World, is_guarded: bool, sent: int) -> None:
    """Both tabs have asked the provider before either claims; without the constraint two requests go out."""
    row = subscribe(world)
    world.sandbox.next_payment("processing", times=2)
    tabs = [world.preview(row), world.preview(row, "basic-plan", quantity=3)]
    current = world.shop.dodo.subscriptions.get(row.provider_subscription_id, budget=world.shop.dodo.budget())
    fresh = {page.quote.wish: page.quote for page in tabs}
    if not is_guarded:
        with world.shop.store.write():
            world.shop.store.run("DROP INDEX one_subscription_charge")

    with (
        patch.object(plan_quotes, "read_now", lambda shop, subscription: current),
        patch.object(plan_quotes, "ask", lambda shop, subscription, wish, *, method: fresh[wish]),
    ):
        for page in tabs:
            world.try_confirm(page)

    assert len(changes(world, row)) == sent


@pytest.mark.parametrize("fault", ["reset", "timeout", "truncated", "html", "status:500", "status:408"])
@pytest.mark.parametrize("effect", ["none", "before"])
def test_a_lost_answer_is_settled_by_asking_and_never_sent_again(world: World, fault: str, effect: str) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.fault(CHANGE_PLAN, fault, effect=effect)

    world.confirm(page)
    for _ in range(8):
        world.advance(1)
        world.look()

    assert len(changes(world, row)) == 1
    state = world.quote(page.quote_id).state
    assert (state, paid(world, row)) == (("changed", [5000]) if effect == "before" else ("not_charged", []))
    whole(world)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429])
def test_a_refusal_is_not_sent_again(world: World, status: int) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.fault(CHANGE_PLAN, f"status:{status}")

    after = world.confirm(page)

    assert len(changes(world, row)) == 1
    assert after.state == ("checking" if status == 409 else "not_charged")
    assert world.subscription(row.id).product_id == BASIC


def test_quote_for_a_state_that_a_paid_change_has_ended_charges_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tabs: the second claims when the first is paid, but the subscription has not been read again."""
    row = subscribe(world)
    first, second = world.preview(row), world.preview(row, quantity=2)
    claim = charging.claim_and_send
    with monkeypatch.context() as blind:
        blind.setattr(plan_changes, "look_now", lambda *_: None)

        def claim_late(*given: Any, **named: Any) -> Any:
            blind.setattr(charging, "claim_and_send", claim)
            world.try_confirm(first)
            world.poll()
            return claim(*given, **named)

        blind.setattr(charging, "claim_and_send", claim_late)
        world.try_confirm(second)

    assert paid(world, row) == [5000]
    assert len(changes(world, row)) == 1
    whole(world)


def test_a_second_subscription_waits_while_the_first_changes_to_the_same_plan(world: World) -> None:
    rows = [subscribe(world), subscribe(world)]
    pages = [world.preview(row) for row in rows]
    world.sandbox.next_payment("processing")

    first, second = (world.confirm(page) for page in pages)

    assert (first.state, second.state) == ("processing", "pending_change")
    assert second.pending_page == f"/quotes/{first.quote_id}"
    settle(world)
    whole(world)
    assert world.confirm(world.preview(world.subscription(rows[1].id))).state == "changed"
