"""Hold ends: subscriptions on hold whose buyer ends them right now, so that no other tab pays what they owe."""

from encore.store.engine import Store

# A request that got no answer may still arrive; longer than this nobody waits for it.
_ANSWERED_WITHIN_MS = 30_000


def upsert_end(store: Store, provider_subscription_id: str, *, now: int) -> None:
    """Note that the end of a subscription is about to be asked for."""
    store.run(
        "INSERT INTO hold_ends (provider_subscription_id, asked_at) VALUES (:id, :now)"
        " ON CONFLICT (provider_subscription_id) DO UPDATE SET asked_at = excluded.asked_at",
        id=provider_subscription_id,
        now=now,
    )


def is_being_ended(store: Store, provider_subscription_id: str, *, now: int) -> bool:
    """Tell whether the end of a subscription may be on its way to the provider."""
    return (
        store.row(
            "SELECT asked_at FROM hold_ends WHERE provider_subscription_id = :id AND asked_at > :since",
            id=provider_subscription_id,
            since=now - _ANSWERED_WITHIN_MS,
        )
        is not None
    )


def delete_end(store: Store, provider_subscription_id: str) -> None:
    """Strike an end off whose answer is known."""
    store.run("DELETE FROM hold_ends WHERE provider_subscription_id = :id", id=provider_subscription_id)
