"""Requests to let another card pay for a plan, and what each charged, if the plan came to owe a moment before."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class CardChange:
    """One request; `subscription_id` is the provider's, times are epoch milliseconds.

    `provider_payment_id` is what its answer named, `charged_payment_id` what it proves to have charged.
    """

    id: str
    subscription_id: str
    asked_at: int
    answered_at: int | None = None
    provider_payment_id: str | None = None
    charged_payment_id: str | None = None


_COLUMNS = columns(CardChange)


def insert_change(store: Store, change: CardChange) -> None:
    """Store a request before it is sent."""
    store.run(f"INSERT INTO card_changes ({_COLUMNS}) VALUES ({placeholders(CardChange)})", **values(change))


def mark_answered(store: Store, change_id: str, *, payment_id: str | None, now: int) -> None:
    """Note that a request is over, and the payment its answer named."""
    store.run(
        "UPDATE card_changes SET answered_at = :now, provider_payment_id = :payment_id WHERE id = :id",
        id=change_id,
        payment_id=payment_id,
        now=now,
    )


def has_unanswered(store: Store, provider_subscription_id: str, *, since: int) -> bool:
    """Tell whether a request sent at `since` or later is not over, as far as is known."""
    return (
        store.row(
            "SELECT id FROM card_changes WHERE subscription_id = :id AND asked_at >= :since AND answered_at IS NULL",
            id=provider_subscription_id,
            since=since,
        )
        is not None
    )


def list_without_charge(store: Store, provider_subscription_id: str, *, since: int) -> list[CardChange]:
    """Return the requests sent at `since` or later that are not known to have charged anything, oldest first."""
    return many(
        CardChange,
        store.rows(
            f"SELECT {_COLUMNS} FROM card_changes WHERE subscription_id = :id AND asked_at >= :since"
            " AND charged_payment_id IS NULL ORDER BY asked_at, id",
            id=provider_subscription_id,
            since=since,
        ),
    )


def get_newest_charge(store: Store, provider_subscription_id: str, *, since: int) -> CardChange | None:
    """Return the newest request sent at `since` or later that has charged something."""
    return one(
        CardChange,
        store.row(
            f"SELECT {_COLUMNS} FROM card_changes WHERE subscription_id = :id AND asked_at >= :since"
            " AND charged_payment_id IS NOT NULL ORDER BY asked_at DESC, id DESC LIMIT 1",
            id=provider_subscription_id,
            since=since,
        ),
    )


def mark_charged(store: Store, change_id: str, *, payment_id: str) -> bool:
    """Note what a request has charged, once; no two requests have charged the same."""
    return bool(
        store.rows(
            "UPDATE card_changes SET charged_payment_id = :payment_id WHERE id = :id AND charged_payment_id IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM card_changes AS other WHERE other.charged_payment_id = :payment_id)"
            " RETURNING id",
            id=change_id,
            payment_id=payment_id,
        )
    )
