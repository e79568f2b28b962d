"""The log of what the wire was asked and how it answered; a shop is judged by it, so it says what it has forgotten."""

import json

import msgspec

from ..core.clock import wall_ms
from ..core.store import Doc
from ..core.twin import Twin
from .server import Request

# So many of the latest requests are kept: the calls of a hundred thousand accepts, in some 300 MB (our choice).
MOST_KEPT = 500_000
# How many are forgotten at a time, so that this costs nothing that could be measured.
FORGOTTEN_AT_ONCE = 1000
# Whoever reads the log learns no key and no cookie.
SECRET_HEADERS = ("authorization", "cookie")


def add(twin: Twin, request: Request, rule: Doc | None, *, status: int | None = None) -> int:
    """Log a request with the fault rule that it met, and return its number; without a status it is unanswered yet."""
    headers = {name: value for name, value in request.headers.items() if name not in SECRET_HEADERS}
    number = twin.store.insert(
        "INSERT INTO requests (at, method, path, query, body, headers, status, fault, effect)"
        " VALUES (:at, :method, :path, :query, :body, :headers, :status, :fault, :effect)",
        at=wall_ms(),
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body.decode("utf-8", "replace"),
        headers=msgspec.json.encode(headers).decode(),
        status=status,
        fault=rule and rule["fault"],
        effect=rule and rule["effect"],
    )
    if number % FORGOTTEN_AT_ONCE == 0:
        _forget(twin, number - MOST_KEPT)
    return number


def set_status(twin: Twin, number: int, status: int | None) -> None:
    """Note how a request was answered in the end; None if it was not."""
    twin.store.run("UPDATE requests SET status = :status WHERE id = :id", status=status, id=number)


def listed(twin: Twin, *, after: int, limit: int) -> Doc:
    """Return `{"items": [...], "dropped"}`: the requests behind number `after`, oldest first, at most `limit` (0: all).

    `dropped` is how many of all since the last reset were forgotten: unless it is 0, the log proves no absence.
    """
    rows = twin.store.rows(
        "SELECT * FROM requests WHERE id > :after ORDER BY id LIMIT :limit", after=after, limit=limit or -1
    )
    return {"items": [_shown(dict(row)) for row in rows], "dropped": twin.store.setting("requests_dropped", 0)}


def _forget(twin: Twin, last: int) -> None:
    """Forget the requests up to number `last`, and count them."""
    with twin.store.write():
        gone = twin.store.run("DELETE FROM requests WHERE id <= :last", last=last)
        if gone:
            twin.store.set_setting("requests_dropped", twin.store.setting("requests_dropped", 0) + gone)


def _shown(row: Doc) -> Doc:
    try:
        body = json.loads(row["body"]) if row["body"] else None
    except ValueError:
        body = row["body"]
    return {**row, "body": body, "headers": json.loads(row["headers"])}
