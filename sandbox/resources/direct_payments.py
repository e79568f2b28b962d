"""`POST /payments`: the deprecated way to sell one-time products, still served by the provider.

It is a checkout confirmed at once: a saved method is charged here; else the payment waits for its link to be paid.
"""

from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, answer, flag, read_body, refuse_body, text
from ..http.server import Response
from . import checkouts, customers
from .payments import LINK_PREFIX

routes = Routes()

# OpenAPI 1.113.0, CreateOneTimePaymentRequest; a checkout takes 20.
MOST_LINES = 100
# Fields that mean the same in a checkout; the others are renamed below, or say nothing about this sandbox.
SAME_AS_CHECKOUT = (
    "product_cart",
    "customer",
    "return_url",
    "metadata",
    "discount_code",
    "discount_codes",
    "tax_id",
    "customer_business_name",
    "force_3ds",
    "billing_currency",
    "adaptive_currency_fees_inclusive",
    "show_saved_payment_methods",
)


@routes.post("/payments")
def create_payment(call: Call) -> Response:
    body = read_body(call)
    for field in ("billing", "customer"):
        if body.get(field) is None:
            raise refuse_body(field, "is required")
    session = checkouts.new_session(call.twin, _as_checkout(body), prefix=LINK_PREFIX, most_lines=MOST_LINES)
    _check_one_time(call.twin, session)
    method_id, with_link = text(body, "payment_method_id"), flag(body, "payment_link")
    # Only the country is required of this address.
    payment, url = checkouts.confirm(call.twin, session, method_id, address=())
    if url is not None and with_link:
        payment["payment_link"] = url
        call.twin.store.put("payments", payment)
    return answer(_created(call.twin, session, payment))


def _as_checkout(body: Doc) -> Doc:
    return {
        **{name: body[name] for name in SAME_AS_CHECKOUT if name in body},
        "confirm": True,
        "billing_address": body["billing"],
        "feature_flags": {name: body.get(name) for name in ("redirect_immediately", "require_phone_number")},
    }


def _check_one_time(twin: Twin, session: Doc) -> None:
    for item in session["cart"]:
        product = twin.store.get("products", item["product_id"])
        if product is not None and product["is_recurring"]:
            raise refuse_body("product_cart", "must have one-time products only")


def _created(twin: Twin, session: Doc, payment: Doc) -> Doc:
    discounts = [discount["discount_id"] for discount in payment["discounts"]]
    link = payment["payment_link"]
    return {
        "payment_id": payment["id"],
        "client_secret": twin.ids.client_secret(payment["id"]),
        "customer": customers.limited(twin, payment["customer_id"]),
        "metadata": payment["metadata"],
        "total_amount": payment["total"],
        "payment_link": link,
        "expires_on": rfc3339(session["expires_at"]) if link else None,
        "product_cart": [
            {name: item[name] for name in ("product_id", "quantity", "amount") if name in item}
            for item in session["cart"]
        ],
        "discount_id": discounts[0] if discounts else None,
        "discount_ids": discounts or None,
    }
