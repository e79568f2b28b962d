"""Every fault of the calls that only ask: the pages go on, nothing is called failed or absent, and all of it recovers.

A return page that cannot learn the truth waits; a charge whose payment cannot be read is processing; a charge that was
lost is looked for, and no list, however it misleads, makes it absent (proof.md, section 5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from encore.services import reconcile
from encore.services.audit import Breach
from encore.services.reconcile import Quarantine
from encore.store import checkouts, offer_instances
from tests.faults.provider import (
    CONFIRM,
    HONEST,
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

# ---- The return page of somebody who has paid, and is back before the webhook ----

# A session without a payment is what the provider shows while nobody has paid, and a session it does not know cannot
# be paid: here both are lies, and both are put right by the next look.
_CLAIMS_NOTHING_PAID = ("status:404", "missing_id", "null_id")


@dataclass(frozen=True)
class Returning:
    """Somebody who has paid and is not back yet."""

    key: str
    ref: str
    checkout_id: str


def _pay(world: World, name: str) -> Returning:
    key = new_key()
    ref = world.buy(email=f"{name}@example.com", key=key)
    checkout = checkouts.get_by_ref(world.shop.store, ref)
    assert checkout is not None
    return Returning(key, ref, checkout.id)


def _come_back(world: World, buyer: Returning) -> str:
    return world.come_back(buyer.ref, key=buyer.key).state


def _judge_return(word: str, seen: str, end: str) -> list[str]:
    allowed = ("offer",) if word in HONEST else ("waiting",)
    return _wrong(seen, allowed=allowed, when="while it lasts") + _wrong(end, allowed=("offer",), when="after it")


def _judge_session(word: str, seen: str, end: str) -> list[str]:
    if word in _CLAIMS_NOTHING_PAID:
        return _wrong(seen, allowed=("waiting", "cancelled"), when="while it lasts") + _judge_return(
            word, "waiting", end
        )
    return _judge_return(word, seen, end)


def _wrong(state: Any, *, allowed: tuple[Any, ...], when: str) -> list[str]:
    return [] if state in allowed else [f"{when} it is {state}, not one of {allowed}"]


def _of_checkout(world: World, buyer: Returning) -> dict[str, Any]:
    return {"metadata": {"checkout_id": buyer.checkout_id}}


# ---- The one read directly after a charge ----


def _of_order(world: World, shopper: Shopper) -> dict[str, Any]:
    instance = offer_instances.get_instance(world.shop.store, shopper.page.instance_id)
    assert instance is not None
    return {"metadata": {"first_order": instance.source_ref}}


def _accept(world: World, shopper: Shopper) -> Standing:
    world.accept(shopper.page, key=shopper.key)
    return standing_of(world, shopper)


def _look(world: World, shopper: Shopper, quarantine: Quarantine | None = None) -> Standing:
    reconcile.look(world.shop, world.attempt(shopper.page).id, quarantine=quarantine)
    return standing_of(world, shopper)


def _judge_charge(word: str, seen: Standing, end: Standing) -> list[str]:
    allowed = (("paid", "receipt"),) if word in HONEST else (("pending", "processing"),)
    wrong = _wrong((seen.attempt, seen.page), allowed=allowed, when="while it lasts")
    return wrong + _wrong((end.attempt, end.outcome), allowed=(("paid", "charged"),), when="after it")


# ---- The list that is searched for a charge whose answer was lost ----


@dataclass(frozen=True)
class Lost:
    """Somebody whose charge was made and whose answer was lost, and the worker who watches for it."""

    shopper: Shopper
    quarantine: Quarantine


def _lose(world: World, name: str) -> Lost:
    shopper = bring_shopper(world, name)
    order_fault(world, CONFIRM, "reset", effect="before", match={"customer_id": shopper.customer_id})
    assert _accept(world, shopper).attempt == "unknown"
    return Lost(shopper, Quarantine())


def _watch(world: World, lost: Lost) -> Standing:
    return _look(world, lost.shopper, lost.quarantine)


def _judge_lost(word: str, seen: Standing, end: Standing) -> list[str]:
    found = ("paid", "receipt", True)
    sought = ("unknown", "checking", True)
    state = (seen.attempt, seen.page, not seen.has_pay_button)
    allowed = (found,) if word in HONEST else (found, sought)
    wrong = _wrong(state, allowed=allowed, when="while it lasts")
    return wrong + _wrong((end.attempt, end.outcome), allowed=(("paid", "charged"),), when="after it")


SCENES = (
    Scene("session", "GET /checkouts/{id}", _pay, _of_checkout, _come_back, _come_back, _judge_session),
    Scene("payment", "GET /payments/{id}", _pay, _of_checkout, _come_back, _come_back, _judge_return),
    Scene("status", "GET /payments/{id}", bring_shopper, _of_order, _accept, _look, _judge_charge),
    Scene(
        "list",
        "GET /payments",
        _lose,
        lambda world, lost: {"customer_id": lost.shopper.customer_id},
        _watch,
        _watch,
        _judge_lost,
        # More looks than may make an attempt absent, over more than twice the quarantine.
        strikes=8,
    ),
)


@dataclass(frozen=True)
class Played:
    """What all cells came to: what is wrong by scene and word, and what is wrong with all of them together."""

    wrong: dict[tuple[str, str], list[str]]
    breaches: dict[str, tuple[Breach, ...]]
    most_charges: int
    most_standing: int


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with quick_world(tmp_path_factory.mktemp("reads")) as world:
        wrong = play_scenes(world, SCENES)
        world.poll()
        most = (max(charges_by_customer(world).values()), max(standing_by_customer(world).values()))
        yield Played(wrong, breaches(world), *most)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("scene", [scene.name for scene in SCENES])
def test_every_fault_of_a_read_is_waited_out(played: Played, scene: str, word: str) -> None:
    assert played.wrong[scene, word] == []


def test_no_read_fault_charges_twice(played: Played) -> None:
    assert (played.most_charges, played.most_standing) == (1, 1)
    assert played.breaches == {}
