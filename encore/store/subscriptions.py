"""Subscriptions: the provider's, as last read; what happens to them happens there."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription as read at `observed_at`; `amount` is one period's before tax, None if the provider says none."""

    id: str
    customer_id: str
    product_id: str
    status: str
    quantity: int
    amount: int | None
    currency: str | None
    interval_count: int | None
    interval_unit: str | None
    next_billing_at: int | None
    cancels_at_period_end: int
    payment_method_id: str | None
    created_at: int | None
    observed_at: int


_COLUMNS = columns(Subscription)
_CHANGED = ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in _COLUMNS.split(",")[1:])


def upsert_subscription(store: Store, subscription: Subscription) -> None:
    """Store a subscription as just read; an older reading never overwrites a newer one."""
    store.run(
        f"INSERT INTO subscriptions ({_COLUMNS}) VALUES ({placeholders(Subscription)})"
        f" ON CONFLICT (id) DO UPDATE SET {_CHANGED} WHERE excluded.observed_at >= subscriptions.observed_at",
        **values(subscription),
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
