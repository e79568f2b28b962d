"""The sandbox's file: objects as JSON documents, the log of what was received, events and deliveries.

Durability is relaxed on purpose (`synchronous=OFF`): a power cut may lose the twin's memory, which nobody
needs, while every answer stays quick. One connection, one lock: each call is short.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from .lookup import SCHEMA as OBJECTS_SCHEMA
from .lookup import Doc as Doc
from .lookup import links_of, select
from .upgrade import completed

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  query TEXT NOT NULL, body TEXT NOT NULL, headers TEXT NOT NULL, status INTEGER, fault TEXT, effect TEXT) STRICT;
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, webhook_id TEXT NOT NULL, endpoint_id TEXT NOT NULL, type TEXT NOT NULL,
  kind TEXT NOT NULL, object_id TEXT NOT NULL, event_at INTEGER NOT NULL, state TEXT NOT NULL,
  tries INTEGER NOT NULL, due_at INTEGER NOT NULL, copies INTEGER NOT NULL, options TEXT NOT NULL,
  UNIQUE (webhook_id, endpoint_id)) STRICT;
CREATE INDEX IF NOT EXISTS events_by_due ON events (state, due_at, seq);
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, webhook_id TEXT NOT NULL, type TEXT NOT NULL, try INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL, at INTEGER NOT NULL, clock_at INTEGER NOT NULL, url TEXT NOT NULL,
  headers TEXT NOT NULL, body TEXT NOT NULL, status INTEGER, response TEXT, error TEXT,
  latency_ms REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS timers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due_at INTEGER NOT NULL, action TEXT NOT NULL, doc TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS timers_by_due ON timers (due_at, id);
"""
# Raised when a table gets other columns, or objects other fields (upgrade.py). What waited or was delivered is then
# forgotten; the objects stay.
SCHEMA_VERSION = 4
# Says in the head of a file that it is ours: "Twin" in ASCII (our choice).
APPLICATION_ID = 0x5477696E
TABLES = ("settings", "objects", "links", "requests", "events", "deliveries", "timers")


class ForeignFile(sqlite3.DatabaseError):
    """A SQLite file of another program."""


