"""The buttons of the home page. Each turns its form into the body of a route under `/_sandbox/` and presses that."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from ..control import routes as control
from ..control import scenarios, snapshots
from ..control import webhooks as webhook_control
from ..core.store import Doc
from ..core.twin import SWITCHES
from ..http.call import Call, Handler, read_body, refuse_body
from ..http.lists import DEFAULTS as LIST_DEFAULTS
from ..http.server import Response
from ..resources import portal

ADVANCES_S = {"1 hour": 3600, "1 day": 86_400, "30 days": 2_592_000}
Form = dict[str, str]


@dataclass(frozen=True)
class Action:
    """A button: the control route it presses, the body it makes for it, and the part of the page it is in."""

    handler: Handler
    read: Callable[[Form], Doc]
    section: str


def open_portal(call: Call) -> str:
    """Return the address of a new portal session of the customer whose button was pressed; raises WireError."""
    with call.twin.store.write():
        answer = portal.create_portal_session(call, call.form.get("customer_id", ""))
    return str(json.loads(answer.body)["link"])


def _nothing(form: Form) -> Doc:
    return {}


def _advance(form: Form) -> Doc:
    return {"advance_s": ADVANCES_S.get(form.get("by", ""))}


def _fail(form: Form) -> Doc:
    return {"outcome": "failed", "error_code": form.get("code") or None}


def _next_charge(form: Form) -> Doc:
    order: Doc = {"outcome": form.get("outcome"), "times": _count(form, "times")}
    if order["outcome"] == "failed":
        order["error_code"] = form.get("code") or None
    if form.get("card", "").strip():
        order["match"] = {"card": form["card"].strip()}
    return order


def _fault(form: Form) -> Doc:
    effect = form.get("effect", "none")
    match = {name: form[name].strip() for name in ("customer_id", "card") if form.get(name, "").strip()}
    return {
        "endpoint": form.get("endpoint"),
        "fault": form.get("fault", "").strip() or "none",
        "effect": f"late:{form.get('late_s', '').strip() or '5'}" if effect == "late" else effect,
        "times": _count(form, "times"),
        "match": match or None,
    }


def _clear_fault(call: Call) -> Response:
    return control.clear_fault(call, str(read_body(call).get("id")))


def _lists(form: Form) -> Doc:
    flags = {name: form.get(name) == "true" for name, value in LIST_DEFAULTS.items() if isinstance(value, bool)}
    page = form.get("missing_page", "").strip()
    return {"lag_s": _number(form.get("lag_s", "")), "missing_page": _number(page) if page else None, **flags}


def _number(text: str) -> float | str:
    """Return what was typed as a number; a text that is none is left for the route to refuse."""
    try:
        return float(text)
    except ValueError:
        return text


def _payment(form: Form) -> Doc:
    return {"payment_id": form.get("payment_id")}


def _switches(form: Form) -> Doc:
    return {name: _switch_value(name, form[name].strip()) for name in SWITCHES if name in form}


def _switch_value(name: str, text: str) -> object:
    allowed = SWITCHES[name][1]
    if isinstance(allowed, tuple):
        return next((value for value in allowed if str(value) == text), text)
    if allowed is bool:
        return {"True": True, "False": False}.get(text, text)
    return _number(text)


def _count(form: Form, name: str) -> int:
    text = form.get(name, "1").strip()
    if not text.isdecimal() or len(text) > 9:
        raise refuse_body(name, "must be a whole number")
    return int(text)


def _modes(form: Form) -> Doc:
    return {"hold": form.get("hold") == "true", "drop": _count(form, "drop"), "repeat": _count(form, "repeat")}


ACTIONS: dict[str, Action] = {
    "advance": Action(control.move_clock, _advance, "clock"),
    "to_renewal": Action(control.move_clock, lambda form: {"to": "next_renewal"}, "clock"),
    "freeze": Action(control.move_clock, lambda form: {"freeze": True}, "clock"),
    "run": Action(control.move_clock, lambda form: {"freeze": False}, "clock"),
    "fail": Action(control.script_charge, _fail, "charges"),
    "authenticate": Action(control.script_charge, lambda form: {"outcome": "requires_customer_action"}, "charges"),
    "next_charge": Action(control.script_charge, _next_charge, "charges"),
    "clear_charges": Action(control.clear_script, _nothing, "charges"),
    "fault": Action(control.add_fault, _fault, "faults"),
    "clear_fault": Action(_clear_fault, lambda form: {"id": form.get("id")}, "faults"),
    "clear_faults": Action(control.clear_faults, _nothing, "faults"),
    "switches": Action(control.set_switches, _switches, "switches"),
    "lists": Action(control.set_lists, _lists, "faults"),
    "rate": Action(control.set_rate, lambda form: {"rate": form.get("rate")}, "faults"),
    "modes": Action(webhook_control.set_webhooks, _modes, "webhooks"),
    "trigger": Action(webhook_control.pull_trigger, lambda form: {"type": form.get("type")}, "webhooks"),
    "resend": Action(webhook_control.set_webhooks, lambda form: {"again": form.get("webhook_id")}, "webhooks"),
    "refund": Action(control.refund_elsewhere, _payment, "payments"),
    "dispute": Action(control.dispute, _payment, "payments"),
    "succeed": Action(control.settle, lambda form: {**_payment(form), "status": "succeeded"}, "payments"),
    "decline": Action(control.settle, lambda form: {**_payment(form), "status": "failed"}, "payments"),
    "endpoint": Action(webhook_control.add_endpoint, lambda form: {"url": form.get("url")}, "webhooks"),
    "renew": Action(control.renew, lambda form: {"subscription_id": form.get("subscription_id")}, "subscriptions"),
    "scenario": Action(scenarios.load_scenario, lambda form: {"name": form.get("name")}, "clock"),
    "save": Action(snapshots.save_or_restore, lambda form: {"name": form.get("name")}, "clock"),
    "restore": Action(snapshots.save_or_restore, lambda form: {"restore": form.get("name")}, "clock"),
    "reset": Action(control.reset, _nothing, "top"),
}
