from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.money import (
    KNOWN,
    MAX_MINOR,
    THREE_DECIMAL,
    ZERO_DECIMAL,
    BadAmount,
    MixedCurrency,
    Money,
    exponent,
    is_chargeable,
    to_decimal,
)

minors = st.integers(min_value=0, max_value=MAX_MINOR)


@pytest.mark.parametrize("minor", [True, False, 1.0, "1", None, -1, MAX_MINOR + 1, 2**63, 1e400, Decimal(1)], ids=repr)
def test_only_whole_minor_units_are_amounts(minor: object) -> None:
    with pytest.raises(BadAmount):
        Money(minor, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDX", "U5D", "ĐÔL", None, 840], ids=repr)
def test_only_three_capitals_are_a_currency(currency: object) -> None:
    with pytest.raises(BadAmount):
        Money(1, currency)  # type: ignore[arg-type]


@pytest.mark.parametrize("minor", [0, 1, MAX_MINOR])
def test_bounds_are_amounts(minor: int) -> None:
    assert Money(minor, "USD").minor == minor


def test_currencies_do_not_mix() -> None:
    dollars, dong = Money(100, "USD"), Money(100, "VND")

    for mix in (
        lambda: dollars + dong,
        lambda: dollars - dong,
        lambda: dollars < dong,
        lambda: dollars <= dong,
        lambda: dollars > dong,
        lambda: dollars >= dong,
    ):
        with pytest.raises(MixedCurrency):
            mix()
    assert dollars != dong


def test_a_number_is_not_added_to_money() -> None:
    with pytest.raises(TypeError):
        Money(100, "USD") + 1  # type: ignore[operator]


def test_a_difference_below_zero_is_refused() -> None:
    with pytest.raises(BadAmount):
        Money(1, "USD") - Money(2, "USD")


@pytest.mark.parametrize("quantity", [-1, 1.0, True])
def test_a_quantity_is_a_whole_number(quantity: object) -> None:
    with pytest.raises(BadAmount):
        Money(1, "USD").times(quantity)  # type: ignore[arg-type]


@given(a=minors, b=minors)
def test_adding_then_subtracting_gives_the_same(a: int, b: int) -> None:
    if a + b <= MAX_MINOR:
        assert Money(a, "EUR") + Money(b, "EUR") - Money(b, "EUR") == Money(a, "EUR")


@given(a=minors, b=minors)
def test_order_is_that_of_the_minor_units(a: int, b: int) -> None:
    one, other = Money(a, "EUR"), Money(b, "EUR")

    assert (one < other, one <= other, one > other, one >= other) == (a < b, a <= b, a > b, a >= b)


@given(minor=minors, currency=st.sampled_from(sorted(KNOWN)))
def test_decimal_is_exact(minor: int, currency: str) -> None:
    shown = to_decimal(Money(minor, currency))

    assert shown * 10 ** exponent(currency) == minor
    assert -int(shown.as_tuple().exponent) == exponent(currency)


def test_money_times_quantity() -> None:
    assert Money(250, "USD").times(4) == Money(1000, "USD")


def test_the_provider_lists_145_currencies_16_without_decimals() -> None:
    assert len(KNOWN) == 145
    assert len(ZERO_DECIMAL) == 16
    assert {exponent(code) for code in ZERO_DECIMAL} == {0}
    assert {exponent(code) for code in KNOWN - ZERO_DECIMAL - THREE_DECIMAL} == {2}


@pytest.mark.parametrize("currency", sorted(THREE_DECIMAL))
def test_no_three_decimal_currency_is_chargeable(currency: str) -> None:
    assert not is_chargeable(currency)
    assert exponent(currency) == 3


@pytest.mark.parametrize(("currency", "expected"), [("USD", True), ("VND", True), ("INR", True), ("XXX", False)])
def test_listed_currencies_are_chargeable(currency: str, expected: bool) -> None:
    assert is_chargeable(currency) is expected
