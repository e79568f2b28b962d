"""What happened to each event: its state for every endpoint, and every try with request and answer."""

import json

from ..core.store import Doc
from ..core.twin import Twin


def deliveries(twin: Twin, *, after: int = 0, endpoint_id: str | None = None) -> list[Doc]:
    """Return the tries so far, oldest first; only those after the number `after`, or to one endpoint."""
    rows = twin.store.rows(
        "SELECT * FROM deliveries WHERE id > :after AND :endpoint_id IN ('', endpoint_id) ORDER BY id",
        after=after,
        endpoint_id=endpoint_id or "",
    )
    return [_shown(dict(row)) for row in rows]


def events(twin: Twin) -> list[Doc]:
    """Return every event with its state for each endpoint, oldest first."""
    names = "webhook_id, endpoint_id, type, kind, object_id, event_at, state, tries, due_at"
    return [dict(row) for row in twin.store.rows(f"SELECT {names} FROM events ORDER BY seq")]


def counts(twin: Twin) -> Doc:
    """Return how many events are in each state."""
    rows = twin.store.rows("SELECT state, count(*) AS n FROM events GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def _shown(row: Doc) -> Doc:
    return {
        **row,
        "headers": json.loads(row["headers"]),
        "body": json.loads(row["body"]),
        "latency_ms": round(row["latency_ms"], 1),
    }
