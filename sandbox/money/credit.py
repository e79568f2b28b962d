"""The credit ledger's arithmetic: what a plan change adds, what renewals draw, what a failed payment puts back.

An entry is a signed movement in the bucket of one subscription. No bucket is ever negative, whichever scope is on,
so the scope may change in mid-life.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SCOPES = ("subscription", "customer_currency")


@dataclass(frozen=True)
class Entry:
    """One movement: `amount` in minor units of `currency`, positive adds. `payment_id` is what caused it."""

    subscription_id: str
    currency: str
    amount: int
    payment_id: str | None = None


class NotEnoughCredit(Exception):
    """More was to be spent than the scope holds."""


def balance(entries: Sequence[Entry], *, subscription_id: str, currency: str, scope: str) -> int:
    """Return what a renewal of the subscription may use.

    `entries` are those of one customer. The guide calls credits subscription-scoped, the SDK speaks of the customer's
    balance; `scope` is the switch `credit_scope`.
    """
    return sum(_buckets(entries, subscription_id=subscription_id, currency=currency, scope=scope).values())


def spend(
    entries: Sequence[Entry],
    amount: int,
    *,
    subscription_id: str,
    currency: str,
    scope: str,
    payment_id: str | None = None,
) -> list[Entry]:
    """Return the entries that spend `amount`: the subscription's own bucket first, then the oldest.

    Raises NotEnoughCredit if the scope holds less.
    """
    spent = []
    for bucket, held in _buckets(entries, subscription_id=subscription_id, currency=currency, scope=scope).items():
        part = min(held, amount)
        amount -= part
        if part:
            spent.append(Entry(bucket, currency, -part, payment_id))
    if amount:
        raise NotEnoughCredit(f"{amount} minor units more than there are")
    return spent


def put_back(entries: Sequence[Entry], payment_id: str) -> list[Entry]:
    """Return the entries that undo what a failed payment moved (documented since v1.112).

    What it had added and somebody spent since stays spent: a bucket does not go below zero (our choice).
    """
    undone: list[Entry] = []
    for entry in entries:
        if entry.payment_id != payment_id:
            continue
        held = sum(
            other.amount
            for other in [*entries, *undone]
            if (other.subscription_id, other.currency) == (entry.subscription_id, entry.currency)
        )
        amount = max(-entry.amount, -held)
        if amount:
            undone.append(Entry(entry.subscription_id, entry.currency, amount, payment_id))
    return undone


def _buckets(entries: Sequence[Entry], *, subscription_id: str, currency: str, scope: str) -> dict[str, int]:
    """Return what each bucket in reach holds, the subscription's own first, then by age."""
    held = {subscription_id: 0}
    for entry in entries:
        if entry.currency == currency and (scope == "customer_currency" or entry.subscription_id == subscription_id):
            held[entry.subscription_id] = held.get(entry.subscription_id, 0) + entry.amount
    return held
