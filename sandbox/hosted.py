"""The pages a buyer sees: hosted checkout and the bank's authentication step. No cookie, no script needed."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request

from . import charges, checkouts, customers, payments
from .cards import CARDS, find_card, parse_expiry
from .clock import rfc3339
from .places import country_choices, format_amount
from .pricing import Priced
from .store import Doc
from .twin import Twin
from .wire import WireError, twin
from .words import choose_language, words

bp = Blueprint("hosted", __name__)

FIELDS = ("email", "name", "phone", "country", "zipcode", "street", "city", "state", "discount_code", "method")
STATUS_OF_STATE = {"expired": 410, "consumed": 409}
# A payment in one of these may still succeed, so nothing else may be paid for the session meanwhile.
WAITING = ("processing", "requires_merchant_action", "requires_confirmation", "requires_capture")


@bp.after_request
def add_headers(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    # No form-action: the shop's return address is another origin, and the redirect after paying must pass.
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    return response


@bp.get("/session/<session_id>")
def show(session_id: str) -> Response:
    session = twin().store.get("sessions", session_id)
    if session is None:
        return _page("unknown", None, status=404)
    state = state_of(twin(), session)
    if state == "authenticate":
        return _to(f"/authenticate/{session['payment_id']}")
    if state not in ("open", "failed"):
        return _page(state, session, status=STATUS_OF_STATE.get(state, 200))
    return _form(session, state, values=session["typed"] or _initial(session), errors=[])


@bp.post("/session/<session_id>")
def pay(session_id: str) -> Response:
    session = twin().store.get("sessions", session_id)
    if session is None:
        return _page("unknown", None, status=404)
    state = state_of(twin(), session)
    if state == "authenticate":
        return _to(f"/authenticate/{session['payment_id']}")
    if state not in ("open", "failed"):
        state = "consumed" if state == "paid" else state
        return _page(state, session, status=STATUS_OF_STATE.get(state, 409))
    values = _values(session)
    try:
        order, source = _read_payment(session, values)
        payment = charges.charge(twin(), order, source, replaces=_prepared(session))
    except FormError as error:
        return _form(session, state, values=values, errors=error.fields, status=422)
    except WireError as error:
        return _form(session, state, values=values, errors=[("cart", error.message)], status=422)
    customer = {"email": values["email"], "name": values["name"], "phone_number": values["phone"] or None}
    session |= {"payment_id": payment["id"], "customer": customer, "typed": values}
    twin().store.put("sessions", session)
    return _after(session, payment)


@bp.get("/session/<session_id>/total")
def total(session_id: str) -> Response:
    session = twin().store.get("sessions", session_id)
    if session is None:
        return _page("unknown", None, status=404)
    values = {**_initial(session), **{name: request.args.get(name, "") for name in ("country", "zipcode")}}
    values["discount_code"] = request.args.get("discount_code", "")
    priced, _ = _priced(session, _enforced(session, values))
    return make_response(render_template("_summary.html", **_shared(session), priced=priced))


@bp.post("/session/<session_id>/total")
def update_total(session_id: str) -> Response:
    session = twin().store.get("sessions", session_id)
    if session is None:
        return _page("unknown", None, status=404)
    state = state_of(twin(), session)
    if state not in ("open", "failed"):
        return _page(state, session, status=STATUS_OF_STATE.get(state, 200))
    return _form(session, state, values=_values(session), errors=[])


@bp.get("/authenticate/<payment_id>")
def show_authentication(payment_id: str) -> Response:
    payment = twin().store.get("payments", payment_id)
    if payment is None:
        return _page("unknown", None, status=404)
    session = _session_of(payment)
    if payment["status"] != "requires_customer_action":
        return _page("consumed", session, status=409, payment=payment)
    return _page("authenticate", session, payment=payment)


@bp.post("/authenticate/<payment_id>")
def authenticate(payment_id: str) -> Response:
    payment = twin().store.get("payments", payment_id)
    if payment is None:
        return _page("unknown", None, status=404)
    session = _session_of(payment)
    result = request.form.get("result")
    if payment["status"] != "requires_customer_action" or result not in ("approve", "fail"):
        return _page("consumed", session, status=409, payment=payment)
    approved = result == "approve"
    payment = payments.move(
        twin(),
        payment,
        "succeeded" if approved else "failed",
        error_code=None if approved else "AUTHENTICATION_FAILURE",
        authenticated=approved,
    )
    return _after(session, payment)


class FormError(Exception):
    """Fields of the form that cannot be used, as (field, text)."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.fields = fields
        super().__init__(", ".join(name for name, _ in fields))


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
    parts = urlsplit(address)
    query = parse_qsl(parts.query, keep_blank_values=True) + added
    return urlunsplit(parts._replace(query=urlencode(query)))


