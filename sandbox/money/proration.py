"""Plan changes: what is charged or credited, and which period follows.

Preview and charge both call `change_plan` and nothing else, so at one instant they cannot differ. What each mode does
is documented in the provider's Upgrade & Downgrade Guide; where that is silent or contradicts itself a rule decides.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from .bill import Bill, Item, Line, bill, line_of
from .calendar import DAY_MS, day_of_month, next_date

KEEP_CYCLE = "prorated_immediately_keep_cycle"
MODES = ("prorated_immediately", "full_immediately", "difference_immediately", "do_not_bill", KEEP_CYCLE)

# Every rule is a switch of the sandbox of the same name: values, the default first.
RULES = {
    "reset_proration": ("docs", "full_new_minus_unused"),
    "keep_cycle": ("allowed", "refused"),
    "keep_cycle_edge": ("refused", "as_prorated"),
    "interval_change": ("full_new_minus_unused", "remaining_ratio"),
    "trial_change": ("full_new", "remaining_ratio"),
    "scheduled_preview": ("at_renewal", "zero_now"),
    "renewal_calendar": ("calendar_month", "days_30"),
    "proration_clock": ("seconds", "whole_days"),
    "rounding": ("half_up", "half_even"),
    "credit_scope": ("subscription", "customer_currency"),
    "credit_tax": ("gross", "net"),
    "min_charge": ("top_up", "reject"),
}


class Refused(Exception):
    """The change is refused; `code` is the wire's."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True)
class Rules:
    """The values of RULES."""

    reset_proration: str = "docs"
    keep_cycle: str = "allowed"
    keep_cycle_edge: str = "refused"
    interval_change: str = "full_new_minus_unused"
    trial_change: str = "full_new"
    scheduled_preview: str = "at_renewal"
    renewal_calendar: str = "calendar_month"
    proration_clock: str = "seconds"
    rounding: str = "half_up"
    credit_scope: str = "subscription"
    credit_tax: str = "gross"
    min_charge: str = "top_up"


DEFAULTS = Rules()


@dataclass(frozen=True)
class Plan:
    """What a period costs: the plan first, then its add-ons; billed every `count` intervals."""

    items: tuple[Item, ...]
    count: int = 1
    interval: str = "Month"

    @property
    def every(self) -> tuple[int, str]:
        """How often the plan bills."""
        return self.count, self.interval


