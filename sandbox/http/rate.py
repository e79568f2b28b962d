"""The provider's request limits: so many in a sliding second and in a sliding minute, in real time, for each caller."""

import threading
import time
from collections import deque
from collections.abc import Callable

from ..core.twin import Twin
from .server import Request, Response

Limits = tuple[int, int]
# (requests a second, requests a minute) of each tier (docs, Rate Limits). The default is off: our choice.
TIERS: dict[str, Limits] = {"0": (40, 240), "1": (100, 1000), "2": (500, 5000)}
# Whoever shows no key is counted by address.
WITHOUT_KEY: Limits = (20, 100)


class RateLimit:
    """Counts the requests of each caller; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: dict[str, deque[float]] = {}

    def spend(self, caller: str, limits: Limits) -> int:
        """Count one request; returns 0, or for one over the limit the seconds to wait, and counts it not."""
        a_second, a_minute = limits
        now = self._clock()
        with self._lock:
            times = self._callers.setdefault(caller, deque())
            while times and times[0] <= now - 60:
                times.popleft()
            if len(times) >= a_minute:
                return max(1, round(times[0] + 60 - now + 0.5))
            if len(times) >= a_second and times[-a_second] > now - 1:
                return 1
            times.append(now)
            return 0

    def headers(self, caller: str, limits: Limits) -> list[tuple[str, str]]:
        """Return the X-RateLimit headers; they speak of the minute. `Reset` is a time in Unix seconds (our choice)."""
        now = self._clock()
        with self._lock:
            times = self._callers.get(caller, deque())
            used, oldest = len(times), times[0] if times else now
        return [
            ("X-RateLimit-Limit", str(limits[1])),
            ("X-RateLimit-Remaining", str(max(0, limits[1] - used))),
            ("X-RateLimit-Reset", str(int(time.time() + max(0, oldest + 60 - now)))),
        ]


def caller_of(request: Request) -> str:
    """Return whom a request is counted for: its key, else its address."""
    return request.headers.get("authorization") or request.peer


def limits_of(twin: Twin, request: Request) -> Limits | None:
    """Return the limits in force for a request, None while they are off."""
    tier = TIERS.get(str(twin.store.setting("rate", "off")))
    return tier if tier is None or "authorization" in request.headers else WITHOUT_KEY


def add_headers(rate: RateLimit, twin: Twin, request: Request, answer: Response) -> None:
    """Tell a client what it has left, while limits are on."""
    limits = limits_of(twin, request)
    if limits is not None:
        answer.headers += rate.headers(caller_of(request), limits)
