"""The plan-change matrix: every plan, mode and time in one table, and each cell what the buyer's preview would show."""

import pytest

from encore.services import plan_matrix
from encore.services.plan_matrix import Cell
from encore.services.plan_quotes import NotQuoted
from encore.store.subscriptions import Subscription
from tests.services.plans import changes, group, halfway, subscribe, usd
from tests.services.world import World


def cells_of(world: World, row: Subscription, **wish: int) -> dict[tuple[str, str], Cell]:
    return {(cell.mode, cell.when): cell for cell in plan_matrix.make_matrix(world.shop, row, **wish)}


@pytest.mark.criterion("N13")
@pytest.mark.parametrize(
    ("slug", "dues", "years"),
    [
        # Day 16 of 30. Due today, by mode; then eleven or twelve renewals within the year: at 80, or at 30 less credit.
        (
            "basic-plan",
            [5000, 2500, 8000, 0, 2500],
            [5000 + 11 * 8000, 2500 + 11 * 8000, 12 * 8000, 12 * 8000, 2500 + 12 * 8000],
        ),
        (
            "pro-plan",
            [0, 0, 3000, 0, 0],
            [11 * 3000 - 5000, 11 * 3000 - 2500, 12 * 3000, 12 * 3000, 12 * 3000 - 2500],
        ),
    ],
)
def test_each_cell_is_what_its_preview_shows(world: World, slug: str, dues: list[int], years: list[int]) -> None:
    row = halfway(world, slug)
    other = "pro-plan" if slug == "basic-plan" else "basic-plan"

    cells = cells_of(world, row)

    assert list(cells) == list(plan_matrix.WAYS)
    for (mode, when), cell in cells.items():
        group(world, upgrade_mode=mode, downgrade_mode=mode, downgrade_when=when)
        if when == "immediately" or slug == "pro-plan":
            quote = world.preview(row, other).quote
            assert (cell.when, cell.product_id) == (quote.wish.when, quote.wish.product_id)
            assert cell.figures == plan_matrix.figures_of(quote, now=world.shop.now())
    now = [cells[mode, when].figures for mode, when in plan_matrix.WAYS[:5]]
    assert [figures and figures.due_today for figures in now] == [usd(due) for due in dues]
    assert [figures and figures.twelve_months for figures in now] == [usd(year) for year in years]


def test_credit_is_told_after_each_renewal_and_nothing_happens(world: World) -> None:
    row = halfway(world, "pro-plan")

    cells = cells_of(world, row)

    now, later = (cells[way].figures for way in (plan_matrix.WAYS[0], plan_matrix.WAYS[-1]))
    assert now is not None
    assert later is not None
    assert [(renewal.to_pay.minor, renewal.left.minor) for renewal in now.renewals[:3]] == [
        (0, 2000),
        (1000, 0),
        (3000, 0),
    ]
    assert (later.due_today, later.due_at_renewal, later.effective_at) == (usd(0), usd(3000), row.next_billing_at)
    assert world.rows("offer_instances") == []
    assert changes(world, row) == []


def test_a_scheduled_change_whose_renewal_is_not_told_is_drawn(world: World) -> None:
    world.sandbox.switch(scheduled_preview="zero_now")
    row = halfway(world, "pro-plan")

    later = cells_of(world, row)[plan_matrix.WAYS[-1]].figures

    assert later is not None
    assert (later.due_at_renewal, later.renewals[0].at, later.renewals[0].to_pay) == (
        None,
        row.next_billing_at,
        usd(3000),
    )


def test_other_seats_and_what_is_refused(world: World) -> None:
    world.sandbox.switch(keep_cycle="refused")
    row = subscribe(world)

    found = plan_matrix.make_matrix(world.shop, row, quantity=3)

    assert [cell.product_name for cell in found] == ["Basic plan"] * 6 + ["Pro plan"] * 6
    assert [cell.refused for cell in found if cell.figures is None] == ["mode_refused"] * 2
    assert found[0].figures is not None
    assert found[0].figures.due_today == usd(6000)
    group(world, upgrade_mode="prorated_immediately_keep_cycle")
    assert world.try_preview(row) == NotQuoted("mode_refused")
