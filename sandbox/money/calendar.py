"""Billing dates. Times are epoch milliseconds, UTC."""

from datetime import UTC, datetime, timedelta

DAY_MS = 86_400_000
CALENDARS = ("calendar_month", "days_30")
INTERVALS = ("Day", "Week", "Month", "Year")
# `days_30`: the docs' own example of a prorated change (16 Jan renews 15 Feb); a year of 365 days is our choice.
_DAYS = {"Day": 1, "Week": 7, "Month": 30, "Year": 365}


def next_date(
    moment: int, count: int, interval: str, *, calendar: str = "calendar_month", anchor_day: int | None = None
) -> int:
    """Return the billing date `count` intervals after `moment`.

    In calendar months the 31st becomes the last day of a shorter month. `anchor_day` is the day of the month that
    the subscription bills on: with it, 31 Jan, 28 Feb is followed by 31 March; without it, by 28 March (our choice:
    the docs say nothing of month ends). `calendar` is the switch `renewal_calendar`.
    """
    if interval in ("Day", "Week") or calendar == "days_30":
        return moment + count * _DAYS[interval] * DAY_MS
    start = datetime.fromtimestamp(moment // 1000, tz=UTC)
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "Year" else 1)
    year, month = divmod(months, 12)
    first = start.replace(year=year, month=month + 1, day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    last_day = (following - timedelta(days=1)).day
    day = first.replace(day=min(anchor_day or start.day, last_day))
    return round(day.timestamp()) * 1000 + moment % 1000


def day_of_month(moment: int) -> int:
    """Return the UTC day of the month, for `anchor_day`."""
    return datetime.fromtimestamp(moment // 1000, tz=UTC).day
