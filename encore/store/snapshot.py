"""A snapshot: the rows as of one moment, for whoever compares many of them while others write."""

from types import TracebackType

# The engine's own driver: another one's exceptions are not the same classes.
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from encore.store.engine import Row, Store


class Damaged(Exception):
    """SQLite cannot read the file: a page of it is not what was written."""


class Snapshot(Store):
    """The rows as of one moment, whatever is written meanwhile; it refuses to write. Reading may raise Damaged."""

    def __enter__(self) -> "Snapshot":
        connection = self._connect()
        connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")
        # The only one, so that every read is of this moment.
        self._readers.append(connection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def rows(self, sql: str, /, **params: object) -> list[Row]:
        """Return every row of a SELECT as plain dictionaries."""
        try:
            return super().rows(sql, **params)
        except sqlite3.DatabaseError as error:
            raise Damaged(str(error)) from error
