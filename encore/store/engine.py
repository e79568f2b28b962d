"""The store on SQLite: one connection writes, others read, and every commit is on disk before it counts."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

# sqlite-utils picks the newer bundled SQLite where there is one, and that module's exceptions are not sqlite3's.
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from encore.crash_point import crash_point
from encore.store.writing import BUSY_TIMEOUT_S, StoreFull, Writer

Row = dict[str, Any]

# Below this much free disk no new money may be put at stake: a claim that commits must be able to settle.
FREE_BYTES_FLOOR = 200 * 1024 * 1024
# One accept alone runs some eighty different statements: the usual 128 would be prepared again and again.
_CACHED_STATEMENTS = 512
# What only `write()` may say: anyone else's would tear a fact from what must commit with it.
_TRANSACTION_WORDS = ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Conflict(Exception):
    """A constraint refused the write; the transaction is rolled back and existing rows hold the answer."""


class Store:
    """Rows in, rows out. Reads run anywhere; `run` only inside `write()`, which is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._writer = Writer(self._connect)
        # Idle ones, the last used on top: few connections, each warm, where one a thread would each prepare every
        # statement and read every page anew.
        self._readers: list[Any] = []
        self._connections: list[Any] = []
        self._connections_lock = threading.Lock()

    def rows(self, sql: str, /, **params: object) -> list[Row]:
        """Return every row of a SELECT (or of a RETURNING inside `write()`) as plain dictionaries."""
        if not _opening(sql).startswith(("SELECT", "WITH")):
            self._require_write()
        if self.in_write():
            return self._fetch(self._transaction(), sql, params)
        seen: dict[tuple[object, ...], list[Row]] | None = getattr(self._local, "seen", None)
        if seen is None:
            return self._read(sql, params)
        key = (sql, *params.items())
        if key not in seen:
            seen[key] = self._read(sql, params)
        return seen[key]

    def _read(self, sql: str, params: dict[str, object]) -> list[Row]:
        readers = self._readers
        try:
            connection = readers.pop()
        except IndexError:
            connection = self._connect()
        try:
            return self._fetch(connection, sql, params)
        finally:
            # To where it came from: a store closed meanwhile keeps other ones.
            readers.append(connection)

    def row(self, sql: str, /, **params: object) -> Row | None:
        """Return the first row, or None."""
        found = self.rows(sql, **params)
        return found[0] if found else None

    def run(self, sql: str, /, **params: object) -> int:
        """Change rows inside `write()` and return how many; raises Conflict when a constraint refuses."""
        self._require_write()
        return int(self._execute(self._transaction(), sql, params).rowcount)

    @contextmanager
    def look(self) -> Iterator[None]:
        """Make each read of this thread once: a page asks for the same row in many places.

        Inside `write()` every read is made, and after it, as after `forget()`, each is made again. Nested use joins
        the outer look.
        """
        if getattr(self._local, "seen", None) is not None:
            yield
            return
        self._local.seen = {}
        try:
            yield
        finally:
            self._local.seen = None

    def forget(self) -> None:
        """Let a look that goes on begin anew."""
        if getattr(self._local, "seen", None):
            self._local.seen = {}

    @contextmanager
    def write(self) -> Iterator[None]:
        """Hold one durable transaction; anything raised inside rolls all of it back.

        Nested use joins the outer transaction: only the outermost block commits, and returns when that is on disk.
        Raises StoreFull if the transaction cannot be begun or committed.
        """
        if self.in_write():
            yield
            return
        with self._writer.transaction():
            self._local.writing = True
            try:
                yield
            finally:
                self._local.writing = False
                self.forget()

    def in_write(self) -> bool:
        """Tell whether this thread holds a write transaction: the provider must not be called then."""
        return bool(getattr(self._local, "writing", False))

    def has_room(self) -> bool:
        """Tell whether the disk has room enough to put money at stake."""
        return shutil.disk_usage(self.path.parent).free >= FREE_BYTES_FLOOR

    def script(self, statement: str) -> None:
        """Run one schema statement inside `write()`."""
        self._require_write()
        self._execute(self._transaction(), statement, {})

    def close(self) -> None:
        """Close every connection; whoever reads or writes later opens the store again.

        Waits for the transaction under way: closing its connection would undo it, and those that share its commit.
        """
        if self.in_write():
            raise RuntimeError("a store is not closed inside its own transaction")
        with self._writer.at_rest(), self._connections_lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._readers = []

    def _transaction(self) -> Any:
        """Return the connection that writes, unless SQLite has undone the transaction by itself (disk full)."""
        connection = self._writer.connection
        if not connection.in_transaction:
            # Each statement from here on would be a transaction of its own.
            raise StoreFull("SQLite has rolled the transaction back")
        return connection

    def _connect(self) -> Any:
        connection = sqlite3.connect(
            str(self.path),
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL: NORMAL lost acknowledged transactions at 60 % of simulated power cuts, FULL at none (measured).
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        with self._connections_lock:
            self._connections.append(connection)
        return connection

    def _fetch(self, connection: Any, sql: str, params: dict[str, object]) -> list[Row]:
        # To the last row: an unfinished statement would hold on to the moment it began in.
        cursor = self._execute(connection, sql, params)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _execute(self, connection: Any, sql: str, params: dict[str, object]) -> Any:
        if _opening(sql).startswith(_TRANSACTION_WORDS):
            raise RuntimeError("only store.write() begins and ends a transaction")
        try:
            return connection.execute(sql, params)
        except sqlite3.IntegrityError as error:
            raise Conflict(str(error)) from error
        except sqlite3.OperationalError as error:
            if _is_capacity(error):
                raise StoreFull(str(error)) from error
            raise

    def _require_write(self) -> None:
        if not self.in_write():
            raise RuntimeError("rows change only inside store.write()")


@lru_cache(maxsize=1024)
def _opening(sql: str) -> str:
    return sql.lstrip()[:9].upper()


def open_store(path: Path) -> Store:
    """Open (and make, if need be) the SQLite file at `path`; the schema is `migrations.upgrade`'s business."""
    path.parent.mkdir(parents=True, exist_ok=True)
    store = Store(path)
    crash_point("start.store_opened")
    return store


def sqlite_version() -> str:
    """Return the version of the SQLite library in use."""
    return str(sqlite3.sqlite_version)


def _is_capacity(error: Exception) -> bool:
    text = str(error)
    return any(word in text for word in ("full", "readonly", "locked", "disk I/O", "unable to open"))
