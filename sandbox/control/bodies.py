"""Reading the bodies of `/_sandbox/`: each function returns checked values or refuses, naming the field."""

import re
from typing import Any

from ..core.cards import HARD_DECLINES, SOFT_DECLINES
from ..core.store import Doc
from ..core.twin import SWITCHES, Twin
from ..http.call import refuse_body, required_text, text
from ..http.faults import Fault, is_seconds
from ..http.gateway import ANY_ENDPOINT, normal_endpoint
from ..resources import payments

MAX_TIMES = 1_000_000
# What a number of a switch may be at most: ten years of days, a day of seconds (our choice).
MAX_DAYS = 3650
MAX_SWITCH = 86_400


def read_fault(twin: Twin, body: Doc) -> Doc:
    """Return the checked rule of a fault body."""
    refuse_unknown(body, "endpoint", "effect", "fault", "times", "match", "retry_after")
    endpoint = body.get("endpoint")
    if not isinstance(endpoint, str) or normal_endpoint(endpoint) not in (*twin.endpoints, ANY_ENDPOINT):
        raise refuse_body("endpoint", "must be method and route template of the wire, such as POST /checkouts")
    effect = body.get("effect", "none")
    late = isinstance(effect, str) and effect.startswith("late:") and is_seconds(effect[5:])
    if effect not in ("none", "before", "twice") and not late:
        raise refuse_body("effect", "must be none, before, late:<seconds> or twice")
    retry_after = body.get("retry_after")
    if retry_after is not None and not re.fullmatch(r"[\x20-\x7e]{0,100}", str(retry_after)):
        raise refuse_body("retry_after", "must be printable")
    try:
        fault = Fault.parse(str(body.get("fault", "none")))
    except ValueError:
        raise refuse_body("fault", "unknown; the words are listed in docs/operator/sandbox.md") from None
    if fault.word == "kill" and (late or effect == "twice" or (fault.arguments and effect != "none")):
        raise refuse_body("effect", "is said by the point of kill; only a plain kill takes none or before")
    return {
        "endpoint": normal_endpoint(endpoint),
        "effect": effect,
        "fault": fault.text,
        "retry_after": None if retry_after is None else str(retry_after),
        "times": read_count(body, "times", default=1),
        "match": read_match(body),
        "hits": 0,
    }


def read_match(body: Doc) -> Doc | None:
    """Return the checked `match` of a body, None if there is none."""
    match = body.get("match")
    if match is None:
        return None
    if not isinstance(match, dict):
        raise refuse_body("match", "must be an object")
    refuse_unknown(match, "customer_id", "card", "metadata", prefix="match.")
    text(match, "customer_id")
    card, pairs = match.get("card"), match.get("metadata")
    if card is not None and not (isinstance(card, str) and re.fullmatch(r"\d{4,19}", card)):
        raise refuse_body("match.card", "must be a card number or its last four digits")
    if pairs is not None and not isinstance(pairs, dict):
        raise refuse_body("match.metadata", "must be an object")
    return match


def read_outcome(body: Doc, prefix: str, field: str = "outcome") -> Doc:
    """Return the checked status and card-decline code; a failure without a code gets the generic one."""
    outcome, code = body.get("outcome"), read_decline(body, f"{prefix}error_code")
    if outcome not in payments.STATUSES:
        raise refuse_body(prefix + field, f"must be one of {', '.join(payments.STATUSES)}")
    if outcome == "failed" and code is None:
        code = "GENERIC_DECLINE"
    return {"outcome": outcome, "error_code": code if outcome in ("failed", "cancelled") else None}


def read_decline(body: Doc, name: str) -> str | None:
    """Return the checked `error_code` of a body, None if there is none; a refusal calls it `name`."""
    code = body.get("error_code")
    if code is not None and not (isinstance(code, str) and code in SOFT_DECLINES | HARD_DECLINES):
        raise refuse_body(name, "must be a documented card-decline code")
    return code


def object_id(body: Doc, field: str) -> str:
    """Return the id of an object, which must be given."""
    return required_text(body, field, limit=100)


def read_then(then: object) -> Doc | None:
    """Return the checked later change of a scripted charge."""
    if then is None:
        return None
    if not isinstance(then, dict):
        raise refuse_body("then", "must be an object")
    refuse_unknown(then, "outcome", "error_code", "after_s", prefix="then.")
    after_s = read_number(then, "after_s", default=0, least=0, most=10 * 365 * 86_400)
    return {**read_outcome(then, "then."), "after_s": after_s}


def read_switch(name: str, value: object) -> Any:
    """Return the checked value for a switch."""
    if name not in SWITCHES:
        raise refuse_body(name, "unknown switch")
    allowed = SWITCHES[name][1]
    if isinstance(allowed, tuple):
        if value not in allowed:
            raise refuse_body(name, f"must be one of {', '.join(map(str, allowed))}")
        return value
    if allowed is bool:
        if not isinstance(value, bool):
            raise refuse_body(name, "must be true or false")
        return value
    most = MAX_DAYS if name.endswith("_days") else MAX_SWITCH
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise refuse_body(name, f"must be a number from 0 to {most}")
    return allowed(value)


def refuse_unknown(body: Doc, *names: str, prefix: str = "") -> None:
    """Refuse a body with a field that is not in `names`."""
    for name in body:
        if name not in names:
            raise refuse_body(prefix + name, f"unknown field; known are {', '.join(names)}")


def read_count(body: Doc, field: str, *, default: int | None = None, least: int = 1, most: int = MAX_TIMES) -> int:
    """Return a whole number from `least` to `most`."""
    value = body.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse_body(field, f"must be a whole number from {least} to {most}")
    return value


def read_number(body: Doc, field: str, *, least: float, most: float, default: float | None = None) -> float:
    """Return a number within its range."""
    value = body.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise refuse_body(field, f"must be a number from {least} to {most}")
    return value


def read_flag(body: Doc, field: str) -> bool | None:
    """Return true, false, or None if absent."""
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise refuse_body(field, "must be true or false")
    return value
