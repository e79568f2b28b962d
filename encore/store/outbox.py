"""Outbox: messages committed with the fact they tell, sent afterwards, at least once."""

import json
from dataclasses import dataclass

from encore.ids import new_id
from encore.store.engine import Row, Store
from encore.store.records import columns, many


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message to a buyer or the owner; `interrupted` counts sends that a dead worker left unmarked."""

    id: str
    kind: str
    dedup_key: str
    recipient: str
    language: str
    payload_json: str
    state: str
    tries: int
    sends: int
    interrupted: int
    next_try_at: int | None
    lease_until: int | None
    created_at: int
    sent_at: int | None


_COLUMNS = columns(Message)


def insert_message(
    store: Store, *, kind: str, dedup_key: str, recipient: str, language: str, payload: Row, now: int
) -> None:
    """Queue a message in the transaction that makes it true; a second one with the key is dropped."""
    store.run(
        "INSERT INTO outbox (id, kind, dedup_key, recipient, language, payload_json, state, next_try_at, created_at)"
        " VALUES (:id, :kind, :dedup_key, :recipient, :language, :payload_json, 'ready', :now, :now)"
        " ON CONFLICT (dedup_key) DO NOTHING",
        id=new_id("msg"),
        kind=kind,
        dedup_key=dedup_key,
        recipient=recipient,
        language=language,
        payload_json=json.dumps(payload, sort_keys=True, ensure_ascii=False),
        now=now,
    )


def list_messages(store: Store, *, limit: int) -> list[Message]:
    """Return the newest messages."""
    return many(
        Message,
        store.rows(f"SELECT {_COLUMNS} FROM outbox ORDER BY created_at DESC, id DESC LIMIT :limit", limit=limit),
    )


def has_due(store: Store, *, now: int) -> bool:
    """Tell whether a message waits to be sent."""
    return (
        store.row(
            "SELECT id FROM outbox WHERE (state = 'ready' AND next_try_at <= :now)"
            " OR (state = 'sending' AND lease_until <= :now) LIMIT 1",
            now=now,
        )
        is not None
    )


def claim_message(store: Store, *, now: int, lease_until: int) -> Message | None:
    """Take the next message to send; one left in `sending` by a dead worker is sent again and says so."""
    found = store.rows(
        "UPDATE outbox SET state = 'sending', tries = tries + 1, lease_until = :lease_until,"
        " interrupted = interrupted + (CASE WHEN state = 'sending' THEN 1 ELSE 0 END)"
        " WHERE id = (SELECT id FROM outbox WHERE (state = 'ready' AND next_try_at <= :now)"
        " OR (state = 'sending' AND lease_until <= :now) ORDER BY created_at, id LIMIT 1)"
        f" RETURNING {_COLUMNS}",
        now=now,
        lease_until=lease_until,
    )
    return many(Message, found)[0] if found else None


def mark_sent(store: Store, message_id: str, *, now: int) -> None:
    """Mark a message handed over."""
    store.run(
        "UPDATE outbox SET state = 'sent', sends = sends + 1, sent_at = :now, lease_until = NULL WHERE id = :id",
        id=message_id,
        now=now,
    )


def mark_retry(store: Store, message_id: str, *, next_try_at: int | None) -> None:
    """Put a message back for `next_try_at`, or give up on it (None)."""
    store.run(
        "UPDATE outbox SET state = CASE WHEN :next_try_at IS NULL THEN 'dead' ELSE 'ready' END,"
        " next_try_at = :next_try_at, lease_until = NULL WHERE id = :id",
        id=message_id,
        next_try_at=next_try_at,
    )
