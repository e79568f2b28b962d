"""A reading of a subscription that was overtaken on its way: what was asked for later stands."""

from typing import Any
from unittest.mock import patch

from encore.services import accounts, subscriptions
from tests.sandbox_process import PRO
from tests.services.plans import owned, subscribe, whole
from tests.services.world import World


def test_an_answer_from_before_a_change_takes_nothing_away(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    asked_at = world.shop.now()
    budget = world.shop.dodo.budget()
    before = world.shop.dodo.subscriptions.get(row.provider_subscription_id, budget=budget)
    assert world.confirm(page).state == "changed"

    subscriptions.settle_subscription(world.shop, before, asked_at=asked_at)

    assert (world.subscription(row.id).product_id, owned(world, row)) == (PRO, {PRO})
    assert world.messages("plan_now") == []
    whole(world)


def test_a_list_that_was_long_on_its_way_takes_nothing_away(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    resource = world.shop.dodo.subscriptions
    real = resource.list_all

    def and_meanwhile(**asked: Any) -> object:
        look = real(**asked)
        assert world.confirm(page).state == "changed"
        return look

    with patch.object(resource, "list_all", and_meanwhile):
        accounts._ask_subscriptions(world.shop, row.customer_id, world.shop.dodo.budget())

    assert (world.subscription(row.id).product_id, owned(world, row)) == (PRO, {PRO})
    assert world.messages("plan_now") == []
    whole(world)
