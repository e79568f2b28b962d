"""The `/_sandbox/` routes: order faults and outcomes, move the clock, read what was received.

JSON in, JSON out, loopback only (`gateway.py` refuses everyone else). A bad body answers 422 and names its
field. The bodies are a contract; docs/operator/sandbox.md lists them.
"""

from ..billing import charges, renewals
from ..billing.timers import next_renewal, run_timers
from ..core.cards import table
from ..core.clock import utc
from ..core.store import Doc
from ..core.twin import Twin
from ..http import request_log, unserved
from ..http.call import Call, Routes, WireError, answer, empty, found, query_number, read_body, refuse_body, text
from ..http.lists import DEFAULTS as LIST_DEFAULTS
from ..http.lists import MISLEADING
from ..http.lists import modes_of as list_modes
from ..http.rate import TIERS
from ..http.server import Response
from ..resources import disputes, payments, refunds
from ..resources.subscriptions import RUNNING
from .bodies import (
    object_id,
    read_count,
    read_fault,
    read_flag,
    read_match,
    read_number,
    read_outcome,
    read_switch,
    read_then,
    refuse_unknown,
)
from .demo import start_over
from .webhooks import webhook_state

routes = Routes(prefix="/_sandbox")

# Whatever is planned from here, by years ahead too, is a moment that can be written (our choice).
CLOCK_YEARS = range(1971, 2401)
_KINDS = """
products addons uploads customers payment_methods portal_sessions wallets wallet_entries sessions payments
subscriptions refunds disputes discounts license_keys license_key_instances
payouts credit_ledger credit_warnings abandoned_checkouts entitlement_grants
credit_entries dunning_attempts
"""
KINDS = tuple(_KINDS.split())


@routes.get("/state")
def state(call: Call) -> Response:
    store = call.twin.store
    return answer(
        {
            "ready": True,
            "clock": _clock_state(call.twin),
            "switches": call.twin.switches(),
            "rate": store.setting("rate", "off"),
            "faults": store.setting("faults", []),
            "next_charges": charges.script(call.twin),
            "lists": list_modes(call.twin),
            "webhooks": webhook_state(call.twin),
            "sister_answers": call.twin.sister_answers,
            "counts": {kind: store.count(kind) for kind in KINDS},
        }
    )


@routes.get("/objects/{kind}")
def objects(call: Call, kind: str) -> Response:
    # With a limit the newest come first, so that a look at a full sandbox stays quick.
    limit = query_number(call, "limit", 0)
    return answer({"items": call.twin.store.find(_kind(kind), oldest_first=not limit, limit=limit or -1)})


@routes.get("/objects/{kind}/{object_id}")
def stored_object(call: Call, kind: str, object_id: str) -> Response:
    return answer(found(call.twin.store.get(_kind(kind), object_id), "Object"))


@routes.get("/cards")
def cards(call: Call) -> Response:
    return answer({"items": table()})


@routes.get("/requests")
def requests(call: Call) -> Response:
    after, limit = query_number(call, "after", 0), query_number(call, "limit", 0)
    return answer(request_log.listed(call.twin, after=after, limit=limit))


@routes.get("/not-implemented")
def not_implemented(call: Call) -> Response:
    return answer({"items": unserved.listed(call.twin)})


@routes.post("/reset")
def reset(call: Call) -> Response:
    start_over(call.twin)
    return answer({"ok": True})


@routes.get("/faults")
def list_faults(call: Call) -> Response:
    return answer({"items": call.twin.store.setting("faults", [])})


@routes.post("/faults")
def add_fault(call: Call) -> Response:
    rule = read_fault(call.twin, read_body(call))
    with call.twin.store.write():
        number = call.twin.store.setting("fault_number", 0) + 1
        call.twin.store.set_setting("fault_number", number)
        rule["id"] = number
        call.twin.store.set_setting("faults", [*call.twin.store.setting("faults", []), rule])
    return answer(rule)


@routes.delete("/faults/{number}")
def clear_fault(call: Call, number: str) -> Response:
    with call.twin.store.write():
        rules = call.twin.store.setting("faults", [])
        left = [rule for rule in rules if str(rule["id"]) != number]
        if len(left) == len(rules):
            raise WireError(404, "NOT_FOUND", "Fault not found")
        call.twin.store.set_setting("faults", left)
    return empty(204)


