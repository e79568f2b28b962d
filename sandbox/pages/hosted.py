"""The pages a buyer sees: hosted checkout and the bank's authentication step. No cookie, no script needed."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..billing import charges
from ..billing.pricing import Priced
from ..core.cards import CARDS, find_card, parse_expiry
from ..core.clock import rfc3339
from ..core.places import country_choices, format_amount
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError
from ..http.server import Response
from ..resources import checkouts, customers, payments
from .draw import draw, go_to
from .words import choose_language, words

routes = Routes()

FIELDS = ("email", "name", "phone", "country", "zipcode", "street", "city", "state", "discount_code", "method")
STATUS_OF_STATE = {"expired": 410, "consumed": 409}
# A payment in one of these may still succeed, so nothing else may be paid for the session meanwhile.
WAITING = ("processing", "requires_merchant_action", "requires_confirmation", "requires_capture")


@routes.get("/session/{session_id}")
def show(call: Call, session_id: str) -> Response:
    session = call.twin.store.get("sessions", session_id)
    if session is None:
        return _page(call, "unknown", None, status=404)
    state = state_of(call.twin, session)
    if state == "authenticate":
        return go_to(f"/authenticate/{session['payment_id']}")
    if state not in ("open", "failed"):
        return _page(call, state, session, status=STATUS_OF_STATE.get(state, 200))
    return _form(call, session, state, values=session["typed"] or _initial(call, session), errors=[])


@routes.post("/session/{session_id}")
def pay(call: Call, session_id: str) -> Response:
    session = call.twin.store.get("sessions", session_id)
    if session is None:
        return _page(call, "unknown", None, status=404)
    state = state_of(call.twin, session)
    if state == "authenticate":
        return go_to(f"/authenticate/{session['payment_id']}")
    if state not in ("open", "failed"):
        state = "consumed" if state == "paid" else state
        return _page(call, state, session, status=STATUS_OF_STATE.get(state, 409))
    values = _values(call, session)
    try:
        order, source = _read_payment(call, session, values)
        payment = charges.charge(call.twin, order, source, replaces=_prepared(call, session))
    except FormError as error:
        return _form(call, session, state, values=values, errors=error.fields, status=422)
    except WireError as error:
        return _form(call, session, state, values=values, errors=[("cart", error.message)], status=422)
    customer = {"email": values["email"], "name": values["name"], "phone_number": values["phone"] or None}
    session |= {"payment_id": payment["id"], "customer": customer, "typed": values}
    call.twin.store.put("sessions", session)
    return _after(call, session, payment)


@routes.get("/session/{session_id}/total")
def total(call: Call, session_id: str) -> Response:
    session = call.twin.store.get("sessions", session_id)
    if session is None:
        return _page(call, "unknown", None, status=404)
    values = {**_initial(call, session), **{name: call.query.get(name, "") for name in ("country", "zipcode")}}
    values["discount_code"] = call.query.get("discount_code", "")
    priced, _ = _priced(call, session, _enforced(call, session, values))
    return draw("_summary.html", **_shared(call, session), priced=priced)


@routes.post("/session/{session_id}/total")
def update_total(call: Call, session_id: str) -> Response:
    session = call.twin.store.get("sessions", session_id)
    if session is None:
        return _page(call, "unknown", None, status=404)
    state = state_of(call.twin, session)
    if state not in ("open", "failed"):
        return _page(call, state, session, status=STATUS_OF_STATE.get(state, 200))
    return _form(call, session, state, values=_values(call, session), errors=[])


@routes.get("/authenticate/{payment_id}")
def show_authentication(call: Call, payment_id: str) -> Response:
    payment = call.twin.store.get("payments", payment_id)
    if payment is None:
        return _page(call, "unknown", None, status=404)
    session = _session_of(call, payment)
    if payment["status"] != "requires_customer_action":
        return _page(call, "consumed", session, status=409, payment=payment)
    return _page(call, "authenticate", session, payment=payment)


@routes.post("/authenticate/{payment_id}")
def authenticate(call: Call, payment_id: str) -> Response:
    payment = call.twin.store.get("payments", payment_id)
    if payment is None:
        return _page(call, "unknown", None, status=404)
    session = _session_of(call, payment)
    result = call.form.get("result")
    if payment["status"] != "requires_customer_action" or result not in ("approve", "fail"):
        return _page(call, "consumed", session, status=409, payment=payment)
    approved = result == "approve"
    payment = payments.move(
        call.twin,
        payment,
        "succeeded" if approved else "failed",
        error_code=None if approved else "AUTHENTICATION_FAILURE",
        authenticated=approved,
    )
    return _after(call, session, payment)


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


def _after(call: Call, session: Doc | None, payment: Doc) -> Response:
    """Send the buyer on: to the shop, to the bank, or back to the session's page."""
    if session is None:
        return _page(call, "consumed", None, payment=payment)
    location = return_location(call.twin, session, payment)
    status = payment["status"]
    if status == "requires_customer_action":
        return go_to(f"/authenticate/{payment['id']}")
    if session["one_click"]:
        # A one-click session has no page of its own to return to.
        return go_to(location) if location else _page(call, "consumed", session, payment=payment)
    declined = status in ("failed", "cancelled")
    leaves = call.twin.switch("declined_checkout") == "redirect" if declined else True
    if location and leaves and session["flags"]["redirect_immediately"]:
        return go_to(location)
    return go_to(f"/session/{session['id']}")


