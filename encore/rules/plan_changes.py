"""Plan changes: what a buyer asks for, what the provider previewed for it, and whether that may still be charged.

No price is computed here: every amount is read from `change-plan/preview`, frozen as shown, and compared with a later
preview. Source: Dodo's API, `POST /subscriptions/{id}/change-plan` and its preview (SDK 1.123.0).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from encore.rules.money import MixedCurrency, Money
from encore.rules.quotes import QuotedMethod, QuoteUnreadable

# How long a quote of a plan change may be confirmed. Our choice: time to read and to find the card, while a proration
# that moves by the second has moved by a cent or two at most.
QUOTE_LIFE_MS = 10 * 60_000

Mode = Literal[
    "difference_immediately",
    "prorated_immediately",
    "full_immediately",
    "do_not_bill",
    "prorated_immediately_keep_cycle",
]
When = Literal["immediately", "next_billing_date"]
MODES: tuple[Mode, ...] = (
    "difference_immediately",
    "prorated_immediately",
    "full_immediately",
    "do_not_bill",
    "prorated_immediately_keep_cycle",
)
NOW: When = "immediately"
AT_RENEWAL: When = "next_billing_date"
# The only mode the provider takes with `next_billing_date`: any other is refused with
# INVALID_PRORATION_MODE_WITH_NEXT_BILLING_DATE.
MODE_AT_RENEWAL: Mode = "full_immediately"
MAX_SEATS = 10_000

# A subscription in one of these gives access; a grace period counts, a pause does not (dodo-api.md, section 10.1).
STATUSES_WITH_ACCESS = ("active", "past_due")

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Addon:
    """An add-on of a subscription and how many of it."""

    addon_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks a subscription to become; `addons` is the whole set afterwards, not the difference.

    `direction` is whether that is more or less than it is now. `resumes`: it is set to end, and the change lets it go
    on.
    """

    subscription_id: str
    product_id: str
    quantity: int
    addons: tuple[Addon, ...]
    mode: Mode
    when: When
    keeps_discounts: bool = True
    resumes: bool = False
    direction: Literal["up", "down"] = "up"


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One line of a preview: `unit_price` is unprorated, `factor` the share of it as the provider wrote it.

    A negative factor gives back the unused part of what was paid. What a line comes to is in the total only.
    """

    product_id: str
    name: str | None
    unit_price: Money
    quantity: int
    factor: str

    @property
    def is_credit(self) -> bool:
        """Whether the line counts against the sum."""
        return self.factor.startswith("-")


@dataclass(frozen=True, slots=True)
class Period:
    """How often a plan is paid: `unit` is the provider's word (`Day`, `Week`, `Month`, `Year`)."""

    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class PlanQuote:
    """A plan change as the provider previewed it; all amounts are its own.

    `due` is what is charged at `effective_at`, after credit and tax. `credit_used` is what the customer's balance pays
    of it, `credit_added` what the change adds to that balance (their currency may differ: then `subtotal` is None).
    `subtotal` and `tax` are minor units of `due`'s currency, negative for a downgrade, so they stand without Money;
    subtotal + tax - credit_used + credit_added = due. `renewal` is each later payment, before tax unless
    `tax_inclusive`. `state` is what the subscription was (see `subscription_state`). `discounts_kept` and
    `discounts_lost` are the codes that it goes on with and without. Times are epoch milliseconds.
    """

    wish: Wish
    from_product_id: str
    from_quantity: int
    from_addons: tuple[Addon, ...]
    discounts_kept: tuple[str, ...]
    discounts_lost: tuple[str, ...]
    state: str
    lines: tuple[ChangeLine, ...]
    due: Money
    subtotal: int | None
    tax: int | None
    credit_used: Money
    credit_added: Money
    renewal: Money
    tax_inclusive: bool
    period: Period
    next_billing_at: int
    billing_at_before: int | None
    effective_at: int
    method: QuotedMethod | None
    previewed_at: int

    def __post_init__(self) -> None:
        if self.credit_used.currency != self.credit_added.currency:
            raise MixedCurrency("credit has one currency")

    @property
    def is_scheduled(self) -> bool:
        """Whether the change waits for the next renewal."""
        return self.wish.when == AT_RENEWAL

    @property
    def charges_now(self) -> bool:
        """Whether the change charges something at once."""
        return self.due.minor > 0 and not self.is_scheduled

    @property
    def moves_billing_day(self) -> bool:
        """Whether the renewal day is another one afterwards."""
        before = self.billing_at_before
        return not self.is_scheduled and before is not None and before // _DAY_MS != self.next_billing_at // _DAY_MS


