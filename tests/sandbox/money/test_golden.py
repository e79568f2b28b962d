"""Every worked figure of a plan change, as literals: the modes, add-ons, intervals, trials and signs.

Cycle 1 Apr to 1 May 2027, changed on day 16 at 00:00 UTC, so 15 of 30 days are left. Bold figures of the provider's
guide are among them; which, and which are our choice, says docs/operator/sandbox.md.
"""

from dataclasses import astuple, replace
from fractions import Fraction

import pytest

from sandbox.money.bill import Item
from sandbox.money.proration import MODES, Period, Plan, Refused, Rules, renew
from tests.sandbox.money.plans import APRIL, DAY_16, DAY_20, DAY_73, YEAR, at, cents, change, day, outcome, plan

BASIC, PRO, STARTER = plan("basic", "30"), plan("pro", "80"), plan("starter", "20")
PRORATED, FULL, DIFFERENCE, FREE, KEEP = MODES
RESET_FULL = Rules(reset_proration="full_new_minus_unused")


def renewals(new: Plan, balance: int) -> list[str]:
    """Return the coming renewals until no credit is left."""
    amounts = []
    while True:
        sums = renew(new, balance=balance, minimum=50)
        amounts.append(f"{sums.due / 100:.2f}")
        if not balance:
            return amounts
        balance = sums.balance_after


# Section 2: immediately.
UP = [
    (PRORATED, "25.00", "2027-05-16"),
    (DIFFERENCE, "50.00", "2027-05-16"),
    (FULL, "80.00", "2027-05-16"),
    (FREE, "0.00", "2027-05-01"),
    (KEEP, "25.00", "2027-05-01"),
]
DOWN_TO_STARTER = [
    (PRORATED, "credit 30.00", ["0.00", "10.00", "20.00"], "2027-05-16"),
    (DIFFERENCE, "credit 60.00", ["0.00", "0.00", "0.00", "20.00"], "2027-05-16"),
    (FULL, "20.00", ["20.00"], "2027-05-16"),
    (FREE, "0.00", ["20.00"], "2027-05-01"),
    (KEEP, "credit 30.00", ["0.00", "10.00", "20.00"], "2027-05-01"),
]
DOWN_TO_BASIC = [
    (PRORATED, "credit 25.00", ["5.00", "30.00"], "2027-05-16"),
    (DIFFERENCE, "credit 50.00", ["0.00", "10.00", "30.00"], "2027-05-16"),
    (FULL, "30.00", ["30.00"], "2027-05-16"),
    (FREE, "0.00", ["30.00"], "2027-05-01"),
    (KEEP, "credit 25.00", ["5.00", "30.00"], "2027-05-01"),
]


@pytest.mark.parametrize(("mode", "due", "next_day"), UP)
def test_basic_to_pro(mode: str, due: str, next_day: str) -> None:
    done = change(BASIC, PRO, mode)

    assert (outcome(done.bill), day(done.period.end)) == (due, next_day)
    assert renewals(PRO, done.bill.balance_after) == ["80.00"]


@pytest.mark.parametrize(("mode", "due", "then", "next_day"), DOWN_TO_STARTER)
def test_pro_to_starter(mode: str, due: str, then: list[str], next_day: str) -> None:
    done = change(PRO, STARTER, mode)

    assert (outcome(done.bill), day(done.period.end)) == (due, next_day)
    assert renewals(STARTER, done.bill.balance_after) == then


@pytest.mark.parametrize(("mode", "due", "then", "next_day"), DOWN_TO_BASIC)
def test_pro_to_basic(mode: str, due: str, then: list[str], next_day: str) -> None:
    done = change(PRO, BASIC, mode)

    assert (outcome(done.bill), day(done.period.end)) == (due, next_day)
    assert renewals(BASIC, done.bill.balance_after) == then


@pytest.mark.parametrize(
    ("old", "new", "due", "then"),
    [
        (BASIC, PRO, "65.00", ["80.00"]),
        (PRO, STARTER, "credit 20.00", ["0.00", "20.00"]),
        (PRO, BASIC, "credit 10.00", ["20.00", "30.00"]),
    ],
)
def test_prorated_when_a_reset_cycle_counts_in_full(old: Plan, new: Plan, due: str, then: list[str]) -> None:
    done = change(old, new, PRORATED, rules=RESET_FULL)

    assert (outcome(done.bill), day(done.period.end)) == (due, "2027-05-16")
    assert renewals(new, done.bill.balance_after) == then


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        (PRORATED, [("basic", 3000, Fraction(-1, 2), -1500), ("pro", 8000, Fraction(1, 2), 4000)]),
        (DIFFERENCE, [("basic", 3000, Fraction(-1), -3000), ("pro", 8000, Fraction(1), 8000)]),
        (FULL, [("pro", 8000, Fraction(1), 8000)]),
        (FREE, []),
        (KEEP, [("basic", 3000, Fraction(-1, 2), -1500), ("pro", 8000, Fraction(1, 2), 4000)]),
    ],
)
def test_lines_of_basic_to_pro(mode: str, lines: list[tuple[str, int, Fraction, int]]) -> None:
    done = change(BASIC, PRO, mode)

    shown = [(line.item.ref, line.item.unit_price, line.factor, line.amount) for line in done.bill.lines]
    assert shown == lines
    assert done.effective_at == DAY_16


