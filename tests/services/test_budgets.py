"""The provider's call limit, shared by every process: money may take the last call (charging.md, section 1)."""

import pytest

from encore.services import budgets
from encore.services.budgets import Purpose
from tests.services.conftest import Open
from tests.services.world import MovableClock, World


def drain(world: World, purpose: Purpose) -> int:
    """Take calls until none is left for this purpose; returns how many there were."""
    taken = 0
    while budgets.take(world.shop, purpose):
        taken += 1
    return taken


@pytest.fixture
def world(open_shop_with: Open, monkeypatch: pytest.MonkeyPatch) -> World:
    """Tier 0: 40 calls at once, 240 a minute; no time passes unless a test lets it."""
    made = open_shop_with(ENCORE_DODO_TIER="0")
    now = made.shop.now()
    # Of every world of a test, each moved only by its own `wall_s`.
    monkeypatch.setattr(MovableClock, "now", lambda clock: now + round(clock.wall_s * 1000))
    return made


@pytest.mark.parametrize(
    ("purpose", "share"),
    [("charge", 40), ("status", 36), ("refund", 32), ("checkout", 30), ("reconcile", 28), ("catalogue", 24)],
)
def test_each_purpose_leaves_its_share_to_those_that_matter_more(world: World, purpose: Purpose, share: int) -> None:
    assert drain(world, purpose) == share

    assert drain(world, "charge") == 40 - share


def test_calls_come_back_with_time_up_to_the_limit(world: World) -> None:
    drain(world, "charge")
    world.clock.wall_s += 1
    assert drain(world, "charge") == 4

    world.clock.wall_s += 3600
    assert drain(world, "charge") == 40


def test_two_processes_share_the_calls(world: World, open_shop_with: Open) -> None:
    other = open_shop_with(ENCORE_DODO_TIER="0")

    first = sum(budgets.take(world.shop, "charge") for _ in range(30))
    second = sum(budgets.take(other.shop, "charge") for _ in range(30))

    assert (first, second) == (30, 10)


def test_clock_set_back_gives_and_takes_nothing(world: World) -> None:
    drain(world, "charge")

    world.clock.wall_s -= 3600
    assert drain(world, "charge") == 0

    world.clock.wall_s += 1
    assert drain(world, "charge") == 4


def test_nothing_is_called_until_the_provider_takes_calls_again(world: World) -> None:
    budgets.block(world.shop, world.shop.now() + 30_000)
    assert not budgets.take(world.shop, "charge")

    # A shorter block later does not lift a longer one.
    budgets.block(world.shop, world.shop.now() + 1_000)
    world.clock.wall_s += 29
    assert not budgets.take(world.shop, "charge")

    world.clock.wall_s += 2
    assert budgets.take(world.shop, "charge")


def test_blocked_without_a_time_means_a_second(world: World) -> None:
    budgets.block(world.shop, None)

    assert not budgets.take(world.shop, "charge")
    world.clock.wall_s += 2
    assert budgets.take(world.shop, "charge")


def test_limit_can_be_lifted_for_a_benchmark_only(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="off")

    assert all(budgets.take(world.shop, "catalogue") for _ in range(1000))
    assert world.rows("rate_budget") == []
