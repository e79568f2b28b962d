"""A provider whose clock is wrong: what it stamps and what it filters by is off against the sandbox clock.

Only what a client sees moves: the Date header, `created_at`, `updated_at` and a webhook's `timestamp`. What is due is
still due by the sandbox clock. Ordered by `POST /_sandbox/clock {skew_s}`; the choice of fields is ours.
"""

from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from ..core.clock import parse_rfc3339, rfc3339
from ..core.twin import Twin
from .server import Request, Response

STAMPS = ("created_at", "updated_at", "timestamp")
# Whose names a merchant chooses: what is below is no stamp of the provider's.
MERCHANTS_OWN = ("metadata", "headers", "custom_field_responses")
FILTERS = ("created_at_gte", "created_at_lte")


def skew_ms(twin: Twin) -> int:
    """Return how far the provider's clock is ahead of the sandbox clock, in milliseconds."""
    return round(1000 * float(twin.store.setting("skew_s", 0)))


def shifted(twin: Twin, body: bytes) -> bytes:
    """Return a JSON body with its stamps as the provider's clock would have made them."""
    by_ms = skew_ms(twin)
    if not by_ms:
        return body

    try:
        document = msgspec.json.decode(body)
    except ValueError:
        # A page or a PDF.
        return body
    return msgspec.json.encode(_moved(document, by_ms))


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


def _moved(value: Any, by_ms: int) -> Any:
    if isinstance(value, list):
        return [_moved(item, by_ms) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _moved_field(name, inner, by_ms) for name, inner in value.items()}


def _moved_field(name: str, value: Any, by_ms: int) -> Any:
    if name in MERCHANTS_OWN:
        return value
    if name not in STAMPS or not isinstance(value, str):
        return _moved(value, by_ms)
    try:
        return rfc3339(parse_rfc3339(value) + by_ms)
    except ValueError:
        # A trigger may show anything in a stamp's place.
        return value


def _earlier(name: str, value: str, by_ms: int) -> str:
    try:
        return rfc3339(parse_rfc3339(value) - by_ms) if name in FILTERS else value
    except ValueError:
        # Not a time: the route refuses it.
        return value