# Section 3: on the next billing date.
@pytest.mark.parametrize(("old", "new", "due"), [(BASIC, PRO, "80.00"), (PRO, STARTER, "20.00"), (PRO, BASIC, "30.00")])
def test_scheduled_change_replaces_the_renewal(old: Plan, new: Plan, due: str) -> None:
    done = change(old, new, FULL, scheduled=True)

    assert (outcome(done.bill), outcome(done.shown), done.bill.credits) == (due, due, 0)
    assert (day(done.effective_at), day(done.period.start), day(done.period.end)) == (
        "2027-05-01", "2027-05-01", "2027-06-01"
    )  # fmt: skip


@pytest.mark.parametrize("mode", [PRORATED, DIFFERENCE, FREE, KEEP])
def test_scheduled_change_takes_only_the_full_price(mode: str) -> None:
    with pytest.raises(Refused, match="INVALID_PRORATION_MODE_WITH_NEXT_BILLING_DATE"):
        change(BASIC, PRO, mode, scheduled=True)


# Section 4: quantity and add-ons; the last column is `reset_proration = full_new_minus_unused`.
QUANTITIES = [
    (BASIC, plan("pro", "80", seats=3), DAY_16, ["40.00", "80.00", "110.00", "0.00", "40.00", "95.00"]),
    (plan("team", "99", seats=10), plan("team", "99", seats=15), DAY_16,
     ["25.00", "50.00", "249.00", "0.00", "25.00", "149.50"]),
    (plan("team", "99", seats=10), plan("team", "99", seats=7), DAY_20,
     ["credit 10.00", "credit 30.00", "169.00", "0.00", "credit 10.00", "102.67"]),
    (BASIC, plan("basic", "30", quantity=3), DAY_16, ["30.00", "60.00", "90.00", "0.00", "30.00", "75.00"]),
    (plan("basic", "30", quantity=3), PRO, DAY_16,
     ["credit 5.00", "credit 10.00", "80.00", "0.00", "credit 5.00", "35.00"]),
]  # fmt: skip
COLUMNS = [*((mode, Rules()) for mode in (PRORATED, DIFFERENCE, FULL, FREE, KEEP)), (PRORATED, RESET_FULL)]


@pytest.mark.parametrize("column", range(6), ids=["prorated", "difference", "full", "free", "keep", "reset_full"])
@pytest.mark.parametrize("row", range(5), ids=["addons", "more_seats", "fewer_seats", "one_to_three", "three_to_one"])
def test_quantity_and_addons(row: int, column: int) -> None:
    old, new, now, dues = QUANTITIES[row]
    mode, rules = COLUMNS[column]

    assert outcome(change(old, new, mode, now=now, rules=rules).bill) == dues[column]


def test_fewer_seats_lower_the_next_invoice() -> None:
    new = plan("team", "99", seats=7)

    credit = change(plan("team", "99", seats=10), new, PRORATED, now=DAY_20).bill.balance_after

    assert renewals(new, credit) == ["159.00", "169.00"]


# Section 5: another interval.
YEARLY, PRO_YEAR = plan("basic", "300", interval="Year"), plan("pro", "800", interval="Year")


@pytest.mark.parametrize(
    ("mode", "due", "next_day"),
    [
        (PRORATED, "285.00", "2028-04-16"),
        (DIFFERENCE, "270.00", "2028-04-16"),
        (FULL, "300.00", "2028-04-16"),
        (FREE, "0.00", "2027-05-01"),
    ],
)
def test_month_to_year(mode: str, due: str, next_day: str) -> None:
    done = change(BASIC, YEARLY, mode)

    assert (outcome(done.bill), day(done.period.end)) == (due, next_day)
    assert renewals(YEARLY, done.bill.balance_after) == ["300.00"]


@pytest.mark.parametrize(
    ("mode", "due", "renewals_paid", "next_day"),
    [
        (PRORATED, "credit 560.00", 7, "2027-04-15"),
        (DIFFERENCE, "credit 720.00", 9, "2027-04-15"),
        (FULL, "80.00", 0, "2027-04-15"),
        (FREE, "0.00", 0, "2028-01-01"),
    ],
)
def test_year_to_month(mode: str, due: str, renewals_paid: int, next_day: str) -> None:
    done = change(PRO_YEAR, PRO, mode, period=YEAR, now=DAY_73)

    assert (outcome(done.bill), day(done.period.end)) == (due, next_day)
    assert renewals(PRO, done.bill.balance_after) == ["0.00"] * renewals_paid + ["80.00"]