@routes.delete("/faults")
def clear_faults(call: Call) -> Response:
    call.twin.store.set_setting("faults", [])
    return empty(204)


@routes.get("/payments")
def next_charges(call: Call) -> Response:
    return answer({"items": charges.script(call.twin)})


@routes.post("/payments")
def script_charge(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "outcome", "error_code", "times", "match", "then", "payment_link")
    rule = {
        **read_outcome(body, ""),
        "times": read_count(body, "times", default=1),
        "match": read_match(body),
        "then": read_then(body.get("then")),
        "payment_link": read_flag(body, "payment_link"),
    }
    with call.twin.store.write():
        call.twin.store.set_setting("next_charges", [*charges.script(call.twin), rule])
    return answer(rule)


@routes.delete("/payments")
def clear_script(call: Call) -> Response:
    call.twin.store.set_setting("next_charges", [])
    return empty(204)


@routes.get("/clock")
def read_clock(call: Call) -> Response:
    return answer(_clock_state(call.twin))


@routes.post("/clock")
def move_clock(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "advance_s", "to", "freeze", "skew_s")
    if not body:
        raise refuse_body("advance_s", "or to, freeze or skew_s is required")
    advance_s = read_number(body, "advance_s", default=0, least=-10 * 365 * 86_400, most=10 * 365 * 86_400)
    advance_ms = _to_next_renewal(call.twin, body) if "to" in body else round(advance_s * 1000)
    if utc(call.twin.clock.now() + advance_ms).year not in CLOCK_YEARS:
        field = "to" if "to" in body else "advance_s"
        raise refuse_body(field, f"leads out of the years {CLOCK_YEARS[0]} to {CLOCK_YEARS[-1]}")
    skew_s = read_number(body, "skew_s", least=-86_400, most=86_400) if "skew_s" in body else None
    freeze = read_flag(body, "freeze")
    if freeze is not None:
        (call.twin.clock.freeze if freeze else call.twin.clock.thaw)()
    call.twin.clock.advance(advance_ms)
    if skew_s is not None:
        call.twin.store.set_setting("skew_s", skew_s)
    # What became due has happened when the answer comes; deliveries follow.
    run_timers(call.twin)
    call.twin.wake.set()
    return answer(_clock_state(call.twin))


@routes.get("/switches")
def read_switches(call: Call) -> Response:
    return answer(call.twin.switches())


@routes.post("/switches")
def set_switches(call: Call) -> Response:
    body = read_body(call)
    checked = {name: read_switch(name, value) for name, value in body.items()}
    with call.twin.store.write():
        for name, value in checked.items():
            call.twin.set_switch(name, value)
    return answer(call.twin.switches())


@routes.get("/rate")
def read_rate(call: Call) -> Response:
    return answer({"rate": call.twin.store.setting("rate", "off")})


@routes.post("/rate")
def set_rate(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "rate")
    tier = str(body.get("rate"))
    if tier != "off" and tier not in TIERS:
        raise refuse_body("rate", "must be off, 0, 1 or 2")
    call.twin.store.set_setting("rate", tier)
    return answer({"rate": tier})


@routes.get("/lists")
def read_lists(call: Call) -> Response:
    return answer(list_modes(call.twin))


@routes.post("/lists")
def set_lists(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, *LIST_DEFAULTS)
    changes: Doc = {}
    if "of" in body:
        changes["of"] = _read_lists(body["of"])
    if "lag_s" in body:
        changes["lag_s"] = read_number(body, "lag_s", default=0, least=0, most=86_400)
    if "missing_page" in body:
        page = body["missing_page"]
        changes["missing_page"] = None if page is None else int(read_number(body, "missing_page", least=0, most=10_000))
    for name in ("repeated_rows", "moving_rows", "metadata_stripped", "outage"):
        if name in body:
            changes[name] = bool(read_flag(body, name))
    call.twin.store.set_setting("lists", {**list_modes(call.twin), **changes})
    return answer(list_modes(call.twin))


