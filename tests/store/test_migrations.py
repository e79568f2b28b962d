"""What a migration makes of the rows that were there before it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from encore.store import Store, open_store, schema
from tests.store.rows import insert

Upgrade = Callable[[], None]


def store_before(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Upgrade]:
    """A store as it was before one migration, and what applies that one and all after it."""
    store = open_store(path / "encore.sqlite3")
    with monkeypatch.context() as patch:
        earlier = [migration for migration in schema.migrations() if migration.name < name]
        patch.setattr(schema, "migrations", lambda: earlier)
        schema.upgrade(store, now=1)

    def upgrade() -> None:
        assert name in schema.upgrade(store, now=2)

    return store, upgrade


def test_what_a_step_said_of_the_lower_option_is_said_by_a_column_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, upgrade = store_before(tmp_path, "0012_lower_option.sql", monkeypatch)
    with store.write():
        insert(store, "offers")
        insert(store, "offer_instances")
        for name, step_key in (("quo_1", ""), ("quo_2", "without_lower_option")):
            insert(
                store,
                "offer_instances",
                id=name,
                offer_id="@plan_change",
                source_ref=name,
                step_key=step_key,
                kind="plan_change",
            )

    upgrade()

    found = store.rows("SELECT id, step_key, may_show_lower FROM offer_instances ORDER BY id")
    assert [tuple(row.values()) for row in found] == [("ofi_1", "first", 0), ("quo_1", "", 1), ("quo_2", "", 0)]
    store.close()
