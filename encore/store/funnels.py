"""Funnels: steps with edges, versioned like offers."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import many, one


@dataclass(frozen=True, kw_only=True)
class FunnelRow:
    """One version of a funnel; `priority`, `state` and `live_version` are the funnel's."""

    id: str
    version: int
    live_version: int
    priority: int
    state: str
    definition_json: str
    published_at: int
    changed_at: int


_SELECT = (
    "SELECT funnels.id, funnel_versions.version, funnels.live_version, funnels.priority, funnels.state,"
    " funnel_versions.definition_json, funnel_versions.published_at, funnels.changed_at"
    " FROM funnels JOIN funnel_versions ON funnel_versions.funnel_id = funnels.id"
)


def get_funnel(store: Store, funnel_id: str, *, version: int | None = None) -> FunnelRow | None:
    """Return a funnel in the version given, else in its live one."""
    return one(
        FunnelRow,
        store.row(
            f"{_SELECT} WHERE funnels.id = :id AND funnel_versions.version = coalesce(:version, funnels.live_version)",
            id=funnel_id,
            version=version,
        ),
    )


def list_funnels(store: Store) -> list[FunnelRow]:
    """Return every funnel in its live version, the most important first."""
    return many(
        FunnelRow,
        store.rows(
            f"{_SELECT} WHERE funnel_versions.version = funnels.live_version ORDER BY funnels.priority DESC, funnels.id"
        ),
    )


def insert_version(store: Store, funnel_id: str, *, definition_json: str, priority: int, now: int) -> int:
    """Publish a funnel's next version, make it the live one and return its number; a paused funnel stays paused."""
    found = store.row("SELECT max(version) AS latest FROM funnel_versions WHERE funnel_id = :id", id=funnel_id)
    version = 1 + int((found and found["latest"]) or 0)
    store.run(
        "INSERT INTO funnels (id, live_version, priority, state, changed_at)"
        " VALUES (:id, :version, :priority, 'live', :now) ON CONFLICT (id) DO UPDATE SET"
        " live_version = excluded.live_version, priority = excluded.priority, changed_at = excluded.changed_at",
        id=funnel_id,
        version=version,
        priority=priority,
        now=now,
    )
    store.run(
        "INSERT INTO funnel_versions (funnel_id, version, definition_json, published_at)"
        " VALUES (:id, :version, :definition_json, :now)",
        id=funnel_id,
        version=version,
        definition_json=definition_json,
        now=now,
    )
    return version


def mark_state(store: Store, funnel_id: str, *, state: str, now: int) -> bool:
    """Pause, end or take up a funnel; False if it is in that state already or there is none."""
    return bool(
        store.rows(
            "UPDATE funnels SET state = :state, changed_at = :now WHERE id = :id AND state <> :state RETURNING id",
            id=funnel_id,
            state=state,
            now=now,
        )
    )
