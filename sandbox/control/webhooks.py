"""Control of webhooks: where they go, what is ordered for their delivery, and what became of each."""

import re
from base64 import b64decode

from ..core.endpoints import (
    active_secrets,
    endpoints,
    find_endpoint,
    first_endpoint,
    new_endpoint,
    put_endpoint,
    remove_endpoint,
    rotated,
    set_first_endpoint,
)
from ..core.event_types import EVENT_TYPES
from ..core.events import KILL_POINTS, MODE_DEFAULTS, emit, modes_of, resend, set_modes
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, answer, empty, found, query_number, read_body, refuse_body, text
from ..http.server import Response
from ..webhooks import log
from ..webhooks.endpoints import read_filter, read_url, serialise
from .bodies import object_id, read_count, read_flag, read_number, refuse_unknown
from .triggers import trigger

routes = Routes(prefix="/_sandbox")

ORDERS = ("fifo", "reverse", "shuffle")
MAX_REPEAT = 100
EVENT_TYPE = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}")
OBJECT_FIELDS = {
    "payment_id": "payments",
    "refund_id": "refunds",
    "dispute_id": "disputes",
    "subscription_id": "subscriptions",
    "license_key_id": "license_keys",
    "payout_id": "payouts",
    "entitlement_grant_id": "entitlement_grants",
    "abandoned_checkout_id": "abandoned_checkouts",
    "dunning_attempt_id": "dunning_attempts",
}


@routes.get("/deliveries")
def deliveries(call: Call) -> Response:
    endpoint_id = call.query.get("endpoint_id")
    tries = log.deliveries(call.twin, after=query_number(call, "after", 0), endpoint_id=endpoint_id)
    # Who follows one endpoint asks again and again, and has no use for every event there is.
    return answer({"items": tries} if endpoint_id else {"items": tries, "events": log.events(call.twin)})


@routes.get("/webhooks")
def read_webhooks(call: Call) -> Response:
    return answer(webhook_state(call.twin))


@routes.post("/webhooks")
def set_webhooks(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "url", "secret", "rotate", "release", "order", "again", "send", *MODE_DEFAULTS)
    changes = _read_modes(body)
    with call.twin.store.write():
        _set_target(call.twin, body)
        set_modes(call.twin, changes)
        _release(call.twin, body)
        _redeliver(call.twin, body)
        _send_event(call.twin, body)
    call.twin.wake.set()
    return answer(webhook_state(call.twin))


@routes.get("/triggers")
def list_triggers(call: Call) -> Response:
    return answer({"items": list(EVENT_TYPES)})


@routes.post("/triggers")
def pull_trigger(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "type", "set")
    settings = body.get("set") or {}
    if not isinstance(settings, dict):
        raise refuse_body("set", "must be an object of values by path")
    return answer(trigger(call.twin, str(body.get("type")), settings))


@routes.get("/endpoints")
def list_endpoints(call: Call) -> Response:
    return answer({"items": [_shown(call.twin, endpoint) for endpoint in endpoints(call.twin) if endpoint["url"]]})


@routes.post("/endpoints")
def add_endpoint(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "url", "description", "filter_types")
    endpoint = new_endpoint(call.twin, url=read_url(body), kept=True)
    endpoint["filter_types"] = read_filter(body.get("filter_types") or [])
    endpoint["description"] = text(body, "description") or ""
    with call.twin.store.write():
        put_endpoint(call.twin, endpoint)
    return answer(_shown(call.twin, endpoint))


@routes.post("/endpoints/{endpoint_id}")
def change_endpoint(call: Call, endpoint_id: str) -> Response:
    body = read_body(call)
    refuse_unknown(body, "rotate", "disabled")
    disabled = read_flag(body, "disabled")
    with call.twin.store.write():
        endpoint = found(find_endpoint(call.twin, endpoint_id), "Endpoint")
        if disabled is not None:
            endpoint = {**endpoint, "disabled": disabled}
        if body.get("rotate"):
            fresh = body["rotate"]
            secret = call.twin.ids.webhook_secret() if fresh is True else checked_secret(fresh, "rotate")
            endpoint = rotated(call.twin, endpoint, secret)
        put_endpoint(call.twin, endpoint)
    return answer(_shown(call.twin, endpoint))


@routes.delete("/endpoints/{endpoint_id}")
def drop_endpoint(call: Call, endpoint_id: str) -> Response:
    with call.twin.store.write():
        remove_endpoint(call.twin, found(find_endpoint(call.twin, endpoint_id), "Endpoint")["id"])
    return empty(204)


def webhook_state(twin: Twin) -> Doc:
    """Return where webhooks go, what is ordered for them, and how many events are in each state."""
    first = first_endpoint(twin)
    return {
        "url": first["url"],
        "secrets": len(active_secrets(twin, first)),
        "endpoints": sum(bool(endpoint["url"]) for endpoint in endpoints(twin)),
        **modes_of(twin),
        "events": log.counts(twin),
    }


