"""The checkout's form: what it starts with, what of it a buyer may change, and turning it into a charge."""

import re

from ..billing import charges
from ..core.places import SUPPORTED_COUNTRIES
from ..core.store import Doc
from ..http.call import Call, WireError
from ..resources import checkouts, customers
from .card_form import typed_card
from .cart_form import choices, chosen_cart, currencies
from .sessions import language_of
from .words import words

BUYER_FIELDS = ("email", "name", "phone")
BUSINESS_FIELDS = ("tax_id", "business_name")
FIELDS = (
    *BUYER_FIELDS, "country", *checkouts.ADDRESS_FIELDS, *BUSINESS_FIELDS, "card_holder", "discount_code", "currency",
    "method",
)  # fmt: skip
MAX_LENGTH = 500
# What an answer must look like, by the field's type; any text will do for the others.
ANSWERS = {
    "number": re.compile(r"-?\d+([.,]\d+)?"),
    "email": customers.EMAIL,
    "url": re.compile(r"https?://\S+"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "boolean": re.compile("true"),
}
Values = dict[str, str]


class FormError(Exception):
    """Inputs that cannot be used, as (input, text)."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.fields = fields
        super().__init__(", ".join(name for name, _ in fields))


def initial_values(call: Call, session: Doc) -> Values:
    """Return what the session already knows of the buyer."""
    billing, customer = session["billing"] or {}, session["customer"]
    values = dict.fromkeys([*FIELDS, *custom_names(session)], "")
    values |= {name: billing.get(name) or "" for name in ("country", *checkouts.ADDRESS_FIELDS)}
    values |= {"email": customer["email"] or "", "name": customer["name"] or ""}
    values |= {name: session[name] or "" for name in BUSINESS_FIELDS}
    values["phone"] = customer["phone_number"] or ""
    values |= {choice.name: choice.first for choice in choices(call.twin, session)}
    values["country"] = values["country"] or "US"
    saved = saved_methods(call, session)
    values["method"] = saved[0]["id"] if saved else ""
    return values


def read_values(call: Call, session: Doc) -> Values:
    """Return what the buyer typed, with what the session does not let them edit put back."""
    names = [*FIELDS, *custom_names(session), *(choice.name for choice in choices(call.twin, session))]
    return enforce(call, session, {name: call.form.get(name, "").strip()[:MAX_LENGTH] for name in names})


def enforce(call: Call, session: Doc, values: Values) -> Values:
    """Put back what the session does not let the buyer edit."""
    initial = initial_values(call, session)
    for name in ("email", "name", "country", *checkouts.ADDRESS_FIELDS, *BUSINESS_FIELDS):
        if initial[name] and not is_editable(session, name):
            values[name] = initial[name]
    return values


def is_editable(session: Doc, name: str) -> bool:
    """Return whether the buyer may change a field; a known customer keeps the address."""
    if name == "email" and session["customer_id"] is not None:
        return False
    return bool(session["flags"].get(f"allow_customer_editing_{name}", True))


def asks_for(session: Doc) -> dict[str, bool]:
    """Return which optional parts the form has, and in `.._required` what of them must be filled in.

    A number that is required is asked for even where `allow_phone_number_collection` is off, and so is a tax
    number: our choice, the documentation does not say which flag wins.
    """
    flags = session["flags"]
    return {
        "phone": flags["allow_phone_number_collection"] or flags["require_phone_number"],
        "phone_required": flags["require_phone_number"],
        "tax_id": flags["allow_tax_id"] or flags["require_tax_id"] or session["tax_id"] is not None,
        "tax_id_required": flags["require_tax_id"],
        "card_holder": flags["require_cardholder_name"],
        "street": not session["minimal_address"],
        "discount_code": flags["allow_discount_code"],
    }


def custom_names(session: Doc) -> list[str]:
    """Return the names of the inputs of the session's custom fields; a key could be any text."""
    return [f"custom_{place}" for place in range(len(session["custom_fields"]))]


def saved_methods(call: Call, session: Doc) -> list[Doc]:
    """Return the cards this page may offer: those of the customer the shop named, if it asked for them."""
    if session["customer_id"] is None or not session["show_saved"]:
        return []
    return customers.listed_methods(call.twin, session["customer_id"])


def preview(call: Call, session: Doc, values: Values) -> tuple[Doc, list[str]]:
    """Return the wire's preview of what the buyer chose, and the names of the inputs that cannot be used."""
    ordered, refused = _as_ordered(call, session, values)
    return checkouts.preview_session(call.twin, ordered, _billing(values)), refused


def read_payment(call: Call, session: Doc, values: Values) -> tuple[charges.Order, charges.Source]:
    """Turn the form into what is to be charged; raises FormError naming every bad field, or WireError."""
    shown, refused = preview(call, session, values)
    errors = [*refused, *_field_errors(session, values)]
    method = _chosen_method(call, session, values)
    holder = values["card_holder"] or values["name"]
    source, card_errors = (charges.Source.saved(call.twin, method), []) if method else typed_card(call, holder=holder)
    if shown["payment_method_required"]:
        errors += card_errors
    if errors:
        raise FormError(error_texts(call, session, errors))
    ordered, _ = _as_ordered(call, session, values)
    billing = {name: values[name] or None for name in ("country", *checkouts.ADDRESS_FIELDS)}
    customer_id = _customer_id(call, session, values)
    order = charges.Order(
        priced=checkouts.price_session(call.twin, ordered, billing, customer_id=customer_id),
        customer_id=customer_id,
        billing=billing,
        metadata=session["metadata"],
        session_id=session["id"],
        return_url=session["return_url"],
        custom_field_responses=_responses(session, values),
        tax_id=values["tax_id"] or None,
        business_name=values["business_name"] or None,
        fees_inclusive=session["fees_inclusive"],
    )
    if not shown["payment_method_required"]:
        return order, charges.NO_SOURCE
    return order, source.forced() if session["force_3ds"] else source


def prepared(call: Call, session: Doc) -> Doc | None:
    """Return the payment that `confirm` without a method has already made for this session."""
    payment = call.twin.store.get("payments", session["payment_id"])
    return payment if payment and payment["status"] == "requires_payment_method" else None


def _as_ordered(call: Call, session: Doc, values: Values) -> tuple[Doc, list[str]]:
    """Return the session with what the buyer chose: amounts, add-ons, currency and discount code."""
    cart, refused = chosen_cart(call.twin, session, values)
    ordered = {**session, "cart": cart}
    if values["currency"] in currencies(call.twin, session, _billing(values)["country"]):
        ordered["billing_currency"] = values["currency"]
    code = values["discount_code"].strip()
    if not code or not session["flags"]["allow_discount_code"]:
        return ordered, refused
    with_code = {**ordered, "discount_codes": [*session["discount_codes"], code]}
    try:
        checkouts.price_session(call.twin, with_code, _billing(values))
    except WireError:
        return ordered, [*refused, "discount_code"]
    return with_code, refused


def _billing(values: Values) -> Doc:
    country = values["country"] if values["country"] in SUPPORTED_COUNTRIES else "US"
    return {"country": country, "zipcode": values["zipcode"] or None}


def _customer_id(call: Call, session: Doc, values: Values) -> str:
    if session["customer_id"] is not None:
        return str(session["customer_id"])
    customer = customers.match_customer(
        call.twin,
        email=values["email"],
        name=values["name"],
        phone_number=values["phone"] or None,
        always_new=session["flags"]["always_create_new_customer"],
    )
    return str(customer["id"])


def _chosen_method(call: Call, session: Doc, values: Values) -> Doc | None:
    if call.form.get("card_number", "").strip():
        # Somebody who types a card means that card, whatever the radio button says.
        return None
    return next((method for method in saved_methods(call, session) if method["id"] == values["method"]), None)


def _responses(session: Doc, values: Values) -> tuple[Doc, ...]:
    fields = zip(session["custom_fields"], custom_names(session), strict=True)
    return tuple({"key": field["key"], "value": values[name]} for field, name in fields if values[name])


def _field_errors(session: Doc, values: Values) -> list[str]:
    asked = asks_for(session)
    required = {
        "name": True,
        "phone": asked["phone_required"],
        "zipcode": True,
        "tax_id": asked["tax_id_required"],
        "card_holder": asked["card_holder"],
    }
    errors = [] if customers.EMAIL.fullmatch(values["email"]) else ["email"]
    if values["country"] not in SUPPORTED_COUNTRIES:
        errors.append("country")
    errors += [name for name, is_required in required.items() if is_required and not values[name]]
    fields = zip(session["custom_fields"], custom_names(session), strict=True)
    return errors + [name for field, name in fields if not _is_answer(field, values[name])]


def _is_answer(field: Doc, value: str) -> bool:
    if not value:
        return not field["required"]
    kind = field["field_type"]
    if kind == "dropdown":
        return value in field["options"]
    return kind not in ANSWERS or ANSWERS[kind].fullmatch(value) is not None


def error_texts(call: Call, session: Doc, names: list[str]) -> list[tuple[str, str]]:
    """Return each input's name with what is wrong with it, in the page's language."""
    texts = words(language_of(call, session))
    labels = dict(zip(custom_names(session), [field["label"] for field in session["custom_fields"]], strict=True))
    labels |= {choice.name: choice.label for choice in choices(call.twin, session)}
    return [
        (name, texts["error_custom"].format(label=labels[name]) if name in labels else texts[f"error_{name}"])
        for name in names
    ]
