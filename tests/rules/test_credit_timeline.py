"""The drawing of what a credit pays for: the figures are those of proration.md, section 2."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from encore.rules.credit_timeline import MAX_RENEWALS, draw_renewals
from encore.rules.money import Money
from encore.rules.plan_changes import Period
from tests.rules.samples import usd

MONTH = Period(1, "Month")
MAY_16 = int(datetime(2027, 5, 16, tzinfo=UTC).timestamp() * 1000)


def to_pay(credit: int, price: int) -> list[int]:
    return [row.to_pay.minor for row in draw_renewals(usd(credit), usd(price), first_at=MAY_16, period=MONTH)]


def days(first: datetime, period: Period, times: int) -> list[str]:
    at = int(first.timestamp() * 1000)
    rows = draw_renewals(usd(100 * times), usd(100), first_at=at, period=period)
    return [datetime.fromtimestamp(row.at / 1000, UTC).date().isoformat() for row in rows]


def test_fifty_pays_one_renewal_of_thirty_and_most_of_the_next() -> None:
    assert to_pay(5000, 3000) == [0, 1000]


def test_sixty_pays_three_renewals_of_twenty() -> None:
    assert to_pay(6000, 2000) == [0, 0, 0]


def test_without_credit_or_price_there_is_nothing_to_draw() -> None:
    assert to_pay(0, 3000) == []
    assert to_pay(5000, 0) == []
    assert draw_renewals(usd(5000), Money(3000, "EUR"), first_at=MAY_16, period=MONTH) == ()


def test_months_keep_their_day_and_short_ones_end_earlier() -> None:
    assert days(datetime(2028, 1, 31, tzinfo=UTC), MONTH, 4) == ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]
    assert days(datetime(2028, 2, 29, tzinfo=UTC), Period(1, "Year"), 2) == ["2028-02-29", "2029-02-28"]
    assert days(datetime(2027, 5, 16, tzinfo=UTC), Period(2, "Week"), 2) == ["2027-05-16", "2027-05-30"]
    assert days(datetime(2027, 5, 16, tzinfo=UTC), Period(30, "Day"), 2) == ["2027-05-16", "2027-06-15"]


@given(credit=st.integers(1, 10**7), price=st.integers(1, 10**6))
def test_credit_is_never_spent_twice(credit: int, price: int) -> None:
    """R18e: granted - used = left, at every row."""
    rows = draw_renewals(usd(credit), usd(price), first_at=MAY_16, period=MONTH)

    used = 0
    for row in rows:
        used += row.used.minor
        assert row.left.minor == credit - used >= 0
        assert row.used + row.to_pay == row.price
    assert rows[-1].left.minor == 0 or len(rows) == MAX_RENEWALS
