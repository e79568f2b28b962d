"""The buttons of the customer portal. Each presses the wire's own route, as the customer."""

import json
from collections.abc import Callable

from ..core.store import Doc
from ..http.call import Call, WireError
from ..resources import customers, subscription_changes
from .pressing import press
from .words import LANGUAGES

# What a button asks of `PATCH /subscriptions/{id}`.
CHANGES: dict[str, Doc] = {
    "cancel": {"cancel_at_next_billing_date": True, "cancel_reason": "cancelled_by_customer"},
    "keep": {"cancel_at_next_billing_date": False},
    "resume": {"status": "active"},
}


def carry_out(call: Call, session: Doc, action: str) -> str:
    """Do what a button says and return where the browser goes then; raises WireError."""
    return ACTIONS[action](call, session, action)


def _change(call: Call, session: Doc, action: str) -> str:
    press(call, subscription_changes.update_subscription, CHANGES[action], subscription_id=_own(call, session))
    return _home(call, session, action)


def _keep_plan(call: Call, session: Doc, action: str) -> str:
    press(call, subscription_changes.cancel_scheduled, {}, subscription_id=_own(call, session))
    return _home(call, session, action)


def _new_card(call: Call, session: Doc, action: str) -> str:
    """Go to the page where another card is typed; it leads back here."""
    body = {"type": "new", "return_url": call.twin.url(_home(call, session, "new_card"))}
    route = subscription_changes.update_payment_method
    answer = press(call, route, body, subscription_id=_own(call, session))
    return str(json.loads(answer.body)["payment_link"])


def _use_card(call: Call, session: Doc, action: str) -> str:
    """Put a saved card on a subscription, which pays what it owes at once."""
    body = {"type": "existing", "payment_method_id": call.form.get("payment_method_id", "")}
    route = subscription_changes.update_payment_method
    answer = json.loads(press(call, route, body, subscription_id=_own(call, session)).body)
    payment = call.twin.store.get("payments", answer["payment_id"])
    if payment is None:
        return _home(call, session, action)
    if payment["status"] == "requires_customer_action" and payment["payment_link"]:
        return str(payment["payment_link"])
    return _home(call, session, f"dues_{payment['status']}")


def _remove_card(call: Call, session: Doc, action: str) -> str:
    press(
        call,
        customers.delete_payment_method,
        {},
        customer_id=session["customer_id"],
        payment_method_id=call.form.get("payment_method_id", ""),
    )
    return _home(call, session, action)


def _own(call: Call, session: Doc) -> str:
    """Return the subscription a form names; raises WireError if it is not this customer's."""
    subscription = call.twin.store.get("subscriptions", call.form.get("subscription_id"))
    if subscription is None or subscription["customer_id"] != session["customer_id"]:
        raise WireError(404, "NOT_FOUND")
    return str(subscription["id"])


def _home(call: Call, session: Doc, done: str) -> str:
    language = call.query.get("lang")
    chosen = f"&lang={language}" if language in LANGUAGES else ""
    return f"/portal/session/{session['id']}?done={done}{chosen}"


ACTIONS: dict[str, Callable[[Call, Doc, str], str]] = {
    **dict.fromkeys(CHANGES, _change),
    "keep_plan": _keep_plan,
    "new_card": _new_card,
    "use_card": _use_card,
    "remove_card": _remove_card,
}
