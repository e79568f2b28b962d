"""Customers and their saved payment methods."""

import re

from ..core.cards import Card, fingerprint
from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    empty,
    found,
    listing,
    metadata,
    page,
    query_time,
    read_body,
    refuse_body,
    required_text,
    text,
)
from ..http.server import Response
from .misc import LOCALES

routes = Routes()

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@routes.post("/customers")
def create_customer(call: Call) -> Response:
    body = read_body(call)
    email = checked_email(required_text(body, "email", limit=254), "email")
    name = required_text(body, "name", limit=250)
    phone_number, pairs, locale = text(body, "phone_number", limit=40), metadata(body), _locale(body)
    customer = insert_customer(call.twin, email=email, name=name, phone_number=phone_number)
    customer |= {"metadata": pairs, "preferred_locale": locale}
    call.twin.store.put("customers", customer)
    return answer(serialise(customer))


@routes.get("/customers")
def list_customers(call: Call) -> Response:
    limit, offset = page(call)
    where: Doc = {}
    if call.query.get("email"):
        where["email_key"] = call.query["email"].lower()
    since, until = query_time(call, "created_at_gte"), query_time(call, "created_at_lte")
    name = call.query.get("name", "").lower()
    if not name:
        docs = call.twin.store.find("customers", where=where, since=since, until=until, limit=limit, offset=offset)
        return listing(docs, serialise)
    # A part of a name has no index, so the page is cut after reading every row.
    docs = call.twin.store.find("customers", where=where, since=since, until=until)
    return listing([doc for doc in docs if name in doc["name"].lower()][offset : offset + limit], serialise)


@routes.get("/customers/{customer_id}")
def get_customer(call: Call, customer_id: str) -> Response:
    return answer(serialise(found(call.twin.store.get("customers", customer_id), "Customer")))


@routes.patch("/customers/{customer_id}")
def update_customer(call: Call, customer_id: str) -> Response:
    customer = found(call.twin.store.get("customers", customer_id), "Customer")
    body = read_body(call)
    if body.get("email") is not None:
        customer["email"] = checked_email(required_text(body, "email", limit=254), "email")
        customer["email_key"] = customer["email"].lower()
    if body.get("name") is not None:
        customer["name"] = required_text(body, "name", limit=250)
    if "phone_number" in body:
        customer["phone_number"] = text(body, "phone_number", limit=40)
    if "preferred_locale" in body:
        customer["preferred_locale"] = _locale(body)
    if body.get("metadata") is not None:
        customer["metadata"] = metadata(body)
    call.twin.store.put("customers", customer)
    return answer(serialise(customer))


@routes.get("/customers/{customer_id}/payment-methods")
def list_payment_methods(call: Call, customer_id: str) -> Response:
    found(call.twin.store.get("customers", customer_id), "Customer")
    return listing(listed_methods(call.twin, customer_id), serialise_method)


@routes.get("/customers/{customer_id}/credit-entitlements")
@routes.get("/customers/{customer_id}/emails")
def list_nothing(call: Call, customer_id: str) -> Response:
    # The sandbox's products grant no credits, and test mode sends no e-mail: these lists are truly empty.
    found(call.twin.store.get("customers", customer_id), "Customer")
    return listing([], dict)


@routes.delete("/customers/{customer_id}/payment-methods/{payment_method_id}")
def delete_payment_method(call: Call, customer_id: str, payment_method_id: str) -> Response:
    store = call.twin.store
    method = store.get("payment_methods", payment_method_id)
    if method is None or method["customer_id"] != customer_id:
        raise WireError(404, "NOT_FOUND", "Payment method not found")
    in_use = store.find(
        "subscriptions",
        customer_id=customer_id,
        where={"payment_method_id": payment_method_id, "status": "active"},
    )
    if in_use:
        raise WireError(409, "PAYMENT_METHOD_IN_USE", "Payment method is used by an active subscription")
    store.put("payment_methods", {**method, "deleted": True})
    return empty(204)


def insert_customer(twin: Twin, *, email: str, name: str, phone_number: str | None = None) -> Doc:
    """Store a new customer and return it."""
    customer_id = twin.ids.new("cus_")
    customer: Doc = {
        "id": customer_id,
        "created_at": twin.clock.now(),
        "email": email,
        "email_key": email.lower(),
        "name": name,
        "phone_number": phone_number,
        "metadata": {},
        "preferred_locale": None,
    }
    twin.store.put("customers", customer)
    return customer


