"""Every fault of the other calls of a yes: sessions, previews, saved methods and refunds. Nothing is charged by them.

A checkout that cannot be made is said to be down and can be tried again; without a price there is no offer; without
the saved methods nothing is claimed; a refund is given back once, or left to a person (proof.md, section 5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from encore.services import checkout, fallback, reconcile, refunds
from encore.services.audit import Breach
from encore.store import offer_instances
from encore.store import refunds as refund_rows
from tests.faults.provider import (
    CONFIRM,
    HARMLESS,
    HONEST,
    REFUSED,
    UNCLEAR,
    WORDS,
    Scene,
    Shopper,
    Standing,
    breaches,
    bring_shopper,
    charges_by_customer,
    new_key,
    order_fault,
    play_scenes,
    quick_world,
    standing_by_customer,
    standing_of,
)
from tests.services.world import World


def _wrong(state: Any, *, allowed: tuple[Any, ...], when: str) -> list[str]:
    return [] if state in allowed else [f"{when} it is {state}, not one of {allowed}"]


# ---- Beginning a checkout in the shop ----


def _browse(world: World, name: str) -> str:
    return new_key()


def _start(world: World, key: str) -> str:
    result = checkout.start(world.shop, slug="starter-course", quantity=1, buyer_key=key, language="en")
    return type(result).__name__


def _judge_start(word: str, seen: str, end: str) -> list[str]:
    allowed = ("Started", "CheckoutDown") if word in HARMLESS else ("CheckoutDown",)
    return _wrong(seen, allowed=allowed, when="while it lasts") + _wrong(end, allowed=("Started",), when="after it")


# ---- The standard checkout of a yes whose card was declined ----


def _be_declined(world: World, name: str) -> Shopper:
    shopper = bring_shopper(world, name)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE", match={"customer_id": shopper.customer_id})
    world.accept(shopper.page, key=shopper.key)
    assert standing_of(world, shopper).page == "failed"
    return shopper


def _of_order(world: World, shopper: Shopper) -> dict[str, Any]:
    instance = offer_instances.get_instance(world.shop.store, shopper.page.instance_id)
    assert instance is not None
    return {"metadata": {"first_order": instance.source_ref}}


def _open(world: World, shopper: Shopper) -> tuple[bool, Standing]:
    url = fallback.open_checkout(world.shop, shopper.page.instance_id, buyer_key=shopper.key)
    return url is not None, standing_of(world, shopper)


def _pay_hosted(world: World, shopper: Shopper) -> Standing:
    """Try again once the maker of a session that never came has been given up, and pay there."""
    with world.shop.store.write():
        world.shop.store.run(
            "UPDATE attempts SET changed_at = changed_at - :stale WHERE state = 'opening' AND acceptance_id = :id",
            stale=fallback.OPENING_STALE_MS,
            id=world.acceptance(shopper.page).id,
        )
    url = fallback.open_checkout(world.shop, shopper.page.instance_id, buyer_key=shopper.key)
    if url is not None:
        world.pay_at(url, email=shopper.email)
    world.page(shopper.page, key=shopper.key)
    return standing_of(world, shopper)


def _judge_fallback(word: str, seen: tuple[bool, Standing], end: Standing) -> list[str]:
    has_way, standing = seen
    if word == "status:410":
        # The product is gone, and with it the yes: there is nothing left to pay.
        return _wrong((standing.page, standing.outcome), allowed=(("answered", "closed"),), when="while it lasts")
    wrong = _wrong(standing.page, allowed=("failed", "checkout_open"), when="while it lasts")
    wrong += _wrong(standing.outcome, allowed=("needs_checkout",), when="while it lasts")
    if has_way and word not in HARMLESS:
        wrong.append("a checkout is shown that was never made")
    return wrong + _wrong((end.attempt, end.outcome), allowed=(("paid", "charged"),), when="after it")


# ---- The price, when the offer is first shown, and again directly before a claim ----


@dataclass(frozen=True)
class Returning:
    """Somebody who has paid their first order and is not back yet."""

    key: str
    ref: str


def _pay(world: World, name: str) -> Returning:
    key = new_key()
    return Returning(key, world.buy(email=f"{name}@example.com", key=key))


def _come_back(world: World, buyer: Returning) -> tuple[str, int | None]:
    page = world.come_back(buyer.ref, key=buyer.key)
    return page.state, page.offer.quote.total.minor if page.offer else None


# A preview has no id of its own: without one, or with another's, its price is as good as ever.
_PRICED = ("missing_id", "null_id", "repeated_keys", *HARMLESS)


def _judge_preview(word: str, seen: tuple[str, int | None], end: tuple[str, int | None]) -> list[str]:
    wrong = _wrong(end[0], allowed=("offer",), when="after it")
    # An offer is shown with the provider's price, or not at all.
    allowed = (("thanks", None), *((end,) if word in _PRICED else ()))
    return wrong + _wrong(seen, allowed=allowed, when="while it lasts")


def _accept(world: World, shopper: Shopper) -> tuple[str, Standing]:
    return world.accept(shopper.page, key=shopper.key), standing_of(world, shopper)


def _judge_recheck(word: str, seen: tuple[str, Standing], end: tuple[str, Standing]) -> list[str]:
    done = (seen[0], seen[1].attempt, seen[1].page)
    allowed = (("unavailable", None, "offer"), *((("taken", "paid", "receipt"),) if word in _PRICED else ()))
    wrong = _wrong(done, allowed=allowed, when="while it lasts")
    return wrong + _wrong((end[1].attempt, end[1].outcome), allowed=(("paid", "charged"),), when="after it")


# ---- The saved methods, read again directly before a claim ----


def _accept_twice(world: World, shopper: Shopper) -> tuple[str, Standing]:
    """Press what the page shows now, and once more if it showed a card that proves to be another."""
    for _ in range(2):
        page = world.page(shopper.page, key=shopper.key)
        result = world.accept(page, key=shopper.key)
    return result, standing_of(world, shopper)


def _judge_methods(word: str, seen: tuple[str, Standing], end: tuple[str, Standing]) -> list[str]:
    done = (seen[0], seen[1].attempt)
    allowed: tuple[Any, ...] = (("unavailable", None),)
    if word in HARMLESS:
        allowed = (("unavailable", None), ("moved", None), ("taken", "paid"))
    wrong = _wrong(done, allowed=allowed, when="while it lasts")
    return wrong + _wrong((end[1].attempt, end[1].outcome), allowed=(("paid", "charged"),), when="after it")


# ---- A refund that is due: one request was done twice ----


@dataclass(frozen=True)
class Owed:
    """Somebody to whom a second payment is due back."""

    shopper: Shopper
    payment_id: str


def _owe(world: World, name: str) -> Owed:
    shopper = bring_shopper(world, name)
    order_fault(world, CONFIRM, "reset", effect="twice", match={"customer_id": shopper.customer_id})
    world.accept(shopper.page, key=shopper.key)
    reconcile.look(world.shop, world.attempt(shopper.page).id)
    row = world.shop.store.row(
        "SELECT r.payment_id FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.customer_id = :id",
        id=shopper.customer_id,
    )
    assert row is not None
    owed = Owed(shopper, row["payment_id"])
    _plan(world, owed, next_try_at=world.shop.now() + 3_600_000)
    return owed


def _plan(world: World, owed: Owed, *, next_try_at: int) -> None:
    with world.shop.store.write():
        world.shop.store.run(
            "UPDATE refunds SET next_try_at = :at WHERE payment_id = :id AND state <> 'done'",
            at=next_try_at,
            id=owed.payment_id,
        )


def _send_refund(world: World, owed: Owed) -> str:
    _plan(world, owed, next_try_at=0)
    refunds.send_due(world.shop)
    state = _refund_state(world, owed)
    _plan(world, owed, next_try_at=world.shop.now() + 3_600_000)
    return state


def _send_refund_until_done(world: World, owed: Owed) -> tuple[str, int]:
    for _ in range(3):
        _send_refund(world, owed)
    made = world.sandbox.control("objects/refunds")["items"]
    return _refund_state(world, owed), sum(refund["payment_id"] == owed.payment_id for refund in made)


def _refund_state(world: World, owed: Owed) -> str:
    (refund,) = [r for r in refund_rows.list_of_payment(world.shop.store, owed.payment_id) if r.reason != "external"]
    return refund.state


def _judge_refund(word: str, seen: str, end: tuple[str, int]) -> list[str]:
    if word in REFUSED and not word.startswith("status:429"):
        # Refused for good: a person is told, and nothing is sent again.
        return _wrong(seen, allowed=("manual",), when="while it lasts") + _wrong(
            end, allowed=(("manual", 0), ("manual", 1)), when="after it"
        )
    allowed = ("done",) if word in HONEST else ("due", "unknown")
    return _wrong(seen, allowed=allowed, when="while it lasts") + _wrong(end, allowed=(("done", 1),), when="after it")


SCENES = (
    Scene("start", "POST /checkouts", _browse, None, _start, _start, _judge_start),
    Scene(
        "fallback",
        "POST /checkouts",
        _be_declined,
        _of_order,
        _open,
        _pay_hosted,
        _judge_fallback,
        # The right address with another session's id: nothing in that answer is wrong by itself, so none of the
        # states can tell; the audit names the payment that follows (I1).
        words=tuple(word for word in WORDS if word != "other_id"),
    ),
    Scene("preview", "POST /checkouts/preview", _pay, None, _come_back, _come_back, _judge_preview),
    Scene(
        "recheck",
        "POST /checkouts/preview",
        bring_shopper,
        None,
        _accept,
        _accept_twice,
        _judge_recheck,
    ),
    Scene(
        "methods",
        "GET /customers/{id}/payment-methods",
        bring_shopper,
        lambda world, shopper: {"customer_id": shopper.customer_id},
        _accept,
        _accept_twice,
        _judge_methods,
    ),
    Scene("refund", "POST /refunds", _owe, None, _send_refund, _send_refund_until_done, _judge_refund),
    Scene(
        "refund_made",
        "POST /refunds",
        _owe,
        None,
        _send_refund,
        _send_refund_until_done,
        _judge_refund,
        words=UNCLEAR,
        effect="before",
    ),
)
CELLS = [(scene.name, word) for scene in SCENES for word in scene.words]


@dataclass(frozen=True)
class Played:
    """What all cells came to: what is wrong by scene and word, and what is wrong with all of them together."""

    wrong: dict[tuple[str, str], list[str]]
    breaches: dict[str, tuple[Breach, ...]]
    most_charges: int
    most_standing: int


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with quick_world(tmp_path_factory.mktemp("posts")) as world:
        wrong = play_scenes(world, SCENES)
        world.poll()
        standing = standing_by_customer(world)
        owed_by_person = world.shop.store.rows(
            "SELECT p.customer_id, p.acceptance_id FROM refunds r JOIN payments p ON p.id = r.payment_id"
            " JOIN alarms a ON a.object = r.id AND a.kind = 'refund_needs_person' WHERE r.state = 'manual'"
        )
        for row in owed_by_person:
            # A person has been told of the second payment.
            standing[row["customer_id"]] = 1
        left = {row["acceptance_id"] for row in owed_by_person}
        broken = {
            name: found
            for name, all_found in breaches(world).items()
            if (found := tuple(breach for breach in all_found if name != "I2" or breach.objects[0] not in left))
        }
        yield Played(wrong, broken, max(charges_by_customer(world).values()), max(standing.values()))


@pytest.mark.parametrize(("scene", "word"), CELLS)
def test_every_fault_of_the_other_calls_charges_nothing_and_recovers(played: Played, scene: str, word: str) -> None:
    assert played.wrong[scene, word] == []


def test_no_fault_of_the_other_calls_charges_twice(played: Played) -> None:
    assert (played.most_charges, played.most_standing) == (1, 1)
    assert played.breaches == {}
