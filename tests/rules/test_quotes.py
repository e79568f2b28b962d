import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.money import MixedCurrency, Money
from encore.rules.quotes import (
    QUOTE_FRESH_MS,
    Moved,
    Quote,
    QuotedMethod,
    QuoteLine,
    QuoteUnreadable,
    Same,
    compare,
    freeze,
    is_stale,
    quote_hash,
    thaw,
)
from tests.rules.samples import NOON, quote, usd

texts = st.text(max_size=12)
names = st.none() | texts
years = st.none() | st.integers(2020, 2060)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    currency = draw(st.sampled_from(["USD", "VND", "EUR"]))
    money = st.integers(0, 10**9).map(lambda minor: Money(minor, currency))
    line = st.builds(QuoteLine, texts, texts, st.integers(1, 9), money)
    method = st.builds(QuotedMethod, texts, texts, names, names, st.none() | st.integers(1, 12), years)
    return Quote(
        product_id=draw(texts),
        quantity=draw(st.integers(1, 9)),
        discount_code=draw(names),
        lines=tuple(draw(st.lists(line, max_size=3))),
        subtotal=draw(money),
        discount=draw(money),
        tax=draw(money),
        total=draw(money),
        tax_inclusive=draw(st.booleans()),
        country=draw(texts),
        method=draw(st.none() | method),
        previewed_at=draw(st.integers(0, 2**45)),
    )


CHANGES: dict[str, dict[str, Any]] = {
    "product": {"product_id": "pdt_other"},
    "quantity": {"quantity": 2},
    "discount code": {"discount_code": "TEN"},
    "line amount": {"lines": (QuoteLine("pdt_bundle", "Bundle", 1, usd(1999)),)},
    "line quantity": {"lines": (QuoteLine("pdt_bundle", "Bundle", 2, usd(2000)),)},
    "subtotal": {"subtotal": usd(2001)},
    "discount": {"discount": usd(1)},
    "tax": {"tax": usd(319)},
    "total up": {"total": usd(2321)},
    "total down": {"total": usd(2319)},
    "tax inclusive": {"tax_inclusive": True},
}


@given(a=quotes())
def test_frozen_quote_thaws_unchanged(a: Quote) -> None:
    assert thaw(freeze(a)) == a


@given(a=quotes(), b=quotes())
def test_equal_text_exactly_for_equal_quotes(a: Quote, b: Quote) -> None:
    assert (freeze(a) == freeze(b)) == (a == b)


@given(a=quotes(), later=st.integers(0, 2**45))
def test_hash_ignores_when_it_was_previewed(a: Quote, later: int) -> None:
    assert quote_hash(a) == quote_hash(replace(a, previewed_at=later))


@given(a=quotes(), b=quotes())
def test_equal_hash_means_equal_figures(a: Quote, b: Quote) -> None:
    if quote_hash(a) == quote_hash(b):
        assert compare(a, b) == Same()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_figure_that_differs_moves_the_quote(change: dict[str, Any]) -> None:
    fresh = quote(**change)

    assert compare(quote(), fresh) == Moved(old_total=usd(2320), new_total=fresh.total)
    assert quote_hash(fresh) != quote_hash(quote())


def test_another_currency_moves_the_quote() -> None:
    fresh = quote(
        lines=(QuoteLine("pdt_bundle", "Bundle", 1, Money(2000, "EUR")),),
        subtotal=Money(2000, "EUR"),
        discount=Money(0, "EUR"),
        tax=Money(320, "EUR"),
        total=Money(2320, "EUR"),
    )

    assert compare(quote(), fresh) == Moved(old_total=usd(2320), new_total=Money(2320, "EUR"))


def test_same_figures_are_the_same_quote() -> None:
    renamed = (QuoteLine("pdt_bundle", "The bundle", 1, usd(2000)),)

    assert compare(quote(), quote(previewed_at=NOON + 1, method=None, lines=renamed)) == Same()


def test_another_card_changes_what_is_agreed_to() -> None:
    other = QuotedMethod("pm_2", "card", "visa", "4242", 6, 2032)

    assert quote_hash(quote(method=other)) != quote_hash(quote())
    assert quote_hash(quote(method=None)) != quote_hash(quote())


def test_amounts_of_a_quote_share_one_currency() -> None:
    with pytest.raises(MixedCurrency):
        quote(tax=Money(320, "EUR"))
    with pytest.raises(MixedCurrency):
        quote(lines=(QuoteLine("pdt_bundle", "Bundle", 1, Money(1, "EUR")),))


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(0, False), (QUOTE_FRESH_MS, False), (QUOTE_FRESH_MS + 1, True), (-1, True)],
    ids=["now", "a minute", "over a minute", "from the future"],
)
def test_quote_is_stale_after_a_minute(age_ms: int, expected: bool) -> None:
    assert is_stale(quote(), NOON + age_ms) is expected


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "1", "not json", freeze(quote()) + " ", freeze(quote())[:-1], "[" * 100_000],
    ids=["empty", "no fields", "list", "null", "number", "no json", "padded", "cut", "deep"],
)
def test_a_broken_quote_is_never_thawed(text: str) -> None:
    with pytest.raises(QuoteUnreadable):
        thaw(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantity", True),
        ("quantity", 1.0),
        ("total", 23.2),
        ("total", -1),
        ("total", "2320"),
        ("currency", "usd"),
        ("tax_inclusive", 0),
        ("country", None),
        ("method", {"payment_method_id": "pm_1"}),
        ("method", []),
        ("lines", [{}]),
        ("previewed_at", None),
        ("added", 1),
    ],
    ids=str,
)
def test_a_wrongly_typed_quote_is_never_thawed(name: str, value: object) -> None:
    table = json.loads(freeze(quote()))
    text = json.dumps({**table, name: value}, sort_keys=True, separators=(",", ":"))

    with pytest.raises(QuoteUnreadable):
        thaw(text)
