"""The shop with a stopwatch around it: every answer says how long a provider call was open while it was made.

The benchmark serves this instead of `app:create_app()`. The product itself has no such switch and no such header.
"""

from collections.abc import Callable, Iterable
from typing import Any

from app import create_app as create_shop
from encore.clock import Clock
from encore.dodo.client import CallTimer, time_calls

Start = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], Start], Iterable[bytes]]


def create_app() -> Wsgi:
    """Build the shop for the environment's settings, as a WSGI server takes it."""
    return _timed(create_shop())


def _timed(app: Wsgi) -> Wsgi:
    clock = Clock()

    def answer(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        with time_calls(clock) as timer:
            return app(environ, _with_header(start_response, timer))

    return answer


def _with_header(start_response: Start, timer: CallTimer) -> Start:
    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        # Flask calls this when the handler is done, so every call of the request is over.
        return start_response(status, [*headers, ("Server-Timing", f"provider;dur={timer.open_ms:.2f}")], *more)

    return start
