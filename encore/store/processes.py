"""Processes: who is alive, by heartbeat and (on one machine) by a lock file the process holds."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Process:
    """One web or worker process; `boot_id` tells one start of a machine from the next."""

    id: str
    kind: str
    host: str
    boot_id: str
    pid: int
    started_at: int
    heartbeat_at: int


def insert_process(store: Store, process: Process) -> None:
    """Register a process."""
    store.run(f"INSERT INTO processes ({columns(Process)}) VALUES ({placeholders(Process)})", **values(process))


def get_process(store: Store, process_id: str) -> Process | None:
    """Return a process by id."""
    return one(Process, store.row(f"SELECT {columns(Process)} FROM processes WHERE id = :id", id=process_id))


def mark_heartbeat(store: Store, process_id: str, *, now: int) -> None:
    """Note that a process is alive."""
    store.run("UPDATE processes SET heartbeat_at = :now WHERE id = :id", id=process_id, now=now)


def get_latest_heartbeat(store: Store, kind: str) -> int | None:
    """Return when a process of this kind last said it is alive (epoch milliseconds)."""
    found = store.row("SELECT max(heartbeat_at) AS latest FROM processes WHERE kind = :kind", kind=kind)
    return None if found is None else found["latest"]


def mark_gone(store: Store, process_id: str) -> None:
    """Forget a process that ended in good order."""
    store.run("DELETE FROM processes WHERE id = :id", id=process_id)
