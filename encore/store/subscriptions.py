"""Subscriptions as last read from the provider, and those that are to be read again."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One subscription; `id` is ours. Amounts are minor units, times epoch milliseconds, flags 0 or 1.

    `amount` is each renewal's price, for all units, before tax (unless `tax_inclusive`). `addons_json` is a list of
    [id, quantity], `scheduled_json` null or {product_id, quantity, addons, effective_at}.
    """

    id: str
    provider_subscription_id: str
    customer_id: str
    order_id: str | None
    product_id: str
    quantity: int
    addons_json: str
    status: str
    amount: int | None
    currency: str
    tax_inclusive: int
    interval_count: int | None
    interval_unit: str | None
    trial_days: int
    is_on_demand: int
    cancels_at_period_end: int
    has_discount: int
    scheduled_json: str | None
    payment_method_id: str | None
    created_at: int | None
    previous_billing_at: int | None
    next_billing_at: int | None
    state_hash: str
    observed_at: int


_COLUMNS = columns(Subscription)
# What a later reading may not change: whose row it is, and the order its access hangs on.
_KEPT = ("id", "provider_subscription_id", "order_id")
_ASSIGNMENTS = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if name not in _KEPT)


def upsert_subscription(store: Store, subscription: Subscription) -> None:
    """Store a subscription as just read; the order it hangs on is set once."""
    store.run(
        f"INSERT INTO subscriptions ({_COLUMNS}) VALUES ({placeholders(Subscription)})"
        f" ON CONFLICT (provider_subscription_id) DO UPDATE SET {_ASSIGNMENTS},"
        " order_id = coalesce(subscriptions.order_id, excluded.order_id)"
        # An older reading never overwrites a newer one.
        " WHERE excluded.observed_at >= subscriptions.observed_at",
        **values(subscription),
    )


def get_subscription(store: Store, subscription_id: str) -> Subscription | None:
    """Return a subscription by our id."""
    return one(Subscription, store.row(f"SELECT {_COLUMNS} FROM subscriptions WHERE id = :id", id=subscription_id))


def get_by_provider_id(store: Store, provider_subscription_id: str) -> Subscription | None:
    """Return a subscription by the provider's id."""
    return one(
        Subscription,
        store.row(
            f"SELECT {_COLUMNS} FROM subscriptions WHERE provider_subscription_id = :id", id=provider_subscription_id
        ),
    )


def list_of_customer(store: Store, customer_id: str) -> list[Subscription]:
    """Return a customer's subscriptions, newest first."""
    return many(
        Subscription,
        store.rows(
            f"SELECT {_COLUMNS} FROM subscriptions WHERE customer_id = :id ORDER BY created_at DESC, id",
            id=customer_id,
        ),
    )


def list_of_browser(store: Store, buyer_key: str) -> list[Subscription]:
    """Return the subscriptions that checkouts of this browser began, newest first."""
    return many(
        Subscription,
        store.rows(
            f"SELECT {_COLUMNS} FROM subscriptions WHERE order_id IN ("
            "SELECT id FROM orders WHERE buyer_key = :buyer_key AND checkout_id IS NOT NULL)"
            " ORDER BY created_at DESC, id",
            buyer_key=buyer_key,
        ),
    )


def list_unread_since(store: Store, *, before: int, limit: int) -> list[str]:
    """Return the provider's ids of subscriptions not read since `before` that may still change, oldest first."""
    found = store.rows(
        "SELECT provider_subscription_id AS id FROM subscriptions WHERE observed_at <= :before"
        " AND status NOT IN ('cancelled','failed','expired') ORDER BY observed_at LIMIT :limit",
        before=before,
        limit=limit,
    )
    return [row["id"] for row in found]


def mark_order(store: Store, provider_subscription_id: str, *, order_id: str) -> None:
    """Let a subscription's access hang on an order, unless it hangs on one already."""
    store.run(
        "UPDATE subscriptions SET order_id = coalesce(order_id, :order_id) WHERE provider_subscription_id = :id",
        id=provider_subscription_id,
        order_id=order_id,
    )


def insert_to_read(store: Store, provider_subscription_id: str, *, due_at: int) -> None:
    """Ask for a subscription to be read at `due_at` or before."""
    store.run(
        "INSERT INTO subscriptions_to_read (provider_subscription_id, due_at) VALUES (:id, :due_at)"
        " ON CONFLICT (provider_subscription_id) DO UPDATE SET"
        " due_at = CASE WHEN subscriptions_to_read.due_at < excluded.due_at THEN subscriptions_to_read.due_at"
        " ELSE excluded.due_at END",
        id=provider_subscription_id,
        due_at=due_at,
    )


def list_to_read(store: Store, *, now: int, limit: int) -> list[tuple[str, int]]:
    """Return (provider's id, tries so far) of the reads that are due, oldest first."""
    found = store.rows(
        "SELECT provider_subscription_id AS id, tries FROM subscriptions_to_read WHERE due_at <= :now"
        " ORDER BY due_at LIMIT :limit",
        now=now,
        limit=limit,
    )
    return [(row["id"], int(row["tries"])) for row in found]


def delete_to_read(store: Store, provider_subscription_id: str, *, asked_before: int) -> None:
    """Strike a reading off, unless it was asked for again since `asked_before`."""
    store.run(
        "DELETE FROM subscriptions_to_read WHERE provider_subscription_id = :id AND due_at <= :asked_before",
        id=provider_subscription_id,
        asked_before=asked_before,
    )


def mark_to_read_failed(store: Store, provider_subscription_id: str, *, due_at: int) -> None:
    """Try a read again later."""
    store.run(
        "UPDATE subscriptions_to_read SET tries = tries + 1, due_at = :due_at WHERE provider_subscription_id = :id",
        id=provider_subscription_id,
        due_at=due_at,
    )


def mark_read(store: Store, customer_id: str, *, now: int) -> None:
    """Note that a customer's subscriptions were all read."""
    store.run(
        "INSERT INTO subscription_reads (customer_id, read_at) VALUES (:id, :now)"
        " ON CONFLICT (customer_id) DO UPDATE SET read_at = excluded.read_at",
        id=customer_id,
        now=now,
    )


def get_read_at(store: Store, customer_id: str) -> int | None:
    """Return when a customer's subscriptions were last read, in epoch milliseconds."""
    found = store.row("SELECT read_at FROM subscription_reads WHERE customer_id = :id", id=customer_id)
    return None if found is None else int(found["read_at"])
