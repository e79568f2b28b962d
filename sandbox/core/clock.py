"""The sandbox's own time: real time moved by an offset, or frozen.

Objects, retries and expiry follow this clock. Webhook signatures do not: they carry real time,
so that moving the clock breaks no signature.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from .store import Doc, Store

DAY_MS = 86_400_000
# In UTC, though it does not say so: then it is written without its zone.
EPOCH = datetime(1970, 1, 1)
# A moment outside these years cannot be written in every zone and with every day added to it (our choice).
YEARS = range(1900, 9999)


class Clock:
    """Reads and moves sandbox time, in epoch milliseconds. Its state survives a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = threading.local()

    def now(self) -> int:
        """Return sandbox time."""
        held: int | None = getattr(self._held, "moment", None)
        if held is not None:
            return held
        state = self._state()
        frozen_at: int | None = state["frozen_at"]
        return wall_ms() + int(state["offset_ms"]) if frozen_at is None else frozen_at

    def advance(self, milliseconds: int) -> None:
        """Move time forward (or back, if negative)."""
        state = dict(self._state())
        if state["frozen_at"] is not None:
            state["frozen_at"] += milliseconds
        state["offset_ms"] += milliseconds
        self._store.set_setting("clock", state)

    def freeze(self) -> None:
        """Stop time where it is."""
        state = dict(self._state())
        state["frozen_at"] = self.now()
        self._store.set_setting("clock", state)

    def thaw(self) -> None:
        """Let time run on from where it was stopped."""
        state = dict(self._state())
        if state["frozen_at"] is not None:
            state["offset_ms"] = state["frozen_at"] - wall_ms()
            state["frozen_at"] = None
            self._store.set_setting("clock", state)

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Let this thread do the block at another moment: what a jump of the clock made due happens when it was due."""
        self._held.moment = moment
        try:
            yield
        finally:
            self._held.moment = None

    def describe(self) -> dict[str, object]:
        """Return both times and whether time stands still, for `/_sandbox/clock`."""
        state = self._state()
        return {
            "now": self.now(),
            "now_rfc3339": rfc3339(self.now()),
            "wall": wall_ms(),
            "offset_ms": state["offset_ms"],
            "frozen": state["frozen_at"] is not None,
        }

    def _state(self) -> Doc:
        state: Doc = self._store.setting("clock", {"offset_ms": 0, "frozen_at": None})
        return state


def wall_ms() -> int:
    """Return real time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def rfc3339(milliseconds: int) -> str:
    """Format as the provider does: UTC with six fractional digits."""
    return (EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="microseconds") + "Z"


def utc(milliseconds: int) -> datetime:
    """Return an aware UTC datetime."""
    return datetime.fromtimestamp(milliseconds // 1000, tz=UTC).replace(microsecond=milliseconds % 1000 * 1000)


def parse_rfc3339(text: str) -> int:
    """Read an RFC 3339 timestamp into epoch milliseconds; raises ValueError, also outside YEARS."""
    moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment.year not in YEARS:
        raise ValueError(f"must be in the years {YEARS[0]} to {YEARS[-1]}")
    return round(moment.timestamp() * 1000)