class Store:
    """One SQLite file, safe to use from every thread. Raises sqlite3.Error if it cannot be opened or is not ours."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._depth = 0
        self._settings: dict[str, Any] = {}
        self._after_commit: set[Callable[[], None]] = set()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        if not _is_empty(self._db):
            _check_ours(self._db)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        # What is needed to take a block back (`all_or_nothing`) would else be a file made and removed for each request.
        self._db.execute("PRAGMA temp_store=MEMORY")
        self._prepare()

    def _prepare(self) -> None:
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if self._db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
            return
        is_old = self.row("SELECT name FROM sqlite_master WHERE name = 'objects'") is not None
        objects = self.rows("SELECT kind, doc FROM objects ORDER BY seq") if is_old else []
        dropped = "".join(f"DROP TABLE IF EXISTS {table};" for table in ("objects", "events", "deliveries"))
        self._db.executescript(dropped + OBJECTS_SCHEMA + SCHEMA)
        with self.write():
            for row in objects:
                self.put(row["kind"], completed(row["kind"], _doc(row)))
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def write(self) -> Iterator[None]:
        """Do all of the block or none of it, with nobody in between. Nested blocks join the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._settings.clear()
                self._db.execute("ROLLBACK")
                raise
            else:
                self._db.execute("COMMIT")
            finally:
                self._depth = 0
                told, self._after_commit = self._after_commit, set()
        for tell in told:
            tell()

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Call `tell` when what is being written is there for others to see: at once, or behind the open `write`."""
        with self._lock:
            is_writing = self._depth > 0
            if is_writing:
                self._after_commit.add(tell)
        if not is_writing:
            tell()

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back what the block wrote if it raises, so that a caller of `write` may answer the error and go on.

        An exception whose `keeps_effects` is true has done what it was to do. Outside a `write` there is nothing to
        take back.
        """
        with self._lock:
            # Whoever is in a `write` holds the lock, so a depth seen here is this thread's own.
            is_writing = self._depth > 0
        if not is_writing:
            yield
            return
        self._db.execute("SAVEPOINT block")
        try:
            yield
        except BaseException as error:
            if not getattr(error, "keeps_effects", False):
                self._settings.clear()
                self._db.execute("ROLLBACK TO block")
            raise
        finally:
            self._db.execute("RELEASE block")

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Do the block and take everything it wrote back, so that its result can be looked at alone.

        Inside a `write` only the block is taken back.
        """
        with self._lock:
            self._db.execute("SAVEPOINT rehearsal")
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                self._settings.clear()
                self._db.execute("ROLLBACK TO rehearsal")
                self._db.execute("RELEASE rehearsal")

    def run(self, sql: str, **values: Any) -> int:
        """Execute one statement; return the number of rows changed."""
        with self._lock:
            return self._db.execute(sql, values).rowcount

    def insert(self, sql: str, **values: Any) -> int:
        """Execute one INSERT; return the new row's number."""
        with self._lock:
            return int(self._db.execute(sql, values).lastrowid or 0)

    def rows(self, sql: str, **values: Any) -> list[sqlite3.Row]:
        """Return every row of a query."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, **values: Any) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._lock:
            found: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return found

    def clear(self, *, keep: dict[str, Any]) -> None:
        """Empty every table, then write the settings in `keep`."""
        with self.write():
            for table in TABLES:
                self.run(f"DELETE FROM {table}")
            self._settings.clear()
            for name, value in keep.items():
                self.set_setting(name, value)

    def save_copy(self, path: Path) -> None:
        """Write a whole copy of the file to `path`; it is there complete or not at all."""
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.unlink(missing_ok=True)
        with self._lock, closing(sqlite3.connect(unfinished)) as copy:
            self._db.backup(copy)
        unfinished.replace(path)

    def load_copy(self, path: Path, *, numbered: Iterable[str]) -> None:
        """Take over everything from a copy; the tables in `numbered` go on counting from where they are now.

        Raises sqlite3.DatabaseError, and changes nothing, if the file is none of ours.
        """
        with self._lock, closing(sqlite3.connect(path)) as copy:
            _check_ours(copy)
            counted = self._db.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
            copy.backup(self._db)
            self._settings.clear()
            self._prepare()
            for name, seq in counted:
                if name in numbered:
                    self._count_from(name, seq)

    def _count_from(self, table: str, seq: int) -> None:
        known = self._db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()[0]
        if known is None:
            self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, seq))
        elif known < seq:
            self._db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (seq, table))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # Settings

    def setting(self, name: str, default: Any) -> Any:
        """Return a setting, or `default`. Treat the value as read-only."""
        with self._lock:
            if name not in self._settings:
                row = self.row("SELECT value FROM settings WHERE name = :name", name=name)
                self._settings[name] = msgspec.json.decode(row["value"]) if row else default
            return self._settings[name]

    def set_setting(self, name: str, value: Any) -> None:
        """Store a setting of any JSON shape."""
        with self._lock:
            self.run(
                "INSERT INTO settings (name, value) VALUES (:name, :value)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                name=name,
                value=msgspec.json.encode(value).decode(),
            )
            self._settings[name] = value

    # Objects

    def put(self, kind: str, doc: Doc) -> None:
        """Insert or replace the object `doc["id"]`; what lists are filtered by comes from the document.

        An object keeps its `created_at`. Raises ValueError for another one with an id that is taken, so that nothing
        is lost without a word.
        """
        shared = {name: doc.get(name) for name in ("status", "currency")}
        placed = self.row(
            "INSERT INTO objects (kind, id, created_at, customer_id, status, currency, doc)"
            " VALUES (:kind, :id, :created_at, :customer_id, :status, :currency, :doc)"
            " ON CONFLICT (kind, id) DO UPDATE SET customer_id = excluded.customer_id, status = excluded.status,"
            " currency = excluded.currency, doc = excluded.doc"
            " WHERE created_at = excluded.created_at RETURNING seq, created_at",
            kind=kind,
            id=doc["id"],
            created_at=doc["created_at"],
            customer_id=doc.get("customer_id"),
            doc=msgspec.json.encode(doc).decode(),
            **shared,
        )
        if placed is None:
            raise ValueError(f"{kind}: the id {doc['id']} is taken")
        for target in links_of(kind, doc):
            self.run(
                "INSERT INTO links (kind, target, created_at, seq, status, currency)"
                " VALUES (:kind, :target, :created_at, :seq, :status, :currency)"
                " ON CONFLICT DO UPDATE SET status = excluded.status, currency = excluded.currency",
                kind=kind,
                target=target,
                **dict(placed),
                **shared,
            )

    def remove(self, kind: str, object_id: str) -> None:
        """Take one object away, and out of every list."""
        row = self.row("DELETE FROM objects WHERE kind = :kind AND id = :id RETURNING seq", kind=kind, id=object_id)
        if row is not None:
            self.run("DELETE FROM links WHERE kind = :kind AND seq = :seq", kind=kind, seq=row["seq"])

    def get(self, kind: str, object_id: str | None) -> Doc | None:
        """Return one object, or None."""
        row = self.row("SELECT doc FROM objects WHERE kind = :kind AND id = :id", kind=kind, id=object_id)
        return _doc(row) if row else None

    def find(
        self,
        kind: str,
        *,
        customer_id: str | None = None,
        where: dict[str, Any] | None = None,
        since: int | None = None,
        until: int | None = None,
        oldest_first: bool = False,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Doc]:
        """List objects whose fields equal `where`, newest first; `since` and `until` are inclusive."""
        conditions = {**(where or {}), **({} if customer_id is None else {"customer_id": customer_id})}
        sql, values = select(kind, conditions, since=since, until=until, oldest_first=oldest_first)
        return [_doc(row) for row in self.rows(sql, **values, limit=limit, offset=offset)]

    def count(self, kind: str) -> int:
        """Count the objects of one kind."""
        row = self.row("SELECT count(*) AS n FROM objects WHERE kind = :kind", kind=kind)
        return int(row["n"]) if row else 0


def _is_empty(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def _check_ours(db: sqlite3.Connection) -> None:
    """Refuse a file that another program has made: what looks old in it would be replaced."""
    mark = db.execute("PRAGMA application_id").fetchone()[0]
    # The sandbox marks its files since version 4; an older one is known by the shape of its tables.
    is_unmarked = mark == 0 and _columns(db, "settings") == {"name", "value"}
    if mark != APPLICATION_ID and not (is_unmarked and _columns(db, "objects") >= {"seq", "kind", "id", "doc"}):
        raise ForeignFile("it is another program's file, not a sandbox's")


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _doc(row: sqlite3.Row) -> Doc:
    doc: Doc = msgspec.json.decode(row["doc"])
    return doc
