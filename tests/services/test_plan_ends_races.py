"""The end of a plan while two requests of its buyer run into each other: what was paid to go on, goes on."""

from unittest.mock import patch

import pytest

from encore.dodo.models import Subscription as ProviderSubscription
from encore.rules.quotes import QuotedMethod
from encore.services import plan_changes, plan_ends, plan_quotes
from encore.services.plan_quotes import NotQuoted
from encore.services.shop import Shop
from encore.store import offer_instances
from tests.services.plans import paid, settle
from tests.services.test_plan_ends import PATCH, ending, ends_there, let_the_worker_put_back
from tests.services.world import World


def test_another_tab_asks_a_price_while_a_change_lets_the_plan_go_on(world: World) -> None:
    row = ending(world)
    page = world.preview(row)
    real = plan_quotes._method_of

    def and_meanwhile(shop: Shop, current: ProviderSubscription) -> QuotedMethod | None:
        with patch.object(plan_quotes, "_method_of", real):
            assert world.confirm(page).state == "changed"
        return real(shop, current)

    with patch.object(plan_quotes, "_method_of", and_meanwhile):
        assert world.try_preview(row, "pro-plan", quantity=2) == NotQuoted("no_price")
    let_the_worker_put_back(world)

    assert paid(world, row) == [5000]
    assert not ends_there(world, row)


def test_the_buyer_takes_the_end_back_while_another_tab_asks_a_price(world: World) -> None:
    row = ending(world)
    real = plan_quotes._method_of

    def and_meanwhile(shop: Shop, current: ProviderSubscription) -> QuotedMethod | None:
        assert plan_ends.set_end(shop, row, ends=False)
        return real(shop, current)

    with patch.object(plan_quotes, "_method_of", and_meanwhile):
        assert world.try_preview(row) == NotQuoted("no_price")
    let_the_worker_put_back(world)

    assert not ends_there(world, row)


def test_a_second_click_does_not_end_what_the_first_has_paid_for(world: World) -> None:
    row = ending(world)
    page = world.preview(row)
    real = plan_ends.is_to_end
    clicks = []

    def and_meanwhile(shop: Shop, current: ProviderSubscription) -> bool:
        found = real(shop, current)
        if not clicks:
            clicks.append("first")
            assert world.confirm(page).state == "changed"
        return found

    with patch.object(plan_ends, "is_to_end", and_meanwhile):
        assert world.try_confirm(page) == NotQuoted("no_price")
    let_the_worker_put_back(world)

    assert paid(world, row) == [5000]
    assert not ends_there(world, row)


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_change_claimed_while_the_end_is_on_its_way_back_lets_the_plan_go_on(world: World, is_answered: bool) -> None:
    row = ending(world)
    page = world.preview(row)
    real = plan_ends._patch
    put_back = []

    def and_meanwhile(shop: Shop, name: str, *, ends: bool) -> ProviderSubscription:
        if not ends or put_back:
            return real(shop, name, ends=ends)
        put_back.append(name)
        assert world.confirm(page).state == "changed"
        found = real(shop, name, ends=ends)
        if not is_answered:
            world.sandbox.fault(PATCH, "status:503")
        return found

    with patch.object(plan_ends, "_patch", and_meanwhile):
        world.try_preview(row)
    let_the_worker_put_back(world)

    assert paid(world, row) == [5000]
    assert ends_there(world, row) == (not is_answered)
    assert [alarm["kind"] for alarm in world.rows("alarms")] == ([] if is_answered else ["changed_plan_ends"])


def test_a_person_is_told_of_a_change_that_succeeds_after_its_buyer_went_back(world: World) -> None:
    row = ending(world)
    world.sandbox.next_payment("requires_customer_action")
    page = world.confirm(world.preview(row))
    instance = offer_instances.get_instance(world.shop.store, page.quote_id)
    assert instance is not None
    plan_changes.give_up(world.shop, instance)
    let_the_worker_put_back(world)
    assert (ends_there(world, row), world.rows("alarms")) == (True, [])

    settle(world)
    world.poll()
    world.look()

    assert paid(world, row) == [5000]
    assert [(alarm["kind"], alarm["object"]) for alarm in world.rows("alarms")] == [
        ("changed_plan_ends", row.provider_subscription_id)
    ]
