"""Faults: what can be ordered to go wrong with an answer, and how each looks on the socket.

The words are a contract, listed in docs/operator/sandbox.md.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ..core.clock import parse_rfc3339
from ..core.store import Doc
from .server import Connection, Request, Response

# No client waits longer; the limit only keeps a forgotten connection from holding a thread for ever.
HOLD_LIMIT_S = 600.0
HUGE_BYTES = 50 * 1024 * 1024
DRIP_INTERVAL_S = 1.0

STATUS_CODES = {
    400: "INVALID_REQUEST_PARAMETERS",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    410: "PRODUCT_IS_DELETED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "INVALID_REQUEST_BODY",
    429: "TOO_MANY_REQUESTS",
}
# Where `kill` can end the process: nothing has happened; it is done but not stored; it is stored; it is stored
# and logged, and the answer not sent.
KILL_POINTS = ("before_effect", "in_effect", "after_effect", "before_answer")
ID_FIELDS = (
    *("payment_id", "session_id", "id", "refund_id", "payment_method_id"),
    *("customer_id", "product_id", "subscription_id"),
)


@dataclass(frozen=True)
class Fault:
    """One fault as ordered: the word and its arguments."""

    word: str
    arguments: tuple[str, ...] = ()
    retry_after: str | None = None

    @classmethod
    def parse(cls, text: str, retry_after: str | None = None) -> "Fault":
        """Read `status:503`, `slow:2`, `reset` ...; raises ValueError for anything else."""
        word, *arguments = text.split(":")
        fault = cls(word, tuple(arguments), retry_after)
        if word not in WORDS or not WORDS[word](fault.arguments):
            raise ValueError(text)
        return fault

    @property
    def text(self) -> str:
        """The fault as it was written."""
        return ":".join((self.word, *self.arguments))

    @property
    def needs_answer(self) -> bool:
        """Whether the fault spoils a real answer, so that one must be made even if nothing is to happen."""
        return (
            self.word in SPOILERS
            or self.word in ("none", "slow", "drip", "stall_after_headers", "lag")
            or (self.word == "status" and self.arguments[0].startswith("2") and self.arguments[0] != "204")
        )

    def kill_point(self, effect: str) -> str | None:
        """Return where the process ends, None if it does not; without a name the effect says so."""
        if self.word != "kill":
            return None
        if self.arguments:
            return self.arguments[0]
        return "before_effect" if effect == "none" else "before_answer"

    @property
    def strikes_early(self) -> bool:
        """Whether the connection is dropped before the request has been read in full."""
        return self.word in ("reset_before_read", "reset_mid_read")


def inflict(fault: Fault, request: Request, connection: Connection, *, answer: Response, other_id: str) -> int | None:
    """Do the fault on the connection; return the status sent, None if no answer was given.

    `answer` is the real answer for the faults that spoil one, else empty. `other_id` is another payment's id.
    """
    if fault.word in SPOILERS:
        body = SPOILERS[fault.word](answer.body, other_id)
        connection.send(Response(answer.status, answer.headers, body), keep_alive=request.keep_alive)
        return answer.status
    return ON_SOCKET[fault.word](fault, request, connection, answer)


def strike_early(fault: Fault, request: Request, connection: Connection) -> None:
    """Drop the connection before, or in the middle of, reading the body."""
    if fault.word == "reset_mid_read" and not request.body:
        connection.read_body(max(1, request.content_length // 2))
    connection.reset()


# Faults that change the body of a real answer.


def _main_id(body: Doc) -> tuple[Doc, str] | None:
    """Find the id that matters in an answer: a payment's if there is one."""
    items = body.get("items")
    if isinstance(items, list):
        body = items[0] if items and isinstance(items[0], dict) else {}
    for name in ID_FIELDS:
        if body.get(name) is not None:
            return body, name
    return None


def _edited(body: bytes, edit: Callable[[Doc, str], None]) -> bytes:
    try:
        doc = json.loads(body)
    except ValueError:
        return body
    if isinstance(doc, dict):
        # An answer without any id, such as a preview, still has sums to spoil.
        edit(*(_main_id(doc) or (doc, "id")))
    return json.dumps(doc).encode()