def _after(session: Doc | None, payment: Doc) -> Response:
    """Send the buyer on: to the shop, to the bank, or back to the session's page."""
    if session is None:
        return _page("consumed", None, payment=payment)
    location = return_location(twin(), session, payment)
    status = payment["status"]
    if status == "requires_customer_action":
        return _to(f"/authenticate/{payment['id']}")
    if session["one_click"]:
        # A one-click session has no page of its own to return to.
        return _to(location) if location else _page("consumed", session, payment=payment)
    declined = status in ("failed", "cancelled")
    leaves = twin().switch("declined_checkout") == "redirect" if declined else True
    if location and leaves and session["flags"]["redirect_immediately"]:
        return _to(location)
    return _to(f"/session/{session['id']}")


def _read_payment(session: Doc, values: dict[str, str]) -> tuple[charges.Order, charges.Source]:
    """Turn the form into what is to be charged; raises FormError naming every bad field, or WireError."""
    errors = _field_errors(session, values)
    method = _chosen_method(session, values)
    source, card_errors = (charges.Source.saved(twin(), method), []) if method else _typed_card(values)
    priced, discount_refused = _priced(session, values)
    if discount_refused:
        errors.append("discount")
    if priced.total:
        errors += card_errors
    if errors:
        texts = words(_language(session))
        raise FormError([(name, texts[f"error_{name}"]) for name in errors])
    customer_id = (
        session["customer_id"]
        or customers.match_customer(
            twin(),
            email=values["email"],
            name=values["name"],
            phone_number=values["phone"] or None,
            always_new=session["flags"]["always_create_new_customer"],
        )["id"]
    )
    billing = {name: values[name] or None for name in ("country", *checkouts.ADDRESS_FIELDS)}
    order = charges.Order(
        priced=priced,
        customer_id=customer_id,
        billing=billing,
        metadata=session["metadata"],
        session_id=session["id"],
        return_url=session["return_url"],
    )
    return order, source if priced.total else charges.NO_SOURCE


def _field_errors(session: Doc, values: dict[str, str]) -> list[str]:
    errors = []
    if not customers.EMAIL.fullmatch(values["email"]):
        errors.append("email")
    if not values["name"]:
        errors.append("name")
    if session["flags"]["require_phone_number"] and not values["phone"]:
        errors.append("phone")
    if values["country"] not in dict(country_choices()):
        errors.append("country")
    if not values["zipcode"]:
        errors.append("zipcode")
    return errors


def _typed_card(values: dict[str, str]) -> tuple[charges.Source, list[str]]:
    card = find_card(request.form.get("card_number", ""))
    expiry = parse_expiry(request.form.get("expiry", ""))
    cvc_ok = re.fullmatch(r"\s*\d{3,4}\s*", request.form.get("cvc", "")) is not None
    errors = []
    if card is None:
        errors.append("card_number")
    if expiry is None or "-".join(reversed(expiry)) < rfc3339(twin().clock.now())[:7]:
        errors.append("expiry")
    if not cvc_ok:
        errors.append("cvc")
    if card is None or expiry is None or errors:
        return charges.NO_SOURCE, errors
    return charges.Source.typed(card, exp_month=expiry[0], exp_year=expiry[1], holder=values["name"]), []


def _chosen_method(session: Doc, values: dict[str, str]) -> Doc | None:
    if request.form.get("card_number", "").strip():
        # Somebody who types a card means that card, whatever the radio button says.
        return None
    return next((method for method in _saved_methods(session) if method["id"] == values["method"]), None)


def _saved_methods(session: Doc) -> list[Doc]:
    if session["customer_id"] is None or not session["show_saved"]:
        return []
    return customers.listed_methods(twin(), session["customer_id"])


def _prepared(session: Doc) -> Doc | None:
    """Return the payment that `confirm` without a method has already made for this session."""
    payment = twin().store.get("payments", session["payment_id"])
    return payment if payment and payment["status"] == "requires_payment_method" else None


