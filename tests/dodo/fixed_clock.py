"""A clock that moves only when told to."""

from encore.clock import Clock


class FixedClock(Clock):
    """All three clocks at once; `advance` moves them together."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self.now_ms = now_ms
        self.elapsed_s = 0.0

    def now(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.elapsed_s

    def boottime(self) -> float:
        return self.elapsed_s

    def advance(self, seconds: float) -> None:
        self.elapsed_s += seconds
        self.now_ms += round(seconds * 1000)
