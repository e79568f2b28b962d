"""The customer portal: what a customer may see and change with the link of a portal session."""

from typing import Any

from ..billing import credits
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError
from ..http.server import Response
from ..resources import customers, invoices, licenses, subscriptions
from .draw import draw, go_to
from .portal_actions import ACTIONS, carry_out
from .sessions import vocabulary
from .words import choose_language

routes = Routes()

SHOWN = 50
# A subscription that ended is history; only these can be acted upon.
ALIVE = ("active", "past_due", "on_hold", "paused", "pending")


@routes.get("/portal/session/{token}")
def show(call: Call, token: str) -> Response:
    session = _session(call, token)
    if session is None:
        return _closed(call, "unknown", 404)
    if call.twin.clock.now() >= session["expires_at"]:
        return _closed(call, "expired", 410)
    return _page(call, session)


@routes.post("/portal/session/{token}")
def act(call: Call, token: str) -> Response:
    session = _session(call, token)
    if session is None:
        return _closed(call, "unknown", 404)
    if call.twin.clock.now() >= session["expires_at"]:
        return _closed(call, "expired", 410)
    action = call.form.get("action", "")
    if action not in ACTIONS:
        return _page(call, session, error="refused", status=422)
    try:
        location = carry_out(call, session, action)
    except WireError as error:
        return _page(call, session, error=error.code, status=error.status)
    return go_to(location)


@routes.get("/portal/session/{token}/invoices/{payment_id}")
def invoice(call: Call, token: str, payment_id: str) -> Response:
    """Return the PDF that the wire serves with a key; here the token opens its own customer's."""
    session = _session(call, token)
    payment = call.twin.store.get("payments", payment_id)
    if session is None or payment is None or payment["customer_id"] != session["customer_id"]:
        return _closed(call, "unknown", 404)
    if call.twin.clock.now() >= session["expires_at"]:
        return _closed(call, "expired", 410)
    return invoices.get_payment_invoice(call, payment_id)


def _session(call: Call, token: str) -> Doc | None:
    return call.twin.store.get("portal_sessions", token)


def _page(call: Call, session: Doc, *, error: str | None = None, status: int = 200) -> Response:
    twin = call.twin
    customer = twin.store.get("customers", session["customer_id"])
    assert customer is not None
    methods = customers.listed_methods(twin, customer["id"])
    held = twin.store.find("subscriptions", customer_id=customer["id"], limit=SHOWN)
    keys = twin.store.find("license_keys", customer_id=customer["id"], limit=SHOWN)
    paid = twin.store.find("payments", customer_id=customer["id"], limit=SHOWN)
    shown = vocabulary(_language(call, customer["preferred_locale"]))
    return draw(
        "portal.html",
        status=status,
        **shown,
        portal=session,
        customer=customer,
        methods=methods,
        payments=[payment for payment in paid if payment["status"] != "requires_payment_method"],
        license_keys=[{**key, "status": licenses.status_of(twin, key)} for key in keys],
        subscriptions=[_shown(twin, subscription, methods) for subscription in held],
        done=shown["w"].get(f"done_{call.query.get('done')}"),
        error=error and shown["w"].get(f"error_{error}", shown["w"]["error_refused"]),
    )


def _shown(twin: Twin, subscription: Doc, methods: list[Doc]) -> dict[str, Any]:
    """Return a subscription as the wire shows it, with what its card of the page needs besides."""
    method_id = subscription["payment_method_id"]
    owed = twin.store.get("payments", subscription["owed_payment_id"])
    return {
        **subscriptions.serialise(twin, subscription),
        "product_name": subscription["product_name"],
        "alive": subscription["status"] in ALIVE,
        "card": twin.store.get("payment_methods", method_id) or subscription["card"],
        "others": [method for method in methods if method["id"] != method_id],
        "credit": credits.balance(twin, subscription),
        "owed": owed["total"] if owed else None,
    }


def _closed(call: Call, state: str, status: int) -> Response:
    shown = vocabulary(_language(call, None))
    text = shown["w"][f"portal_{state}_text"]
    return draw("portal_closed.html", status=status, **shown, state=state, text=text)


def _language(call: Call, preferred: str | None) -> str:
    return choose_language(call.query.get("lang"), preferred, call.request.headers.get("accept-language"))