def _wrong_type(body: bytes, other_id: str) -> bytes:
    def edit(doc: Doc, name: str) -> None:
        doc[name] = 12345
        for field in ("status", "payment_status", "metadata", "customer"):
            if field in doc:
                doc[field] = [17]
        for field in ("total_amount", "total_price"):
            if field in doc:
                doc[field] = "many"

    return _edited(body, edit)


def _missing_id(body: bytes, other_id: str) -> bytes:
    return _edited(body, lambda doc, name: doc.pop(name, None))


def _null_id(body: bytes, other_id: str) -> bytes:
    return _edited(body, lambda doc, name: doc.update({name: None}))


def _other_id(body: bytes, other_id: str) -> bytes:
    return _edited(body, lambda doc, name: doc.update({name: other_id}))


def _unknown_fields(body: bytes, other_id: str) -> bytes:
    def edit(doc: Doc, name: str) -> None:
        doc |= {"zz_new_field": {"nested": [1, None, "x"]}, "zz_flag": True}

    return _edited(body, edit)


def _with_number(literal: str) -> Callable[[bytes, str], bytes]:
    def spoil(body: bytes, other_id: str) -> bytes:
        def edit(doc: Doc, name: str) -> None:
            doc["total_amount"] = "@@number@@"

        return _edited(body, edit).replace(b'"@@number@@"', literal.encode())

    return spoil


def _repeated_keys(body: bytes, other_id: str) -> bytes:
    try:
        place = _main_id(json.loads(body))
    except ValueError:
        return body
    name = place[1] if place else "id"
    return body.replace(f'"{name}":'.encode(), f'"{name}": "{other_id}", "{name}":'.encode(), 1)


def _edited_rows(body: bytes, edit: Callable[[list[Any]], list[Any]]) -> bytes:
    try:
        doc = json.loads(body)
    except ValueError:
        return body
    if isinstance(doc, dict) and isinstance(doc.get("items"), list):
        doc["items"] = edit(doc["items"])
    return json.dumps(doc).encode()


