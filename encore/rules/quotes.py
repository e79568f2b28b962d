"""Quotes: what the provider previewed, frozen as shown, hashed, and compared with what it says later."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from encore.rules.money import MixedCurrency, Money

# Past this age the price is asked for again before anything is charged: long enough to read an offer, short
# enough that a price change at the provider is seen before the click counts.
QUOTE_FRESH_MS = 60_000


class QuoteUnreadable(ValueError):
    """A stored quote that is not what `freeze` writes."""


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """One line of a quote; `amount` is what the provider asks for the line, before tax and discount."""

    product_id: str
    name: str
    quantity: int
    amount: Money


@dataclass(frozen=True, slots=True)
class QuotedMethod:
    """The saved method a quote would charge: `kind` is `card`, `upi`, .. No other fact of a card is kept."""

    payment_method_id: str
    kind: str
    network: str | None
    last4: str | None
    expiry_month: int | None
    expiry_year: int | None


@dataclass(frozen=True, slots=True)
class Quote:
    """A price as the provider previewed it, and the method that would pay it (None: the hosted checkout).

    All amounts share one currency and are the provider's figures: nothing here is computed by us. `total`
    is what is charged, tax included. `country` is ISO 3166 alpha-2, `previewed_at` epoch milliseconds.
    Raises MixedCurrency if the amounts do not share a currency.
    """

    product_id: str
    quantity: int
    discount_code: str | None
    lines: tuple[QuoteLine, ...]
    subtotal: Money
    discount: Money
    tax: Money
    total: Money
    tax_inclusive: bool
    country: str
    method: QuotedMethod | None
    previewed_at: int

    def __post_init__(self) -> None:
        amounts = (self.subtotal, self.discount, self.tax, *(line.amount for line in self.lines))
        if any(amount.currency != self.total.currency for amount in amounts):
            raise MixedCurrency("a quote has one currency")

    @property
    def currency(self) -> str:
        """The currency of every amount of the quote."""
        return self.total.currency


@dataclass(frozen=True, slots=True)
class Same:
    """The fresh quote asks for exactly what was shown."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The fresh quote differs from the one shown: show both totals and charge nothing."""

    old_total: Money
    new_total: Money


Comparison = Same | Moved


def compare(shown: Quote, fresh: Quote) -> Comparison:
    """Tell whether a fresh quote is the one the buyer saw.

    For a one-time offer any difference moves it, a lower price and a shifted tax included: the buyer
    agreed to these figures and no others. Names, the method and the time of the preview are not figures.
    """
    if _figures(shown) == _figures(fresh):
        return Same()
    return Moved(old_total=shown.total, new_total=fresh.total)


def is_stale(quote: Quote, now: int) -> bool:
    """Whether the quote must be previewed again before a claim. `now` is epoch milliseconds."""
    # A preview from the future means that a clock was moved: its age is unknown, so it counts as old.
    return not 0 <= now - quote.previewed_at <= QUOTE_FRESH_MS


def freeze(quote: Quote) -> str:
    """Write the quote as canonical JSON: sorted keys, no spaces, so that equal quotes are equal text."""
    return _canonical({**_agreed(quote), "previewed_at": quote.previewed_at, "method": _method_table(quote.method)})


@lru_cache(maxsize=256)
def thaw(text: str) -> Quote:
    """Read back what `freeze` wrote. Raises QuoteUnreadable for anything else."""
    try:
        table = json.loads(text)
        quote = _quote_of(table)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
        raise QuoteUnreadable(f"not a frozen quote: {fault}") from fault
    # A rewritten quote must be the same text, or two readers could take two meanings from one row.
    if freeze(quote) != text:
        raise QuoteUnreadable("not a frozen quote: it is not in canonical form")
    return quote


def quote_hash(quote: Quote) -> str:
    """SHA-256 (hex) over everything a buyer agrees to: product, quantity, amounts, currency, method.

    The time of the preview is left out: asking again at the same price must not void the page being read.
    """
    return hashlib.sha256(_canonical(_agreed(quote)).encode()).hexdigest()


def _figures(quote: Quote) -> tuple[object, ...]:
    return (
        (quote.product_id, quote.quantity, quote.discount_code, quote.tax_inclusive),
        (quote.subtotal, quote.discount, quote.tax, quote.total),
        tuple((line.product_id, line.quantity, line.amount) for line in quote.lines),
    )


def _agreed(quote: Quote) -> dict[str, Any]:
    return {
        "product_id": quote.product_id,
        "quantity": quote.quantity,
        "discount_code": quote.discount_code,
        "lines": [
            {
                "product_id": line.product_id,
                "name": line.name,
                "quantity": line.quantity,
                "amount": line.amount.minor,
            }
            for line in quote.lines
        ],
        "subtotal": quote.subtotal.minor,
        "discount": quote.discount.minor,
        "tax": quote.tax.minor,
        "total": quote.total.minor,
        "currency": quote.currency,
        "tax_inclusive": quote.tax_inclusive,
        "country": quote.country,
        "payment_method_id": quote.method.payment_method_id if quote.method else None,
    }


def _method_table(method: QuotedMethod | None) -> dict[str, Any] | None:
    if method is None:
        return None
    return {
        "payment_method_id": method.payment_method_id,
        "kind": method.kind,
        "network": method.network,
        "last4": method.last4,
        "expiry_month": method.expiry_month,
        "expiry_year": method.expiry_year,
    }


def _quote_of(table: dict[str, Any]) -> Quote:
    currency = table["currency"]
    method = table["method"]
    return Quote(
        product_id=_text(table["product_id"]),
        quantity=_whole(table["quantity"]),
        discount_code=None if table["discount_code"] is None else _text(table["discount_code"]),
        lines=tuple(_line_of(line, currency=currency) for line in table["lines"]),
        subtotal=Money(table["subtotal"], currency),
        discount=Money(table["discount"], currency),
        tax=Money(table["tax"], currency),
        total=Money(table["total"], currency),
        tax_inclusive=_yes_or_no(table["tax_inclusive"]),
        country=_text(table["country"]),
        method=None if method is None else QuotedMethod(**method),
        previewed_at=_whole(table["previewed_at"]),
    )


def _line_of(table: dict[str, Any], *, currency: str) -> QuoteLine:
    return QuoteLine(
        product_id=_text(table["product_id"]),
        name=_text(table["name"]),
        quantity=_whole(table["quantity"]),
        amount=Money(table["amount"], currency),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {value!r}")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number expected, not {value!r}")
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false expected, not {value!r}")
    return value


def _canonical(table: dict[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
