"""The `/_sandbox/` routes: order faults and outcomes, move the clock, read what was received.

JSON in, JSON out, loopback only (`gateway.py` refuses everyone else). A bad body answers 422 and names its
field. The bodies are a contract; docs/operator/sandbox.md lists them.
"""

import json

from flask import Blueprint, Response, request

from . import charges, disputes, payments, refunds, webhooks
from .cards import table
from .control_bodies import (
    checked_secret,
    read_count,
    read_fault,
    read_flag,
    read_match,
    read_modes,
    read_number,
    read_outcome,
    read_switch,
    read_then,
    refuse_unknown,
)
from .demo import start_over
from .events import MODE_DEFAULTS, emit, modes_of, set_modes
from .gateway import TIERS
from .lists import DEFAULTS as LIST_DEFAULTS
from .lists import modes_of as list_modes
from .store import Doc
from .twin import Twin
from .wire import WireError, answer, empty, found, read_body, refuse_body, twin

bp = Blueprint("control", __name__, url_prefix="/_sandbox")

KINDS = ("products", "customers", "payment_methods", "sessions", "payments", "subscriptions", "refunds", "disputes",
         "discounts")  # fmt: skip
ORDERS = ("fifo", "reverse", "shuffle")


@bp.get("/state")
def state() -> Response:
    store = twin().store
    return answer(
        {
            "ready": True,
            "clock": twin().clock.describe(),
            "switches": twin().switches(),
            "rate": store.setting("rate", "off"),
            "faults": store.setting("faults", []),
            "next_charges": charges.script(twin()),
            "lists": list_modes(twin()),
            "webhooks": _webhook_state(twin()),
            "counts": {kind: store.count(kind) for kind in KINDS},
        }
    )


@bp.get("/objects/<kind>")
def objects(kind: str) -> Response:
    if kind not in KINDS:
        raise WireError(404, "NOT_FOUND", f"kind: one of {', '.join(KINDS)}")
    return answer({"items": twin().store.find(kind, oldest_first=True)})


@bp.get("/cards")
def cards() -> Response:
    return answer({"items": table()})


@bp.get("/requests")
def requests() -> Response:
    rows = twin().store.rows("SELECT * FROM requests ORDER BY id")
    return answer({"items": [_shown_request(dict(row)) for row in rows]})


@bp.get("/deliveries")
def deliveries() -> Response:
    return answer({"items": webhooks.deliveries(twin()), "events": webhooks.pending_events(twin())})


@bp.post("/reset")
def reset() -> Response:
    start_over(twin())
    return answer({"ok": True})


@bp.get("/faults")
def list_faults() -> Response:
    return answer({"items": twin().store.setting("faults", [])})


@bp.post("/faults")
def add_fault() -> Response:
    rule = read_fault(read_body())
    with twin().store.write():
        number = twin().store.setting("fault_number", 0) + 1
        twin().store.set_setting("fault_number", number)
        rule["id"] = number
        twin().store.set_setting("faults", [*twin().store.setting("faults", []), rule])
    return answer(rule)


@bp.delete("/faults")
def clear_faults() -> Response:
    twin().store.set_setting("faults", [])
    return empty(204)


@bp.get("/payments")
def next_charges() -> Response:
    return answer({"items": charges.script(twin())})


@bp.post("/payments")
def script_charge() -> Response:
    body = read_body()
    refuse_unknown(body, "outcome", "error_code", "times", "match", "then", "payment_link")
    rule = {
        **read_outcome(body, ""),
        "times": read_count(body, "times", default=1),
        "match": read_match(body),
        "then": read_then(body.get("then")),
        "payment_link": read_flag(body, "payment_link"),
    }
    with twin().store.write():
        twin().store.set_setting("next_charges", [*charges.script(twin()), rule])
    return answer(rule)


@bp.delete("/payments")
def clear_script() -> Response:
    twin().store.set_setting("next_charges", [])
    return empty(204)


@bp.get("/clock")
def read_clock() -> Response:
    return answer(twin().clock.describe())


@bp.post("/clock")
def move_clock() -> Response:
    body = read_body()
    refuse_unknown(body, "advance_s", "freeze")
    if not body:
        raise refuse_body("advance_s", "or freeze is required")
    advance = read_number(body, "advance_s", default=0, least=-10 * 365 * 86_400, most=10 * 365 * 86_400)
    freeze = read_flag(body, "freeze")
    if freeze is not None:
        (twin().clock.freeze if freeze else twin().clock.thaw)()
    twin().clock.advance(round(advance * 1000))
    twin().wake.set()
    return answer(twin().clock.describe())


