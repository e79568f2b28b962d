"""The witness: the log of whoever received our requests and sent us webhooks, held against the rows (I4, I8, I9).

We cannot testify for ourselves how often we sent, so the log comes from outside, as a file: in tests and trials the
sandbox's.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from encore.services.audit.report import Breach, Finding, breaches_of
from encore.store import Store, attempts, webhook_events
from encore.store.attempts import Attempt
from encore.store.audit import answers as rows

# The send window is 8 s; the rest is for the bytes to travel and be read.
_SEND_WINDOW_MS = 10_000
_NO_WITNESS = "no log of the requests received was given (--witness)"
_NO_DELIVERIES = "no log of the webhooks delivered was given (--witness)"

_Item = dict[str, Any]


class WitnessUnreadable(ValueError):
    """The file is not a witness: one JSON object with the lists `requests` and `deliveries`."""


@dataclass(frozen=True)
class Witness:
    """What the other side saw, as `GET /_sandbox/requests` and `GET /_sandbox/deliveries` list it; None: not kept."""

    requests: tuple[_Item, ...] | None
    deliveries: tuple[_Item, ...] | None


def read_witness(text: str) -> Witness:
    """Read a witness file: `{"requests": [..], "deliveries": [..]}`, either of which may be left out.

    Raises WitnessUnreadable.
    """
    try:
        logs = json.loads(text)
    except ValueError as error:
        raise WitnessUnreadable(f"not JSON: {error}") from error
    if not isinstance(logs, dict) or not logs.keys() & {"requests", "deliveries"}:
        raise WitnessUnreadable('an object with "requests" and "deliveries" is expected')
    return Witness(requests=_items(logs, "requests"), deliveries=_items(logs, "deliveries"))


def _items(logs: _Item, name: str) -> tuple[_Item, ...] | None:
    found = logs.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise WitnessUnreadable(f'"{name}" is not a list of objects')
    return tuple(found)


def check_requests(store: Store, witness: Witness | None) -> Finding:
    """I4: each attempt's one charging request was received at most once, and within 10 s of its claim."""
    if witness is None or witness.requests is None:
        return Finding("I4", unchecked=_NO_WITNESS)
    received: dict[str, list[_Item]] = defaultdict(list)
    for request in _charging(witness.requests):
        received[_mark(request, "attempt_id")].append(request)
    # A charge that names no attempt is none of ours: the account may also sell elsewhere.
    received.pop("", None)
    breaches: list[Breach] = []
    for attempt_id, requests in received.items():
        breaches += _faults_of(attempt_id, requests, attempt=attempts.get_attempt(store, attempt_id))
    for dues in attempts.list_dues(store):
        requests = [request for request in witness.requests if _is_of_dues(request, dues)]
        # In the time of a claim no other request of that kind can be made for the subscription.
        breaches += _faults_of(dues.id, requests, attempt=dues) if requests else ()
    return Finding("I4", tuple(breaches))


def _faults_of(attempt_id: str, requests: list[_Item], *, attempt: Attempt | None) -> Iterable[Breach]:
    if len(requests) > 1:
        yield Breach((attempt_id,), f"{attempt_id} made {len(requests)} charging requests.")
    if attempt is None:
        yield Breach((attempt_id,), f"{attempt_id} made a charging request, but has no row.")
    elif attempt.claimed_at is None or attempt.post_count == 0 or attempt.state in ("queued", "not_sent"):
        yield Breach((attempt_id,), f"{attempt_id} made a charging request, but its row says that it made none.")
    elif any(not _is_in_time(request, claimed_at=attempt.claimed_at) for request in requests):
        yield Breach((attempt_id,), f"{attempt_id} made its charging request more than 10 s after its claim.")


def _is_in_time(request: _Item, *, claimed_at: int) -> bool:
    at = request.get("at")
    return isinstance(at, int) and abs(at - claimed_at) <= _SEND_WINDOW_MS


def check_declined(store: Store, witness: Witness | None) -> Finding:
    """I8: no checkout, confirmed or not, was asked for an offer the buyer had declined."""
    breaches = breaches_of(rows.list_declined_with_yes(store), "was declined, but has a yes.")
    if witness is None or witness.requests is None:
        return Finding("I8", tuple(breaches), unchecked=_NO_WITNESS)
    declined = {(row["source_ref"], row["offer_id"]): row["id"] for row in rows.list_declined_instances(store)}
    for request in _checkouts(witness.requests):
        occasion = _mark(request, "occasion") or _mark(request, "first_order")
        instance_id = declined.get((occasion, _mark(request, "offer_id")))
        if instance_id is not None:
            breaches.append(Breach((instance_id,), f"{instance_id} was declined, but a checkout was asked for it."))
    return Finding("I8", tuple(breaches))


def check_deliveries(store: Store, witness: Witness | None) -> Finding:
    """I9: every delivery we answered with a 2xx is in the inbox, with the body it had."""
    if witness is None or witness.deliveries is None:
        return Finding("I9", unchecked=_NO_DELIVERIES)
    lost = [delivery for delivery in witness.deliveries if _is_accepted(delivery) and not _is_kept(store, delivery)]
    names = [(str(delivery.get("webhook_id")),) for delivery in lost]
    return Finding("I9", tuple(breaches_of(names, "was answered with a 2xx, but is not in the inbox.")))


def _is_accepted(delivery: _Item) -> bool:
    status = delivery.get("status")
    return isinstance(status, int) and 200 <= status < 300


def _is_kept(store: Store, delivery: _Item) -> bool:
    """Tell whether the inbox has this body, given as text or already parsed; an erased one may have been any."""
    body = delivery.get("body")
    kept = [event.body for event in webhook_events.list_of_id(store, str(delivery.get("webhook_id")))]
    return any(text is None or text == body or _parsed(text) == body for text in kept)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _checkouts(requests: Iterable[_Item]) -> Iterable[_Item]:
    return (r for r in requests if r.get("method") == "POST" and r.get("path") == "/checkouts" and _body(r))


def _charging(requests: Iterable[_Item]) -> Iterable[_Item]:
    return (request for request in requests if _is_confirmed_checkout(request) or _is_plan_change(request))


def _is_confirmed_checkout(request: _Item) -> bool:
    return (request.get("method"), request.get("path")) == ("POST", "/checkouts") and _body(request).get(
        "confirm"
    ) is True


def _is_plan_change(request: _Item) -> bool:
    return request.get("method") == "POST" and str(request.get("path")).endswith("/change-plan")


def _is_of_dues(request: _Item, dues: Attempt) -> bool:
    """Tell whether a request is that of these dues: it names no attempt, so by its subscription and its time."""
    path, at = f"/subscriptions/{dues.subscription_id}/update-payment-method", request.get("at")
    if request.get("method") != "POST" or request.get("path") != path or not isinstance(at, int):
        return False
    begun_at = dues.claimed_at or dues.created_at
    ended_at = begun_at + _SEND_WINDOW_MS if dues.socket_closed_at is None else dues.socket_closed_at
    return begun_at <= at <= ended_at


def _body(request: _Item) -> _Item:
    body = request.get("body")
    if isinstance(body, str):
        body = _parsed(body)
    return body if isinstance(body, dict) else {}


def _mark(request: _Item, name: str) -> str:
    metadata = _body(request).get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""
