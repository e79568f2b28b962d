"""Nobody pays more than the button said: generated prices and delays, against what the provider really took."""

import random

import pytest

from encore.services import audit
from encore.services.pages import OfferPage
from tests.sandbox_process import BUNDLE
from tests.scale import proves, rounds
from tests.services.conftest import Open
from tests.services.world import DAY_S, World

CLICKS = 300


def stands(world: World, page: OfferPage) -> int:
    """What the provider keeps of an offer's charge once every refund that is due has been sent."""
    world.tidy()
    attempt_id = world.attempt(page).id
    kept = [p for p in world.standing(BUNDLE) if p["metadata"].get("attempt_id") == attempt_id]
    return sum(payment["total"] for payment in kept)


def _accept(world: World, page: OfferPage, *, late: int | None) -> str:
    """Press accept; `late` is a price that takes effect between the last question and the charge."""
    return world.accept(page) if late is None else world.accept_as_price_moves(page, late)


@pytest.mark.criterion("N1")
@proves(CLICKS, "clicks on moving prices that never cost more than was shown")
@pytest.mark.parametrize("round_number", rounds(1, proof=34))
def test_three_hundred_clicks_on_moving_prices_never_cost_more(open_shop_with: Open, round_number: int) -> None:
    world = open_shop_with()
    seed = 20261125 + round_number
    chance = random.Random(seed)
    page = world.offer(email="buyer0@example.com")
    results = {"moved": 0, "charged": 0, "refunded": 0}

    for click in range(1, CLICKS + 1):
        if chance.random() < 0.4:
            world.reprice(BUNDLE, chance.randint(100, 30_000))
        world.advance(chance.choice((1, 30, 61, 90)))
        shown = page.quote.total
        moves_late = chance.random() < 0.4

        if _accept(world, page, late=chance.randint(100, 30_000) if moves_late else None) == "moved":
            results["moved"] += 1
            assert world.attempts(page) == [], f"seed {seed}, click {click}"
            page = world.page(page)
            assert page.moved_from is not None
            continue
        outcome = world.outcome(page)
        results[outcome] += 1
        # Equal, or nothing: a price that rose after the last question is given back whole, a lower one is kept.
        stood = stands(world, page)
        assert stood <= shown.minor, f"seed {seed}, click {click}"
        assert (stood == 0) == (outcome == "refunded")
        # Twenty automatic refunds a day are the most; the rest would wait for a person.
        world.advance(DAY_S / 12)
        page = world.offer(email=f"buyer{click}@example.com")

    # Were one of the three rare, this would show little of it.
    assert min(results.values()) > CLICKS // 30, results
    # What the last purchase sends is sent, as a worker would have done long ago.
    world.tidy()
    # Without the sandbox's log as witness: it keeps real time, and this world's clock was moved by days.
    assert audit.run(world.shop).names("breach") == ()