@bp.get("/switches")
def read_switches() -> Response:
    return answer(twin().switches())


@bp.post("/switches")
def set_switches() -> Response:
    body = read_body()
    checked = {name: read_switch(name, value) for name, value in body.items()}
    with twin().store.write():
        for name, value in checked.items():
            twin().set_switch(name, value)
    return answer(twin().switches())


@bp.get("/rate")
def read_rate() -> Response:
    return answer({"rate": twin().store.setting("rate", "off")})


@bp.post("/rate")
def set_rate() -> Response:
    body = read_body()
    refuse_unknown(body, "rate")
    tier = str(body.get("rate"))
    if tier != "off" and tier not in TIERS:
        raise refuse_body("rate", "must be off, 0, 1 or 2")
    twin().store.set_setting("rate", tier)
    return answer({"rate": tier})


@bp.get("/lists")
def read_lists() -> Response:
    return answer(list_modes(twin()))


@bp.post("/lists")
def set_lists() -> Response:
    body = read_body()
    refuse_unknown(body, *LIST_DEFAULTS)
    changes: Doc = {}
    if "lag_s" in body:
        changes["lag_s"] = read_number(body, "lag_s", default=0, least=0, most=86_400)
    if "missing_page" in body:
        page = body["missing_page"]
        changes["missing_page"] = None if page is None else int(read_number(body, "missing_page", least=0, most=10_000))
    for name in ("repeated_rows", "moving_rows", "metadata_stripped", "outage"):
        if name in body:
            changes[name] = bool(read_flag(body, name))
    twin().store.set_setting("lists", {**list_modes(twin()), **changes})
    return answer(list_modes(twin()))


@bp.post("/listen")
def listen() -> Response:
    body = read_body()
    refuse_unknown(body, "accept", "for_s")
    accept = read_flag(body, "accept")
    if accept is None:
        raise refuse_body("accept", "is required")
    for_s = read_number(body, "for_s", default=30, least=0.01, most=600)
    server = twin().server
    assert server is not None
    if accept:
        server.accept_connections()
    else:
        server.refuse_connections(keep=request.environ["sandbox.connection"], for_s=for_s)
    return answer({"accept": server.accepting})


@bp.get("/webhooks")
def read_webhooks() -> Response:
    return answer(_webhook_state(twin()))


@bp.post("/webhooks")
def set_webhooks() -> Response:
    body = read_body()
    refuse_unknown(body, "url", "secret", "rotate", "release", "order", "again", "send", *MODE_DEFAULTS)
    changes = read_modes(body)
    with twin().store.write():
        _set_target(twin(), body)
        set_modes(twin(), changes)
        _release(twin(), body)
        _redeliver(twin(), body)
        _send_event(twin(), body)
    twin().wake.set()
    return answer(_webhook_state(twin()))


@bp.post("/refunds")
def refund_elsewhere() -> Response:
    body = read_body()
    refuse_unknown(body, "payment_id", "amount", "reason")
    amount = None if body.get("amount") is None else int(read_number(body, "amount", least=1, most=2**53))
    with twin().store.write():
        payment = _payment(body)
        refund = refunds.begin(twin(), payment, items=None, reason=body.get("reason"), pairs={}, amount=amount)
    return answer(refunds.serialise(twin(), refund))


@bp.post("/disputes")
def dispute() -> Response:
    body = read_body()
    refuse_unknown(body, "payment_id", "dispute_id", "outcome", "amount", "reason")
    with twin().store.write():
        if body.get("dispute_id") is not None:
            outcome = body.get("outcome")
            if outcome not in disputes.OUTCOMES:
                raise refuse_body("outcome", f"must be one of {', '.join(disputes.OUTCOMES)}")
            opened = found(twin().store.get("disputes", body["dispute_id"]), "Dispute")
            shown = disputes.decide(twin(), opened, outcome)
        else:
            payment = _payment(body)
            amount = int(read_number(body, "amount", default=payment["total"], least=1, most=2**53))
            shown = disputes.open_dispute(
                twin(), payment, amount=amount, reason=str(body.get("reason") or "fraudulent")
            )
    return answer(disputes.serialise(twin(), shown))


