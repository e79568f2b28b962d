"""The only place that asks the time; tests pass a fixed clock instead."""

import sys
import time


class Clock:
    """The machine's clocks, each for the one purpose it is right for."""

    def now(self) -> int:
        """Return the wall clock in epoch milliseconds: for rows, pages and signatures."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that never jump and stop while the machine sleeps: for budgets and leases."""
        return time.monotonic()

    def boottime(self) -> float:
        """Return seconds that never jump and also count sleep: for the send window.

        On macOS CLOCK_MONOTONIC counts sleep (`time.monotonic()` does not); elsewhere CLOCK_BOOTTIME does.
        """
        if sys.platform == "darwin":
            return time.clock_gettime(time.CLOCK_MONOTONIC)
        return time.clock_gettime(time.CLOCK_BOOTTIME)
