"""A list that misleads while a lost charge is searched for: none may make it absent while its payment exists.

Lag below the quarantine, pages gone, rows repeated or moved, metadata stripped, an outage; a buyer with one earlier
payment, and one with more than a page of them, the lost one at the border of two pages.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from encore.dodo import pages
from encore.services import reconcile
from encore.services.reconcile import Quarantine
from tests.broken import absent_at_once
from tests.faults.provider import (
    CONFIRM,
    QUARANTINE_S,
    Shopper,
    Standing,
    breaches,
    bring_shopper,
    order_fault,
    quick_world,
    standing_by_customer,
    standing_of,
)
from tests.sandbox_process import COURSE
from tests.services.world import World

# Twice as many looks as an absent attempt needs, over three times its quarantine.
_LOOKS, _STEP_S = 12, QUARANTINE_S / 4
_PAGE = 4
_BELOW_QUARANTINE_S = 0.8 * QUARANTINE_S
MODES: dict[str, dict[str, Any]] = {
    "lag": {"lag_s": _BELOW_QUARANTINE_S},
    "first page missing": {"missing_page": 0},
    "second page missing": {"missing_page": 1},
    "rows repeated": {"repeated_rows": True},
    "rows moving": {"moving_rows": True},
    "metadata stripped": {"metadata_stripped": True},
    "outage": {"outage": True},
    "lag and rows moving": {"lag_s": _BELOW_QUARANTINE_S, "moving_rows": True},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with quick_world(tmp_path_factory.mktemp("lists")) as world:
        yield world


@pytest.fixture
def mislead(world: World) -> Iterator[Any]:
    """Order how lists mislead; they are honest again afterwards."""
    yield lambda mode: world.sandbox.control("lists", mode)
    _be_honest(world)


def _be_honest(world: World) -> None:
    honest = {"lag_s": 0, "missing_page": None, "repeated_rows": False, "moving_rows": False}
    world.sandbox.control("lists", {**honest, "metadata_stripped": False, "outage": False})


def _lose_charge(world: World, name: str) -> Shopper:
    shopper = bring_shopper(world, name)
    # A while after the first order, so that a lag hides the charge alone and the list looks whole.
    world.sandbox.clock(5)
    order_fault(world, CONFIRM, "reset", effect="before", match={"customer_id": shopper.customer_id})
    world.accept(shopper.page, key=shopper.key)
    assert standing_of(world, shopper).attempt == "unknown"
    return shopper


def _watch(world: World, shopper: Shopper) -> list[Standing]:
    """Look again and again while time passes here and at the provider; returns what each look came to."""
    quarantine, seen = Quarantine(), []
    for _ in range(_LOOKS):
        reconcile.look(world.shop, world.attempt(shopper.page).id, quarantine=quarantine)
        seen.append(standing_of(world, shopper))
        # Time passes for the watcher and at the provider. Our wall clock is no evidence of anything, so it stands.
        world.clock.steady_s += _STEP_S
        world.sandbox.clock(_STEP_S)
    return seen


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_no_misleading_list_makes_a_charge_absent(world: World, mislead: Any, mode: dict[str, Any]) -> None:
    shopper = _lose_charge(world, f"list{list(MODES.values()).index(mode)}")
    mislead(mode)

    seen = _watch(world, shopper)

    assert {standing.attempt for standing in seen} <= {"unknown", "paid"}
    assert not any(standing.has_pay_button for standing in seen)
    _be_honest(world)
    assert _watch(world, shopper)[-1].attempt == "paid"
    assert standing_by_customer(world)[shopper.customer_id] == 1


def test_lag_below_the_quarantine_is_waited_out(world: World, mislead: Any) -> None:
    shopper = _lose_charge(world, "lag")
    mislead(MODES["lag"])

    seen = [standing.attempt for standing in _watch(world, shopper)]

    assert seen[0] == "unknown"
    assert seen[-1] == "paid"


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_no_misleading_list_of_many_pages_makes_a_charge_absent(
    world: World, mislead: Any, small_pages: None, mode: dict[str, Any]
) -> None:
    """The lost payment is the first row of the second page, where a list that moves loses it."""
    shopper = _lose_charge(world, f"page{list(MODES.values()).index(mode)}")
    for _ in range(_PAGE):
        _buy_elsewhere(world, shopper)
    mislead(mode)

    seen = _watch(world, shopper)

    assert {standing.attempt for standing in seen} <= {"unknown", "paid"}


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for few rows a page, so that a few payments fill one."""
    monkeypatch.setattr(pages, "PAGE_SIZE", _PAGE)
    monkeypatch.setattr(pages, "_SECOND_PAGE_SIZE", _PAGE - 1)


def _buy_elsewhere(world: World, shopper: Shopper) -> None:
    """Let the customer pay something that is not this shop's, with the same card."""
    body = {
        "product_cart": [{"product_id": COURSE, "quantity": 1}],
        "customer": {"customer_id": shopper.customer_id},
        "payment_method_id": world.sandbox.methods(shopper.customer_id)[0]["payment_method_id"],
        "billing_address": {"country": "US", "zipcode": "10001"},
        "minimal_address": True,
        "confirm": True,
    }
    world.sandbox.post("/checkouts", body)


@pytest.mark.broken
def test_broken_build_absent_at_once_is_caught(world: World, mislead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "is_absent", vars(reconcile)["is_absent"])
    absent_at_once.install(world.shop.settings.database_path)
    shopper = _lose_charge(world, "broken")
    mislead(MODES["lag"])

    seen = _watch(world, shopper)

    # I2: a charge that stands is called absent, and another way to pay is shown.
    assert any(standing.attempt == "absent" and standing.has_pay_button for standing in seen)
    assert standing_by_customer(world)[shopper.customer_id] == 1


def test_audit_is_clean_after_every_list(world: World) -> None:
    world.poll()

    assert breaches(world) == {}
