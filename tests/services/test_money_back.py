"""Refunds and disputes that began at the provider take effect here, whoever began them."""

from typing import Any

import pytest

from encore.services import observe
from tests.services.world import World


def bought(world: World) -> str:
    """Accept an offer and return its payment's id."""
    page = world.offer()
    world.accept(page)
    payment_id = world.attempt(page).provider_payment_id
    assert payment_id is not None
    return payment_id


def order_of(world: World, payment_id: str) -> dict[str, Any]:
    return next(row for row in world.rows("orders") if row["payment_id"] == payment_id)


def has_access(world: World, payment_id: str) -> bool:
    order = order_of(world, payment_id)
    (granted,) = [row for row in world.rows("entitlements") if row["order_id"] == order["id"]]
    return granted["revoked_at"] is None


def payment_row(world: World, payment_id: str) -> dict[str, Any]:
    return next(row for row in world.rows("payments") if row["id"] == payment_id)


def hear_of(world: World, payment_id: str) -> None:
    """Read the payment again, as a webhook that names it makes the worker do."""
    observe.observe_payment(world.shop, payment_id, budget=world.shop.dodo.budget(5.0))


@pytest.mark.criterion("R20")
def test_full_refund_made_elsewhere_ends_order_and_access(world: World) -> None:
    payment_id = bought(world)
    world.sandbox.control("refunds", {"payment_id": payment_id})

    world.poll()

    assert order_of(world, payment_id)["state"] == "reversed"
    assert not has_access(world, payment_id)
    assert len(world.messages("refund_done")) == 1
    assert world.breaches() == ()


@pytest.mark.criterion("R20")
def test_partial_refund_changes_amounts_only(world: World) -> None:
    payment_id = bought(world)
    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 500})

    world.poll()

    assert payment_row(world, payment_id)["refunded"] > 0
    assert payment_row(world, payment_id)["refunded"] < payment_row(world, payment_id)["amount"]
    assert order_of(world, payment_id)["state"] == "granted"
    assert has_access(world, payment_id)
    assert world.breaches() == ()


@pytest.mark.criterion("R20")
def test_open_dispute_is_flagged_and_a_lost_one_ends_access(world: World) -> None:
    payment_id = bought(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    hear_of(world, payment_id)
    assert payment_row(world, payment_id)["dispute_status"] == "dispute_opened"
    assert [row["object"] for row in world.rows("alarms") if row["kind"] == "dispute"] == [payment_id]
    assert has_access(world, payment_id)

    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "lost"})
    hear_of(world, payment_id)

    assert order_of(world, payment_id)["state"] == "reversed"
    assert not has_access(world, payment_id)
