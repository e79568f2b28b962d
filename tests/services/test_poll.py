"""The poll spends what the budget leaves it, and says when it has not seen everything."""

import pytest

from encore.errors import ProviderError
from encore.services import budgets, poll
from encore.store import meta
from tests.services.conftest import Open
from tests.services.world import World


def polled_at(world: World) -> int | None:
    return meta.get_number(world.shop.store, poll.POLLED_AT)


def test_without_a_call_left_nothing_is_asked_and_nothing_counts_as_seen(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    world.accept(world.offer())
    before, asked = polled_at(world), len(world.sandbox.requests())
    world.block_budget()

    assert poll.poll(world.shop) == 0

    assert len(world.sandbox.requests()) == asked
    assert polled_at(world) == before


def test_too_many_calls_end_the_poll_for_now(open_shop_with: Open) -> None:
    """The provider's limit is shared with the charges: a poll that went on would get a buyer's refused."""
    world = open_shop_with(ENCORE_DODO_TIER="2")
    world.buy()
    world.sandbox.fault("GET /payments/{id}", "status:429", times=20)

    with pytest.raises(ProviderError):
        poll.poll(world.shop)

    assert not budgets.take(world.shop, "charge")
    assert polled_at(world) is None


@pytest.mark.parametrize("unreadable", ["GET /refunds", "GET /disputes"])
def test_list_that_cannot_be_read_is_told_after_the_others_were_settled(world: World, unreadable: str) -> None:
    """R19c: a key that may not list disputes is no reason to believe that there are none."""
    world.buy()
    world.sandbox.fault(unreadable, "status:403", times=20)

    with pytest.raises(ProviderError):
        poll.poll(world.shop)

    assert len(world.rows("orders")) == 1
    assert polled_at(world) is None


def test_payment_that_cannot_be_read_hides_no_other(world: World) -> None:
    world.buy()
    world.buy(email="minh@example.com")
    world.sandbox.fault("GET /payments/{id}", "wrong_type", times=1)

    with pytest.raises(ProviderError):
        poll.poll(world.shop)

    assert len(world.rows("orders")) == 1
