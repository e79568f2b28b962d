"""Transactions that follow upon each other share one commit; none returns before it, none suffers from another."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from encore.store import Store, StoreFull, meta, open_store, writing
from encore.store.writing import sqlite3
from tests.sandbox_process import wait_for


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """The same file, as another process has it open: it sees what is committed."""
    other = open_store(store.path)
    yield other
    other.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine too, nobody makes a commit that a test has left to another."""
    monkeypatch.setattr(writing, "_STALL_S", 10.0)


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
    wait_for(lambda: len(store._writer._waiting) == len(held), limit_s=10, what="the queue")
    return held


def expect_full(*held: Held, match: str | None = None) -> None:
    """Each of these transactions is told that nothing of it was written."""
    for one in held:
        with pytest.raises(StoreFull, match=match):
            one.future.result(10)


def fail() -> None:
    raise KeyboardInterrupt


class Spied:
    """The writing connection, with what is asked of it; `faults` are raised instead of what they name."""

    def __init__(self, store: Store, faults: dict[str, BaseException] | None = None) -> None:
        self._connection, self.faults = store._writer.connection, faults or {}
        self.asked: list[str] = []
        store._writer._connection = self

    def execute(self, sql: str, *args: Any) -> Any:
        self.asked.append(sql)
        if sql in self.faults:
            raise self.faults[sql]
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
    assert spied.asked.count("COMMIT") == 1


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
    Spied(store, {"COMMIT": sqlite3.OperationalError("disk I/O error")})
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second")])
    first.let_go()
    second.let_go()

    expect_full(first, second, match="disk I/O error")
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

    expect_full(first, second)
    assert committed(other) == set()
    with store.write():
        meta.mark_value(store, "again", value=1)
    assert committed(other) == {"again"}


def test_who_is_refused_by_rows_of_another_is_told_when_those_are_on_disk(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    """A second click finds the first one's yes, and is then shown what is on disk: never the offer again."""

    def refuse_what_is_taken() -> None:
        assert "first" in meta.list_values(store, prefix="")
        raise RuntimeError("taken")

    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=refuse_what_is_taken)])
    first.let_go()
    second.wait_until_written()
    (third,) = queue(store, [Held(store, pool, "third")])
    second.let_go()
    third.wait_until_written()

    assert not second.future.done()
    third.let_go()
    with pytest.raises(RuntimeError, match="taken"):
        second.future.result(10)
    assert committed(other) == {"first", "third"}


def test_who_was_refused_by_rows_that_are_lost_is_told_so(store: Store, pool: ThreadPoolExecutor) -> None:
    Spied(store, {"COMMIT": sqlite3.OperationalError("disk I/O error")})
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=fail)])
    first.let_go()
    second.let_go()

    expect_full(first, second, match="disk I/O error")


def test_what_cannot_be_undone_alone_is_undone_with_all_that_share_its_commit(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    spied = Spied(store, {"ROLLBACK TO member": sqlite3.OperationalError("out of memory")})
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=fail)])
    first.let_go()
    second.wait_until_written()
    (third,) = queue(store, [Held(store, pool, "third")])
    second.let_go()
    third.let_go()

    expect_full(first, second)
    third.future.result(10)
    assert committed(other) == {"third"}
    assert spied.asked.count("BEGIN IMMEDIATE") == 2


