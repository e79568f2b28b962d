"""The renewals a credit pays for: a drawing for the buyer at today's prices, never a charge of ours.

This and the split of a preview are the only two sums we make of the provider's amounts (proration.md, section 1).
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from encore.rules.money import Money
from encore.rules.plan_changes import Period

# More rows than a page can hold say nothing more; the last one then still has credit left.
MAX_RENEWALS = 12


@dataclass(frozen=True, slots=True)
class Renewal:
    """One later payment: its price, what the credit pays of it, what is left to pay, and the credit left then."""

    at: int
    price: Money
    used: Money
    to_pay: Money
    left: Money


def draw_renewals(credit: Money, price: Money, *, first_at: int, period: Period) -> tuple[Renewal, ...]:
    """Draw the renewals until the credit is used up, that one included; none without credit or a price.

    `first_at` is the first renewal in epoch milliseconds. `price` is each renewal's, in the credit's currency.
    """
    if credit.currency != price.currency or credit.minor == 0 or price.minor == 0:
        return ()
    rows: list[Renewal] = []
    left = credit
    while left.minor > 0 and len(rows) < MAX_RENEWALS:
        used = min(left, price, key=lambda amount: amount.minor)
        left = left - used
        at = _later(first_at, period=period, times=len(rows))
        rows.append(Renewal(at=at, price=price, used=used, to_pay=price - used, left=left))
    return tuple(rows)


def draw_year(credit: Money, price: Money, *, first_at: int, period: Period, now: int) -> tuple[Renewal, ...]:
    """Draw every renewal of the twelve months from `now`, whether or not the credit lasts so long.

    Times are epoch milliseconds. Credit of another currency than the price's pays for none of them.
    """
    until = _later(now, period=Period(1, "Year"), times=1)
    nothing = Money(0, price.currency)
    rows: list[Renewal] = []
    left = credit
    while (at := _later(first_at, period=period, times=len(rows))) < until:
        used = min(left, price, key=lambda amount: amount.minor) if credit.currency == price.currency else nothing
        left = left - used if used.minor else left
        rows.append(Renewal(at=at, price=price, used=used, to_pay=price - used, left=left))
    return tuple(rows)


def _later(at: int, *, period: Period, times: int) -> int:
    start = datetime.fromtimestamp(at / 1000, UTC)
    steps = period.count * times
    match period.unit.lower():
        case "day":
            moved = start + timedelta(days=steps)
        case "week":
            moved = start + timedelta(weeks=steps)
        case "year":
            moved = _months_later(start, 12 * steps)
        case _:
            moved = _months_later(start, steps)
    return at + int((moved - start).total_seconds() * 1000)


def _months_later(start: datetime, months: int) -> datetime:
    """Move by calendar months; a day that a month lacks is its last one."""
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))
