"""What the tests of plan changes share: a subscription that takes no tax, and what has come of it.

Golden figures are those of the provider's guide and of proration.md: Basic 30 to Pro 80, in April, without tax.
"""

import json
from datetime import UTC, datetime
from typing import Any

from encore.rules.money import Money
from encore.store import orders
from encore.store.subscriptions import Subscription
from tests.services.world import DAY_S, World

# Oregon takes no tax on anything, so the figures are the guide's own.
UNTAXED = {"country": "US", "zipcode": "97201"}
CHANGE_PLAN = "POST /subscriptions/{id}/change-plan"


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def subscribe(world: World, slug: str = "basic-plan", **form: str) -> Subscription:
    return world.subscribe(slug, **{**UNTAXED, **form})


def changes(world: World, row: Subscription) -> list[Any]:
    return world.sandbox.requests("POST", f"/subscriptions/{row.provider_subscription_id}/change-plan")


def paid(world: World, row: Subscription) -> list[int]:
    """Return what was charged for changes of a plan, as the provider has it."""
    return [
        payment["total_amount"]
        for payment in world.sandbox.get("/payments", subscription_id=row.provider_subscription_id)["items"]
        if payment["charge_type"] == "plan_change" and payment["status"] == "succeeded"
    ]


def owned(world: World, row: Subscription) -> frozenset[str]:
    return orders.list_owned_products(world.shop.store, row.customer_id)


def settle(world: World) -> None:
    """Let the payment under way succeed."""
    payment_id = world.rows("attempts")[0]["provider_payment_id"]
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})


def whole(world: World) -> None:
    """Let the worker do what is left, and have the audit find nothing."""
    world.poll()
    world.read_subscriptions()
    world.look()
    world.tidy()
    # The sandbox's log has true time, so a test that moves our clock sends at another time than it claims (I4).
    is_moved = abs(world.clock.wall_s) > 10
    assert set(world.breaches()) <= ({"I4"} if is_moved else set())


def group(world: World, **fields: str | bool) -> None:
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in fields.items())
    plans = "".join(f'[[plan_groups.plans]]\nproduct = "{slug}"\n' for slug in ("basic-plan", "pro-plan"))
    world.publish(f'[[plan_groups]]\nid = "plans"\n{lines}\n{plans}')


def halfway(world: World, slug: str) -> Subscription:
    """Return a subscription on day 16 of a period of 30 days, the clock standing still."""
    stand_still(world, datetime(2027, 4, 1, tzinfo=UTC))
    row = subscribe(world, slug)
    world.advance(15 * DAY_S)
    return row


def stand_still(world: World, moment: datetime) -> None:
    """Put both clocks to a moment, and let the provider's stand still there."""
    world.sandbox.control("clock", {"freeze": True})
    world.advance(moment.timestamp() - world.sandbox.control("clock")["now"] / 1000)
