from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from encore.rules.methods import (
    MethodReason,
    SavedMethod,
    Unusable,
    Usable,
    method_that_paid,
    pre_check,
    read_expiry,
    read_last4,
    read_network,
)
from tests.rules.samples import CARD, NOON

PAID = {"payment_method_id": None, "network": "visa", "last4": "4242", "expiry_month": 6, "expiry_year": 2032}


def at(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def found(*methods: SavedMethod, **changes: Any) -> SavedMethod | None:
    return method_that_paid(methods, **{**PAID, **changes})


@pytest.mark.criterion("R4b")
def test_the_method_named_by_the_payment_is_found_by_id() -> None:
    other = replace(CARD, payment_method_id="pm_2", last4="1111")

    assert found(other, CARD, payment_method_id="pm_1", network=None) == CARD


@pytest.mark.criterion("R4b")
def test_without_id_all_four_facts_find_the_method() -> None:
    assert found(replace(CARD, payment_method_id="pm_2", last4="1111"), CARD) == CARD
    assert found(CARD, network="VISA") == CARD


def test_an_id_that_is_not_listed_falls_back_to_the_facts() -> None:
    assert found(CARD, payment_method_id="pm_gone") == CARD


@pytest.mark.criterion("R4b")
@pytest.mark.parametrize(
    "change",
    [
        {"network": "mastercard"},
        {"last4": "1111"},
        {"expiry_month": 7},
        {"expiry_year": 2031},
        {"network": None},
        {"last4": None},
        {"expiry_month": None},
        {"expiry_year": None},
        {"network": ""},
    ],
    ids=str,
)
def test_one_fact_that_differs_or_is_unknown_finds_nothing(change: dict[str, Any]) -> None:
    assert found(CARD, **change) is None


def test_two_unknown_expiries_are_not_equal() -> None:
    assert found(replace(CARD, expiry_month=None), expiry_month=None) is None


@pytest.mark.criterion("R4b")
def test_two_cards_alike_find_nothing() -> None:
    assert found(CARD, replace(CARD, payment_method_id="pm_2")) is None


@pytest.mark.criterion("R4b")
def test_a_single_other_card_is_never_taken_instead() -> None:
    assert found(replace(CARD, payment_method_id="pm_2", last4="1111")) is None
    assert found() is None


def test_a_good_card_is_usable() -> None:
    assert pre_check(CARD, currency="USD", now=NOON) == Usable(CARD)


@pytest.mark.criterion("R5a")
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (at(2032, 6, 1), Usable(CARD)),
        (at(2032, 6, 30, 23), Usable(CARD)),
        (at(2032, 7, 1), Unusable(MethodReason.EXPIRED)),
        (at(2033, 1, 1), Unusable(MethodReason.EXPIRED)),
    ],
    ids=["first day", "last day", "next month", "next year"],
)
def test_card_is_good_on_the_last_day_of_its_month(now: int, expected: object) -> None:
    assert pre_check(CARD, currency="USD", now=now) == expected


def test_december_lasts_until_the_year_ends() -> None:
    december = replace(CARD, expiry_month=12, expiry_year=2026)

    assert pre_check(december, currency="USD", now=at(2026, 12, 31, 23)) == Usable(december)
    assert pre_check(december, currency="USD", now=at(2027, 1, 1)) == Unusable(MethodReason.EXPIRED)


def test_no_method_leads_to_the_checkout() -> None:
    assert pre_check(None, currency="USD", now=NOON) == Unusable(MethodReason.NO_CARD)


@pytest.mark.criterion("R5a")
@pytest.mark.parametrize(("reusable", "usable"), [(True, True), (None, True), (False, False)])
def test_a_method_marked_single_use_is_not_charged(reusable: bool | None, usable: bool) -> None:
    method = replace(CARD, reusable=reusable)

    expected = Usable(method) if usable else Unusable(MethodReason.NOT_REUSABLE)
    assert pre_check(method, currency="USD", now=NOON) == expected


@pytest.mark.criterion("R5a")
@pytest.mark.parametrize("name", ["upi", "upi_collect", "upi_intent"])
@pytest.mark.parametrize("where", ["kind", "method_type"])
@pytest.mark.parametrize("currency", ["INR", "USD"])
def test_upi_pays_rupees_only(where: str, name: str, currency: str) -> None:
    changes: dict[str, Any] = {"last4": None, "expiry_month": None, "expiry_year": None, where: name}
    method = replace(CARD, **changes)

    expected = Usable(method) if currency == "INR" else Unusable(MethodReason.CURRENCY)
    assert pre_check(method, currency=currency, now=NOON) == expected


def test_a_currency_the_provider_cannot_charge_leads_to_the_checkout() -> None:
    assert pre_check(CARD, currency="KWD", now=NOON) == Unusable(MethodReason.CURRENCY)


@pytest.mark.parametrize(
    ("month", "year", "expected"),
    [
        ("06", "2032", (6, 2032)),
        ("6", "32", (6, 2032)),
        ("12", "2029", (12, 2029)),
        ("13", "2029", None),
        ("00", "2029", None),
        ("06", "203", None),
        ("06", "20325", None),
        ("", "2032", None),
        ("06", "", None),
        (None, "2032", None),
        ("06", None, None),
        ("x6", "2032", None),
        ("-6", "2032", None),
        ("٠٦", "2032", None),
    ],
)
def test_expiry_is_read_or_left_unknown(month: str | None, year: str | None, expected: object) -> None:
    assert read_expiry(month, year) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4242", "4242"),
        (None, None),
        ("", None),
        ("424", None),
        ("4242424242424242", None),
        ("<b>4", None),
        ("٣٣٣٣", None),
    ],
)
def test_only_four_digits_of_a_card_are_kept(text: str | None, expected: str | None) -> None:
    assert read_last4(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("visa", "visa"),
        ("american_express", "american_express"),
        (None, None),
        ("", None),
        ("<b>", None),
        ("x" * 31, None),
    ],
)
def test_only_what_may_be_a_network_is_kept(text: str | None, expected: str | None) -> None:
    assert read_network(text) == expected
