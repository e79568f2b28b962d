"""What one POST that moves money came to: the default is unknown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeGuard

from encore.dodo.bodies import BadBody, read_json

# A refusal proves that nothing was done, so only statuses that are decided before anything is done count.
# 408 may follow a finished charge, and a 409 without a known code may mean "already done".
REFUSAL_STATUSES = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422, 429})
REFUSAL_CODES_OF_409 = frozenset(
    {"PENDING_PLAN_CHANGE_EXISTS", "SCHEDULED_PLAN_CHANGE_EXISTS", "PREVIOUS_PAYMENT_PENDING"}
)

# The provider counts by second and by minute; a longer wait asked of us is a mistake somewhere on the way,
# and obeying it would close one-click buying for that long.
_LONGEST_BLOCK_MS = 120_000

_ID = re.compile(r"[!-~]{1,255}")
_LONGEST_TEXT = 500
_LONGEST_LINK = 2_000


@dataclass(frozen=True)
class Reply:
    """One whole HTTP answer, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Exchange:
    """One send and what is known of it afterwards.

    `byte_handed`: at least one byte of the request was given to the socket. `reply` is None unless it was
    read whole. `fault` is a word for logs only. `socket_closed`: no byte can leave any more.
    """

    byte_handed: bool
    reply: Reply | None
    fault: str
    socket_closed: bool


@dataclass(frozen=True)
class NotSent:
    """No byte of the request left this process: `window`, `deadline`, or `connection:<what>`."""

    reason: str
    socket_closed: bool = True


@dataclass(frozen=True)
class Refused:
    """A well-formed refusal: nothing was done. `reset_at_ms` (epoch) only with a 429 that names it."""

    code: str
    status: int
    message: str
    reset_at_ms: int | None = None
    socket_closed: bool = True


@dataclass(frozen=True)
class Accepted:
    """The provider took the order to charge; it says nothing about the outcome. Read the payment.

    `payment_link`: where the buyer gives a card or confirms with their bank first; whoever follows it checks its host.
    """

    payment_id: str
    session_id: str | None
    socket_closed: bool = True
    payment_link: str | None = None


@dataclass(frozen=True)
class RefundAccepted:
    """The provider took the refund; an unknown status of its own counts as pending."""

    refund_id: str
    state: Literal["done", "pending", "failed"]
    socket_closed: bool = True


@dataclass(frozen=True)
class UnknownAnswer:
    """Whether the provider acted cannot be told from this; only asking it can."""

    reason: str
    socket_closed: bool = True


Answer = NotSent | Refused | Accepted | UnknownAnswer
RefundAnswer = NotSent | Refused | RefundAccepted | UnknownAnswer


def classify(exchange: Exchange, *, now: int) -> Answer:
    """Say what a charging POST came to. Never raises; whatever is not proven is unknown.

    `now` is epoch milliseconds, for a 429's reset. Whether another attempt already holds the payment id is
    the caller's to check, in its store.
    """
    earlier = _without_body(exchange, now=now)
    if not isinstance(earlier, dict):
        return earlier
    payment_id, session_id = earlier.get("payment_id"), earlier.get("session_id")
    if not is_id(payment_id):
        return UnknownAnswer("payment_id_missing", exchange.socket_closed)
    link = earlier.get("payment_link")
    return Accepted(
        payment_id,
        session_id if is_id(session_id) else None,
        exchange.socket_closed,
        link if isinstance(link, str) and 0 < len(link) <= _LONGEST_LINK else None,
    )


def classify_refund(exchange: Exchange, *, payment_id: str, now: int) -> RefundAnswer:
    """Say what `POST /refunds` for a payment came to, by the same evidence as a charge. Never raises."""
    earlier = _without_body(exchange, now=now)
    if not isinstance(earlier, dict):
        return earlier
    refund_id = earlier.get("refund_id")
    if not is_id(refund_id):
        return UnknownAnswer("refund_id_missing", exchange.socket_closed)
    if earlier.get("payment_id") != payment_id:
        # Another payment's refund tells nothing about ours.
        return UnknownAnswer("other_payment", exchange.socket_closed)
    return RefundAccepted(refund_id, _refund_state(earlier.get("status")), exchange.socket_closed)


def _refund_state(status: object) -> Literal["done", "pending", "failed"]:
    match status:
        case "succeeded":
            return "done"
        case "failed":
            return "failed"
        case _:
            return "pending"


def _without_body(exchange: Exchange, *, now: int) -> NotSent | Refused | UnknownAnswer | dict[str, object]:
    """Decide what can be decided before the meaning of a 200; a dict is its JSON object."""
    reply, is_closed = exchange.reply, exchange.socket_closed
    # The flag decides, never the exception: a TLS time-out and a lost answer raise the same ReadTimeout.
    if not exchange.byte_handed:
        return NotSent(exchange.fault, is_closed)
    if reply is None:
        return UnknownAnswer(f"no_answer:{exchange.fault}", is_closed)
    if reply.status != 200:
        refusal = read_refusal(reply)
        if refusal is None:
            return UnknownAnswer(f"status_{reply.status}", is_closed)
        code, message = refusal
        reset_at = read_reset_at(reply.headers, now=now) if reply.status == 429 else None
        return Refused(code, reply.status, message, reset_at, is_closed)
    try:
        document = read_json(reply.body)
    except BadBody as error:
        return UnknownAnswer(f"body:{error}", is_closed)
    return document if isinstance(document, dict) else UnknownAnswer("body_not_object", is_closed)


def read_refusal(reply: Reply) -> tuple[str, str] | None:
    """Return (code, message) of a well-formed refusal, or None if the answer proves nothing."""
    if reply.status not in REFUSAL_STATUSES and reply.status != 409:
        return None
    try:
        document = read_json(reply.body)
    except BadBody:
        return None
    code = document.get("code") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(code, str) or not code.strip():
        return None
    if reply.status == 409 and code not in REFUSAL_CODES_OF_409:
        return None
    message = document.get("message")
    return code[:_LONGEST_TEXT], message[:_LONGEST_TEXT] if isinstance(message, str) else ""


def read_reset_at(headers: Mapping[str, str], *, now: int) -> int | None:
    """Read when a 429 ends, in epoch milliseconds: X-RateLimit-Reset, else a Retry-After in seconds.

    The unit of the former is undocumented: epoch milliseconds, epoch seconds and a number of seconds are told
    apart by size. Anything else, and anything in the past, is None; at most two minutes from `now`.
    """
    for name in ("x-ratelimit-reset", "retry-after"):
        text = headers.get(name, "").strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            continue
        value = int(text)
        reset_at = value if value >= 10**12 else value * 1000 if value >= 10**9 else now + value * 1000
        if reset_at > now:
            return min(reset_at, now + _LONGEST_BLOCK_MS)
    return None


def is_id(value: object) -> TypeGuard[str]:
    """Tell whether a value can be one of the provider's ids: opaque, but printable and of sane length."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None
