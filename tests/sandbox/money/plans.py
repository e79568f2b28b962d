"""The plans of the golden tables, in dollars."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox.money.bill import Bill, Item
from sandbox.money.proration import Change, Period, Plan, Rules, change_plan


def at(year: int, month: int, day: int, hour: int = 0) -> int:
    """Return epoch milliseconds of a UTC time."""
    return round(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def day(moment: int) -> str:
    """Return `2027-05-16`."""
    return datetime.fromtimestamp(moment / 1000, tz=UTC).strftime("%Y-%m-%d")


def cents(dollars: str) -> int:
    """Return minor units of `25.00`."""
    return int(Decimal(dollars) * 100)


def plan(
    ref: str,
    price: str,
    *,
    quantity: int = 1,
    seats: int = 0,
    interval: str = "Month",
    tax: int = 0,
    inclusive: bool = False,
) -> Plan:
    """Return a plan; `seats` are add-ons at 10.00."""
    items = [Item("subscription", ref, cents(price), quantity, 0, tax, inclusive)]
    if seats:
        items.append(Item("addon", "seat", 1000, seats, 0, tax, inclusive))
    return Plan(tuple(items), 1, interval)


APRIL = Period(at(2027, 4, 1), at(2027, 5, 1))
YEAR = Period(at(2027, 1, 1), at(2028, 1, 1))
DAY_16 = at(2027, 4, 16)
DAY_20 = at(2027, 4, 21)
DAY_73 = at(2027, 3, 15)


def change(
    old: Plan,
    new: Plan,
    mode: str,
    *,
    period: Period = APRIL,
    now: int = DAY_16,
    rules: Rules | None = None,
    **more: Any,
) -> Change:
    """Change plan on day 16 of April, 15 of 30 days left, unless told otherwise."""
    return change_plan(old, new, period, mode=mode, now=now, rules=rules or Rules(), **more)


def outcome(sums: Bill) -> str:
    """Return what the tables print: `25.00`, or `credit 30.00`."""
    if sums.credits > 0 and not sums.due:
        return f"credit {sums.credits / 100:.2f}"
    return f"{sums.due / 100:.2f}"
