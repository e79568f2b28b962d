"""Plan groups: the merchant's plans in order."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one


@dataclass(frozen=True, kw_only=True)
class PlanGroupRow:
    """A plan group as it stands; `version` counts its changes."""

    id: str
    version: int
    definition_json: str
    changed_at: int


_COLUMNS = columns(PlanGroupRow)


def get_plan_group(store: Store, group_id: str) -> PlanGroupRow | None:
    """Return a plan group by id."""
    return one(PlanGroupRow, store.row(f"SELECT {_COLUMNS} FROM plan_groups WHERE id = :id", id=group_id))


def list_plan_groups(store: Store) -> list[PlanGroupRow]:
    """Return every plan group, by id."""
    return many(PlanGroupRow, store.rows(f"SELECT {_COLUMNS} FROM plan_groups ORDER BY id"))


def upsert_plan_group(store: Store, group_id: str, *, definition_json: str, now: int) -> int:
    """Store a plan group as its next version and return that version's number."""
    found = store.rows(
        "INSERT INTO plan_groups (id, version, definition_json, changed_at) VALUES (:id, 1, :definition_json, :now)"
        " ON CONFLICT (id) DO UPDATE SET version = plan_groups.version + 1,"
        " definition_json = excluded.definition_json, changed_at = excluded.changed_at RETURNING version",
        id=group_id,
        definition_json=definition_json,
        now=now,
    )
    return int(found[0]["version"])
