"""What is owed, read from a subscription's payments, and which payments can be of paying it."""

from dataclasses import replace

import pytest

from encore.rules.dues import (
    DuesQuote,
    SeenPayment,
    charged_by_card_change,
    dues_hash,
    freeze_dues,
    has_paid_again,
    is_under_way,
    owed_hash,
    read_owed,
    thaw_dues,
    waiting_for_bank,
)
from encore.rules.money import Money
from encore.rules.quotes import QuotedMethod, QuoteUnreadable

NOW = 1_800_000_000_000
MINUTE = 60_000
CARD = QuotedMethod("pm_1", "card", "visa", "4242", 6, 2032)


def seen(name: str, status: str | None, minor: int, at: int) -> SeenPayment:
    return SeenPayment(name, status, Money(minor, "USD"), at)


HISTORY = (seen("pay_2", "failed", 3000, 200), seen("pay_1", "succeeded", 3000, 100), seen("pay_3", "failed", 0, 300))


def test_the_last_failed_payment_of_money_is_what_is_owed() -> None:
    owed = read_owed(HISTORY, subscription_id="sub_1", billing_at=150, number=2, now=NOW)

    assert (owed.billing, owed.amount, owed.failed_at) == ("pay_2", Money(3000, "USD"), 200)
    assert owed.source_ref == "pay_2/2"


def test_without_a_failed_payment_its_day_is_named_and_no_sum() -> None:
    owed = read_owed(HISTORY[1:2], subscription_id="sub_1", billing_at=150, now=NOW)

    assert (owed.billing, owed.amount, owed.failed_at) == ("sub_1@150", None, 150)


def test_a_payment_counts_from_the_newest_one_known_on_the_providers_own_clock() -> None:
    owed = read_owed(HISTORY, subscription_id="sub_1", billing_at=150, now=NOW)

    assert not owed.is_before("pay_2", made_at=200)
    assert not owed.is_before("pay_3", made_at=300)
    assert owed.is_before("pay_4", made_at=300)


def test_with_no_payment_known_a_clock_that_is_behind_hides_none() -> None:
    owed = read_owed((), subscription_id="sub_1", billing_at=None, now=NOW)

    assert owed.is_before("pay_1", made_at=NOW - 60_000)
    assert not owed.is_before("pay_1", made_at=NOW - 3_600_000)


@pytest.mark.parametrize(("status", "expected"), [("processing", True), (None, True), ("failed", False)])
def test_what_may_still_succeed_by_itself_is_waited_for(status: str | None, expected: bool) -> None:
    assert is_under_way([*HISTORY, seen("pay_4", status, 3000, 400)], now=500) is expected


@pytest.mark.parametrize(
    ("status", "minor", "now", "expected"),
    [
        ("requires_customer_action", 3000, 500, ["pay_4"]),
        ("requires_customer_action", 3000, 399 + 24 * 3_600_000, ["pay_4"]),
        ("requires_customer_action", 3000, 400 + 24 * 3_600_000, []),
        ("requires_customer_action", 0, 500, []),
        # A link that nobody has begun to pay.
        ("requires_payment_method", 3000, 500, []),
        ("processing", 3000, 500, []),
    ],
)
def test_the_bank_is_waited_for_a_day(status: str, minor: int, now: int, expected: list[str]) -> None:
    assert waiting_for_bank([*HISTORY, seen("pay_4", status, minor, 400)], now=now) == expected


@pytest.mark.parametrize(("minor", "now", "expected"), [(3000, 500, True), (3000, NOW, False), (0, 500, False)])
def test_what_was_just_paid_is_not_asked_for_again(minor: int, now: int, expected: bool) -> None:
    """Paid, a subscription may be seen on hold a moment longer; a payment of zero has only saved a method."""
    assert is_under_way([*HISTORY, seen("pay_4", "succeeded", minor, 400)], now=now) is expected


def change(name: str, status: str, minor: int, at: int) -> SeenPayment:
    return replace(seen(name, status, minor, at), charge_type="plan_change")


def test_a_change_of_plan_that_was_declined_since_is_not_what_is_owed() -> None:
    owed = read_owed([*HISTORY, change("pay_4", "failed", 500, 400)], subscription_id="s", billing_at=150, now=NOW)

    assert (owed.billing, owed.amount) == ("pay_2", Money(3000, "USD"))