def checked_secret(secret: object, field: str) -> str:
    """Return a webhook secret if it is `whsec_` and base64; raises the 422 else."""
    if not isinstance(secret, str) or not secret.startswith("whsec_"):
        raise refuse_body(field, "must begin with whsec_")
    try:
        if not b64decode(secret[6:], validate=True):
            raise refuse_body(field, "must not be empty")
    except ValueError:
        raise refuse_body(field, "must be base64 after whsec_") from None
    return secret


def _shown(twin: Twin, endpoint: Doc) -> Doc:
    secrets = active_secrets(twin, endpoint)
    return {**serialise(endpoint), "headers": endpoint["headers"], "kept": endpoint["kept"], "secrets": secrets}


def _read_modes(body: Doc) -> Doc:
    changes: Doc = {}
    for name in ("drop", "newer_body", "bad_signature", "old_timestamp"):
        if name in body:
            changes[name] = body[name] if isinstance(body[name], bool) else read_count(body, name, least=0)
    if "hold" in body:
        changes["hold"] = bool(read_flag(body, "hold"))
    if "repeat" in body:
        changes["repeat"] = read_count(body, "repeat", most=MAX_REPEAT)
    if "parallel" in body:
        changes["parallel"] = int(read_number(body, "parallel", least=1, most=16))
    if "delay_s" in body:
        changes["delay_s"] = read_number(body, "delay_s", least=0, most=86_400)
    if "old_timestamp_s" in body:
        changes["old_timestamp_s"] = read_number(body, "old_timestamp_s", least=-(10**7), most=10**7)
    if "kill" in body:
        if body["kill"] not in (None, *KILL_POINTS):
            raise refuse_body("kill", f"must be one of {', '.join(KILL_POINTS)}, or null")
        changes["kill"] = body["kill"]
    if "types" in body:
        changes["types"] = None if body["types"] is None else read_filter(body["types"], "types")
    return changes


def _set_target(twin: Twin, body: Doc) -> None:
    """Change the first endpoint: its address, its secret, or by `rotate` its secret with the old one beside it."""
    first = first_endpoint(twin)
    if "url" in body:
        first = {**first, "url": None if body["url"] is None else read_url(body)}
    if "secret" in body:
        first = {**first, "secret": checked_secret(body["secret"], "secret"), "old_secrets": []}
    if "rotate" in body:
        first = rotated(twin, first, checked_secret(body["rotate"], "rotate"))
    if first["url"] and not first["secret"]:
        raise refuse_body("secret", "is required with url")
    if body.keys() & {"url", "secret", "rotate"}:
        set_first_endpoint(twin, first)


def _release(twin: Twin, body: Doc) -> None:
    """Make held events due, in the order asked for; switching `hold` off releases too."""
    wanted = body.get("release", body.get("hold") is False)
    order = body.get("order", "fifo")
    if order not in ORDERS:
        raise refuse_body("order", f"must be one of {', '.join(ORDERS)}")
    if wanted is False:
        return
    rows = twin.store.rows("SELECT webhook_id FROM events WHERE state = 'held' GROUP BY webhook_id ORDER BY min(seq)")
    held = [row["webhook_id"] for row in rows]
    if isinstance(wanted, list):
        held = [webhook_id for webhook_id in wanted if webhook_id in held]
    elif wanted is not True:
        held = held[: read_count(body, "release")]
    if order == "reverse":
        held.reverse()
    elif order == "shuffle":
        twin.ids.shuffle(held)
    # Due times in the past, a millisecond apart, are the order of delivery.
    first = twin.clock.now() - len(held)
    for place, webhook_id in enumerate(held):
        twin.store.run(
            "UPDATE events SET state = 'due', due_at = :due_at WHERE webhook_id = :webhook_id AND state = 'held'",
            due_at=first + place,
            webhook_id=webhook_id,
        )


def _redeliver(twin: Twin, body: Doc) -> None:
    if "again" in body and not resend(twin, str(body["again"])):
        raise refuse_body("again", "unknown webhook id")


def _send_event(twin: Twin, body: Doc) -> None:
    order = body.get("send")
    if order is None:
        return
    if not isinstance(order, dict) or not isinstance(order.get("type"), str):
        raise refuse_body("send", "must be an object with type and the id of its object")
    event_type = order["type"]
    for field, kind in OBJECT_FIELDS.items():
        if order.get(field) is not None:
            # Its name may be new, for a shop must bear that. Its noun is what the field of its object begins with:
            # dunning.* has dunning_attempt_id.
            if not EVENT_TYPE.fullmatch(event_type) or not field.startswith(event_type.partition(".")[0] + "_"):
                raise refuse_body("send.type", f"must be an event type of a {field.removesuffix('_id')}")
            doc = found(twin.store.get(kind, object_id(order, field)), kind)
            emit(twin, event_type, kind=kind, object_id=doc["id"])
            return
    raise refuse_body("send", f"needs one of {', '.join(OBJECT_FIELDS)}")
