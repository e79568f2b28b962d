"""Calendar, rounding, tax, currency and credit, by themselves."""

from fractions import Fraction

import pytest

from sandbox.money.calendar import DAY_MS, next_date
from sandbox.money.credit import Entry, NotEnoughCredit, balance, put_back, spend
from sandbox.money.currency import Adapted, UnknownRate, adapt, convert, currency_of, fee_bps, minimum_charge
from sandbox.money.rounding import contained, share, to_minor
from sandbox.money.tax import CATEGORIES, rate_bp, tax_of
from tests.sandbox.money.plans import at, day


@pytest.mark.parametrize(
    ("start", "count", "interval", "following"),
    [
        ((2027, 4, 16), 1, "Month", "2027-05-16"),
        ((2027, 1, 31), 1, "Month", "2027-02-28"),
        ((2028, 1, 31), 1, "Month", "2028-02-29"),
        ((2027, 12, 31), 2, "Month", "2028-02-29"),
        ((2028, 2, 29), 1, "Year", "2029-02-28"),
        ((2027, 7, 23), 1, "Month", "2027-08-23"),
        ((2027, 7, 23), 2, "Week", "2027-08-06"),
        ((2027, 12, 31), 1, "Day", "2028-01-01"),
        ((2027, 1, 15), 20, "Year", "2047-01-15"),
    ],
)
def test_calendar_month(start: tuple[int, int, int], count: int, interval: str, following: str) -> None:
    assert day(next_date(at(*start), count, interval)) == following


def test_the_31st_comes_back_after_a_short_month() -> None:
    days, moment = [], at(2027, 1, 31)
    for _ in range(4):
        moment = next_date(moment, 1, "Month", anchor_day=31)
        days.append(day(moment))

    assert days == ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]


def test_leap_day_comes_back_in_a_leap_year() -> None:
    moment, days = at(2028, 2, 29), []
    for _ in range(4):
        moment = next_date(moment, 1, "Year", anchor_day=29)
        days.append(day(moment))

    assert days == ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]


def test_days_30_counts_days() -> None:
    assert day(next_date(at(2027, 1, 16), 1, "Month", calendar="days_30")) == "2027-02-15"
    assert next_date(0, 1, "Year", calendar="days_30") == 365 * DAY_MS


def test_time_of_day_survives() -> None:
    moment = at(2027, 1, 31, 13) + 456_789

    assert next_date(moment, 1, "Month") == at(2027, 2, 28, 13) + 456_789


@pytest.mark.parametrize(
    ("value", "half_up", "half_even"),
    [("0.5", 1, 0), ("1.5", 2, 2), ("2.5", 3, 2), ("-0.5", -1, 0), ("-2.5", -3, -2), ("2.49", 2, 2), ("-2.51", -3, -3)],
)
def test_rounding(value: str, half_up: int, half_even: int) -> None:
    assert (to_minor(Fraction(value)), to_minor(Fraction(value), "half_even")) == (half_up, half_even)


def test_share_and_contained() -> None:
    assert share(1005, 1000) == 101
    assert contained(2400, 1900) == 383


def test_tax_differs_by_country_and_category() -> None:
    assert [rate_bp("FR", None, category) for category in CATEGORIES] == [2000, 2000, 550, 2000, 0]
    assert [rate_bp("US", "10001", category) for category in CATEGORIES] == [800, 800, 800, 800, 0]
    assert [rate_bp("US", "94107", category) for category in CATEGORIES] == [850, 0, 850, 850, 0]
    assert (rate_bp("US", None, "saas"), rate_bp("HK", None, "saas"), rate_bp("VN", None, "e_book")) == (0, 0, 1000)


def test_tax_is_added_or_contained() -> None:
    assert tax_of(2000, 1600, inclusive=False) == 320
    assert tax_of(2400, 1900, inclusive=True) == 383


@pytest.mark.parametrize(
    ("cents", "bps"), [(100, 400), (49_999, 400), (50_000, 300), (150_000, 300), (150_001, 200), (900_000, 200)]
)
def test_fee_tiers(cents: int, bps: int) -> None:
    assert fee_bps(cents, "USD") == bps


def test_buyer_pays_the_fee_unless_it_is_included() -> None:
    # 100 rupees' worth: the docs' own example says it became 104.
    dollars = convert(10_000, "INR", "USD")
    assert dollars == 119
    added, included = (adapt(8400, "USD", "INR", fees_inclusive=inside) for inside in (False, True))

    assert (included.currency, included.amount, included.fee) == ("INR", 705_600, 0)
    assert (added.amount, added.fee) == (733_824, 28_224)


def test_conversion_minds_decimals() -> None:
    assert convert(4900, "USD", "JPY") == 7350
    assert convert(4900, "USD", "VND") == 1_244_600
    assert convert(199_000, "VND", "USD") == 783


def test_own_currency_costs_no_fee() -> None:
    assert adapt(3000, "EUR", "EUR", fees_inclusive=False) == Adapted("EUR", 3000, 0)
    assert (currency_of("DE"), currency_of("IN"), currency_of("KP")) == ("EUR", "INR", None)


def test_unknown_rate_is_named() -> None:
    with pytest.raises(UnknownRate, match="XPF"):
        convert(100, "USD", "XPF")


def test_minimum_charges() -> None:
    found = {code: minimum_charge(code) for code in ("USD", "EUR", "GBP", "INR", "CAD", "AUD", "VND")}

    assert found == {"USD": 50, "EUR": 50, "GBP": 30, "INR": 500, "CAD": 50, "AUD": 50, "VND": 0}


ENTRIES = [Entry("sub_a", "USD", 1000), Entry("sub_b", "USD", 500), Entry("sub_a", "EUR", 70)]


def test_credit_of_one_subscription_or_of_the_customer() -> None:
    reach = {"subscription_id": "sub_a", "currency": "USD"}

    assert balance(ENTRIES, scope="subscription", **reach) == 1000
    assert balance(ENTRIES, scope="customer_currency", **reach) == 1500


def test_own_credit_is_spent_first() -> None:
    spent = spend(ENTRIES, 700, subscription_id="sub_b", currency="USD", scope="customer_currency")

    assert [(entry.subscription_id, entry.amount) for entry in spent] == [("sub_b", -500), ("sub_a", -200)]


def test_more_than_there_is_cannot_be_spent() -> None:
    with pytest.raises(NotEnoughCredit):
        spend(ENTRIES, 1001, subscription_id="sub_a", currency="USD", scope="subscription")


def test_failed_payment_puts_back_what_it_took_and_added() -> None:
    reach = {"subscription_id": "sub_a", "currency": "USD", "scope": "subscription"}
    taken = [*ENTRIES, *spend(ENTRIES, 800, payment_id="pay_1", **reach)]

    assert balance([*taken, *put_back(taken, "pay_1")], **reach) == 1000


def test_credit_spent_meanwhile_is_not_taken_twice() -> None:
    entries = [Entry("sub_a", "USD", 30, "pay_1"), Entry("sub_a", "USD", -20, "pay_2")]

    assert [entry.amount for entry in put_back(entries, "pay_1")] == [-10]