Change = Literal["go", "moved", "expired"]


def may_confirm(shown: PlanQuote, fresh: PlanQuote) -> Change:
    """Decide whether a quote that was shown may be confirmed, given what the provider says now.

    `go`: the same change of the same subscription, in the same currency, renewed on the same day and as often, with tax
    in or out of the price as before; due at most what was shown, also together with the credit it takes, a new credit
    at most 1 % lower, renewals no dearer, every discount kept that was said to stay. `expired`: the subscription has
    changed since. Proration moves by the second, so a charge may be a cent lower than shown; never higher.
    Source: proration.md, section 1; charging.md, section 6.
    """
    if shown.wish != fresh.wish or shown.state != fresh.state:
        return "expired"
    is_same_kind = (
        shown.due.currency == fresh.due.currency
        and shown.credit_added.currency == fresh.credit_added.currency
        and shown.credit_used.currency == fresh.credit_used.currency
        and shown.renewal.currency == fresh.renewal.currency
        and shown.period == fresh.period
        and shown.tax_inclusive == fresh.tax_inclusive
        and shown.next_billing_at // _DAY_MS == fresh.next_billing_at // _DAY_MS
    )
    if not is_same_kind:
        return "moved"
    is_no_worse = (
        fresh.due <= shown.due
        and fresh.renewal <= shown.renewal
        and _costs_no_more(shown, fresh)
        and fresh.credit_added.minor * 100 >= shown.credit_added.minor * 99
        # No figure need tell of a discount that later renewals go without.
        and set(shown.discounts_kept) <= set(fresh.discounts_kept)
    )
    return "go" if is_no_worse else "moved"


def _costs_no_more(shown: PlanQuote, fresh: PlanQuote) -> bool:
    """Tell whether what is charged and what is taken from the credit are together no more than shown."""
    if shown.due.currency != shown.credit_used.currency:
        return fresh.credit_used <= shown.credit_used
    return fresh.due.minor + fresh.credit_used.minor <= shown.due.minor + shown.credit_used.minor


def compare_parts(before: tuple[int, tuple[Addon, ...]], after: tuple[int, tuple[Addon, ...]]) -> tuple[bool, bool]:
    """Return whether any part of a subscription, its seats or an add-on, rises, and whether any falls."""
    old = {"": before[0], **{addon.addon_id: addon.quantity for addon in before[1]}}
    new = {"": after[0], **{addon.addon_id: addon.quantity for addon in after[1]}}
    moves = [new.get(part, 0) - old.get(part, 0) for part in old.keys() | new.keys()]
    return any(move > 0 for move in moves), any(move < 0 for move in moves)


def subscription_state(facts: Mapping[str, Any]) -> str:
    """Return a short hash of everything about a subscription that a quote depends on.

    `facts` are plain JSON values: product, quantity, add-ons, status, billing dates, scheduled changes, discounts, ..
    """
    return hashlib.sha256(_canonical(facts).encode()).hexdigest()[:32]


def is_done(
    wish: Wish,
    *,
    product_id: str,
    quantity: int,
    addons: tuple[Addon, ...],
    scheduled: tuple[str, int, tuple[Addon, ...]] | None,
) -> bool:
    """Tell whether a subscription is what the wish makes of it, or is scheduled to become that.

    `scheduled` is its scheduled change: product, quantity and add-ons.
    """
    wanted = (wish.product_id, wish.quantity, _as_set(wish.addons))
    if wanted == (product_id, quantity, _as_set(addons)):
        return True
    return scheduled is not None and wanted == (scheduled[0], scheduled[1], _as_set(scheduled[2]))


def _as_set(addons: tuple[Addon, ...]) -> frozenset[tuple[str, int]]:
    return frozenset((addon.addon_id, addon.quantity) for addon in addons)


# What a quote said that was frozen before add-ons and discounts stood in it: its change must still be settled.
_BEFORE_ADDONS: dict[str, Any] = {"direction": "up", "from_addons": [], "discounts_kept": [], "discounts_lost": []}


# ---- Frozen, as shown ----------------------------------------------------------------------------------------


def freeze_change(quote: PlanQuote) -> str:
    """Write the quote as canonical JSON, so that equal quotes are equal text."""
    return _canonical({**_agreed(quote), "previewed_at": quote.previewed_at, "method": _method_table(quote.method)})


