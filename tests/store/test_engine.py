"""One write at a time, all of it or none of it, and a store that cannot take a write says so and stays whole."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from encore.store import Conflict, Store, StoreFull, meta, open_store, schema, writing
from encore.store.engine import sqlite_version
from tests.store.rows import fill, insert


def values(store: Store) -> dict[str, str]:
    return meta.list_values(store, prefix="")


def mark(store: Store, *names: str, then: Callable[[], object] | None = None) -> None:
    """Store some facts in one transaction, and do something more inside it."""
    with store.write():
        for name in names:
            meta.mark_value(store, name, value=1)
        if then is not None:
            then()


def stop() -> None:
    raise KeyboardInterrupt


def test_a_write_commits_as_a_whole(store: Store) -> None:
    with store.write():
        meta.mark_value(store, "a", value=1)
        meta.mark_value(store, "b", value=2)

    assert values(store) == {"a": "1", "b": "2"}


def test_whatever_is_raised_inside_rolls_everything_back(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        mark(store, "a", then=stop)

    assert values(store) == {}
    assert not store.in_write()


def test_a_nested_write_commits_with_the_outer_one(store: Store) -> None:
    def write_inside_and_stop() -> None:
        mark(store, "inner")
        stop()

    with pytest.raises(KeyboardInterrupt):
        mark(store, "outer", then=write_inside_and_stop)

    assert values(store) == {}


def test_a_conflict_rolls_back_what_came_before_it(store: Store) -> None:
    fill(store)

    with pytest.raises(Conflict):
        mark(store, "a", then=lambda: insert(store, "products"))

    assert values(store) == {}


@pytest.mark.parametrize("act", [Store.run, Store.rows, Store.script])
@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "END", "BEGIN", "SAVEPOINT a", "commit", " COMMIT"])
def test_a_function_cannot_commit_inside_a_transaction(
    store: Store, statement: str, act: Callable[..., object]
) -> None:
    """The broken build `commit_inside`: what it left would survive a rollback of the fact around it."""
    with pytest.raises(RuntimeError):
        mark(store, "a", then=lambda: act(store, statement))

    assert values(store) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO meta (name, value) VALUES ('a', '1')",
        "DELETE FROM meta",
        "DROP TABLE meta",
        "PRAGMA user_version = 1",
    ],
)
def test_rows_change_only_inside_a_write(store: Store, statement: str) -> None:
    with pytest.raises(RuntimeError):
        store.run(statement)
    with pytest.raises(RuntimeError):
        store.rows(f"{statement}  -- RETURNING name")


def test_another_thread_is_not_inside_our_write(store: Store) -> None:
    seen: list[bool] = []
    with store.write():
        thread = threading.Thread(target=lambda: seen.append(store.in_write()))
        thread.start()
        thread.join()

    assert seen == [False]


def test_thirty_two_threads_lose_no_update(store: Store) -> None:
    with store.write():
        meta.mark_value(store, "count", value=0)

    def count() -> None:
        for _ in range(25):
            with store.write():
                # Read, then write: a deferred transaction would lose most of these to "database is locked".
                meta.mark_value(store, "count", value=(meta.get_number(store, "count") or 0) + 1)

    threads = [threading.Thread(target=count) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert meta.get_number(store, "count") == 32 * 25


def test_a_reader_sees_no_half_of_a_write(store: Store) -> None:
    seen: list[dict[str, str]] = []
    with store.write():
        meta.mark_value(store, "a", value=1)
        thread = threading.Thread(target=lambda: seen.append(values(store)))
        thread.start()
        thread.join()
        meta.mark_value(store, "b", value=2)

    assert seen == [{}]


def test_a_full_store_refuses_and_stays_whole(store: Store) -> None:
    with store.write():
        meta.mark_value(store, "kept", value=1)
    pages = store.rows("SELECT page_count AS n FROM pragma_page_count()")[0]["n"]
    store._writer.connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreFull):
        mark(store, *(f"{number}" + "x" * 1000 for number in range(1000)))

    assert values(store) == {"kept": "1"}
    store._writer.connection.execute("PRAGMA max_page_count = 1000000")
    with store.write():
        meta.mark_value(store, "again", value=1)
    assert values(store)["again"] == "1"


def test_a_read_only_file_refuses(store: Store) -> None:
    store._writer.connection.execute("PRAGMA query_only = ON")

    with pytest.raises(StoreFull):
        mark(store, "a")

    store._writer.connection.execute("PRAGMA query_only = OFF")
    assert values(store) == {}


def test_a_lock_held_elsewhere_refuses_in_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BUSY_TIMEOUT_S", 0.05)
    # Of the same library: two of them in one process do not see each other's locks.
    other = open_store(store.path)
    other._writer.connection.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreFull):
        mark(store, "a")

    other._writer.connection.execute("ROLLBACK")
    other.close()
    mark(store, "a")
    assert values(store) == {"a": "1"}


def test_turn_to_write_is_waited_for_and_taken_soon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process's transaction ends while we look for our turn."""
    other = open_store(store.path)
    other._writer.connection.execute("BEGIN IMMEDIATE")
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            other._writer.connection.execute("ROLLBACK")

    monkeypatch.setattr(writing, "sleep", look)

    mark(store, "a")

    other.close()
    assert looks == [0.001] * 3
    assert values(store) == {"a": "1"}