def _priced(session: Doc, values: dict[str, str]) -> tuple[Priced, bool]:
    """Return the session's price for the address typed, and whether the typed discount code was refused."""
    country = values["country"] if values["country"] in dict(country_choices()) else "US"
    billing = {"country": country, "zipcode": values["zipcode"] or None}
    code = values["discount_code"].strip()
    if code and session["flags"]["allow_discount_code"]:
        with_code = {**session, "discount_codes": [*session["discount_codes"], code]}
        try:
            return checkouts.price_session(twin(), with_code, billing), False
        except WireError:
            return checkouts.price_session(twin(), session, billing), True
    return checkouts.price_session(twin(), session, billing), False


def _initial(session: Doc) -> dict[str, str]:
    billing, customer = session["billing"] or {}, session["customer"]
    values = dict.fromkeys(FIELDS, "")
    values |= {name: billing.get(name) or "" for name in ("country", *checkouts.ADDRESS_FIELDS)}
    values |= {"email": customer["email"] or "", "name": customer["name"] or ""}
    values["phone"] = customer["phone_number"] or ""
    values["country"] = values["country"] or "US"
    saved = _saved_methods(session)
    values["method"] = saved[0]["id"] if saved else ""
    return values


def _values(session: Doc) -> dict[str, str]:
    return _enforced(session, {name: request.form.get(name, "").strip()[:250] for name in FIELDS})


def _enforced(session: Doc, values: dict[str, str]) -> dict[str, str]:
    """Put back what the session does not let the buyer edit."""
    initial = _initial(session)
    for name in ("email", "name", "country", *checkouts.ADDRESS_FIELDS):
        if initial[name] and not is_editable(session, name):
            values[name] = initial[name]
    return values


def is_editable(session: Doc, name: str) -> bool:
    """Return whether the buyer may change a field; a known customer keeps the address."""
    if name == "email" and session["customer_id"] is not None:
        return False
    return bool(session["flags"].get(f"allow_customer_editing_{name}", True))


def _session_of(payment: Doc) -> Doc | None:
    return twin().store.get("sessions", payment["session_id"])


def _language(session: Doc | None) -> str:
    forced = session["language"] if session else None
    return choose_language(request.args.get("lang"), forced, request.headers.get("Accept-Language"))


def _form(
    session: Doc, state: str, *, values: dict[str, str], errors: list[tuple[str, str]], status: int = 200
) -> Response:
    priced, _ = _priced(session, values)
    payment = twin().store.get("payments", session["payment_id"]) if state == "failed" else None
    page = render_template(
        "checkout.html",
        **_shared(session),
        state=state,
        values=values,
        errors=errors,
        priced=priced,
        countries=country_choices(),
        saved=_saved_methods(session),
        cards=CARDS,
        chosen=next((card for card in CARDS if card.last4 == request.args.get("card")), None),
        editable=lambda name: not values[name] or is_editable(session, name),
        declined=payment,
        reason=_reason(payment, _language(session)) if payment else None,
        return_to=return_location(twin(), session, payment) if payment else None,
    )
    return make_response(page, status)


def _page(state: str, session: Doc | None, *, status: int = 200, payment: Doc | None = None) -> Response:
    if payment is None and session is not None:
        payment = twin().store.get("payments", session["payment_id"])
    shared = _shared(session)
    text = shared["w"][f"{state}_text"]
    if payment is not None:
        amount = format_amount(payment["total"], payment["currency"], shared["language"])
        text = text.format(total=amount, last4=payment["card"].get("last4", "----"))
    page = render_template(
        "result.html",
        **shared,
        state=state,
        text=text,
        payment=payment,
        return_to=_return_link(session, payment),
    )
    return make_response(page, status)


def _return_link(session: Doc | None, payment: Doc | None) -> str | None:
    if session is None:
        return None
    if payment is not None:
        return return_location(twin(), session, payment)
    address: str | None = session["cancel_url"] or session["return_url"]
    return address


def _shared(session: Doc | None) -> dict[str, Any]:
    language = _language(session)
    return {
        "w": words(language),
        "language": language,
        "other_language": "en" if language == "vi" else "vi",
        "session": session,
        "amount": lambda minor, currency: format_amount(minor, currency, language),
    }


def _reason(payment: Doc, language: str) -> str:
    texts = words(language)
    return texts.get(f"reason_{payment['error_code']}", texts["reason"])


def _to(location: str) -> Response:
    return make_response(redirect(location, 303))
