"""Refunds: money back for a payment, ours or begun elsewhere (`external`)."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A refund; `reason` is `external` for one we did not begin."""

    id: str
    payment_id: str
    is_full: int
    amount: int
    reason: str
    state: str
    post_count: int = 0
    provider_refund_id: str | None = None
    tries: int = 0
    next_try_at: int | None = None
    lease_until: int | None = None
    created_at: int
    changed_at: int


_COLUMNS = columns(Refund)


def insert_refund(store: Store, refund: Refund) -> bool:
    """Store a refund; False if the payment has its full one, or a live one, or this one, already."""
    return bool(
        store.rows(
            f"INSERT INTO refunds ({_COLUMNS}) VALUES ({placeholders(Refund)}) ON CONFLICT DO NOTHING RETURNING id",
            **values(refund),
        )
    )


def get_refund(store: Store, refund_id: str) -> Refund | None:
    """Return a refund by our id."""
    return one(Refund, store.row(f"SELECT {_COLUMNS} FROM refunds WHERE id = :id", id=refund_id))


def get_by_provider_id(store: Store, provider_refund_id: str) -> Refund | None:
    """Return a refund by the provider's id."""
    return one(
        Refund,
        store.row(f"SELECT {_COLUMNS} FROM refunds WHERE provider_refund_id = :id", id=provider_refund_id),
    )


def list_of_payment(store: Store, payment_id: str) -> list[Refund]:
    """Return a payment's refunds, oldest first."""
    return many(
        Refund,
        store.rows(f"SELECT {_COLUMNS} FROM refunds WHERE payment_id = :id ORDER BY created_at, id", id=payment_id),
    )


def list_due(store: Store, *, now: int, limit: int) -> list[Refund]:
    """Return our refunds whose next step is due and not leased."""
    return many(
        Refund,
        store.rows(
            f"SELECT {_COLUMNS} FROM refunds WHERE state IN ('due','sending','unknown','pending')"
            " AND reason <> 'external' AND (next_try_at IS NULL OR next_try_at <= :now)"
            " AND (lease_until IS NULL OR lease_until <= :now) ORDER BY created_at LIMIT :limit",
            now=now,
            limit=limit,
        ),
    )


def count_sent_since(store: Store, *, since: int) -> int:
    """Return how many refunds of ours were sent since `since` (epoch milliseconds)."""
    found = store.row(
        "SELECT count(*) AS n FROM refunds WHERE reason <> 'external' AND post_count > 0 AND changed_at >= :since",
        since=since,
    )
    return 0 if found is None else int(found["n"])


def claim_refund(store: Store, refund_id: str, *, now: int, lease_until: int) -> bool:
    """Take a refund for its next step; False if another worker has it."""
    return bool(
        store.rows(
            "UPDATE refunds SET lease_until = :lease_until, tries = tries + 1 WHERE id = :id"
            " AND (lease_until IS NULL OR lease_until <= :now)"
            " AND state IN ('due','sending','unknown','pending') RETURNING id",
            id=refund_id,
            now=now,
            lease_until=lease_until,
        )
    )


def mark_sending(store: Store, refund_id: str, *, lease_until: int | None, now: int) -> bool:
    """Count a refund request before it is made; False if whoever claimed it until `lease_until` has it no more."""
    return bool(
        store.rows(
            "UPDATE refunds SET state = 'sending', post_count = post_count + 1, changed_at = :now WHERE id = :id"
            " AND lease_until = :lease_until AND state IN ('due','sending','unknown') RETURNING id",
            id=refund_id,
            lease_until=lease_until,
            now=now,
        )
    )


def mark_unsent(store: Store, refund_id: str, *, now: int, next_try_at: int) -> None:
    """Take back what `mark_sending` counted: the request is proven not to have been executed."""
    store.run(
        "UPDATE refunds SET state = 'due', post_count = post_count - 1, next_try_at = :next_try_at, lease_until = NULL,"
        " changed_at = :now WHERE id = :id AND state = 'sending'",
        id=refund_id,
        next_try_at=next_try_at,
        now=now,
    )


def mark_waiting(store: Store, refund_id: str, *, next_try_at: int) -> None:
    """Look again later for the trace of a refund that may have been made; since when we wait stays as it is."""
    store.run(
        "UPDATE refunds SET state = 'unknown', next_try_at = :next_try_at, lease_until = NULL"
        " WHERE id = :id AND state IN ('sending','unknown')",
        id=refund_id,
        next_try_at=next_try_at,
    )


def mark_state(
    store: Store,
    refund_id: str,
    *,
    state: str,
    now: int,
    provider_refund_id: str | None = None,
    next_try_at: int | None = None,
) -> None:
    """Move a refund and give its lease back; `done`, `failed` and `manual` are never left."""
    store.run(
        "UPDATE refunds SET state = :state, provider_refund_id = coalesce(provider_refund_id, :provider_refund_id),"
        " next_try_at = :next_try_at, lease_until = NULL, changed_at = :now"
        " WHERE id = :id AND state NOT IN ('done','failed','manual')",
        id=refund_id,
        state=state,
        provider_refund_id=provider_refund_id,
        next_try_at=next_try_at,
        now=now,
    )


def mark_amount(store: Store, refund_id: str, *, amount: int, now: int) -> None:
    """Lower what a refund that was not sent yet gives back."""
    store.run(
        "UPDATE refunds SET amount = :amount, changed_at = :now WHERE id = :id AND state = 'due' AND amount > :amount",
        id=refund_id,
        amount=amount,
        now=now,
    )


def mark_external_state(store: Store, provider_refund_id: str, *, state: str, now: int) -> None:
    """Follow the state of a refund begun elsewhere."""
    store.run(
        "UPDATE refunds SET state = :state, changed_at = :now WHERE provider_refund_id = :id AND state <> 'done'",
        id=provider_refund_id,
        state=state,
        now=now,
    )


def delete_external(store: Store, provider_refund_id: str) -> None:
    """Take out a refund that was booked as begun elsewhere, and is one of ours by its answer."""
    store.run("DELETE FROM refunds WHERE provider_refund_id = :id AND reason = 'external'", id=provider_refund_id)