SPOILERS: dict[str, Callable[[bytes, str], bytes]] = {
    "truncated": lambda body, other_id: body[: len(body) // 2],
    "wrong_type": _wrong_type,
    "missing_id": _missing_id,
    "null_id": _null_id,
    "other_id": _other_id,
    "unknown_fields": _unknown_fields,
    "nan": _with_number("NaN"),
    "1e400": _with_number("1e400"),
    "repeated_keys": _repeated_keys,
    "no_rows": lambda body, other_id: _edited_rows(body, lambda rows: []),
    "first_row_missing": lambda body, other_id: _edited_rows(body, lambda rows: rows[1:]),
}

# Faults that are a way of behaving on the socket.


def _reset(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.reset()
    return None


def _timeout(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.wait_until_gone(HOLD_LIMIT_S)
    connection.close()
    return None


def _none(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.send(answer, keep_alive=request.keep_alive)
    return answer.status


def _slow(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    if connection.wait_until_gone(float(fault.arguments[0])):
        connection.close()
        return None
    connection.sock.settimeout(None)
    return _none(fault, request, connection, answer)


def _drip(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    whole = answer.head(length=len(answer.body), keep_alive=False) + answer.body
    deadline = time.monotonic() + HOLD_LIMIT_S
    for position in range(len(whole)):
        connection.write(whole[position : position + 1])
        if not connection.open or time.monotonic() > deadline:
            break
        if connection.wait_until_gone(DRIP_INTERVAL_S):
            break
        connection.sock.settimeout(None)
    connection.close()
    return answer.status


def _stall(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.write(answer.head(length=len(answer.body), keep_alive=True))
    connection.wait_until_gone(HOLD_LIMIT_S)
    connection.close()
    return answer.status


def _empty(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.send(Response(200, [("Content-Type", "application/json")]), keep_alive=request.keep_alive)
    return 200


def _html(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    page = b"<!doctype html><html><head><title>Just a moment</title></head><body>Checking your browser</body></html>"
    connection.send(Response(200, [("Content-Type", "text/html")], page), keep_alive=request.keep_alive)
    return 200


def _huge(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    head, tail = b'{"session_id": "cks_huge", "payment_id": null, "padding": "', b'"}'
    headers = [("Content-Type", "application/json")]
    connection.write(Response(200, headers).head(length=HUGE_BYTES, keep_alive=False) + head)
    left = HUGE_BYTES - len(head) - len(tail)
    chunk = b"a" * 1_048_576
    while left > 0 and connection.open:
        connection.write(chunk[:left])
        left -= len(chunk)
    if connection.open:
        connection.write(tail)
    connection.close()
    return 200


def _wrong_length(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.write(answer.head(length=len(answer.body) + 100, keep_alive=False) + answer.body)
    connection.close()
    return answer.status


def _redirect(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    status = int(fault.arguments[0]) if fault.arguments else 302
    name, _, port = request.headers.get("host", "127.0.0.1").partition(":")
    # Another host name that leads back here: a client that follows is caught in the log of requests.
    other = "127.0.0.1" if name == "localhost" else "localhost"
    location = f"http://{other}:{port or 80}{request.path}"
    connection.send(Response(status, [("Location", location)]), keep_alive=request.keep_alive)
    return status


def _status(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    status = int(fault.arguments[0])
    if 200 <= status < 300:
        connection.send(Response(status, answer.headers, answer.body), keep_alive=request.keep_alive)
        return status
    code = fault.arguments[1] if len(fault.arguments) > 1 else STATUS_CODES.get(status, "INTERNAL_SERVER_ERROR")
    headers = [("Content-Type", "application/json")]
    if fault.retry_after is not None:
        headers.append(("Retry-After", fault.retry_after))
    body = json.dumps({"code": code, "message": f"Ordered by the sandbox: {fault.text}"}).encode()
    connection.send(Response(status, headers, body), keep_alive=request.keep_alive)
    return status


def _lag(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    """Leave out of a list what is younger than so many seconds, by the provider's own clock."""
    dated = next((value for name, value in answer.headers if name == "Date"), None)
    if dated is not None and answer.status == 200:
        horizon_ms = (parsedate_to_datetime(dated).timestamp() - float(fault.arguments[0])) * 1000
        answer.body = _edited_rows(answer.body, lambda rows: [row for row in rows if not _is_after(row, horizon_ms)])
    return _none(fault, request, connection, answer)


def _is_after(row: object, moment_ms: float) -> bool:
    created_at = row.get("created_at") if isinstance(row, dict) else None
    return isinstance(created_at, str) and parse_rfc3339(created_at) > moment_ms


def _garbage(fault: Fault, request: Request, connection: Connection, answer: Response) -> int | None:
    connection.write(b"\x15\x03\x03\x00\x02\x02\x28 this is no HTTP\r\n\r\n")
    connection.close()
    return None


ON_SOCKET: dict[str, Callable[[Fault, Request, Connection, Response], int | None]] = {
    "none": _none,
    "reset": _reset,
    # When something was to happen first, the request has been read; what is left is the reset.
    "reset_before_read": _reset,
    "reset_mid_read": _reset,
    "timeout": _timeout,
    "slow": _slow,
    "drip": _drip,
    "stall_after_headers": _stall,
    "empty": _empty,
    "html": _html,
    "garbage": _garbage,
    "lag": _lag,
    "huge": _huge,
    "wrong_length": _wrong_length,
    "redirect": _redirect,
    "status": _status,
}


def _no_arguments(arguments: tuple[str, ...]) -> bool:
    return not arguments


def _seconds(arguments: tuple[str, ...]) -> bool:
    return len(arguments) == 1 and is_seconds(arguments[0])


def _redirect_code(arguments: tuple[str, ...]) -> bool:
    return not arguments or (len(arguments) == 1 and arguments[0] in ("301", "302", "303", "307", "308"))


def _status_arguments(arguments: tuple[str, ...]) -> bool:
    if not 1 <= len(arguments) <= 2 or not (arguments[0].isdigit() and 200 <= int(arguments[0]) <= 599):
        return False
    return len(arguments) == 1 or bool(arguments[1])


def _kill_arguments(arguments: tuple[str, ...]) -> bool:
    return not arguments or (len(arguments) == 1 and arguments[0] in KILL_POINTS)


WORDS: dict[str, Callable[[tuple[str, ...]], bool]] = {
    **dict.fromkeys([*SPOILERS, *ON_SOCKET], _no_arguments),
    "slow": _seconds,
    "lag": _seconds,
    "redirect": _redirect_code,
    "status": _status_arguments,
    "kill": _kill_arguments,
}


def is_seconds(text: str) -> bool:
    """Return whether the text is a number of seconds from 0 to 3,600."""
    try:
        return 0 <= float(text) <= 3600
    except ValueError:
        return False
