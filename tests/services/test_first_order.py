"""The first order is complete whatever becomes of the offer, and of its card little is kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from encore.services import fallback, offers
from encore.services.pages import OfferPage
from tests.services.world import DAY_S, LAN, World

CARD = "4242424242424242"
Act = Callable[[World, OfferPage], Any]


def accept(world: World, page: OfferPage) -> None:
    world.accept(page)


def decline(world: World, page: OfferPage) -> None:
    offers.decline(world.shop, page.instance_id, buyer_key=LAN)


def be_declined(world: World, page: OfferPage) -> None:
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    world.accept(page)
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)


def lose_the_answer(world: World, page: OfferPage) -> None:
    world.sandbox.fault("POST /checkouts", "reset", effect="before")
    world.accept(page)
    world.look()


def be_overcharged(world: World, page: OfferPage) -> None:
    world.reprice(page.product.id, page.quote.subtotal.minor + 1000)
    world.accept(page)
    world.tidy()


def let_it_expire(world: World, page: OfferPage) -> None:
    world.advance(2 * DAY_S)
    world.tidy()


def first_order(world: World) -> list[dict[str, Any]]:
    """The first order with what it gave access to, as the rows have it."""
    found = [row for row in world.rows("orders") if row["checkout_id"] is not None]
    granted = [row for row in world.rows("entitlements") if row["order_id"] == found[0]["id"]]
    return [*found, *granted]


@pytest.mark.criterion("R6e")
@pytest.mark.parametrize("act", [accept, decline, be_declined, lose_the_answer, be_overcharged, let_it_expire])
def test_no_answer_to_the_offer_touches_the_first_order(world: World, act: Act) -> None:
    page = world.offer()
    before = first_order(world)
    assert [row.get("state") for row in before] == ["granted", None]

    act(world, page)

    assert first_order(world) == before
    assert len(world.messages("receipt")) == 1 + (act in (accept, lose_the_answer))


@pytest.mark.criterion("R6e")
@pytest.mark.parametrize("endpoint", ["POST /checkouts/preview", "GET /customers/{customer_id}/payment-methods"])
def test_offer_that_cannot_be_made_does_not_hold_up_the_order(world: World, endpoint: str) -> None:
    ref = world.buy()
    world.sandbox.fault(endpoint, "status:503", times=20)

    page = world.come_back(ref)

    assert page.order is not None
    assert page.state in ("thanks", "offer")
    assert [row.get("state") for row in first_order(world)] == ["granted", None]


@pytest.mark.criterion("R27c")
def test_declined_offer_payment_is_never_tried_again(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    world.accept(page)
    told = len(world.rows("outbox"))

    for _ in range(14):
        world.advance(DAY_S)
        world.look()
        world.poll()
        world.tidy()

    assert len(world.charges(page)) == 1
    assert len(world.rows("outbox")) == told
    assert world.outcome(page) == "closed"


@pytest.mark.criterion("R4c")
def test_of_a_card_only_what_names_it_is_kept(world: World) -> None:
    page = world.offer(card=CARD, cvc="987")
    world.accept(page)

    methods = [json.loads(row["methods_json"]) for row in world.rows("saved_methods")]
    kept = [json.loads(row["method_json"]) for row in world.rows("payments")]
    assert {key for listed in methods for method in listed for key in method} <= {
        *("payment_method_id", "kind", "method_type", "network", "last4"),
        *("expiry_month", "expiry_year", "reusable"),
    }
    assert {key for card in kept for key in card} <= {
        *("payment_method_id", "kind", "network", "last4", "expiry_month", "expiry_year"),
    }
    store = world.shop.store.path
    written = b"".join(file.read_bytes() for file in store.parent.glob(f"{store.name}*"))
    assert b"4242" in written
    assert CARD.encode() not in written
