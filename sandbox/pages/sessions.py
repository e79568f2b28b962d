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

STATUS_OF_STATE = {"expired": 410, "consumed": 409}
# A payment in one of these may still succeed, so nothing else may be paid for the session meanwhile.
WAITING = ("processing", "requires_merchant_action", "requires_confirmation", "requires_capture")


def state_of(twin: Twin, session: Doc) -> str:
    """Return the page state of a session: open, paying, authenticate, paid, failed, expired or consumed."""
    payment = twin.store.get("payments", session["payment_id"])
    status = payment["status"] if payment else None
    if session["one_click"]:
        return "consumed"
    if status == "succeeded":
        return "paid"
    if status == "requires_customer_action":
        return "authenticate"
    if status in WAITING:
        return "paying"
    if twin.clock.now() >= session["expires_at"]:
        return "expired"
    return "failed" if status in ("failed", "cancelled") else "open"


def return_location(twin: Twin, session: Doc, payment: Doc) -> str | None:
    """Return the shop's address with what the provider adds to its query (6.4); None without a return_url."""
    address = session["return_url"]
    if address is None:
        return None
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
    if keys:
        added.append(("license_key", ",".join(keys)))
    parts = urlsplit(address)
    query = parse_qsl(parts.query, keep_blank_values=True) + added
    return urlunsplit(parts._replace(query=urlencode(query)))


def send_on(call: Call, session: Doc | None, payment: Doc) -> Response:
    """Send the buyer on after a charge or an authentication: to the shop, to the bank, or to the session's page."""
    if session is None:
        return result(call, "consumed", None, payment=payment)
    location = return_location(call.twin, session, payment)
    status = payment["status"]
    if status == "requires_customer_action":
        return go_to(f"/authenticate/{payment['id']}")
    if session["one_click"]:
        # A one-click session has no page of its own to return to.
        return go_to(location) if location else result(call, "consumed", session, payment=payment)
    declined = status in ("failed", "cancelled")
    leaves = call.twin.switch("declined_checkout") == "redirect" if declined else True
    if location and leaves and session["flags"]["redirect_immediately"]:
        return go_to(location)
    return go_to(f"/session/{session['id']}")


def result(call: Call, state: str, session: Doc | None, *, status: int = 200, payment: Doc | None = None) -> Response:
    """Return the page of a session that asks for nothing: paid, paying, authenticate, expired, consumed, unknown."""
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


def language_of(call: Call, session: Doc | None = None) -> str:
    """Return the language of a page: asked for by its link, forced by the session, or the browser's."""
    forced = session["language"] if session else None
    return choose_language(call.query.get("lang"), forced, call.request.headers.get("accept-language"))


def shared(call: Call, session: Doc | None = None) -> dict[str, Any]:
    """Return what every hosted template needs: words, language, and how amounts and days are written."""
    language = language_of(call, session)
    return {
        "w": words(language),
        "language": language,
        "other_language": "en" if language == "vi" else "vi",
        "session": session,
        "amount": lambda minor, currency: format_amount(minor, currency, language),
        "day": lambda milliseconds: day_text(utc(milliseconds), language),
        "day_of": lambda timestamp: day_text(utc(parse_rfc3339(timestamp)), language),
    }


def _return_link(call: Call, session: Doc | None, payment: Doc | None) -> str | None:
    if session is None:
        return None
    if payment is not None:
        return return_location(call.twin, session, payment)
    address: str | None = session["cancel_url"] or session["return_url"]
    return address
