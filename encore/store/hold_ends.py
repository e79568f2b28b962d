"""Hold ends: subscriptions on hold whose buyer ends them right now, so that no other tab pays what they owe."""

from dataclasses import dataclass

from encore.store.engine import Store

# A request that got no answer may still arrive; longer than this nobody waits for it.
_ANSWERED_WITHIN_MS = 30_000


@dataclass(frozen=True)
class EndMark:
    """One request to end a subscription: when it was noted, unlike any other's.

    `is_alone`: no other may be on its way to the provider.
    """

    asked_at: int
    is_alone: bool


def insert_end(store: Store, provider_subscription_id: str, *, now: int) -> EndMark:
    """Note that the end of a subscription is about to be asked for; the latest request stands for all of them."""
    is_alone = not is_being_ended(store, provider_subscription_id, now=now)
    noted = store.rows(
        "INSERT INTO hold_ends (provider_subscription_id, asked_at) VALUES (:id, :now)"
        " ON CONFLICT (provider_subscription_id) DO UPDATE SET asked_at ="
        " CASE WHEN excluded.asked_at > hold_ends.asked_at THEN excluded.asked_at ELSE hold_ends.asked_at + 1 END"
        " RETURNING asked_at",
        id=provider_subscription_id,
        now=now,
    )
    return EndMark(asked_at=int(noted[0]["asked_at"]), is_alone=is_alone)


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


def delete_end(store: Store, provider_subscription_id: str, *, only: EndMark | None = None) -> None:
    """Strike an end off whose answer is known; `only` this request's, if no other may be on its way beside it."""
    if only is not None and not only.is_alone:
        return
    store.run(
        "DELETE FROM hold_ends WHERE provider_subscription_id = :id AND (:asked_at IS NULL OR asked_at = :asked_at)",
        id=provider_subscription_id,
        asked_at=only.asked_at if only else None,
    )
