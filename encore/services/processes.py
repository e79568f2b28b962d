"""Presence: this process says it is alive, and finds out which senders have ended.

Whether a charging request can still leave decides when it may be called absent, so a sender counts as ended only on
proof: its own word, its process finding the thread gone, or the lock file that its process held being free.
"""

import fcntl
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from encore.clock import Clock
from encore.ids import new_id
from encore.store import Store, attempts, processes

HEARTBEAT_S = 5.0
# Three missed heartbeats. Source: charging.md, section 1.
_SILENT_MS = 15_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_silent(heartbeat_at: int, *, now: int) -> bool:
    """Tell whether a process that last spoke then must be taken for gone (epoch milliseconds)."""
    return now - heartbeat_at >= _SILENT_MS


class Presence:
    """This process in the store: a row, a heartbeat, a lock file held for life, and the sends under way."""

    def __init__(self, store: Store, *, clock: Clock, lock_dir: Path) -> None:
        self._store = store
        self._clock = clock
        self._lock_dir = lock_dir
        # Two locks, since a transaction asks what is being sent: a thread that held that lock while it waits for its
        # turn to write, or for a commit it shares, would wait for the one that waits for it.
        self._guard = threading.Lock()
        self._registering = threading.Lock()
        self._sending: set[str] = set()
        self._stop = threading.Event()
        self._lock_file: IO[str] | None = None
        self.process_id: str | None = None

    def join(self, kind: Literal["web", "worker"]) -> str:
        """Register this process once and begin its heartbeat; returns its id. Never called inside `store.write()`."""
        if self._store.in_write():
            raise RuntimeError("a process is registered before a transaction begins")
        with self._registering:
            if self.process_id is None:
                self.process_id = self._register(kind)
                threading.Thread(target=self._beat_on, name="heartbeat", daemon=True).start()
            return self.process_id

    def leave(self) -> None:
        """Say that this process ends in good order."""
        self._stop.set()
        with self._registering:
            # Whoever is named as sending from here on registers the process anew: `sending()` comes before `join()`.
            with self._guard:
                is_sending = bool(self._sending)
            if self.process_id is None or is_sending:
                return
            process_id, self.process_id = self.process_id, None
            lock_file, self._lock_file = self._lock_file, None
        # Not under the guard: a heartbeat takes it inside its transaction, and each would wait for the other for ever.
        with suppress(Exception), self._store.write():
            processes.mark_gone(self._store, process_id)
        if lock_file is not None:
            lock_file.close()
            Path(lock_file.name).unlink(missing_ok=True)

    @contextmanager
    def sending(self, attempt_id: str) -> Iterator[None]:
        """Name a send for as long as its thread may put bytes on a socket; `join()` inside it, not before."""
        with self._guard:
            self._sending.add(attempt_id)
        try:
            yield
        finally:
            with self._guard:
                self._sending.discard(attempt_id)

    def has_ended(self, sender_id: str | None, *, attempt_id: str, silent_ms: int) -> bool:
        """Tell whether the sender of an attempt can put no more bytes on a socket.

        On another machine only silence tells: `silent_ms` without a heartbeat.
        """
        if sender_id is None:
            return True
        if sender_id == self.process_id:
            with self._guard:
                return attempt_id not in self._sending
        process = processes.get_process(self._store, sender_id)
        if process is None:
            return True
        if process.host != platform.node():
            return self._clock.now() - process.heartbeat_at >= silent_ms
        return process.boot_id != boot_id() or self._is_lock_free(sender_id)

    def beat(self) -> None:
        """Say that this process is alive and close the sends whose thread is gone."""
        process_id = self.process_id
        if process_id is None:
            return
        now = self._clock.now()
        with self._store.write():
            processes.mark_heartbeat(self._store, process_id, now=now)
            for attempt in attempts.list_sending(self._store):
                if attempt.sender_id == process_id and self.has_ended(process_id, attempt_id=attempt.id, silent_ms=0):
                    attempts.mark_sender_ended(self._store, attempt.id, now=now)

    def _register(self, kind: Literal["web", "worker"]) -> str:
        process_id = new_id("proc")
        self._lock_dir.mkdir(parents=True, exist_ok=True)
        self._lock_file = (self._lock_dir / f"{process_id}.lock").open("w")
        # Locked before the row exists: a row whose lock is free belongs to a process that died.
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        now = self._clock.now()
        with self._store.write():
            processes.insert_process(
                self._store,
                processes.Process(
                    id=process_id,
                    kind=kind,
                    host=platform.node(),
                    boot_id=boot_id(),
                    pid=os.getpid(),
                    started_at=now,
                    heartbeat_at=now,
                ),
            )
        return process_id

    def _beat_on(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            # A store that is busy or full now may not be so in five seconds; silence is the signal others read.
            with suppress(Exception):
                self.beat()

    def _is_lock_free(self, process_id: str) -> bool:
        path = self._lock_dir / f"{process_id}.lock"
        try:
            handle = path.open("r+")
        except FileNotFoundError:
            return True
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True


def boot_id() -> str:
    """Name this start of the machine, so that a process id of an earlier one is not taken for alive."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return "unknown"
