"""Dues: what a subscription on hold owes, as far as the provider tells it, and which payments can be of paying it.

There is no preview of dues and no metadata on them: what is owed is what the last failed payment asked for, and what
pays it is known by its subscription and its time, by the provider's own clock (charging.md, sections 1 and 6).
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from encore.rules.attempts import sight
from encore.rules.money import Money
from encore.rules.quotes import QuotedMethod, QuoteUnreadable

# Dues that were called absent, or that a payment seen to fail seemed to be, may still turn out paid for this long after
# their claim. Our choice: longer than any quarantine, and shorter than the 12 hours after which the provider itself
# tries a card again, whose success is none of ours.
LATE_MS = 3_600_000
# A subscription in one of these owes something: it is stopped, or in the days of grace before that.
OWING = ("on_hold", "past_due")
# A subscription in one of these owes nothing any more, and nothing lets it run again.
ENDED = ("cancelled", "failed", "expired")
# How long a payment waits for its buyer's bank before another may be made: charging.md, section 3, `action_required`.
_BANK_MS = 24 * 3_600_000
# No payment is on its way for longer, not even by a bank's debit. Our choice: one that is stuck must not keep a buyer
# from paying for good, and a late success beside theirs is noticed.
_PROCESSING_MS = 14 * 24 * 3_600_000
# What a subscription is charged for beside its periods, also while it owes one.
OTHER_SALES = ("plan_change", "on_demand")
# A charge is settled within two minutes as a rule. Source: dodo-api.md, section 10.5.
_BEGUN_BY_DUES_MS = 120_000
# The provider's clock and ours may differ by this much; used where it has shown us no payment to count from,
# and for how long after its day a renewal may be made.
_SKEW_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class SeenPayment:
    """A payment of the subscription as the provider lists it; `at` is when it was made (epoch milliseconds)."""

    payment_id: str
    status: str | None
    amount: Money
    at: int
    charge_type: str | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """What a subscription on hold owes. `billing` names the failed payment, or its day where none is listed.

    `failed_at` is when it failed; `amount` what it asked for, None where the provider does not tell. `number` counts
    the tries to pay this one here. A payment made at `since` or later, and not in `known`, was made after this was
    read. `known` also names the older ones that could still be paid, as one that failed can be.
    """

    subscription_id: str
    billing: str
    failed_at: int | None
    amount: Money | None
    number: int
    since: int
    known: tuple[str, ...]

    @property
    def source_ref(self) -> str:
        """What one try to pay it is stored under: a second tab's try of the same number is the same one."""
        return f"{self.billing}/{self.number}"

    def is_before(self, payment_id: str, *, made_at: int) -> bool:
        """Tell whether a payment was made after this was read."""
        return made_at >= self.since and payment_id not in self.known


@dataclass(frozen=True, slots=True)
class DuesQuote:
    """What a buyer agrees to: to pay what is owed with a saved method; None: with a new one on the provider's page."""

    owed: Owed
    method: QuotedMethod | None


def read_owed(
    seen: Iterable[SeenPayment], *, subscription_id: str, billing_at: int | None, number: int = 0, now: int
) -> Owed:
    """Read what is owed from the subscription's payments; `billing_at` is the day it was last to be renewed."""
    newest_first = sorted(seen, key=lambda payment: (payment.at, payment.payment_id), reverse=True)
    failed = _failed(newest_first)
    since = newest_first[0].at if newest_first else now - _SKEW_MS
    return Owed(
        subscription_id=subscription_id,
        billing=failed.payment_id if failed else f"{subscription_id}@{billing_at or 0}",
        failed_at=failed.at if failed else billing_at,
        amount=failed.amount if failed else None,
        number=number,
        since=since,
        known=tuple(p.payment_id for p in newest_first if p.at >= since or _is_open(p) or _asked_for(p, "failed")),
    )


def is_under_way(seen: Iterable[SeenPayment], *, now: int) -> bool:
    """Tell whether a payment may still succeed by itself, or has just done so: then nothing more is charged.

    Paid, a subscription may be seen on hold a moment longer. `now` is in epoch milliseconds.
    """
    newest_first = sorted(seen, key=lambda payment: (payment.at, payment.payment_id), reverse=True)
    failed = _failed(newest_first)
    paid = next((p for p in newest_first if failed and _asked_for(p, "succeeded") and _may_pay(p, failed)), None)
    is_just_paid = failed is not None and paid is not None and failed.at < paid.at and now < paid.at + LATE_MS
    processing = [p for p in newest_first if sight(p.status) == "processing" and p.amount.minor > 0]
    return is_just_paid or any(now < p.at + _PROCESSING_MS for p in processing)


def waiting_for_bank(seen: Iterable[SeenPayment], *, now: int) -> list[str]:
    """Return the ids of payments that succeed as soon as their buyer confirms them at the bank, for a day.

    Older than that they are as good as given up, as an attempt that waits for the bank is: a buyer must be able to pay.
    """
    # One of zero only saves a card: it pays nothing, whatever the bank says.
    of_money = [p for p in seen if sight(p.status) == "requires_action" and p.amount.minor > 0]
    return [p.payment_id for p in of_money if now < p.at + _BANK_MS]


