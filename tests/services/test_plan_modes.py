"""What each mode of proration costs, and that generated changes charge what was shown."""

import random
from datetime import UTC, datetime

import pytest

from encore.rules.plan_changes import MODES
from encore.store.subscriptions import Subscription
from tests.sandbox_process import BASIC, BRAND_KIT, EXTRA_PROJECT, PRO
from tests.scale import proves, rounds
from tests.services.plans import (
    group,
    halfway,
    paid,
    stand_still,
    subscribe,
    usd,
    whole,
)
from tests.services.world import DAY_S, World

CHANGES = 300
SLUGS = {BASIC: "basic-plan", PRO: "pro-plan"}
WISHES = [(slug, seats) for slug in SLUGS.values() for seats in range(1, 5)]


@pytest.mark.criterion("R16a", "R16b")
@pytest.mark.parametrize(
    ("mode", "due"),
    [
        ("difference_immediately", 5000),
        ("prorated_immediately", 2500),
        ("full_immediately", 8000),
        ("do_not_bill", 0),
        ("prorated_immediately_keep_cycle", 2500),
    ],
)
def test_thirty_to_eighty_halfway_costs_what_the_guide_says(world: World, mode: str, due: int) -> None:
    group(world, upgrade_mode=mode)
    row = halfway(world, "basic-plan")

    page = world.preview(row)
    after = world.confirm(page)

    assert page.quote.due == usd(due)
    assert (after.state, after.paid) == ("changed", usd(due) if due else None)
    assert paid(world, row) == ([due] if due else [])
    whole(world)


@pytest.mark.criterion("R16b")
@pytest.mark.parametrize(
    ("mode", "due", "credit"),
    [
        ("difference_immediately", 0, 5000),
        ("prorated_immediately", 0, 2500),
        ("full_immediately", 3000, 0),
        ("do_not_bill", 0, 0),
        ("prorated_immediately_keep_cycle", 0, 2500),
    ],
)
def test_eighty_to_thirty_halfway_credits_what_the_guide_says(world: World, mode: str, due: int, credit: int) -> None:
    group(world, downgrade_mode=mode, downgrade_when="immediately")
    row = halfway(world, "pro-plan")

    page = world.preview(row, "basic-plan")
    after = world.confirm(page)

    assert (page.quote.due, page.quote.credit_added) == (usd(due), usd(credit))
    assert after.state == "changed"
    assert paid(world, row) == ([due] if due else [])
    whole(world)


@pytest.mark.parametrize(
    ("switches", "due"),
    [
        ({"reset_proration": "full_new_minus_unused"}, 6500),
        ({"proration_clock": "whole_days"}, 2500),
        ({"renewal_calendar": "days_30"}, 2500),
        ({"rounding": "half_even"}, 2500),
        ({"preview_total": "before_credit"}, 2500),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_prorated_figures_follow_the_providers_reading(world: World, switches: dict[str, str], due: int) -> None:
    """A quote and a charge are not one function of ours agreeing with itself: both are the provider's."""
    group(world, upgrade_mode="prorated_immediately")
    world.sandbox.switch(**switches)
    row = halfway(world, "basic-plan")

    page = world.preview(row)

    assert page.quote.due == usd(due)
    assert world.confirm(page).paid == usd(due)
    whole(world)


@pytest.mark.criterion("R14a")
@proves(CHANGES, "plan changes through Encore, charged as shown")
@pytest.mark.parametrize("round_number", rounds(1, proof=34))
def test_three_hundred_generated_changes_charge_what_was_shown(world: World, round_number: int) -> None:
    """Never above the quote, and equal to it while the provider's clock stands still: 300 changes, each confirmed."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"round {round_number}, seed {seed}")
    stand_still(world, datetime(2027, 4, 1, tzinfo=UTC))
    row = subscribe(world)
    for mode in MODES:
        group(world, upgrade_mode=mode, downgrade_mode=mode, downgrade_when="immediately")
        for _ in range(CHANGES // len(MODES)):
            world.advance(chance.randrange(3 * DAY_S))
            _change_at_random(world, world.subscription(row.id), chance)
    whole(world)


def _change_at_random(world: World, row: Subscription, chance: random.Random) -> None:
    slug, seats = chance.choice([pair for pair in WISHES if pair != (SLUGS[row.product_id], row.quantity)])
    # Of an add-on that both plans take; the brand kit goes with every change to Basic, and is never named there.
    addons = {EXTRA_PROJECT: chance.randrange(3), **({BRAND_KIT: chance.randrange(2)} if slug == "pro-plan" else {})}
    page = world.preview(row, slug, quantity=seats, addons=addons)

    after = world.confirm(page)

    assert after.state == "changed"
    (attempt,) = world.shop.store.rows("SELECT * FROM attempts ORDER BY rowid DESC LIMIT 1")
    payment_id = attempt["provider_payment_id"]
    charged = world.sandbox.get(f"/payments/{payment_id}")["total_amount"] if payment_id else 0
    assert charged == page.quote.due.minor
    assert after.paid == (usd(charged) if payment_id else None)
