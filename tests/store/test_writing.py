"""Transactions that follow upon each other share one commit; none returns before it, none suffers from another."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from encore.store import Store, StoreFull, meta, open_store
from encore.store.writing import sqlite3
from tests.sandbox_process import wait_for


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """The same file, as another process has it open: it sees what is committed."""
    other = open_store(store.path)
    yield other
    other.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(24) as pool:
        yield pool


def committed(other: Store) -> set[str]:
    return set(meta.list_values(other, prefix=""))


class Held:
    """A transaction that has written a fact and stays open until it is let go."""

    def __init__(self, store: Store, pool: ThreadPoolExecutor, name: str, then: Callable[[], object] = int) -> None:
        self._has_written, self._may_end = threading.Event(), threading.Event()
        self.future: Future[None] = pool.submit(self._write, store, name, then)

    def _write(self, store: Store, name: str, then: Callable[[], object]) -> None:
        with store.write():
            meta.mark_value(store, name, value=1)
            self._has_written.set()
            assert self._may_end.wait(10)
            then()

    def wait_until_written(self) -> "Held":
        assert self._has_written.wait(10)
        return self

    def let_go(self) -> None:
        self._may_end.set()


def queue(store: Store, held: list[Held]) -> list[Held]:
    """Wait until so many transactions wait for the turn of the first."""
    wait_for(lambda: store._writer._queued == len(held), limit_s=10, what="the queue")
    return held


def fail() -> None:
    raise KeyboardInterrupt


class Spied:
    """The writing connection, with what is asked of it; `fault` is raised instead of a commit."""

    def __init__(self, store: Store, fault: Exception | None = None) -> None:
        self._connection, self._fault = store._writer.connection, fault
        self.commits = 0
        store._writer._connection = self

    def execute(self, sql: str, *args: Any) -> Any:
        if sql == "COMMIT":
            self.commits += 1
            if self._fault is not None:
                raise self._fault
        return self._connection.execute(sql, *args)

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)


def test_none_returns_before_the_commit_it_shares(store: Store, other: Store, pool: ThreadPoolExecutor) -> None:
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second")])

    first.let_go()
    second.wait_until_written()

    # The first has written all it had to and waits for the second, which is to commit for both.
    assert committed(other) == set()
    assert not first.future.done()
    second.let_go()
    first.future.result(10)
    second.future.result(10)
    assert committed(other) == {"first", "second"}


def test_one_alone_is_committed_at_once(store: Store, other: Store) -> None:
    spied = Spied(store)

    with store.write():
        meta.mark_value(store, "alone", value=1)

    assert committed(other) == {"alone"}
    assert spied.commits == 1


def test_what_one_raises_undoes_that_one_alone(store: Store, other: Store, pool: ThreadPoolExecutor) -> None:
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=fail)])
    first.let_go()
    second.wait_until_written()
    (third,) = queue(store, [Held(store, pool, "third")])
    second.let_go()
    third.wait_until_written().let_go()

    with pytest.raises(KeyboardInterrupt):
        second.future.result(10)
    first.future.result(10)
    third.future.result(10)
    assert committed(other) == {"first", "third"}


def test_last_one_that_raises_still_commits_for_the_others(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=fail)])
    first.let_go()
    second.let_go()

    with pytest.raises(KeyboardInterrupt):
        second.future.result(10)
    first.future.result(10)
    assert committed(other) == {"first"}


def test_first_one_that_raises_leaves_the_next_a_transaction_of_its_own(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    first = Held(store, pool, "first", then=fail).wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second")])
    first.let_go()
    second.let_go()

    with pytest.raises(KeyboardInterrupt):
        first.future.result(10)
    second.future.result(10)
    assert committed(other) == {"second"}


def test_a_failed_commit_is_told_to_all_that_share_it(store: Store, other: Store, pool: ThreadPoolExecutor) -> None:
    Spied(store, fault=sqlite3.OperationalError("disk I/O error"))
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second")])
    first.let_go()
    second.let_go()

    for one in (first, second):
        with pytest.raises(StoreFull, match="disk I/O error"):
            one.future.result(10)
    assert committed(other) == set()


def test_what_sqlite_undoes_by_itself_is_lost_for_all_and_all_are_told(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    """As it may when the disk is full: what is written after it must not become a transaction of its own."""

    def write_more_after_a_rollback() -> None:
        store._writer.connection.execute("ROLLBACK")
        meta.mark_value(store, "more", value=1)

    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=write_more_after_a_rollback)])
    first.let_go()
    second.let_go()

    for one in (first, second):
        with pytest.raises(StoreFull):
            one.future.result(10)
    assert committed(other) == set()
    with store.write():
        meta.mark_value(store, "again", value=1)
    assert committed(other) == {"again"}


def test_no_more_than_eight_share_a_commit(store: Store, other: Store, pool: ThreadPoolExecutor) -> None:
    """Or a rush in one process would keep the others from their turn."""
    spied = Spied(store)
    first = Held(store, pool, "0").wait_until_written()
    others = queue(store, [Held(store, pool, str(number)) for number in range(1, 20)])
    for one in (first, *others):
        one.let_go()
    for one in (first, *others):
        one.future.result(10)

    assert len(committed(other)) == 20
    assert spied.commits == 3


def test_one_who_was_to_commit_and_is_gone_keeps_nobody_waiting(store: Store, other: Store) -> None:
    """A thread interrupted while it waits for its turn never comes: whom it would have served go on without it."""
    store._writer._queued += 1

    with store.write():
        meta.mark_value(store, "left", value=1)

    assert committed(other) == {"left"}
