"""Alarms: what a person must look at, once a kind and object, until it is cleared."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm; times are epoch milliseconds."""

    kind: str
    object: str
    detail: str
    raised_at: int
    cleared_at: int | None


def raise_alarm(store: Store, *, kind: str, object_id: str, detail: str, now: int) -> bool:
    """Raise an alarm inside `write()`; False if it stands already."""
    return bool(
        store.rows(
            "INSERT INTO alarms (kind, object, detail, raised_at) VALUES (:kind, :object_id, :detail, :now)"
            " ON CONFLICT (kind, object) DO UPDATE SET detail = excluded.detail, raised_at = excluded.raised_at,"
            " cleared_at = NULL WHERE alarms.cleared_at IS NOT NULL RETURNING kind",
            kind=kind,
            object_id=object_id,
            detail=detail,
            now=now,
        )
    )


def clear_alarm(store: Store, *, kind: str, object_id: str, now: int) -> bool:
    """Clear an alarm inside `write()`; False if it does not stand."""
    return bool(
        store.run(
            "UPDATE alarms SET cleared_at = :now WHERE kind = :kind AND object = :object_id AND cleared_at IS NULL",
            kind=kind,
            object_id=object_id,
            now=now,
        )
    )


def list_standing(store: Store) -> list[Alarm]:
    """Return the alarms not cleared, oldest first."""
    return many(
        Alarm,
        store.rows(f"SELECT {columns(Alarm)} FROM alarms WHERE cleared_at IS NULL ORDER BY raised_at, kind, object"),
    )
