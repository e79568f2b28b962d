"""Both values of every switch that changes a plan change's figures."""

import pytest

from sandbox.money.bill import BelowMinimum
from sandbox.money.credit import Entry, balance
from sandbox.money.proration import DEFAULTS, MODES, RULES, Period, Refused, Rules, change_plan, following
from tests.sandbox.money.plans import APRIL, DAY_16, DAY_73, YEAR, at, change, day, outcome, plan

BASIC, PRO, STARTER = plan("basic", "30"), plan("pro", "80"), plan("starter", "20")
YEARLY, PRO_YEAR = plan("basic", "300", interval="Year"), plan("pro", "800", interval="Year")
PRORATED, FULL, DIFFERENCE, FREE, KEEP = MODES
FREE_TRIAL, PAID_TRIAL = (Period(at(2027, 4, 1), at(2027, 4, 15), paid) for paid in (0, 500))


def rules(**values: str) -> Rules:
    return Rules(**values)


def test_first_value_is_the_default() -> None:
    assert {name: values[0] for name, values in RULES.items()} == vars(DEFAULTS)


@pytest.mark.parametrize(("value", "due"), [("docs", "25.00"), ("full_new_minus_unused", "65.00")])
def test_reset_proration(value: str, due: str) -> None:
    assert outcome(change(BASIC, PRO, PRORATED, rules=rules(reset_proration=value)).bill) == due


def test_reset_proration_leaves_a_kept_cycle_alone() -> None:
    done = change(BASIC, PRO, KEEP, rules=rules(reset_proration="full_new_minus_unused"))

    assert outcome(done.bill) == "25.00"


def test_keep_cycle() -> None:
    assert outcome(change(BASIC, PRO, KEEP, rules=rules(keep_cycle="allowed")).bill) == "25.00"
    with pytest.raises(Refused, match="INVALID_REQUEST_BODY"):
        change(BASIC, PRO, KEEP, rules=rules(keep_cycle="refused"))


def test_keep_cycle_edge_refused() -> None:
    with pytest.raises(Refused, match="UNSUPPORTED_ACTION"):
        change(BASIC, YEARLY, KEEP, rules=rules(keep_cycle_edge="refused"))
    with pytest.raises(Refused, match="UNSUPPORTED_ACTION"):
        change(BASIC, PRO, KEEP, period=FREE_TRIAL, now=at(2027, 4, 8), rules=rules(keep_cycle_edge="refused"))


def test_keep_cycle_edge_as_prorated() -> None:
    edge = rules(keep_cycle_edge="as_prorated")

    year = change(BASIC, YEARLY, KEEP, rules=edge)
    trial = change(BASIC, PRO, KEEP, period=FREE_TRIAL, now=at(2027, 4, 8), rules=edge)

    assert (outcome(year.bill), day(year.period.end)) == ("135.00", "2027-05-01")
    assert (outcome(trial.bill), day(trial.period.end)) == ("40.00", "2027-04-15")


@pytest.mark.parametrize(
    ("value", "to_year", "to_month"),
    [("full_new_minus_unused", "285.00", "credit 560.00"), ("remaining_ratio", "135.00", "credit 576.00")],
)
def test_interval_change(value: str, to_year: str, to_month: str) -> None:
    chosen = rules(interval_change=value)

    assert outcome(change(BASIC, YEARLY, PRORATED, rules=chosen).bill) == to_year
    assert outcome(change(PRO_YEAR, PRO, PRORATED, period=YEAR, now=DAY_73, rules=chosen).bill) == to_month


@pytest.mark.parametrize(
    ("value", "free", "paid"), [("full_new", "80.00", "77.50"), ("remaining_ratio", "40.00", "37.50")]
)
def test_trial_change(value: str, free: str, paid: str) -> None:
    chosen = rules(trial_change=value)

    for period, due in ((FREE_TRIAL, free), (PAID_TRIAL, paid)):
        done = change(BASIC, PRO, PRORATED, period=period, now=at(2027, 4, 8), rules=chosen)
        assert (outcome(done.bill), day(done.period.end)) == (due, "2027-05-08")


