"""The inbox: verified deliveries, stored before their 2xx and processed once by the worker."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """A delivery; the key is `webhook_id` with `body_sha256`, since a second try may carry a newer body."""

    webhook_id: str
    body_sha256: str
    body: str | None
    event_type: str
    state: str
    note: str | None
    tries: int
    next_try_at: int | None
    lease_until: int | None
    received_at: int
    processed_at: int | None


_COLUMNS = columns(WebhookEvent)


def insert_event(
    store: Store,
    *,
    webhook_id: str,
    body_sha256: str,
    body: str,
    event_type: str,
    state: str,
    note: str | None,
    now: int,
) -> bool:
    """Store a delivery; False if these very bytes are here already under this id."""
    return bool(
        store.rows(
            "INSERT INTO webhook_events"
            " (webhook_id, body_sha256, body, event_type, state, note, next_try_at, received_at)"
            " VALUES (:webhook_id, :body_sha256, :body, :event_type, :state, :note, :now, :now)"
            " ON CONFLICT (webhook_id, body_sha256) DO NOTHING RETURNING webhook_id",
            webhook_id=webhook_id,
            body_sha256=body_sha256,
            body=body,
            event_type=event_type,
            state=state,
            note=note,
            now=now,
        )
    )


def has_due(store: Store, *, now: int) -> bool:
    """Tell whether a delivery waits to be processed."""
    return (
        store.row(
            "SELECT webhook_id FROM webhook_events WHERE state = 'received' AND next_try_at <= :now"
            " AND (lease_until IS NULL OR lease_until <= :now) LIMIT 1",
            now=now,
        )
        is not None
    )


def claim_due(store: Store, *, now: int, lease_until: int) -> WebhookEvent | None:
    """Take the next delivery to process until `lease_until`; a dead worker's comes free when its lease ends."""
    found = store.rows(
        "UPDATE webhook_events SET tries = tries + 1, lease_until = :lease_until"
        " WHERE (webhook_id, body_sha256) IN (SELECT webhook_id, body_sha256 FROM webhook_events"
        " WHERE state = 'received' AND next_try_at <= :now AND (lease_until IS NULL OR lease_until <= :now)"
        f" ORDER BY next_try_at, received_at LIMIT 1) RETURNING {_COLUMNS}",
        now=now,
        lease_until=lease_until,
    )
    return many(WebhookEvent, found)[0] if found else None


def claim_again(store: Store, webhook_id: str, *, now: int, lease_until: int) -> list[WebhookEvent]:
    """Take every delivery with this id, whatever became of it, to process it anew."""
    return many(
        WebhookEvent,
        store.rows(
            "UPDATE webhook_events SET state = 'received', tries = 1, next_try_at = :now, lease_until = :lease_until"
            f" WHERE webhook_id = :webhook_id RETURNING {_COLUMNS}",
            webhook_id=webhook_id,
            now=now,
            lease_until=lease_until,
        ),
    )


def list_of_id(store: Store, webhook_id: str) -> list[WebhookEvent]:
    """Return every delivery with this id, oldest first; there is more than one if a later body differed."""
    return many(
        WebhookEvent,
        store.rows(
            f"SELECT {_COLUMNS} FROM webhook_events WHERE webhook_id = :id ORDER BY received_at, body_sha256",
            id=webhook_id,
        ),
    )


def list_events(store: Store, *, state: str | None, limit: int) -> list[WebhookEvent]:
    """Return the newest deliveries, of one state if given."""
    return many(
        WebhookEvent,
        store.rows(
            f"SELECT {_COLUMNS} FROM webhook_events WHERE (:state IS NULL OR state = :state)"
            " ORDER BY received_at DESC, webhook_id LIMIT :limit",
            state=state,
            limit=limit,
        ),
    )


def count_by_state(store: Store) -> dict[str, int]:
    """Return how many deliveries are in each state."""
    found = store.rows("SELECT state, count(*) AS n FROM webhook_events GROUP BY state")
    return {row["state"]: int(row["n"]) for row in found}


def get_latest_received_at(store: Store) -> int | None:
    """Return when the newest delivery came (epoch milliseconds)."""
    found = store.row("SELECT max(received_at) AS latest FROM webhook_events")
    return None if found is None else found["latest"]


def mark_state(
    store: Store, event: WebhookEvent, *, state: str, note: str | None, now: int, next_try_at: int | None = None
) -> None:
    """Note what became of a delivery and give its lease back; `next_try_at` only for one still `received`."""
    store.run(
        "UPDATE webhook_events SET state = :state, note = :note, next_try_at = :next_try_at, lease_until = NULL,"
        " processed_at = CASE WHEN :state = 'received' THEN processed_at ELSE :now END"
        " WHERE webhook_id = :webhook_id AND body_sha256 = :body_sha256",
        webhook_id=event.webhook_id,
        body_sha256=event.body_sha256,
        state=state,
        note=note,
        now=now,
        next_try_at=next_try_at,
    )


def mark_postponed(store: Store, event: WebhookEvent, *, next_try_at: int) -> None:
    """Put a delivery back untried."""
    store.run(
        "UPDATE webhook_events SET tries = tries - 1, next_try_at = :next_try_at, lease_until = NULL"
        " WHERE webhook_id = :webhook_id AND body_sha256 = :body_sha256",
        webhook_id=event.webhook_id,
        body_sha256=event.body_sha256,
        next_try_at=next_try_at,
    )
