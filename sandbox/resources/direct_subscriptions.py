"""`POST /subscriptions`: the deprecated way to sell a subscription, still served by the provider.

It is a checkout confirmed at once: a saved method is charged here; else the subscription waits for its link to be paid.
"""

from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, answer, flag, read_body, refuse_body, required_text, text, whole
from ..http.server import Response
from . import checkouts, customers
from .payments import LINK_PREFIX
from .subscriptions import known, recurring_pre_tax_amount

routes = Routes()

# Fields that mean the same in a checkout; the others are renamed below, or say nothing about this sandbox.
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


@routes.post("/subscriptions")
def create_subscription(call: Call) -> Response:
    body = read_body(call)
    for field in ("billing", "customer"):
        if body.get(field) is None:
            raise refuse_body(field, "is required")
    product = call.twin.store.get("products", required_text(body, "product_id"))
    if product is not None and not product["is_recurring"]:
        raise refuse_body("product_id", "must be a subscription product")
    session = checkouts.new_session(call.twin, _as_checkout(body), prefix=LINK_PREFIX)
    method_id, with_link = text(body, "payment_method_id"), flag(body, "payment_link")
    # Only the country is required of this address.
    payment, url = checkouts.confirm(call.twin, session, method_id, address=())
    if url is not None and with_link:
        payment["payment_link"] = url
        call.twin.store.put("payments", payment)
    return answer(_created(call.twin, session, payment))


def _as_checkout(body: Doc) -> Doc:
    plan = {
        "product_id": body["product_id"],
        "quantity": whole(body, "quantity", least=1),
        "addons": body.get("addons"),
    }
    bought_once = body.get("one_time_product_cart") or []
    if not isinstance(bought_once, list):
        raise refuse_body("one_time_product_cart", "must be a list")
    return {
        **{name: body[name] for name in SAME_AS_CHECKOUT if name in body},
        "product_cart": [plan, *bought_once],
        "subscription_data": {name: body.get(name) for name in ("trial_period_days", "on_demand")},
        "confirm": True,
        "billing_address": body["billing"],
        "feature_flags": {name: body.get(name) for name in ("redirect_immediately", "require_phone_number")},
    }


def _created(twin: Twin, session: Doc, payment: Doc) -> Doc:
    subscription = known(twin, payment["subscription_ids"][0])
    discounts = [discount["discount_id"] for discount in payment["discounts"]]
    link = payment["payment_link"]
    once = [{"product_id": item["product_id"], "quantity": item["quantity"]} for item in session["cart"][1:]]
    return {
        "subscription_id": subscription["id"],
        "payment_id": payment["id"],
        "client_secret": twin.ids.client_secret(payment["id"]),
        "customer": customers.limited(twin, payment["customer_id"]),
        "metadata": payment["metadata"],
        "addons": subscription["addons"],
        "recurring_pre_tax_amount": recurring_pre_tax_amount(twin, subscription),
        "trial_amount": subscription["trial_amount"],
        "payment_method_required": link is not None,
        "payment_link": link,
        "expires_on": rfc3339(session["expires_at"]) if link else None,
        "one_time_product_cart": once or None,
        "discount_id": discounts[0] if discounts else None,
        "discount_ids": discounts or None,
    }
