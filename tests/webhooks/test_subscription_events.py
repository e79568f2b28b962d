"""Subscription events act, and are hints: in any order, twice, late or lost they leave what the provider has."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from encore.ids import new_id
from encore.rules.plan_changes import STATUSES_WITH_ACCESS
from encore.services import webhooks
from encore.store import orders, webhook_events
from encore.store.subscriptions import Subscription
from tests.deliveries import event, sign
from tests.sandbox_process import BASIC, PRO
from tests.scale import proves, rounds
from tests.services.conftest import (
    installation,
    open_shop_with,
    running_sandbox,
    sandbox,
    world,
)
from tests.services.world import DAY_S, World

__all__ = ["installation", "open_shop_with", "running_sandbox", "sandbox", "world"]

TYPES = (
    *("active", "renewed", "on_hold", "past_due", "paused", "unpaused", "cancelled", "failed", "expired"),
    *("plan_changed", "updated", "update_payment_method"),
)
SEEDS = [20270401 + number for number in rounds(6, proof=200)]


def there(world: World, row: Subscription) -> dict[str, Any]:
    found: dict[str, Any] = world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")
    return found


def patch(world: World, row: Subscription, **body: Any) -> None:
    world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", body)


def change(world: World, row: Subscription, product_id: str, **more: Any) -> None:
    """Change a plan elsewhere: in the provider's portal, or by the merchant."""
    body = {"product_id": product_id, "quantity": 1, "proration_billing_mode": "difference_immediately", **more}
    world.sandbox.call("POST", f"/subscriptions/{row.provider_subscription_id}/change-plan", body)


def told(world: World, row: Subscription, kind: str = "updated") -> tuple[str, bytes]:
    """Return an event as the provider sends it: its body is what is true at that moment."""
    return new_id("msg"), event(f"subscription.{kind}", **there(world, row))


def deliver(world: World, *sent: tuple[str, bytes]) -> None:
    for webhook_id, body in sent:
        webhooks.receive(world.shop, sign(world.shop, body, webhook_id=webhook_id), body)
    while webhooks.process_next(world.shop):
        pass


def agrees(world: World, row: Subscription) -> None:
    """The row is the provider's object, and access is what that gives."""
    found, known = there(world, row), world.subscription(row.id)
    assert (known.product_id, known.status) == (found["product_id"], found["status"])
    assert bool(known.cancels_at_period_end) == found["cancel_at_next_billing_date"]
    gives = {found["product_id"]} if found["status"] in STATUSES_WITH_ACCESS else frozenset()
    assert orders.list_owned_products(world.shop.store, row.customer_id) == gives


@pytest.mark.criterion("R23")
@pytest.mark.parametrize("kind", TYPES)
def test_each_type_reads_the_subscription_again(world: World, kind: str) -> None:
    row = world.subscribe()
    patch(world, row, status="paused")

    deliver(world, told(world, row, kind))

    agrees(world, row)
    assert world.subscription(row.id).status == "paused"
    assert orders.list_owned_products(world.shop.store, row.customer_id) == frozenset()


def test_what_the_body_says_is_never_believed(world: World) -> None:
    row = world.subscribe()
    lie = {**there(world, row), "product_id": PRO, "status": "cancelled"}

    deliver(world, (new_id("msg"), event("subscription.plan_changed", **lie)))

    agrees(world, row)
    assert world.subscription(row.id).product_id == BASIC


@pytest.mark.criterion("R22")
@pytest.mark.parametrize(("sold", "to", "direction"), [("basic-plan", PRO, "up"), ("pro-plan", BASIC, "down")])
def test_a_change_made_elsewhere_is_told_once_with_its_direction(
    world: World, sold: str, to: str, direction: str
) -> None:
    row = world.subscribe(sold)
    change(world, row, to)

    deliver(world, *[told(world, row, "plan_changed")] * 2, told(world, row), told(world, row, "plan_changed"))

    agrees(world, row)
    assert len(world.messages("plan_now")) == 1
    entries = [entry["entry_json"] for entry in world.rows("ledger") if "subscription.changed" in entry["entry_json"]]
    assert [f'"direction":"{direction}"' in entry.replace(" ", "") for entry in entries] == [True]