def change_hash(quote: PlanQuote) -> str:
    """SHA-256 (hex) over everything a buyer agrees to; the time of the preview is left out."""
    method = quote.method.payment_method_id if quote.method else None
    return hashlib.sha256(_canonical({**_agreed(quote), "method": method}).encode()).hexdigest()


@lru_cache(maxsize=256)
def thaw_change(text: str) -> PlanQuote:
    """Read back what `freeze_change` wrote. Raises QuoteUnreadable for anything else."""
    try:
        written = json.loads(text)
        table = {**_BEFORE_ADDONS, **written}
        quote = _quote_of(table)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
        raise QuoteUnreadable(f"not a frozen plan change: {fault}") from fault
    if _canonical(written) != text or freeze_change(quote) != _canonical(table):
        raise QuoteUnreadable("not a frozen plan change: it is not in canonical form")
    return quote


def _agreed(quote: PlanQuote) -> dict[str, Any]:
    wish = quote.wish
    return {
        "subscription_id": wish.subscription_id,
        "product_id": wish.product_id,
        "quantity": wish.quantity,
        "addons": _addon_table(wish.addons),
        "mode": wish.mode,
        "when": wish.when,
        "keeps_discounts": wish.keeps_discounts,
        "resumes": wish.resumes,
        "direction": wish.direction,
        "from_product_id": quote.from_product_id,
        "from_quantity": quote.from_quantity,
        "from_addons": _addon_table(quote.from_addons),
        "discounts_kept": list(quote.discounts_kept),
        "discounts_lost": list(quote.discounts_lost),
        "state": quote.state,
        "lines": [
            {
                "product_id": line.product_id,
                "name": line.name,
                "unit_price": _money_table(line.unit_price),
                "quantity": line.quantity,
                "factor": line.factor,
            }
            for line in quote.lines
        ],
        "due": _money_table(quote.due),
        "subtotal": quote.subtotal,
        "tax": quote.tax,
        "credit_used": _money_table(quote.credit_used),
        "credit_added": _money_table(quote.credit_added),
        "renewal": _money_table(quote.renewal),
        "tax_inclusive": quote.tax_inclusive,
        "period": [quote.period.count, quote.period.unit],
        "next_billing_at": quote.next_billing_at,
        "billing_at_before": quote.billing_at_before,
        "effective_at": quote.effective_at,
    }


def _quote_of(table: dict[str, Any]) -> PlanQuote:
    method = table["method"]
    count, unit = table["period"]
    return PlanQuote(
        wish=Wish(
            subscription_id=table["subscription_id"],
            product_id=table["product_id"],
            quantity=table["quantity"],
            addons=tuple(Addon(*pair) for pair in table["addons"]),
            mode=table["mode"],
            when=table["when"],
            keeps_discounts=table["keeps_discounts"],
            resumes=table["resumes"],
            direction=table["direction"],
        ),
        from_product_id=table["from_product_id"],
        from_quantity=table["from_quantity"],
        from_addons=tuple(Addon(*pair) for pair in table["from_addons"]),
        discounts_kept=tuple(table["discounts_kept"]),
        discounts_lost=tuple(table["discounts_lost"]),
        state=table["state"],
        lines=tuple(
            ChangeLine(
                product_id=line["product_id"],
                name=line["name"],
                unit_price=Money(*line["unit_price"]),
                quantity=line["quantity"],
                factor=line["factor"],
            )
            for line in table["lines"]
        ),
        due=Money(*table["due"]),
        subtotal=table["subtotal"],
        tax=table["tax"],
        credit_used=Money(*table["credit_used"]),
        credit_added=Money(*table["credit_added"]),
        renewal=Money(*table["renewal"]),
        tax_inclusive=table["tax_inclusive"],
        period=Period(count, unit),
        next_billing_at=table["next_billing_at"],
        billing_at_before=table["billing_at_before"],
        effective_at=table["effective_at"],
        method=None if method is None else QuotedMethod(**method),
        previewed_at=table["previewed_at"],
    )


def _addon_table(addons: tuple[Addon, ...]) -> list[list[str | int]]:
    return [[addon.addon_id, addon.quantity] for addon in addons]


def _money_table(amount: Money) -> list[str | int]:
    return [amount.minor, amount.currency]


def _method_table(method: QuotedMethod | None) -> dict[str, Any] | None:
    if method is None:
        return None
    return {name: getattr(method, name) for name in QuotedMethod.__slots__}


def _canonical(table: Mapping[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