def test_commits_are_durable_and_references_are_kept(store: Store) -> None:
    connection = store._writer.connection

    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "foreign_keys")}

    assert found == {"journal_mode": "wal", "foreign_keys": 1}
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_readers_share_few_connections_and_never_at_once(store: Store) -> None:
    with store.write():
        meta.mark_value(store, "a", value=1)

    def read() -> None:
        for _ in range(50):
            assert values(store) == {"a": "1"}

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # No more than read at one moment, and all given back.
    assert 1 <= len(store._readers) <= 8
    assert len(set(map(id, store._readers))) == len(store._readers)
    assert store._writer.connection not in store._readers


def test_a_thread_that_writes_reads_what_it_wrote(store: Store) -> None:
    with store.write():
        meta.mark_value(store, "a", value=1)
        assert values(store) == {"a": "1"}


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """The same file, as another process has it open."""
    other = open_store(store.path)
    yield other
    other.close()


def test_a_look_reads_each_row_once(store: Store, other: Store) -> None:
    with store.look():
        assert meta.get_value(store, "a") is None
        mark(other, "a", "b")
        assert meta.get_value(store, "a") is None
        # The same statement about another row is another read.
        assert meta.get_value(store, "b") == "1"

    assert meta.get_value(store, "a") == "1"


def test_a_look_is_of_one_thread(store: Store, other: Store) -> None:
    seen: list[dict[str, str]] = []
    with store.look():
        assert values(store) == {}
        mark(other, "a")
        thread = threading.Thread(target=lambda: seen.append(values(store)))
        thread.start()
        thread.join()

    assert seen == [{"a": "1"}]


def test_a_write_in_a_look_reads_what_is_there_and_leaves_nothing_known(store: Store, other: Store) -> None:
    with store.look():
        assert values(store) == {}
        mark(other, "a")
        with store.write():
            assert values(store) == {"a": "1"}
            meta.mark_value(store, "b", value=1)
        assert values(store) == {"a": "1", "b": "1"}


def test_a_write_that_failed_leaves_nothing_known(store: Store) -> None:
    with store.look():
        assert values(store) == {}
        with pytest.raises(KeyboardInterrupt):
            mark(store, "a", then=lambda: (values(store), stop()))
        assert values(store) == {}


def test_a_look_that_forgets_begins_anew_and_one_inside_it_is_the_same(store: Store, other: Store) -> None:
    with store.look():
        assert values(store) == {}
        mark(other, "a")
        with store.look():
            assert values(store) == {}
        assert values(store) == {}
        store.forget()
        assert values(store) == {"a": "1"}


