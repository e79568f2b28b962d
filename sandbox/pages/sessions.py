"""What every hosted page knows of its checkout session: its state, its language, and the way back to the shop."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..core.clock import parse_rfc3339, utc
from ..core.places import format_amount
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call
from ..http.server import Response
from ..resources import customers, licenses
from .draw import draw, go_to
from .words import choose_language, day_text, words

STATUS_OF_STATE = {"unknown": 404, "expired": 410, "consumed": 409, "unavailable": 410}
# A payment in one of these may still succeed, so nothing else may be paid for the session meanwhile.
WAITING = ("processing", "requires_merchant_action", "requires_confirmation", "requires_capture")


def state_of(twin: Twin, session: Doc) -> str:
    """Return the page state of a session: open, paying, authenticate, paid, failed, expired or consumed."""
    payment = twin.store.get("payments", session["payment_id"])
    status = payment["status"] if payment else None
    if session["one_click"]:
        return "consumed"
    if status == "succeeded" or (payment is None and session["payment_id"] is not None):
        # What began a free trial may have left no payment.
        return "paid"
    if status == "requires_customer_action":
        return "authenticate"
    if status in WAITING:
        return "paying"
    if twin.clock.now() >= session["expires_at"]:
        return "expired"
    return "failed" if status in ("failed", "cancelled") else "open"


def return_location(twin: Twin, session: Doc | None, payment: Doc) -> str | None:
    """Return the shop's address with what the provider adds to its query (6.4); None without a return_url.

    A payment without a session was made by a payment link, for a subscription: its status is always the payment's.
    """
    address = session["return_url"] if session else payment["return_url"]
    if address is None:
        return None
    parts = urlsplit(address)
    added = _added_by_checkout(twin, payment) if session else _added_by_link(payment)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added])))


def send_on(call: Call, session: Doc | None, payment: Doc) -> Response:
    """Send the buyer on after a charge or an authentication: to the shop, to the bank, or to the session's page."""
    location = return_location(call.twin, session, payment)
    status = payment["status"]
    declined = status in ("failed", "cancelled")
    if status == "requires_customer_action":
        return go_to(f"/authenticate/{payment['id']}")
    if session is None or session["one_click"]:
        # There is no page of a session to return to.
        state = "failed" if declined else "paid" if status == "succeeded" else "paying"
        return go_to(location) if location else result(call, state, session, payment=payment)
    leaves = call.twin.switch("declined_checkout") == "redirect" if declined else True
    if location and leaves and session["flags"]["redirect_immediately"]:
        return go_to(location)
    return go_to(f"/session/{session['id']}")


def result(call: Call, state: str, session: Doc | None, *, status: int = 200, payment: Doc | None = None) -> Response:
    """Return the page of a session that asks for nothing: paid, paying, authenticate, expired and so on."""
    if payment is None and session is not None:
        payment = call.twin.store.get("payments", session["payment_id"])
    values = shared(call, session)
    text = values["w"][f"{state}_text"]
    if payment is not None:
        total = format_amount(payment["total"], payment["currency"], values["language"])
        text = text.format(total=total, last4=payment["card"].get("last4", "----"))
    return draw(
        "result.html",
        status=status,
        **values,
        state=state,
        text=text,
        payment=payment,
        return_to=_return_link(call, session, payment),
    )


def language_of(call: Call, session: Doc | None) -> str:
    """Return the language of a session's page: asked for by its link, forced by the session, or the browser's."""
    forced = session["language"] if session else None
    return choose_language(call.query.get("lang"), forced, call.request.headers.get("accept-language"))


def shared(call: Call, session: Doc | None) -> dict[str, Any]:
    """Return what the templates of a session's pages need."""
    return {**vocabulary(language_of(call, session)), "session": session}


def vocabulary(language: str) -> dict[str, Any]:
    """Return what every template for buyers needs: words, and how amounts and days are written."""
    return {
        "w": words(language),
        "language": language,
        "other_language": "en" if language == "vi" else "vi",
        "amount": lambda minor, currency: format_amount(minor, currency, language),
        "day": lambda milliseconds: day_text(utc(milliseconds), language),
        "day_of": lambda timestamp: day_text(utc(parse_rfc3339(timestamp)), language),
    }


def _return_link(call: Call, session: Doc | None, payment: Doc | None) -> str | None:
    if payment is not None:
        return return_location(call.twin, session, payment)
    if session is None:
        return None
    address: str | None = session["cancel_url"] or session["return_url"]
    return address


def _added_by_checkout(twin: Twin, payment: Doc) -> list[tuple[str, str]]:
    added: list[tuple[str, str]] = []
    status = payment["status"]
    recurring_only = all(line["recurring"] for line in payment["lines"])
    if not recurring_only:
        added.append(("payment_id", payment["id"]))
    if payment["subscription_ids"]:
        added.append(("subscription_id", ",".join(payment["subscription_ids"])))
        subscription = twin.store.get("subscriptions", payment["subscription_ids"][0])
        if recurring_only and subscription is not None:
            status = subscription["status"]
    added += [("status", status), ("email", customers.limited(twin, payment["customer_id"])["email"])]
    keys = licenses.keys_of(twin, payment)
    return [*added, ("license_key", ",".join(keys))] if keys else added


def _added_by_link(payment: Doc) -> list[tuple[str, str]]:
    held = ",".join(payment["subscription_ids"])
    return [("subscription_id", held), ("payment_id", payment["id"]), ("status", payment["status"])]
