"""Plan ends: cancellations withdrawn for a change of plan, which are put back unless the change goes through."""

from encore.store.engine import Store


def insert_end(store: Store, provider_subscription_id: str, *, now: int, due_at: int) -> None:
    """Note, before a cancellation is withdrawn, that it is to be put back from `due_at` on.

    One that is noted keeps its time: a change paid since then has ended the wish, whoever withdraws once more.
    """
    store.run(
        "INSERT INTO ends_to_put_back (provider_subscription_id, noted_at, due_at) VALUES (:id, :now, :due_at)"
        " ON CONFLICT (provider_subscription_id) DO UPDATE SET due_at = excluded.due_at",
        id=provider_subscription_id,
        now=now,
        due_at=due_at,
    )


def get_noted_at(store: Store, provider_subscription_id: str) -> int | None:
    """Return when a cancellation was noted (epoch milliseconds); None if none is to be put back."""
    found = store.row(
        "SELECT noted_at FROM ends_to_put_back WHERE provider_subscription_id = :id", id=provider_subscription_id
    )
    return None if found is None else int(found["noted_at"])


def list_due(store: Store, *, now: int, limit: int) -> list[str]:
    """Return the provider's ids of subscriptions whose cancellation is to be put back now, oldest first."""
    found = store.rows(
        "SELECT provider_subscription_id AS id FROM ends_to_put_back WHERE due_at <= :now ORDER BY due_at LIMIT :limit",
        now=now,
        limit=limit,
    )
    return [row["id"] for row in found]


def mark_due(store: Store, provider_subscription_id: str, *, due_at: int) -> None:
    """Look again at a cancellation at `due_at`."""
    store.run(
        "UPDATE ends_to_put_back SET due_at = :due_at WHERE provider_subscription_id = :id",
        id=provider_subscription_id,
        due_at=due_at,
    )


def delete_end(store: Store, provider_subscription_id: str, *, due_at: int | None = None) -> None:
    """Strike a cancellation off: it is back, or nothing is to be put back any more; `due_at`: only if due then."""
    store.run(
        "DELETE FROM ends_to_put_back WHERE provider_subscription_id = :id AND due_at = coalesce(:due_at, due_at)",
        id=provider_subscription_id,
        due_at=due_at,
    )


def has_paid_change_since(store: Store, provider_subscription_id: str, *, since: int) -> bool:
    """Tell whether a change of plan claimed since `since` (epoch milliseconds) went through."""
    return (
        store.row(
            "SELECT id FROM attempts WHERE subscription_id = :id AND kind = 'plan_change' AND state = 'paid'"
            " AND claimed_at >= :since",
            id=provider_subscription_id,
            since=since,
        )
        is not None
    )