def test_a_closed_store_opens_again(store: Store) -> None:
    with store.write():
        meta.mark_value(store, "a", value=1)

    store.close()

    assert values(store) == {"a": "1"}


def test_the_library_in_use_has_the_wal_reset_bug_fixed() -> None:
    assert tuple(int(part) for part in sqlite_version().split(".")) >= (3, 51, 3) or sys.platform != "linux"


_RACE = """
import sys
from pathlib import Path
from encore.store import open_store, schema
store = open_store(Path(sys.argv[1]))
sys.stdin.read()  # until all eight stand at the line
print(",".join(schema.upgrade(store, now=1)))
"""


def test_eight_processes_race_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "raced.sqlite3"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
            cwd=Path(__file__).parents[2],
        )
        for _ in range(8)
    ]

    said = [racer.communicate()[0].strip() for racer in racers]

    assert [racer.returncode for racer in racers] == [0] * 8
    applied = [name for line in said for name in line.split(",") if name]
    assert sorted(applied) == [migration.name for migration in schema.migrations()]
    store = open_store(path)
    assert schema.pending(store) == []
    store.close()


def test_an_edited_migration_is_noticed(store: Store) -> None:
    with store.write():
        store.run("UPDATE _sqlite_migrations SET checksum = 'another'")

    with pytest.raises(schema.SchemaChanged):
        schema.pending(store)


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = schema.Migration(
        name="0001_broken.sql", sql="CREATE TABLE a (x text); CREATE TABLE a (x text)", checksum="c"
    )
    monkeypatch.setattr(schema, "migrations", lambda: [broken])
    store = open_store(tmp_path / "broken.sqlite3")

    with pytest.raises(Exception, match="already exists"):
        schema.upgrade(store, now=1)

    assert store.rows("SELECT name FROM sqlite_master WHERE name = 'a'") == []
    assert schema.pending(store) == ["0001_broken.sql"]
    store.close()


def test_a_subscription_without_a_currency_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = schema.migrations()
    store = open_store(tmp_path / "older.sqlite3")
    monkeypatch.setattr(schema, "migrations", lambda: [m for m in every if "with_currency" not in m.name])
    schema.upgrade(store, now=1)
    with store.write():
        for number, currency in enumerate(("USD", None)):
            name = {"id": f"sbs_{number}", "provider_subscription_id": f"sub_{number}", "order_id": None}
            insert(store, "subscriptions", currency=currency, **name)
    monkeypatch.setattr(schema, "migrations", lambda: every)

    schema.upgrade(store, now=2)

    assert [row["id"] for row in store.rows("SELECT id FROM subscriptions")] == ["sbs_0"]
    asked = store.rows("SELECT provider_subscription_id FROM subscriptions_to_read")
    assert [row["provider_subscription_id"] for row in asked] == ["sub_1"]
    store.close()


def test_payments_from_before_learn_their_subscription_from_what_they_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = schema.migrations()
    store = open_store(tmp_path / "older.sqlite3")
    monkeypatch.setattr(schema, "migrations", lambda: [m for m in every if m.name < "0010"])
    schema.upgrade(store, now=1)
    with store.write():
        for table in ("products", "checkouts", "offers", "offer_versions", "offer_instances", "acceptances"):
            insert(store, table)
        insert(store, "attempts", kind="dues", subscription_id="sub_1")
        insert(store, "payments")
        insert(store, "payments", id="pay_2", attempt_id=None, acceptance_id=None, disposition="renewal")
    monkeypatch.setattr(schema, "migrations", lambda: every)

    schema.upgrade(store, now=2)

    found = store.rows("SELECT id, subscription_id FROM payments ORDER BY id")
    assert [(row["id"], row["subscription_id"]) for row in found] == [("pay_1", "sub_1"), ("pay_2", None)]
    store.close()
