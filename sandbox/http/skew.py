"""A provider whose clock is wrong: what it stamps and what it filters by is off against the sandbox clock.

Only what a client sees moves: the Date header, `created_at`, `updated_at` and a webhook's `timestamp`. What is due is
still due by the sandbox clock. Ordered by `POST /_sandbox/clock {skew_s}`; the choice of fields is ours.
"""

import re
from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from ..core.clock import parse_rfc3339, rfc3339
from ..core.twin import Twin
from .server import Request, Response

STAMPS = re.compile(rb'("(?:created_at|updated_at|timestamp)": ?")([0-9T:.-]+Z)"')
FILTERS = ("created_at_gte", "created_at_lte")


def skew_ms(twin: Twin) -> int:
    """Return how far the provider's clock is ahead of the sandbox clock, in milliseconds."""
    return round(1000 * float(twin.store.setting("skew_s", 0)))


def shifted(twin: Twin, body: bytes) -> bytes:
    """Return a JSON body with its stamps as the provider's clock would have made them."""
    by_ms = skew_ms(twin)
    if not by_ms:
        return body

    def move(match: re.Match[bytes]) -> bytes:
        return match[1] + rfc3339(parse_rfc3339(match[2].decode()) + by_ms).encode() + b'"'

    return STAMPS.sub(move, body)


def unshifted(twin: Twin, request: Request) -> Request:
    """Return a request whose filters by time mean the sandbox clock."""
    by_ms = skew_ms(twin)
    if not by_ms or "created_at_" not in request.query:
        return request
    pairs = parse_qsl(request.query, keep_blank_values=True)
    return replace(request, query=urlencode([(name, _earlier(name, value, by_ms)) for name, value in pairs]))


def stamp(twin: Twin, answer: Response) -> None:
    """Date an answer by the provider's clock."""
    answer.body = shifted(twin, answer.body)
    answer.headers.append(("Date", _date((twin.clock.now() + skew_ms(twin)) // 1000)))


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    # Written once a second: it would be a twentieth of what a read costs.
    return formatdate(seconds, usegmt=True)


def _earlier(name: str, value: str, by_ms: int) -> str:
    try:
        return rfc3339(parse_rfc3339(value) - by_ms) if name in FILTERS else value
    except ValueError:
        # Not a time: the route refuses it.
        return value