def match_customer(twin: Twin, *, email: str, name: str, phone_number: str | None, always_new: bool) -> Doc:
    """Return the oldest customer with this address, or a new one.

    The provider matches a typed address to an existing customer, which is why typing one proves nothing.
    """
    if not always_new:
        known = twin.store.find("customers", where={"email_key": email.lower()}, oldest_first=True, limit=1)
        if known:
            return known[0]
    return insert_customer(twin, email=email, name=name, phone_number=phone_number)


def save_method(twin: Twin, *, customer_id: str, card: Card, exp_month: str, exp_year: str, holder: str) -> Doc:
    """Keep a card for later charges; the same card of the same customer stays one method."""
    now = twin.clock.now()
    same = {"fingerprint": fingerprint(card.number), "deleted": 0}
    known = twin.store.find("payment_methods", customer_id=customer_id, where=same, limit=1)
    method: Doc = (
        known[0]
        if known
        else {
            "id": twin.ids.new("pm_"),
            "created_at": now,
            "customer_id": customer_id,
            "fingerprint": fingerprint(card.number),
            "listed_at": now + int(twin.switch("saved_method_delay") * 1000),
            "deleted": False,
        }
    )
    method |= {
        "last4": card.last4,
        "network": card.network,
        "country": card.country,
        "later": card.later,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "holder": holder,
        "last_used_at": now,
    }
    twin.store.put("payment_methods", method)
    return method


def note_use(twin: Twin, method_id: str) -> None:
    """Remember that a saved method was used just now."""
    method = twin.store.get("payment_methods", method_id)
    if method is not None:
        twin.store.put("payment_methods", {**method, "last_used_at": twin.clock.now()})


def listed_methods(twin: Twin, customer_id: str) -> list[Doc]:
    """Return the methods the provider would list now, last used first."""
    methods = twin.store.find("payment_methods", customer_id=customer_id, where={"deleted": 0})
    now = twin.clock.now()
    visible = [method for method in methods if method["listed_at"] <= now]
    return sorted(visible, key=lambda method: int(method["last_used_at"]), reverse=True)


def has_expired(method: Doc, now: str) -> bool:
    """Return whether a card has expired; `now` is an RFC 3339 time. It is good to the end of its month."""
    return f"{method['exp_year']}-{method['exp_month']}" < now[:7]


def checked_email(email: str, field: str) -> str:
    """Return the address if it looks like one."""
    if not EMAIL.fullmatch(email.strip()):
        raise refuse_body(field, "must be an e-mail address")
    return email.strip()


def _locale(body: Doc) -> str | None:
    locale = text(body, "preferred_locale")
    if locale is not None and locale not in LOCALES:
        raise refuse_body("preferred_locale", "unknown locale")
    return locale


def serialise(customer: Doc) -> Doc:
    """Return the customer as the wire shows it."""
    return {
        "customer_id": customer["id"],
        "business_id": BUSINESS_ID,
        "email": customer["email"],
        "name": customer["name"],
        "phone_number": customer["phone_number"],
        "metadata": customer["metadata"],
        "created_at": rfc3339(customer["created_at"]),
        "preferred_locale": customer["preferred_locale"],
        "blocked_at": None,
        "blocklist_entry_id": None,
    }


def limited(twin: Twin, customer_id: str) -> Doc:
    """Return the short customer that payments, refunds and subscriptions carry."""
    customer = twin.store.get("customers", customer_id)
    assert customer is not None
    return {
        "customer_id": customer["id"],
        "email": customer["email"],
        "name": customer["name"],
        "phone_number": customer["phone_number"],
        "metadata": customer["metadata"],
    }


def serialise_method(method: Doc) -> Doc:
    """Return a saved method as `GET /customers/{id}/payment-methods` shows it."""
    return {
        "payment_method_id": method["id"],
        "payment_method": "card",
        "payment_method_type": "credit",
        "last_used_at": rfc3339(method["last_used_at"]),
        "recurring_enabled": True,
        "card": {
            "last4_digits": method["last4"],
            "card_network": method["network"],
            "card_type": "credit",
            "expiry_month": method["exp_month"],
            "expiry_year": method["exp_year"],
            "card_holder_name": method["holder"],
            "card_issuing_country": method["country"],
        },
    }