def has_paid_again(
    owed: Owed,
    *,
    paid_at: int,
    payment_id: str,
    made_at: int,
    period: tuple[int | None, int | None],
) -> bool:
    """Tell whether a success beside the one that paid these dues has paid the same once more, and no further period.

    `paid_at` is when the payment that is kept for them was made, `made_at` when this one was, and `period` the running
    one of the subscription: all on the provider's clock.
    """
    if payment_id == owed.billing or payment_id in owed.known:
        # It was seen before the claim, and not as paid: by a list without a failed payment, as the last renewal.
        return owed.amount is not None
    if made_at < (owed.failed_at if owed.amount is not None and owed.failed_at is not None else owed.since):
        return False
    begins_at, ends_at = period
    if begins_period(paid_at=paid_at, made_at=made_at, period=period):
        return False
    # Made before the kept one, it was under way beside it. After it, it is a renewal only if a period has ended since.
    return made_at <= paid_at or (
        begins_at is not None and ends_at is not None and begins_at <= paid_at + LATE_MS and made_at < ends_at
    )


def begins_period(*, paid_at: int, made_at: int, period: tuple[int | None, int | None]) -> bool:
    """Tell whether a payment made after the dues were paid is a renewal: made as the running period began, or ended.

    Which of the two depends on whether the subscription was read again since. Dues themselves may begin a period, as
    soon as they are paid.
    """
    begins_at, ends_at = period
    has_begun = begins_at is not None and paid_at + _BEGUN_BY_DUES_MS < begins_at <= made_at <= begins_at + _SKEW_MS
    return has_begun or (ends_at is not None and paid_at < ends_at <= made_at <= ends_at + _SKEW_MS)


def charged_by_card_change(seen: Iterable[SeenPayment], *, asked_at: int) -> list[str]:
    """Return the ids of payments that a request to use another card, sent at `asked_at`, can have charged.

    It charges only what is owed: the payment right before must have failed by then, and this one came soon after. Both
    are the provider's times, so that they are compared with ours as widely as the clocks may differ.
    """
    # A change of plan that was declined before, or is paid with the new card, is none of it.
    of_periods = (p for p in seen if p.amount.minor > 0 and p.charge_type not in OTHER_SALES)
    in_order = sorted(of_periods, key=lambda p: (p.at, p.payment_id))
    return [
        paid.payment_id
        for failed, paid in pairwise(in_order)
        if failed.status == "failed"
        and failed.at <= asked_at + _SKEW_MS
        and asked_at - _SKEW_MS <= paid.at <= asked_at + _SKEW_MS
    ]


def _failed(newest_first: list[SeenPayment]) -> SeenPayment | None:
    """Return the payment whose failure is owed: that of a period goes before a change of plan that was declined since.

    Without one it is the newest of any kind: a change that holds although its payment failed, or a charge on demand.
    """
    of_periods = (p for p in newest_first if p.charge_type not in OTHER_SALES)
    last = next((p for p in of_periods if _asked_for(p, "failed") or _asked_for(p, "succeeded")), None)
    if last is not None and last.status == "failed":
        return last
    return next((p for p in newest_first if _asked_for(p, "failed")), None)


def _may_pay(payment: SeenPayment, failed: SeenPayment) -> bool:
    return payment.charge_type not in OTHER_SALES or payment.charge_type == failed.charge_type


def _is_open(payment: SeenPayment) -> bool:
    return sight(payment.status) in ("processing", "requires_action") or payment.status == "requires_payment_method"


def _asked_for(payment: SeenPayment, status: str) -> bool:
    """Tell whether a payment of this status asked for money: with one of zero a method was to be saved."""
    return payment.status == status and payment.amount.minor > 0


def owed_hash(owed: Owed) -> str:
    """Return what a form brings back to say which dues, of which sum, it showed."""
    return hashlib.sha256(_canonical(_agreed(owed)).encode()).hexdigest()


def dues_hash(quote: DuesQuote) -> str:
    """SHA-256 (hex) over everything a buyer agrees to."""
    method = quote.method.payment_method_id if quote.method else None
    return hashlib.sha256(_canonical({**_agreed(quote.owed), "method": method}).encode()).hexdigest()


def freeze_dues(quote: DuesQuote) -> str:
    """Write the quote as canonical JSON, so that equal quotes are equal text."""
    method = quote.method
    table = {
        **_agreed(quote.owed),
        "failed_at": quote.owed.failed_at,
        "since": quote.owed.since,
        "known": list(quote.owed.known),
        "method": None if method is None else {name: getattr(method, name) for name in QuotedMethod.__slots__},
    }
    return _canonical(table)


@lru_cache(maxsize=256)
def thaw_dues(text: str) -> DuesQuote:
    """Read back what `freeze_dues` wrote. Raises QuoteUnreadable for anything else."""
    try:
        table = json.loads(text)
        owed = Owed(
            subscription_id=table["subscription_id"],
            billing=table["billing"],
            failed_at=table["failed_at"],
            amount=None if table["amount"] is None else Money(*table["amount"]),
            number=table["number"],
            since=table["since"],
            known=tuple(table["known"]),
        )
        quote = DuesQuote(owed, None if table["method"] is None else QuotedMethod(**table["method"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
        raise QuoteUnreadable(f"not frozen dues: {fault}") from fault
    if freeze_dues(quote) != text:
        raise QuoteUnreadable("not frozen dues: they are not in canonical form")
    return quote


def _agreed(owed: Owed) -> dict[str, Any]:
    return {
        "subscription_id": owed.subscription_id,
        "billing": owed.billing,
        "amount": None if owed.amount is None else [owed.amount.minor, owed.amount.currency],
        "number": owed.number,
    }


def _canonical(table: dict[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
