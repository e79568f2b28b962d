"""Whose turn it is to write, and what is committed together.

SQLite takes one transaction at a time, and each commit waits for the disk. Threads of this process whose transactions
follow upon each other share one commit (group commit): the last of them makes it, and none returns before it is made.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any

# sqlite-utils picks the newer bundled SQLite where there is one, and that module's exceptions are not sqlite3's.
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from encore.clock import Clock

BUSY_TIMEOUT_S = 5.0
# Another process writes for about a millisecond. SQLite's own waiting sleeps up to a tenth of a second between two
# looks and so loses its turn again and again: the slowest of a hundred accepts took 0.9 s (measured).
_TURN_LOOK_S = 0.001
# So many transactions share a commit at most: another process waits for its turn meanwhile.
_MOST_TURNS = 8
# After so long without a commit a member looks whether whoever was to make it is gone.
_STALL_S = 0.1


class StoreFull(Exception):
    """The store cannot take a write now (disk full, read-only, locked): nothing was changed."""


class _Commit:
    """One commit that several transactions wait for: how many had their turn in it, and how many of them stand."""

    def __init__(self) -> None:
        self.turns = 0
        self.members = 0
        # From the first line of a turn to its last: left so, that turn is neither whole nor undone.
        self.is_torn = False
        self.error: BaseException | None = None
        self.is_over = threading.Event()


class Writer:
    """The one connection of a process that writes, and the turns its threads take on it."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._clock = Clock()
        self._connection: Any = None
        # 32 threads on one file without this lock wait up to 2 s for each other; with it 0.3 s (measured).
        self._turn = threading.Lock()
        # Threads by their idents: leaving it twice does no harm, where a count would be wrong ever after.
        self._waiting: set[int] = set()
        # The one that is not over yet, if there is one.
        self._commit: _Commit | None = None

    @property
    def connection(self) -> Any:
        """The connection that writes, opened when first asked for."""
        if self._connection is None:
            self._connection = self._connect()
            # `_begin` waits by itself.
            self._connection.execute("PRAGMA busy_timeout=0")
        return self._connection

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Keep everybody from writing, with nothing left to commit; the connection is forgotten then."""
        with self._turn:
            if self._commit is not None:
                self._make(self._commit)
            yield
            self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the turn to write; returns when what was written is on disk.

        What is raised inside undoes this transaction alone: those it would have shared its commit with stand.
        Raises StoreFull if it cannot be begun or committed.
        """
        thread, commit = threading.get_ident(), None
        # From here on: behind a process that is stuck as it writes, the last of many threads would wait for each of
        # those before it to give up.
        until = self._clock.monotonic() + BUSY_TIMEOUT_S
        self._waiting.add(thread)
        try:
            with self._turn:
                self._waiting.discard(thread)
                commit = self._join(until)
                try:
                    yield
                except BaseException:
                    self._undo(commit)
                    raise
                else:
                    commit.members += 1
                    commit.is_torn = False
                finally:
                    # Whoever waits for the turn now goes on in the same transaction, and commits for us.
                    if not self._waiting or commit.turns >= _MOST_TURNS:
                        self._make(commit)
        finally:
            self._waiting.discard(thread)
            if commit is not None:
                # Not before this may anything be done that rests on what was written: no charge goes out on a claim
                # that could still be lost. Nor on what was only read: who is refused because of rows that those before
                # it have written must find them, whatever connection it reads from next.
                self._await(commit)

    def _join(self, until: float) -> _Commit:
        commit = self._commit
        if commit is not None and (commit.is_torn or not self.connection.in_transaction):
            # A savepoint without its transaction would begin another one.
            self._end(commit, StoreFull("interrupted, or undone by SQLite"))
            commit = None
        if commit is None:
            self._begin(until)
            self._commit = commit = _Commit()
        else:
            try:
                self.connection.execute("SAVEPOINT member")
            except sqlite3.OperationalError as error:
                raise StoreFull(str(error)) from error
        commit.turns += 1
        commit.is_torn = True
        return commit

    def _begin(self, until: float) -> None:
        # IMMEDIATE: a deferred transaction that reads before it writes fails at once when another has written.
        while True:
            try:
                if self.connection.in_transaction:
                    # Of a thread that was interrupted before anybody could wait for its commit.
                    self.connection.execute("ROLLBACK")
                self.connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or self._clock.monotonic() >= until:
                    raise StoreFull(str(error)) from error
            sleep(_TURN_LOOK_S)

    def _undo(self, commit: _Commit) -> None:
        """Undo the transaction that holds the turn, and only that."""
        if commit.members:
            # Fails if SQLite has undone everything by itself, as it may when the disk is full: the others' work is lost
            # with ours, and they are told so.
            self.connection.execute("ROLLBACK TO member")
            commit.is_torn = False
        else:
            self._end(commit)

    def _make(self, commit: _Commit) -> None:
        """Commit what its members have written, unless that is done or undone."""
        if commit.is_over.is_set():
            return
        try:
            if commit.is_torn:
                raise StoreFull("interrupted, or undone by SQLite")
            self.connection.execute("COMMIT")
        except (sqlite3.Error, StoreFull) as error:
            self._end(commit, error)
        else:
            self._end(commit)

    def _end(self, commit: _Commit, error: Exception | None = None) -> None:
        """Tell the members of a commit what came of it, and undo what it has left open."""
        # Should not even this be possible, the next one tries it again before it begins.
        with suppress(sqlite3.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        commit.error = error
        commit.is_over.set()
        self._commit = None

    def _await(self, commit: _Commit) -> None:
        if not commit.is_over.wait(_STALL_S):
            # Whoever was to go on takes long, or was interrupted while it waited for its turn.
            with self._turn:
                self._make(commit)
        if commit.error is not None:
            raise StoreFull(str(commit.error)) from commit.error
