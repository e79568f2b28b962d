"""What the two deprecated ways to sell share: a checkout confirmed at once.

A saved method is charged here; else what was sold waits for its link to be paid.
"""

from ..billing.pricing import MAX_CART_LINES, Priced
from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, flag, refuse_body, text
from . import checkouts, customers
from .payments import LINK_PREFIX

# Fields that mean the same in a checkout; the others are renamed, or say nothing about this sandbox.
SAME_AS_CHECKOUT = (
    "customer",
    "return_url",
    "metadata",
    "discount_code",
    "discount_codes",
    "tax_id",
    "customer_business_name",
    "billing_currency",
    "adaptive_currency_fees_inclusive",
    "show_saved_payment_methods",
)


def open_session(call: Call, body: Doc, more: Doc, *, most_lines: int = MAX_CART_LINES) -> tuple[Doc, Priced]:
    """Open the checkout that a body stands for, and price it; `more` are the fields that its kind alone has."""
    checkout = {
        **{name: body[name] for name in SAME_AS_CHECKOUT if name in body},
        **more,
        "confirm": True,
        "billing_address": body["billing"],
        "feature_flags": {name: body.get(name) for name in ("redirect_immediately", "require_phone_number")},
    }
    return checkouts.new_session(call.twin, checkout, prefix=LINK_PREFIX, most_lines=most_lines)


def demand_buyer(body: Doc) -> None:
    """Refuse a body without an address or a customer."""
    for field in ("billing", "customer"):
        if body.get(field) is None:
            raise refuse_body(field, "is required")


def confirm(call: Call, session: Doc, priced: Priced, body: Doc) -> Doc:
    """Charge the saved method that a body names, or leave the payment to its link; returns the payment."""
    method_id, with_link = text(body, "payment_method_id"), flag(body, "payment_link")
    # Only the country is required of this address.
    payment, url = checkouts.confirm(call.twin, session, priced, method_id, address=())
    if url is not None and with_link:
        payment["payment_link"] = url
        call.twin.store.put("payments", payment)
    return payment


def created(twin: Twin, session: Doc, payment: Doc) -> Doc:
    """Return what both answers hold."""
    discounts = [discount["discount_id"] for discount in payment["discounts"]]
    link = payment["payment_link"]
    return {
        "payment_id": payment["id"],
        "client_secret": twin.ids.client_secret(payment["id"]),
        "customer": customers.limited(twin, payment["customer_id"]),
        "metadata": payment["metadata"],
        "payment_link": link,
        "expires_on": rfc3339(session["expires_at"]) if link else None,
        "discount_id": discounts[0] if discounts else None,
        "discount_ids": discounts or None,
    }