def _read_lists(names: object) -> list[str]:
    if not isinstance(names, list) or not all(name in MISLEADING for name in names):
        raise refuse_body("of", f"must be a list of {', '.join(MISLEADING)}")
    return names


@routes.post("/listen")
def listen(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "accept", "for_s")
    accept = read_flag(body, "accept")
    if accept is None:
        raise refuse_body("accept", "is required")
    for_s = read_number(body, "for_s", default=30, least=0.01, most=600)
    server = call.twin.server
    assert server is not None
    if accept:
        server.accept_connections()
    else:
        server.refuse_connections(keep=call.connection, for_s=for_s)
    return answer({"accept": server.accepting})


@routes.post("/refunds")
def refund_elsewhere(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "payment_id", "amount", "reason")
    amount = None if body.get("amount") is None else int(read_number(body, "amount", least=1, most=2**53))
    with call.twin.store.write():
        payment = _payment(call, body)
        refund = refunds.begin(call.twin, payment, items=None, reason=text(body, "reason"), pairs={}, amount=amount)
    return answer(refunds.serialise(call.twin, refund))


@routes.post("/disputes")
def dispute(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "payment_id", "dispute_id", "outcome", "amount", "reason")
    with call.twin.store.write():
        if body.get("dispute_id") is not None:
            outcome = body.get("outcome")
            if outcome not in disputes.OUTCOMES:
                raise refuse_body("outcome", f"must be one of {', '.join(disputes.OUTCOMES)}")
            opened = found(call.twin.store.get("disputes", object_id(body, "dispute_id")), "Dispute")
            shown = disputes.decide(call.twin, opened, outcome)
        else:
            payment = _payment(call, body)
            amount = int(read_number(body, "amount", default=payment["total"], least=1, most=2**53))
            reason = text(body, "reason") or "fraudulent"
            shown = disputes.open_dispute(call.twin, payment, amount=amount, reason=reason)
    return answer(disputes.serialise(call.twin, shown))


@routes.post("/settle")
def settle(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "payment_id", "refund_id", "status", "error_code")
    with call.twin.store.write():
        if body.get("refund_id") is not None:
            if body.get("status") not in refunds.STATUSES:
                raise refuse_body("status", f"must be one of {', '.join(refunds.STATUSES)}")
            refund = found(call.twin.store.get("refunds", object_id(body, "refund_id")), "Refund")
            return answer(refunds.serialise(call.twin, refunds.settle(call.twin, refund, body["status"])))
        outcome = read_outcome({"outcome": body.get("status"), "error_code": body.get("error_code")}, "", "status")
        payment = _payment(call, body)
        if outcome["outcome"] != "succeeded" and refunds.refunded_amount(call.twin, payment):
            raise WireError(409, "CONFLICT", "The payment has been refunded, so it has succeeded")
        payment = payments.move(call.twin, payment, outcome["outcome"], error_code=outcome["error_code"])
    return answer(payments.serialise(call.twin, payment))


@routes.post("/renewals")
def renew(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "subscription_id")
    with call.twin.store.write():
        subscription = found(call.twin.store.get("subscriptions", object_id(body, "subscription_id")), "Subscription")
        if subscription["status"] not in RUNNING:
            raise refuse_body("subscription_id", f"is {subscription['status']}, so nothing renews")
        payment = renewals.renew(call.twin, subscription)
    return answer(payments.serialise(call.twin, payment))


def _to_next_renewal(twin: Twin, body: Doc) -> int:
    """Return the milliseconds from now to the next renewal."""
    if body["to"] != "next_renewal":
        raise refuse_body("to", "must be next_renewal")
    moment = next_renewal(twin)
    if moment is None:
        raise refuse_body("to", "no subscription renews")
    return moment - twin.clock.now()


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise WireError(404, "NOT_FOUND", f"kind: one of {', '.join(KINDS)}")
    return kind


def _clock_state(twin: Twin) -> Doc:
    return {**twin.clock.describe(), "skew_s": twin.store.setting("skew_s", 0)}


def _payment(call: Call, body: Doc) -> Doc:
    payment = call.twin.store.get("payments", object_id(body, "payment_id"))
    if payment is None:
        raise refuse_body("payment_id", "unknown payment")
    return payment