@bp.post("/settle")
def settle() -> Response:
    body = read_body()
    refuse_unknown(body, "payment_id", "refund_id", "status", "error_code")
    with twin().store.write():
        if body.get("refund_id") is not None:
            if body.get("status") not in refunds.STATUSES:
                raise refuse_body("status", f"must be one of {', '.join(refunds.STATUSES)}")
            refund = found(twin().store.get("refunds", body["refund_id"]), "Refund")
            return answer(refunds.serialise(twin(), refunds.settle(twin(), refund, body["status"])))
        outcome = read_outcome({"outcome": body.get("status"), "error_code": body.get("error_code")}, "", "status")
        payment = payments.move(twin(), _payment(body), outcome["outcome"], error_code=outcome["error_code"])
    return answer(payments.serialise(twin(), payment))


@bp.post("/renewals")
def renew() -> Response:
    body = read_body()
    refuse_unknown(body, "subscription_id")
    with twin().store.write():
        subscription = found(twin().store.get("subscriptions", body.get("subscription_id")), "Subscription")
        bought = twin().store.find("payments", customer_id=subscription["customer_id"], oldest_first=True)
        first = next(doc for doc in bought if subscription["id"] in doc["subscription_ids"])
        payment = charges.renew(twin(), subscription, first)
    return answer(payments.serialise(twin(), payment))


def _set_target(twin: Twin, body: Doc) -> None:
    target = dict(twin.store.setting("webhook_target", {}))
    if "url" in body:
        url = body["url"]
        if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
            raise refuse_body("url", "must be an http or https address, or null")
        target["url"] = url
    if "secret" in body:
        target |= {"secret": checked_secret(body["secret"], "secret"), "old_secrets": []}
    if "rotate" in body:
        if target.get("secret"):
            until = twin.clock.now() + webhooks.ROTATED_SECRET_LIFE_MS
            target["old_secrets"] = [{"secret": target["secret"], "until": until}, *target.get("old_secrets", [])]
        target["secret"] = checked_secret(body["rotate"], "rotate")
    if target.get("url") and not target.get("secret"):
        raise refuse_body("secret", "is required with url")
    twin.store.set_setting("webhook_target", target)


def _release(twin: Twin, body: Doc) -> None:
    """Make held events due, in the order asked for; switching `hold` off releases too."""
    wanted = body.get("release", body.get("hold") is False)
    order = body.get("order", "fifo")
    if order not in ORDERS:
        raise refuse_body("order", f"must be one of {', '.join(ORDERS)}")
    if wanted is False:
        return
    held = [
        row["webhook_id"] for row in twin.store.rows("SELECT webhook_id FROM events WHERE state = 'held' ORDER BY seq")
    ]
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
            "UPDATE events SET state = 'due', due_at = :due_at WHERE webhook_id = :webhook_id",
            due_at=first + place,
            webhook_id=webhook_id,
        )


def _redeliver(twin: Twin, body: Doc) -> None:
    if "again" not in body:
        return
    changed = twin.store.run(
        "UPDATE events SET state = 'due', tries = 0, due_at = :now WHERE webhook_id = :webhook_id",
        now=twin.clock.now(),
        webhook_id=str(body["again"]),
    )
    if not changed:
        raise refuse_body("again", "unknown webhook id")


def _send_event(twin: Twin, body: Doc) -> None:
    order = body.get("send")
    if order is None:
        return
    if not isinstance(order, dict) or not isinstance(order.get("type"), str):
        raise refuse_body("send", "must be an object with type and the id of its object")
    for field, kind in (("payment_id", "payments"), ("refund_id", "refunds"), ("dispute_id", "disputes"),
                        ("subscription_id", "subscriptions")):  # fmt: skip
        if order.get(field) is not None:
            found(twin.store.get(kind, order[field]), kind)
            emit(twin, order["type"], kind=kind, object_id=order[field])
            return
    raise refuse_body("send", "needs payment_id, refund_id, dispute_id or subscription_id")


def _webhook_state(twin: Twin) -> Doc:
    target = twin.store.setting("webhook_target", {})
    counted = twin.store.rows("SELECT state, count(*) AS n FROM events GROUP BY state")
    return {
        "url": target.get("url"),
        "secrets": len(webhooks.active_secrets(twin)),
        **modes_of(twin),
        "events": {row["state"]: row["n"] for row in counted},
    }


def _shown_request(row: Doc) -> Doc:
    try:
        body = json.loads(row["body"]) if row["body"] else None
    except ValueError:
        body = row["body"]
    return {**row, "body": body, "headers": json.loads(row["headers"])}


def _payment(body: Doc) -> Doc:
    payment_id = body.get("payment_id")
    if not isinstance(payment_id, str):
        raise refuse_body("payment_id", "is required")
    payment = twin().store.get("payments", payment_id)
    if payment is None:
        raise refuse_body("payment_id", "unknown payment")
    return payment
