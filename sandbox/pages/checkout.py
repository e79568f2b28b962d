"""The hosted checkout. No cookie, and no script needed."""

import re

from ..billing import charges
from ..core.cards import CARDS
from ..core.store import Doc
from ..http.call import Call, Routes, WireError
from ..http.server import Response
from . import order_form
from .card_form import chosen_card
from .cart_form import choices, currencies
from .draw import STYLE_HEADERS, draw, go_to
from .order_form import FormError, Values
from .sessions import STATUS_OF_STATE, language_of, result, return_location, send_on, shared, state_of
from .words import country_choices, words

routes = Routes()

PAYABLE = ("open", "failed")
# `theme_config` name -> the custom property of our style sheet that it sets.
THEME_PROPERTIES = {
    "bg_primary": "--paper",
    "bg_secondary": "--surface",
    "text_primary": "--ink",
    "text_secondary": "--ink-2",
    "text_error": "--bad",
    "border_primary": "--line",
    "border_secondary": "--edge",
    "button_primary": "--accent",
    "button_text_primary": "--on-accent",
}
# Colours in any of CSS's notations, and nothing that could end the declaration.
COLOUR = re.compile(r"#?[0-9A-Za-z]+|[a-z]{2,5}\([0-9a-z.,%/ -]+\)")
LENGTH = re.compile(r"\d{1,3}(\.\d+)?(px|rem|em)")


@routes.get("/session/{session_id}")
def show(call: Call, session_id: str) -> Response:
    found = _payable(call, session_id)
    if isinstance(found, Response):
        return found
    session, state = found
    values = session["typed"] or order_form.initial_values(call, session)
    return _form(call, session, state, values=values, errors=[])


@routes.post("/session/{session_id}")
def pay(call: Call, session_id: str) -> Response:
    found = _payable(call, session_id, is_paying=True)
    if isinstance(found, Response):
        return found
    session, state = found
    values = order_form.read_values(call, session)
    try:
        order, source = order_form.read_payment(call, session, values)
        payment = charges.charge(call.twin, order, source, replaces=order_form.prepared(call, session))
    except FormError as error:
        return _form(call, session, state, values=values, errors=error.fields, status=422)
    except WireError as error:
        return _form(call, session, state, values=values, errors=[("cart", error.message)], status=422)
    customer = {"email": values["email"], "name": values["name"], "phone_number": values["phone"] or None}
    session |= {"payment_id": payment["id"], "customer": customer, "typed": values}
    call.twin.store.put("sessions", session)
    return send_on(call, session, payment)


@routes.get("/session/{session_id}/total")
def total(call: Call, session_id: str) -> Response:
    session = call.twin.store.get("sessions", session_id)
    if session is None:
        return result(call, "unknown", None, status=404)
    values = order_form.initial_values(call, session)
    values |= {name: call.query[name] for name in values.keys() & call.query.keys()}
    return draw("_summary.html", **_summary(call, session, order_form.enforce(call, session, values)))


@routes.post("/session/{session_id}/total")
def update_total(call: Call, session_id: str) -> Response:
    found = _payable(call, session_id)
    if isinstance(found, Response):
        return found
    session, state = found
    values = order_form.read_values(call, session)
    _, refused = order_form.preview(call, session, values)
    errors = order_form.error_texts(call, session, refused)
    return _form(call, session, state, values=values, errors=errors)


def _payable(call: Call, session_id: str, *, is_paying: bool = False) -> tuple[Doc, str] | Response:
    """Return a session that can be paid and its state, or the page that says why it cannot."""
    session = call.twin.store.get("sessions", session_id)
    if session is None:
        return result(call, "unknown", None, status=404)
    state = state_of(call.twin, session)
    if state == "authenticate":
        return go_to(f"/authenticate/{session['payment_id']}")
    if state in PAYABLE:
        return session, state
    if is_paying and state == "paid":
        state = "consumed"
    return result(call, state, session, status=STATUS_OF_STATE.get(state, 409 if is_paying else 200))


@routes.get("/session/{session_id}/theme.css")
def theme(call: Call, session_id: str) -> Response:
    session = call.twin.store.get("sessions", session_id)
    config = session["theme_config"] if session else {}
    return Response(200, STYLE_HEADERS, theme_css(config).encode())


def theme_css(config: Doc) -> str:
    """Return a style sheet with what a session's `theme_config` sets; anything that is no colour is left out."""
    modes: list[Doc] = [config[mode] if isinstance(config.get(mode), dict) else {} for mode in ("light", "dark")]
    rules = []
    for name, custom_property in THEME_PROPERTIES.items():
        light, dark = (_colour(mode.get(name)) for mode in modes)
        if light or dark:
            # A colour given for one mode alone is taken for both.
            rules.append(f"{custom_property}: light-dark({light or dark}, {dark or light});")
    radius = config.get("radius")
    if isinstance(radius, str) and LENGTH.fullmatch(radius):
        rules.append(f"--radius: {radius};")
    return ":root { " + " ".join(rules) + " }\n" if rules else ""


def _colour(value: object) -> str | None:
    if not isinstance(value, str) or not COLOUR.fullmatch(value):
        return None
    # The wire allows hex without its sign; no colour's name is made of the letters a to f alone.
    return f"#{value}" if re.fullmatch(r"[0-9A-Fa-f]{3,4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8}", value) else value


def _summary(call: Call, session: Doc, values: Values) -> Doc:
    """Return what the order's summary shows: the wire's own preview, which the charge equals."""
    preview, refused = order_form.preview(call, session, values)
    product_ids = [line["product_id"] for line in preview["product_cart"]]
    codes = session["discount_codes"]
    if session["flags"]["allow_discount_code"] and "discount_code" not in refused:
        codes = [code for code in (*codes, values["discount_code"].strip()) if code]
    return {
        **shared(call, session),
        "preview": preview,
        "products": {product_id: call.twin.store.get("products", product_id) for product_id in product_ids},
        "refused": order_form.error_texts(call, session, refused),
        "codes": codes,
        "on_demand": [item["product_id"] for item in session["cart"] if item["on_demand"]],
    }


def _form(
    call: Call, session: Doc, state: str, *, values: Values, errors: list[tuple[str, str]], status: int = 200
) -> Response:
    payment = call.twin.store.get("payments", session["payment_id"]) if state == "failed" else None
    try:
        summary = _summary(call, session, values)
    except WireError:
        # A product was archived or a code has ended since: nothing is left that could be paid.
        return result(call, "unavailable", session, status=STATUS_OF_STATE["unavailable"])
    return draw(
        "checkout.html",
        status=status,
        **summary,
        state=state,
        values=values,
        errors=errors,
        asked=order_form.asks_for(session),
        choices=choices(call.twin, session),
        currencies=currencies(call.twin, session, values["country"]),
        custom=list(zip(session["custom_fields"], order_form.custom_names(session), strict=True)),
        countries=country_choices(language_of(call, session)),
        saved=order_form.saved_methods(call, session),
        cards=CARDS,
        chosen=chosen_card(call),
        editable=lambda name: not values[name] or order_form.is_editable(session, name),
        declined=payment,
        reason=_reason(payment, language_of(call, session)) if payment else None,
        return_to=return_location(call.twin, session, payment) if payment else None,
    )


def _reason(payment: Doc, language: str) -> str:
    texts = words(language)
    return texts.get(f"reason_{payment['error_code']}", texts["reason"])
