"""One thread cuts every call whose time is over: a thread for each call would cost more than its answer's reading."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush

from encore.clock import Clock


@dataclass(order=True)
class Limit:
    """The end of one call; `cancel` when the call is over."""

    _at: float
    _cut: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        """Let go of the call; what is left of this limit is dropped when the thread next looks."""
        self._cut = None


class Watchdog:
    """Keeps the limits of all calls of this process, the nearest first."""

    def __init__(self) -> None:
        # Always the real clock: a socket knows no other.
        self._clock = Clock()
        self._is_running = False
        self._begin()
        # A fork takes the limits with it, but not the thread that keeps them.
        os.register_at_fork(after_in_child=self._begin)

    def limit(self, seconds: float, cut: Callable[[], object]) -> Limit:
        """Call `cut` from another thread after `seconds`, unless the limit is cancelled before."""
        limit = Limit(self._clock.monotonic() + seconds, cut)
        with self._changed:
            heappush(self._limits, limit)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()
            elif self._limits[0] is limit:
                self._changed.notify()
        return limit

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._limits: list[Limit] = []
        self._is_running = False

    def _run(self) -> None:
        while True:
            for limit in self._wait_for_due():
                cut = limit._cut
                if cut is not None:
                    # Whatever one cut meets, the others' time must still end.
                    with suppress(Exception):
                        cut()

    def _wait_for_due(self) -> list[Limit]:
        with self._changed:
            while True:
                # Most calls end long before their limit: these are dropped as soon as they come to the top.
                while self._limits and self._limits[0]._cut is None:
                    heappop(self._limits)
                wait_s = self._limits[0]._at - self._clock.monotonic() if self._limits else None
                if wait_s is not None and wait_s <= 0:
                    return [heappop(self._limits)]
                self._changed.wait(wait_s)


watchdog = Watchdog()
