"""Saved payment methods: which one paid, and whether it may be charged with one click."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from encore.rules.money import is_chargeable
from encore.rules.quotes import QuotedMethod

# UPI is India's and moves rupees only; everything else is known by trying (the provider names no currencies).
RUPEE_ONLY_TYPES = frozenset({"upi", "upi_collect", "upi_intent"})
_LAST4 = re.compile(r"[0-9]{4}")
_NETWORK = re.compile(r"[A-Za-z0-9 _-]{1,30}")


ExpiryState = Literal["valid", "soon", "expired"]


class MethodReason(StrEnum):
    """Why there is no one-click button: message keys, stored with the decision."""

    NO_CARD = "method.no_card"
    EXPIRED = "method.expired"
    NOT_REUSABLE = "method.not_reusable"
    CURRENCY = "method.currency"
    # Of a subscription: its own card is none that this browser may charge.
    OTHER_CARD = "method.other_card"


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """A method as the provider lists it for one customer; of a card only brand, last four and expiry.

    `kind` is the wire's `payment_method` (`card`, `upi`, ..), `method_type` its `payment_method_type`
    (`credit`, ..). `reusable` is the wire's `recurring_enabled`: None when the provider does not say.
    """

    payment_method_id: str
    kind: str
    method_type: str | None
    network: str | None
    last4: str | None
    expiry_month: int | None
    expiry_year: int | None
    reusable: bool | None

    def as_quoted(self) -> QuotedMethod:
        """The same method as a quote names it."""
        return QuotedMethod(
            payment_method_id=self.payment_method_id,
            kind=self.kind,
            network=self.network,
            last4=self.last4,
            expiry_month=self.expiry_month,
            expiry_year=self.expiry_year,
        )


@dataclass(frozen=True, slots=True)
class Usable:
    """The method may stand behind a one-click button."""

    method: SavedMethod


@dataclass(frozen=True, slots=True)
class Unusable:
    """No one-click button; the standard checkout is offered, with the reason."""

    reason: MethodReason


MethodCheck = Usable | Unusable


def pre_check(method: SavedMethod | None, *, currency: str, now: int) -> MethodCheck:
    """Decide whether the method that paid may be charged `currency` with one click.

    `now` is epoch milliseconds. None means that no method matched the payment. A card is good on the last day of
    its month, in UTC.
    """
    if method is None:
        return Unusable(MethodReason.NO_CARD)
    if _is_expired(method, now=now):
        return Unusable(MethodReason.EXPIRED)
    if method.reusable is False:
        return Unusable(MethodReason.NOT_REUSABLE)
    if not _can_pay(method, currency):
        return Unusable(MethodReason.CURRENCY)
    return Usable(method)


def expiry_state(method: SavedMethod, *, now: int) -> ExpiryState:
    """Tell how long a card is still good: `soon` is this month and the next (our choice: time for one more renewal)."""
    if _is_expired(method, now=now):
        return "expired"
    if method.expiry_month is None or method.expiry_year is None:
        return "valid"
    today = datetime.fromtimestamp(now / 1000, tz=UTC)
    months_left = (method.expiry_year - today.year) * 12 + method.expiry_month - today.month
    return "soon" if months_left <= 1 else "valid"


def method_that_paid(
    methods: Iterable[SavedMethod],
    *,
    payment_method_id: str | None,
    network: str | None,
    last4: str | None,
    expiry_month: int | None,
    expiry_year: int | None,
) -> SavedMethod | None:
    """Find the method that paid, by its id, else by network, last four and expiry, all known and all equal.

    None when nothing or more than one matches. Never the most recently used: paying proves possession of
    one card, and another saved card of the same customer record may be somebody else's.
    """
    listed = tuple(methods)
    by_id = {m.payment_method_id: m for m in listed if m.payment_method_id == payment_method_id}
    if payment_method_id is not None and by_id:
        return by_id[payment_method_id]
    wanted = _card_facts(network, last4, expiry_month, expiry_year)
    if wanted is None:
        return None
    alike = [m for m in listed if _card_facts(m.network, m.last4, m.expiry_month, m.expiry_year) == wanted]
    return alike[0] if len(alike) == 1 else None


def read_expiry(month: str | None, year: str | None) -> tuple[int, int] | None:
    """Read the wire's expiry, `"01"`..`"12"` and `"2029"` or `"29"`, as (month, four-digit year), else None."""
    if not _is_digits(month, 2) or not _is_digits(year, 4) or not month or not year:
        return None
    number = int(year)
    if not 1 <= int(month) <= 12 or len(year) not in (2, 4):
        return None
    return int(month), number if len(year) == 4 else 2000 + number


def read_last4(text: str | None) -> str | None:
    """Read the last four digits of a card; anything else is not kept, least of all a whole number sent by mistake."""
    return text if text is not None and _LAST4.fullmatch(text) else None


def read_network(text: str | None) -> str | None:
    """Read the name of a card's network, `visa`, `american_express`; what cannot be one is not kept."""
    return text if text is not None and _NETWORK.fullmatch(text) else None


def _is_digits(text: str | None, longest: int) -> bool:
    return text is not None and text.isascii() and text.isdigit() and len(text) <= longest


def _card_facts(
    network: str | None, last4: str | None, expiry_month: int | None, expiry_year: int | None
) -> tuple[str, str, int, int] | None:
    # One unknown fact is not an equal fact: without all of them the card is not identified.
    if not network or not last4 or expiry_month is None or expiry_year is None:
        return None
    # The wire spells networks in lower case, older data in upper.
    return network.lower(), last4, expiry_month, expiry_year


def _is_expired(method: SavedMethod, *, now: int) -> bool:
    # Without an expiry (wallets, UPI) only the bank knows.
    if method.expiry_month is None or method.expiry_year is None:
        return False
    today = datetime.fromtimestamp(now / 1000, tz=UTC)
    return (today.year, today.month) > (method.expiry_year, method.expiry_month)


def _can_pay(method: SavedMethod, currency: str) -> bool:
    if method.kind in RUPEE_ONLY_TYPES or method.method_type in RUPEE_ONLY_TYPES:
        return currency == "INR"
    return is_chargeable(currency)