def test_what_cannot_be_undone_alone_is_not_committed_by_itself_either(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    Spied(store, {"ROLLBACK TO member": sqlite3.OperationalError("out of memory")})
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", then=fail)])
    first.let_go()
    second.let_go()

    expect_full(first, second)
    assert committed(other) == set()


def test_a_rollback_that_fails_too_keeps_nobody_waiting(store: Store, other: Store, pool: ThreadPoolExecutor) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    spied = Spied(store, {"COMMIT": error, "ROLLBACK": error})
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second")])
    first.let_go()
    second.let_go()

    expect_full(first, second, match="disk I/O error")
    spied.faults.clear()
    with store.write():
        meta.mark_value(store, "again", value=1)
    assert committed(other) == {"again"}


def test_what_sqlite_undoes_in_one_that_goes_on_regardless_is_told_to_all(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    """The next one's savepoint would begin a transaction, and its commit pass for theirs."""
    first = Held(store, pool, "first").wait_until_written()
    (second,) = queue(store, [Held(store, pool, "second", lambda: store._writer.connection.execute("ROLLBACK"))])
    first.let_go()
    second.wait_until_written()
    (third,) = queue(store, [Held(store, pool, "third")])
    second.let_go()
    third.let_go()

    expect_full(first, second)
    third.future.result(10)
    assert committed(other) == {"third"}


def test_one_interrupted_as_it_begins_leaves_no_transaction_in_the_way(store: Store, other: Store) -> None:
    store._writer.connection.execute("BEGIN IMMEDIATE")

    with store.write():
        meta.mark_value(store, "next", value=1)

    assert committed(other) == {"next"}


@pytest.mark.parametrize("fails_at", ["body", "COMMIT"])
def test_one_that_failed_is_in_no_other_process_s_way(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    monkeypatch.setattr(writing, "BUSY_TIMEOUT_S", 0.0)
    Spied(store, {fails_at: sqlite3.OperationalError("disk I/O error")})

    def write() -> None:
        with store.write():
            meta.mark_value(store, "failed", value=1)
            if fails_at == "body":
                fail()

    with pytest.raises((StoreFull, KeyboardInterrupt)):
        write()
    with other.write():
        meta.mark_value(other, "other", value=1)

    assert committed(other) == {"other"}


def test_a_store_is_closed_when_what_was_written_is_on_disk(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    first = Held(store, pool, "first").wait_until_written()
    store._writer._waiting.add(-1)
    first.let_go()
    wait_for(lambda: not store.in_write() and not store._writer._turn.locked(), limit_s=10, what="the end of its turn")

    store.close()

    first.future.result(10)
    assert committed(other) == {"first"}
    with pytest.raises(RuntimeError, match="own transaction"), store.write():
        store.close()


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
    assert spied.asked.count("COMMIT") == 3


def test_those_that_fail_count_among_the_eight(store: Store, pool: ThreadPoolExecutor) -> None:
    """Or a rush of clicks on one offer would keep its first yes from the disk."""
    spied = Spied(store)
    first = Held(store, pool, "0").wait_until_written()
    others = queue(store, [Held(store, pool, str(number), then=fail) for number in range(1, 20)])
    for one in (first, *others):
        one.let_go()
    first.future.result(10)
    for one in others:
        with pytest.raises(KeyboardInterrupt):
            one.future.result(10)

    assert spied.asked[: spied.asked.index("COMMIT")].count("SAVEPOINT member") == 7


def test_one_who_was_to_commit_and_is_gone_keeps_nobody_waiting(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread interrupted while it waits for its turn never comes: whom it would have served go on without it."""
    monkeypatch.setattr(writing, "_STALL_S", 0.01)
    store._writer._waiting.add(-1)

    with store.write():
        meta.mark_value(store, "left", value=1)

    assert committed(other) == {"left"}


def test_none_waits_longer_because_others_wait_before_it(
    store: Store, other: Store, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a process that is stuck as it writes, all of a rush are told in the same five seconds."""
    looks: list[float] = []

    def look(seconds: float) -> None:
        wait_for(lambda: len(store._writer._waiting) == 3 or looks, limit_s=10, what="the queue")
        looks.append(seconds)

    monkeypatch.setattr(writing, "sleep", look)
    monkeypatch.setattr(store._writer._clock, "monotonic", lambda: sum(looks))
    monkeypatch.setattr(writing, "BUSY_TIMEOUT_S", 0.003)
    with other.write():
        told = [Held(store, pool, str(number)).future for number in range(4)]
        for one in told:
            with pytest.raises(StoreFull, match="locked"):
                one.result(10)

    assert len(looks) == 3


def test_one_interrupted_while_it_waits_for_its_turn_is_not_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(store._writer, "_turn", Interrupted())
    with pytest.raises(KeyboardInterrupt), store.write():
        pass
    monkeypatch.undo()

    assert store._writer._waiting == set()


class _Refused(Exception):
    """What a body raises."""


class Unsound(Spied):
    """A writing connection of which each tenth request fails, or loses the whole transaction, by a fixed chance."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._chance = Random(7)

    def execute(self, sql: str, *args: Any) -> Any:
        if not sql.startswith("BEGIN") and self._chance.random() < 0.1:
            if self._chance.random() < 0.3 and self.in_transaction:
                super().execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *args)


def test_whatever_fails_what_was_said_of_a_transaction_is_true(
    store: Store, other: Store, pool: ThreadPoolExecutor
) -> None:
    """Of 630 by nine threads on two connections, many of which raise: who returned finds its two facts, others none."""
    Unsound(store)
    lanes = [pool.submit(_write_many, store, lane) for lane in range(8)] + [pool.submit(_write_many, other, 8)]
    said = dict(pair for lane in lanes for pair in lane.result(60))

    found = committed(other)
    assert {name for name, is_done in said.items() if is_done} == {name[2:] for name in found if name[0] == "a"}
    assert {name[2:] for name in found if name[0] == "a"} == {name[2:] for name in found if name[0] == "b"}
    assert 50 < sum(said.values()) < len(said)


def _write_many(store: Store, lane: int) -> list[tuple[str, bool]]:
    return [_write_two(store, f"{lane}.{number}", Random(100 * lane + number)) for number in range(70)]


def _write_two(store: Store, name: str, chance: Random) -> tuple[str, bool]:
    try:
        with store.write():
            meta.mark_value(store, f"a {name}", value=1)
            if chance.random() < 0.1:
                raise _Refused
            meta.mark_value(store, f"b {name}", value=1)
            if chance.random() < 0.1:
                raise _Refused
    except (StoreFull, _Refused):
        return name, False
    return name, True
