"""Whose turn it is to write, and what is committed together.

SQLite takes one transaction at a time, and each commit waits for the disk. Threads of this process whose transactions
follow upon each other share one commit (group commit): the last of them makes it, and none returns before it is made.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any

# sqlite-utils picks the newer bundled SQLite where there is one, and that module's exceptions are not sqlite3's.
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

BUSY_TIMEOUT_S = 5.0
# Another process writes for about a millisecond. SQLite's own waiting sleeps up to a tenth of a second between two
# looks and so loses its turn again and again: the slowest of a hundred accepts took 0.9 s (measured).
_TURN_LOOK_S = 0.001
# So many transactions share a commit at most: another process waits for its turn meanwhile.
_MOST_MEMBERS = 8
# After so long without a commit a member looks whether whoever was to make it is gone.
_STALL_S = 0.1


class StoreFull(Exception):
    """The store cannot take a write now (disk full, read-only, locked): nothing was changed."""


class _Commit:
    """One commit that `members` transactions wait for; `error` says why it was not made."""

    def __init__(self) -> None:
        self.members = 0
        self.error: BaseException | None = None
        self.is_over = threading.Event()

    def end(self, error: BaseException | None = None) -> None:
        self.error = error
        self.is_over.set()


class Writer:
    """The one connection of a process that writes, and the turns its threads take on it."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: Any = None
        # 32 threads on one file without this lock wait up to 2 s for each other; with it 0.3 s (measured).
        self._turn = threading.Lock()
        self._queued = 0
        self._queued_lock = threading.Lock()
        self._commit: _Commit | None = None

    @property
    def connection(self) -> Any:
        """The connection that writes, opened when first asked for."""
        if self._connection is None:
            self._connection = self._connect()
            # `_begin` waits by itself.
            self._connection.execute("PRAGMA busy_timeout=0")
        return self._connection

    def forget_connection(self) -> None:
        """Let the next transaction open the store again: its connection was closed."""
        self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the turn to write; returns when what was written is on disk.

        What is raised inside undoes this transaction alone: those it would have shared its commit with stand.
        Raises StoreFull if it cannot be begun or committed.
        """
        self._take_turn()
        try:
            commit = self._join()
            try:
                yield
                commit.members += 1
            except BaseException:
                self._undo(commit)
                raise
            finally:
                # Whoever waits for the turn now goes on in the same transaction, and commits for us.
                if self._queued == 0 or commit.members >= _MOST_MEMBERS:
                    self._make(commit)
        finally:
            self._turn.release()
        # Not before this may anything be done that rests on what was written: no charge goes out on a claim that
        # could still be lost.
        self._await(commit)

    def _take_turn(self) -> None:
        with self._queued_lock:
            self._queued += 1
        try:
            self._turn.acquire()
        finally:
            with self._queued_lock:
                self._queued -= 1

    def _join(self) -> _Commit:
        commit = self._commit
        if commit is not None:
            self.connection.execute("SAVEPOINT member")
            return commit
        self._begin()
        self._commit = commit = _Commit()
        return commit

    def _begin(self) -> None:
        # IMMEDIATE: a deferred transaction that reads before it writes fails at once when another has written.
        looks_left = round(BUSY_TIMEOUT_S / _TURN_LOOK_S)
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                looks_left -= 1
                if "locked" not in str(error) or not looks_left:
                    raise StoreFull(str(error)) from error
            sleep(_TURN_LOOK_S)

    def _undo(self, commit: _Commit) -> None:
        """Undo the transaction that holds the turn, and only that."""
        if not self.connection.in_transaction:
            # SQLite has undone everything by itself, as it may when the disk is full: the others' work is lost with
            # ours, and they are told so.
            self._commit = None
            commit.end(StoreFull("rolled back by SQLite"))
        elif commit.members:
            self.connection.execute("ROLLBACK TO member")
        else:
            self.connection.execute("ROLLBACK")
            self._commit = None
            commit.end()

    def _make(self, commit: _Commit) -> None:
        """Commit what its members have written, unless that is done or undone."""
        if self._commit is not commit:
            return
        self._commit = None
        try:
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            commit.end(error)
            if not isinstance(error, sqlite3.OperationalError):
                raise
        else:
            commit.end()

    def _await(self, commit: _Commit) -> None:
        while not commit.is_over.wait(_STALL_S):
            # Whoever was to go on may have been interrupted while it waited for its turn.
            if self._turn.acquire(blocking=False):
                try:
                    self._make(commit)
                finally:
                    self._turn.release()
        if commit.error is not None:
            raise StoreFull(str(commit.error)) from commit.error