@dataclass(frozen=True)
class Period:
    """The running period, epoch milliseconds. `trial_paid` is None outside a trial, 0 in a free one."""

    start: int
    end: int
    trial_paid: int | None = None
    anchor_day: int | None = None

    def left(self, now: int, proration_clock: str) -> Fraction:
        """Return the part of the period that is left, 0 to 1.

        By whole days the running day counts as left: at 13:00 on day 16 of 30 there are 15.
        """
        unit = DAY_MS if proration_clock == "whole_days" else 1000
        whole = (self.end - self.start) // unit
        gone = min(max(now - self.start, 0) // unit, whole)
        return Fraction(whole - gone, whole) if whole else Fraction(0)


@dataclass(frozen=True)
class Change:
    """A whole plan change. `shown` is the preview's bill; it differs from `bill` only for a scheduled change."""

    bill: Bill
    shown: Bill
    effective_at: int
    period: Period


def change_plan(
    old: Plan,
    new: Plan,
    period: Period,
    *,
    mode: str,
    scheduled: bool = False,
    now: int,
    balance: int = 0,
    minimum: int = 0,
    rules: Rules = DEFAULTS,
) -> Change:
    """Return what a change costs and the period it leads to. `scheduled` is `effective_at: next_billing_date`.

    Both plans are in one currency, `balance` and `minimum` too. Raises Refused, and BelowMinimum under
    `min_charge = reject`.
    """
    _check(old, new, period, mode=mode, scheduled=scheduled, rules=rules)
    if scheduled:
        return _at_renewal(new, period, balance=balance, minimum=minimum, rules=rules)
    lines = _lines(old, new, period, mode=mode, now=now, rules=rules)
    sums = bill(lines, balance=balance, minimum=minimum, credit_tax=rules.credit_tax, min_charge=rules.min_charge)
    return Change(sums, sums, now, _next_period(new, period, mode=mode, now=now, rules=rules))


def renew(plan: Plan, *, balance: int, minimum: int, rules: Rules = DEFAULTS) -> Bill:
    """Return the bill of a whole period, less the credit there is.

    A renewal cannot be refused, so what is left below the minimum is topped up whatever `min_charge` says (our choice).
    """
    return bill((line_of(item, Fraction(1), rules.rounding) for item in plan.items), balance=balance, minimum=minimum)


def following(plan: Plan, period: Period, rules: Rules = DEFAULTS) -> Period:
    """Return the period after this one."""
    anchor = period.anchor_day or day_of_month(period.end)
    end = next_date(period.end, *plan.every, calendar=rules.renewal_calendar, anchor_day=anchor)
    return Period(period.end, end, None, anchor)


def beginning(plan: Plan, now: int, rules: Rules = DEFAULTS) -> Period:
    """Return the first period of a plan that begins now."""
    return Period(now, next_date(now, *plan.every, calendar=rules.renewal_calendar), None, day_of_month(now))


def in_trial(now: int, days: int, paid: int) -> Period:
    """Return the period of a trial that begins now and for which `paid` minor units are charged."""
    end = now + days * DAY_MS
    return Period(now, end, paid, day_of_month(end))


def _check(old: Plan, new: Plan, period: Period, *, mode: str, scheduled: bool, rules: Rules) -> None:
    if mode not in MODES or (mode == KEEP_CYCLE and rules.keep_cycle == "refused"):
        raise Refused("INVALID_REQUEST_BODY", f"proration_billing_mode: unknown variant `{mode}`")
    if scheduled and mode != "full_immediately":
        raise Refused(
            "INVALID_PRORATION_MODE_WITH_NEXT_BILLING_DATE",
            "Only full_immediately proration mode is allowed with effective_at: next_billing_date",
        )
    edge = old.every != new.every or period.trial_paid is not None
    if mode == KEEP_CYCLE and edge and rules.keep_cycle_edge == "refused":
        raise Refused("UNSUPPORTED_ACTION", "The billing cycle cannot be kept in a trial or when the interval changes")


def _at_renewal(new: Plan, period: Period, *, balance: int, minimum: int, rules: Rules) -> Change:
    sums = renew(new, balance=balance, minimum=minimum, rules=rules)
    shown = sums if rules.scheduled_preview == "at_renewal" else bill((), balance=balance, minimum=0)
    return Change(sums, shown, period.end, following(new, period, rules))


def _lines(old: Plan, new: Plan, period: Period, *, mode: str, now: int, rules: Rules) -> list[Line]:
    if mode == "do_not_bill":
        return []
    credit, charge = _factors(old, new, period, mode=mode, now=now, rules=rules)
    paid = _paid_items(old, period) if credit else ()
    return [
        *(line_of(item, -credit, rules.rounding) for item in paid),
        *(line_of(item, charge, rules.rounding) for item in new.items),
    ]


def _factors(old: Plan, new: Plan, period: Period, *, mode: str, now: int, rules: Rules) -> tuple[Fraction, Fraction]:
    """Return how much of the old plan is credited and how much of the new one is charged."""
    if mode == "full_immediately":
        return Fraction(0), Fraction(1)
    if mode == "difference_immediately":
        return Fraction(1), Fraction(1)
    left = period.left(now, rules.proration_clock)
    if mode == KEEP_CYCLE:
        return left, left
    # A new interval and the end of a trial always begin a new period, so the new plan counts in full.
    full = (
        rules.reset_proration == "full_new_minus_unused"
        or (old.every != new.every and rules.interval_change == "full_new_minus_unused")
        or (period.trial_paid is not None and rules.trial_change == "full_new")
    )
    return left, Fraction(1) if full else left


def _paid_items(old: Plan, period: Period) -> tuple[Item, ...]:
    """Return what the running period was paid with: in a trial only the trial's own price, if it had one."""
    if period.trial_paid is None:
        return old.items
    if not period.trial_paid:
        return ()
    plan = old.items[0]
    trial = Item(plan.kind, plan.ref, period.trial_paid, tax_rate_bp=plan.tax_rate_bp, tax_inclusive=plan.tax_inclusive)
    return (trial,)


def _next_period(new: Plan, period: Period, *, mode: str, now: int, rules: Rules) -> Period:
    if mode == "do_not_bill":
        # Nothing was paid, so a trial that ends this way still gives a later change no more credit than it was paid.
        return period
    if mode == KEEP_CYCLE:
        return replace(period, trial_paid=None)
    return beginning(new, now, rules)