@pytest.mark.parametrize(("value", "shown"), [("at_renewal", "80.00"), ("zero_now", "0.00")])
def test_scheduled_preview(value: str, shown: str) -> None:
    done = change(BASIC, PRO, FULL, scheduled=True, rules=rules(scheduled_preview=value))

    assert (outcome(done.shown), day(done.effective_at), outcome(done.bill)) == (shown, "2027-05-01", "80.00")


@pytest.mark.parametrize(("value", "next_day"), [("calendar_month", "2027-02-16"), ("days_30", "2027-02-15")])
def test_renewal_calendar(value: str, next_day: str) -> None:
    january = Period(at(2027, 1, 1), at(2027, 2, 1))
    chosen = rules(renewal_calendar=value)

    done = change(BASIC, PRO, FULL, period=january, now=at(2027, 1, 16), rules=chosen)

    assert day(done.period.end) == next_day
    assert day(following(PRO, done.period, chosen).start) == next_day


def test_the_same_change_costs_more_in_january() -> None:
    january = Period(at(2027, 1, 1), at(2027, 2, 1))

    assert outcome(change(BASIC, PRO, PRORATED, period=january, now=at(2027, 1, 16)).bill) == "25.81"


@pytest.mark.parametrize(("value", "due"), [("seconds", "24.10"), ("whole_days", "25.00")])
def test_proration_clock(value: str, due: str) -> None:
    done = change(BASIC, PRO, PRORATED, now=at(2027, 4, 16, 13), rules=rules(proration_clock=value))

    assert outcome(done.bill) == due


@pytest.mark.parametrize(("value", "credit"), [("half_up", "39.99"), ("half_even", "39.98")])
def test_rounding(value: str, credit: str) -> None:
    chosen = rules(rounding=value)
    odd, free = plan("odd", "79.97"), plan("free", "0")

    assert outcome(change(free, odd, PRORATED, rules=chosen).bill) == credit
    assert outcome(change(odd, free, PRORATED, rules=chosen).bill) == f"credit {credit}"


@pytest.mark.parametrize(("value", "usable"), [("subscription", 0), ("customer_currency", 3000)])
def test_credit_scope(value: str, usable: int) -> None:
    entries = [Entry("sub_a", "USD", 3000)]

    assert balance(entries, subscription_id="sub_b", currency="USD", scope=value) == usable


@pytest.mark.parametrize(("value", "credit", "tax"), [("gross", "credit 33.00", -300), ("net", "credit 30.00", 0)])
def test_credit_tax(value: str, credit: str, tax: int) -> None:
    old, new = plan("pro", "80", tax=1000), plan("starter", "20", tax=1000)

    sums = change(old, new, PRORATED, rules=rules(credit_tax=value)).bill

    assert (outcome(sums), sums.tax, sums.subtotal) == (credit, tax, -3000)


def test_min_charge_tops_up() -> None:
    sums = change(BASIC, plan("b", "30.40"), PRORATED, minimum=50, rules=rules(min_charge="top_up")).bill

    assert (sums.due, sums.credits) == (50, 30)


def test_min_charge_rejects() -> None:
    with pytest.raises(BelowMinimum):
        change(BASIC, plan("b", "30.40"), PRORATED, minimum=50, rules=rules(min_charge="reject"))


def test_charge_falls_a_cent_every_518_seconds_and_the_credit_every_432() -> None:
    def due(old: object, new: object, seconds: int, **values: str) -> int:
        sums = change_plan(
            old,
            new,
            APRIL,
            mode=PRORATED,
            now=DAY_16 + seconds * 1000,
            rules=rules(**values),  # type: ignore[arg-type]
        ).bill
        return sums.due - max(sums.credits, 0)

    # A cent on average: each line is rounded on its own, so single steps come a little earlier or later.
    assert due(BASIC, PRO, 0) - due(BASIC, PRO, 51_840) == 100
    assert due(PRO, STARTER, 51_840 * 10 // 12) - due(PRO, STARTER, 0) == 100
    full = {"reset_proration": "full_new_minus_unused"}
    assert due(BASIC, PRO, 86_400, **full) - due(BASIC, PRO, 0, **full) == 100
