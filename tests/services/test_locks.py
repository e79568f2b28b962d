"""No lock that a transaction takes is held around another: two threads would wait for each other for ever (ADR 23)."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import pytest

from encore import ids
from encore.services import worker
from encore.services.status import Readiness
from encore.store.writing import Writer
from tests.services.conftest import Open

_make_lock = threading.Lock


class Watch:
    """Which locks are held while a thread waits for its turn to write, and which ones it takes in its turn."""

    def __init__(self) -> None:
        self.held_around: set[str] = set()
        self.taken_inside: set[str] = set()
        self.of_thread = threading.local()

    def make(self) -> "threading.Lock | Watched":
        """Return a lock: a watched one to Encore, but for the locks that are the turn itself."""
        maker = sys._getframe(1).f_globals["__name__"]
        is_ours = maker.startswith("encore.") and not maker.startswith("encore.store.")
        return Watched(self, f"{maker}:{sys._getframe(1).f_lineno}") if is_ours else _make_lock()

    @property
    def held(self) -> list[str]:
        held: list[str] = self.of_thread.__dict__.setdefault("held", [])
        return held


class Watched:
    """A lock that tells its watch when it is taken and given back."""

    def __init__(self, watch: Watch, name: str) -> None:
        self._watch, self._name, self._lock = watch, name, _make_lock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._watch.held.append(self._name)
        if getattr(self._watch.of_thread, "is_writing", False):
            self._watch.taken_inside.add(self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.held.remove(self._name)
        self._lock.release()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch, transaction = Watch(), Writer.transaction

    @contextmanager
    def watched(writer: Writer) -> Iterator[None]:
        watch.held_around.update(watch.held)
        with transaction(writer):
            watch.of_thread.is_writing = True
            try:
                yield
            finally:
                watch.of_thread.is_writing = False

    monkeypatch.setattr(threading, "Lock", watch.make)
    monkeypatch.setattr(Writer, "transaction", watched)
    monkeypatch.setattr(ids._ulids, "_lock", Watched(watch, "encore.ids"))
    return watch


def test_no_lock_of_a_transaction_is_held_around_another(watch: Watch, open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="0")
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset")
    world.accept(page)
    with world.shop.store.write():
        world.shop.store.run("UPDATE attempts SET state = 'sending', socket_closed_at = NULL")
    world.shop.presence.beat()
    Readiness(world.shop).readyz()
    worker.run_once(world.shop)

    assert watch.held_around & watch.taken_inside == set()
    # Those there are have been met.
    assert modules(watch.held_around) == {"encore.services.processes", "encore.services.status"}
    assert modules(watch.taken_inside) == {"encore.services.processes", "encore.ids"}


def modules(locks: set[str]) -> set[str]:
    return {name.partition(":")[0] for name in locks}