@pytest.mark.parametrize(("old", "new", "period"), [(BASIC, YEARLY, APRIL), (PRO_YEAR, PRO, YEAR)])
def test_another_interval_cannot_keep_the_cycle(old: Plan, new: Plan, period: Period) -> None:
    with pytest.raises(Refused, match="UNSUPPORTED_ACTION"):
        change(old, new, KEEP, period=period, now=DAY_73 if period is YEAR else DAY_16)


# Section 6: 14 days from 1 Apr, changed on 8 Apr.
def trial(paid: int) -> Period:
    """Return a trial of 14 days that cost `paid`."""
    return Period(at(2027, 4, 1), at(2027, 4, 15), paid)


@pytest.mark.parametrize(
    ("mode", "free", "paid", "next_day"),
    [
        (PRORATED, "80.00", "77.50", "2027-05-08"),
        (DIFFERENCE, "80.00", "75.00", "2027-05-08"),
        (FULL, "80.00", "80.00", "2027-05-08"),
        (FREE, "0.00", "0.00", "2027-04-15"),
    ],
)
def test_trial(mode: str, free: str, paid: str, next_day: str) -> None:
    for cost, due in ((0, free), (500, paid)):
        done = change(BASIC, PRO, mode, period=trial(cost), now=at(2027, 4, 8))

        assert (outcome(done.bill), day(done.period.end)) == (due, next_day)
        assert renewals(PRO, done.bill.balance_after) == ["80.00"]


@pytest.mark.parametrize("paid", [0, 500])
def test_trial_cannot_keep_the_cycle(paid: int) -> None:
    with pytest.raises(Refused, match="UNSUPPORTED_ACTION"):
        change(BASIC, PRO, KEEP, period=trial(paid), now=at(2027, 4, 8))


@pytest.mark.parametrize("paid", [0, 500])
def test_scheduled_change_leaves_the_trial(paid: int) -> None:
    done = change(BASIC, PRO, FULL, scheduled=True, period=trial(paid), now=at(2027, 4, 8))

    assert (outcome(done.bill), day(done.effective_at)) == ("80.00", "2027-04-15")


def test_unpaid_trial_gives_no_credit_after_do_not_bill() -> None:
    first = change(BASIC, PRO, FREE, period=trial(0), now=at(2027, 4, 8))

    second = change(PRO, STARTER, PRORATED, period=first.period, now=at(2027, 4, 9))

    assert second.bill.credits == 0


# Section 7: due, tax, credits, subtotal, balance after.
def taxed(rate: int, price: str) -> Plan:
    """Return a plan with an exclusive tax in basis points."""
    return plan("plan", price, tax=rate)


SIGNS = [
    ("no balance", 0, "0", ("30", "80"), "25.00", "0.00", "0.00", "25.00", "0.00"),
    ("balance of 10", 0, "10", ("30", "80"), "15.00", "0.00", "-10.00", "25.00", "0.00"),
    ("tax", 1000, "0", ("30", "80"), "27.50", "2.50", "0.00", "25.00", "0.00"),
    ("tax and 10", 1000, "10", ("30", "80"), "17.50", "2.50", "-10.00", "25.00", "0.00"),
    ("tax and 40", 1000, "40", ("30", "80"), "0.00", "2.50", "-27.50", "25.00", "12.50"),
    ("downgrade", 0, "0", ("80", "20"), "0.00", "0.00", "30.00", "-30.00", "30.00"),
    ("downgrade with tax", 1000, "0", ("80", "20"), "0.00", "-3.00", "33.00", "-30.00", "33.00"),
    ("top-up", 0, "0", ("30", "30.40"), "0.50", "0.00", "0.30", "0.20", "0.30"),
]  # fmt: skip


@pytest.mark.parametrize("row", SIGNS, ids=lambda row: row[0])
def test_signs(row: tuple[str, int, str, tuple[str, str], str, str, str, str, str]) -> None:
    _, rate, balance, (old, new), due, tax, credits, subtotal, after = row

    sums = change(taxed(rate, old), taxed(rate, new), PRORATED, balance=cents(balance), minimum=50).bill

    assert astuple(replace(sums, lines=()))[1:] == tuple(
        cents(figure) for figure in (subtotal, tax, credits, due, after)
    )


def test_inclusive_price_contains_its_tax() -> None:
    old, new = plan("a", "30", tax=1000, inclusive=True), plan("b", "80", tax=1000, inclusive=True)

    sums = change(old, new, PRORATED).bill

    # 80.00 contains 7.27, 30.00 contains 2.73; half of each is 3.64 (3.635) and 1.37 (1.365).
    assert (sums.due, sums.tax, sums.subtotal) == (2500, 227, 2273)


def test_discount_comes_off_before_tax_and_proration() -> None:
    item = Item("subscription", "pro", 8000, 1, 2000, 1000)

    sums = change(BASIC, Plan((item,)), PRORATED).bill

    # (80 - 20) / 2 = 30.00 and 3.00 tax, less 15.00.
    assert (sums.due, sums.tax) == (1800, 300)