def test_a_change_of_ours_is_not_told_twice(world: World) -> None:
    row = world.subscribe()
    world.confirm(world.preview(row))

    deliver(world, told(world, row, "plan_changed"))
    world.read_subscriptions()

    assert (len(world.messages("plan_changed")), world.messages("plan_now")) == (1, [])


def test_a_subscription_of_nobody_we_know_is_closed_without_an_alarm(world: World) -> None:
    world.sandbox.buy(PRO, email="stranger@example.com")
    (found,) = world.sandbox.control("objects/subscriptions")["items"]
    body = event("subscription.active", **world.sandbox.get(f"/subscriptions/{found['id']}"))
    webhook_id = new_id("msg")

    deliver(world, (webhook_id, body))

    (kept,) = webhook_events.list_of_id(world.shop.store, webhook_id)
    assert kept.note == "unknown customer"
    assert world.rows("alarms") == world.rows("subscriptions") == []


# ---- Generated histories ---------------------------------------------------------------------------------------

Act = Callable[[World, Subscription], None]
ACTS: dict[str, Act] = {
    "upgrade": lambda world, row: change(world, row, PRO),
    "downgrade": lambda world, row: change(world, row, BASIC),
    "schedule": lambda world, row: change(
        world, row, BASIC, effective_at="next_billing_date", proration_billing_mode="full_immediately"
    ),
    "pause": lambda world, row: patch(world, row, status="paused"),
    "unpause": lambda world, row: patch(world, row, status="active"),
    "set the end": lambda world, row: patch(world, row, cancel_at_next_billing_date=True),
    "take the end back": lambda world, row: patch(world, row, cancel_at_next_billing_date=False),
    "cancel at once": lambda world, row: patch(world, row, status="cancelled"),
    "renew": lambda world, row: world.advance(32 * DAY_S),
    "fail to renew": lambda world, row: (
        world.sandbox.next_payment("failed", "GENERIC_DECLINE", match={"customer_id": row.customer_id}),
        world.advance(32 * DAY_S),
    )[-1],
}


@pytest.mark.criterion("R19c", "R23")
@pytest.mark.parametrize("loss", [0.0, 0.5, 1.0], ids=["all told", "half lost", "all lost"])
@proves(1, "histories of subscriptions told whole, by half or not at all")
@pytest.mark.parametrize("seed", SEEDS)
def test_any_telling_of_a_history_leaves_what_the_provider_has(world: World, seed: int, loss: float) -> None:
    chance = random.Random(seed)
    # One that is paid from the first day and one that begins with a trial, with a payment of zero or with none.
    world.sandbox.switch(free_trial=chance.choice(["zero_payment", "no_payment"]))
    rows = [world.subscribe(slug, email=f"{slug}{seed}@example.com") for slug in ("basic-plan", "font-club")]
    sent = []
    for _ in range(6):
        row = chance.choice(rows)
        name = chance.choices(list(ACTS), weights=[3, 3, 1, 2, 2, 2, 2, 1, 2, 1])[0]
        ACTS[name](world, row)
        sent += [told(world, one, chance.choice(TYPES)) for one in rows]
    kept = [one for one in sent if chance.random() >= loss]
    kept += [one for one in kept if chance.random() < 0.3]
    chance.shuffle(kept)

    deliver(world, *kept)
    # The poll asks for what was not read for five minutes, whatever was lost.
    world.advance(301)
    world.poll()
    world.read_subscriptions()
    world.tidy()

    for row in rows:
        agrees(world, row)
    assert set(world.breaches()) <= {"I4"}