def test_a_change_that_holds_though_its_payment_failed_is_what_is_owed() -> None:
    owed = read_owed([HISTORY[1], change("pay_4", "failed", 500, 400)], subscription_id="s", billing_at=150, now=NOW)

    assert (owed.billing, owed.amount) == ("pay_4", Money(500, "USD"))


def test_a_change_of_plan_that_was_paid_has_not_paid_what_is_owed() -> None:
    assert not is_under_way([*HISTORY, change("pay_4", "succeeded", 500, 400)], now=500)
    assert is_under_way([*HISTORY, seen("pay_4", "succeeded", 3000, 400)], now=500)


@pytest.mark.parametrize(
    ("minor", "now", "expected"),
    [(3000, 1 + 14 * 24 * 60 * MINUTE, True), (3000, 300 + 14 * 24 * 60 * MINUTE, False), (0, 400, False)],
)
def test_a_payment_that_is_stuck_keeps_nobody_from_paying_for_good(minor: int, now: int, expected: bool) -> None:
    assert is_under_way([seen("pay_1", "requires_confirmation", minor, 300)], now=now) is expected


def test_each_failed_payment_of_what_is_owed_may_be_taken_up_again_and_then_has_paid_twice() -> None:
    earlier = seen("pay_0", "failed", 3000, 150)
    owed = read_owed([*HISTORY, earlier], subscription_id="s", billing_at=150, now=NOW)

    assert has_paid_again(owed, paid_at=500, payment_id="pay_0", made_at=150, period=(None, None))
    assert not has_paid_again(owed, paid_at=500, payment_id="pay_1", made_at=100, period=(None, None))


def test_a_quote_is_read_back_as_it_was_and_its_hash_tells_sum_try_and_method() -> None:
    owed = read_owed(HISTORY, subscription_id="sub_1", billing_at=150, now=NOW)
    again = read_owed(HISTORY, subscription_id="sub_1", billing_at=150, number=1, now=NOW)
    dearer = read_owed((seen("pay_2", "failed", 3001, 200),), subscription_id="sub_1", billing_at=150, now=NOW)
    quotes = [DuesQuote(owed, CARD), DuesQuote(owed, None), DuesQuote(again, CARD), DuesQuote(dearer, CARD)]

    assert [thaw_dues(freeze_dues(quote)) for quote in quotes] == quotes
    assert len({dues_hash(quote) for quote in quotes}) == 4
    assert len({owed_hash(quote.owed) for quote in quotes}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        freeze_dues(DuesQuote(read_owed((), subscription_id="s", billing_at=1, now=NOW), None)) + " ",
    ],
)
def test_anything_else_is_no_quote(text: str) -> None:
    with pytest.raises(QuoteUnreadable):
        thaw_dues(text)


@pytest.mark.parametrize(
    ("before", "paid_after", "expected"),
    [
        ("failed", 0, ["pay_2"]),
        ("failed", 14 * MINUTE, ["pay_2"]),
        ("failed", 16 * MINUTE, []),
        ("failed", -16 * MINUTE, []),
        # A renewal that was simply paid.
        ("succeeded", 0, []),
    ],
)
def test_a_change_of_card_charges_only_what_had_failed_and_at_once(
    before: str, paid_after: int, expected: list[str]
) -> None:
    asked_at = NOW
    seen_ones = [
        seen("pay_1", before, 3000, asked_at - 60 * MINUTE),
        seen("pay_0", "succeeded", 0, asked_at - 30 * MINUTE),
        seen("pay_2", "succeeded", 3000, asked_at + paid_after),
    ]

    assert charged_by_card_change(seen_ones, asked_at=asked_at) == expected


def test_a_change_of_plan_paid_with_the_new_card_was_not_charged_by_the_change_of_card() -> None:
    declined, paid = change("pay_1", "failed", 500, NOW - MINUTE), change("pay_2", "succeeded", 500, NOW + MINUTE)

    assert charged_by_card_change([declined, paid], asked_at=NOW) == []
    # Nor was the renewal that came right after.
    assert charged_by_card_change([declined, seen("pay_3", "succeeded", 3000, NOW + MINUTE)], asked_at=NOW) == []


def test_a_renewal_that_failed_after_the_change_of_card_was_not_charged_by_it() -> None:
    failed = seen("pay_1", "failed", 3000, NOW + 16 * MINUTE)

    assert charged_by_card_change([failed, seen("pay_2", "succeeded", 3000, NOW + 17 * MINUTE)], asked_at=NOW) == []