def _read_payment(call: Call, session: Doc, values: dict[str, str]) -> tuple[charges.Order, charges.Source]:
    """Turn the form into what is to be charged; raises FormError naming every bad field, or WireError."""
    errors = _field_errors(session, values)
    method = _chosen_method(call, session, values)
    source, card_errors = (charges.Source.saved(call.twin, method), []) if method else _typed_card(call, values)
    priced, discount_refused = _priced(call, session, values)
    if discount_refused:
        errors.append("discount")
    if priced.total:
        errors += card_errors
    if errors:
        texts = words(_language(call, session))
        raise FormError([(name, texts[f"error_{name}"]) for name in errors])
    customer_id = (
        session["customer_id"]
        or customers.match_customer(
            call.twin,
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


def _typed_card(call: Call, values: dict[str, str]) -> tuple[charges.Source, list[str]]:
    card = find_card(call.form.get("card_number", ""))
    expiry = parse_expiry(call.form.get("expiry", ""))
    cvc_ok = re.fullmatch(r"\s*\d{3,4}\s*", call.form.get("cvc", "")) is not None
    errors = []
    if card is None:
        errors.append("card_number")
    if expiry is None or "-".join(reversed(expiry)) < rfc3339(call.twin.clock.now())[:7]:
        errors.append("expiry")
    if not cvc_ok:
        errors.append("cvc")
    if card is None or expiry is None or errors:
        return charges.NO_SOURCE, errors
    return charges.Source.typed(card, exp_month=expiry[0], exp_year=expiry[1], holder=values["name"]), []


def _chosen_method(call: Call, session: Doc, values: dict[str, str]) -> Doc | None:
    if call.form.get("card_number", "").strip():
        # Somebody who types a card means that card, whatever the radio button says.
        return None
    return next((method for method in _saved_methods(call, session) if method["id"] == values["method"]), None)


def _saved_methods(call: Call, session: Doc) -> list[Doc]:
    if session["customer_id"] is None or not session["show_saved"]:
        return []
    return customers.listed_methods(call.twin, session["customer_id"])


def _prepared(call: Call, session: Doc) -> Doc | None:
    """Return the payment that `confirm` without a method has already made for this session."""
    payment = call.twin.store.get("payments", session["payment_id"])
    return payment if payment and payment["status"] == "requires_payment_method" else None


def _priced(call: Call, session: Doc, values: dict[str, str]) -> tuple[Priced, bool]:
    """Return the session's price for the address typed, and whether the typed discount code was refused."""
    country = values["country"] if values["country"] in dict(country_choices()) else "US"
    billing = {"country": country, "zipcode": values["zipcode"] or None}
    code = values["discount_code"].strip()
    if code and session["flags"]["allow_discount_code"]:
        with_code = {**session, "discount_codes": [*session["discount_codes"], code]}
        try:
            return checkouts.price_session(call.twin, with_code, billing), False
        except WireError:
            return checkouts.price_session(call.twin, session, billing), True
    return checkouts.price_session(call.twin, session, billing), False


def _initial(call: Call, session: Doc) -> dict[str, str]:
    billing, customer = session["billing"] or {}, session["customer"]
    values = dict.fromkeys(FIELDS, "")
    values |= {name: billing.get(name) or "" for name in ("country", *checkouts.ADDRESS_FIELDS)}
    values |= {"email": customer["email"] or "", "name": customer["name"] or ""}
    values["phone"] = customer["phone_number"] or ""
    values["country"] = values["country"] or "US"
    saved = _saved_methods(call, session)
    values["method"] = saved[0]["id"] if saved else ""
    return values


def _values(call: Call, session: Doc) -> dict[str, str]:
    return _enforced(call, session, {name: call.form.get(name, "").strip()[:250] for name in FIELDS})


def _enforced(call: Call, session: Doc, values: dict[str, str]) -> dict[str, str]:
    """Put back what the session does not let the buyer edit."""
    initial = _initial(call, session)
    for name in ("email", "name", "country", *checkouts.ADDRESS_FIELDS):
        if initial[name] and not is_editable(session, name):
            values[name] = initial[name]
    return values


def is_editable(session: Doc, name: str) -> bool:
    """Return whether the buyer may change a field; a known customer keeps the address."""
    if name == "email" and session["customer_id"] is not None:
        return False
    return bool(session["flags"].get(f"allow_customer_editing_{name}", True))


def _session_of(call: Call, payment: Doc) -> Doc | None:
    return call.twin.store.get("sessions", payment["session_id"])


def _language(call: Call, session: Doc | None) -> str:
    forced = session["language"] if session else None
    return choose_language(call.query.get("lang"), forced, call.request.headers.get("accept-language"))


def _form(
    call: Call, session: Doc, state: str, *, values: dict[str, str], errors: list[tuple[str, str]], status: int = 200
) -> Response:
    priced, _ = _priced(call, session, values)
    payment = call.twin.store.get("payments", session["payment_id"]) if state == "failed" else None
    return draw(
        "checkout.html",
        status=status,
        **_shared(call, session),
        state=state,
        values=values,
        errors=errors,
        priced=priced,
        countries=country_choices(),
        saved=_saved_methods(call, session),
        cards=CARDS,
        chosen=next((card for card in CARDS if card.last4 == call.query.get("card")), None),
        editable=lambda name: not values[name] or is_editable(session, name),
        declined=payment,
        reason=_reason(payment, _language(call, session)) if payment else None,
        return_to=return_location(call.twin, session, payment) if payment else None,
    )


def _page(call: Call, state: str, session: Doc | None, *, status: int = 200, payment: Doc | None = None) -> Response:
    if payment is None and session is not None:
        payment = call.twin.store.get("payments", session["payment_id"])
    shared = _shared(call, session)
    text = shared["w"][f"{state}_text"]
    if payment is not None:
        amount = format_amount(payment["total"], payment["currency"], shared["language"])
        text = text.format(total=amount, last4=payment["card"].get("last4", "----"))
    return draw(
        "result.html",
        status=status,
        **shared,
        state=state,
        text=text,
        payment=payment,
        return_to=_return_link(call, session, payment),
    )


def _return_link(call: Call, session: Doc | None, payment: Doc | None) -> str | None:
    if session is None:
        return None
    if payment is not None:
        return return_location(call.twin, session, payment)
    address: str | None = session["cancel_url"] or session["return_url"]
    return address


def _shared(call: Call, session: Doc | None) -> dict[str, Any]:
    language = _language(call, session)
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
