"""`POST /subscriptions`: the deprecated way to sell a subscription, still served by the provider."""

from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, answer, read_body, refuse_body, required_text, whole
from ..http.server import Response
from . import direct_sales
from .subscriptions import known, recurring_pre_tax_amount

routes = Routes()


@routes.post("/subscriptions")
def create_subscription(call: Call) -> Response:
    body = read_body(call)
    direct_sales.demand_buyer(body)
    product = call.twin.store.get("products", required_text(body, "product_id"))
    if product is not None and not product["is_recurring"]:
        raise refuse_body("product_id", "must be a subscription product")
    session, priced = direct_sales.open_session(call, body, _what_is_sold(body))
    payment = direct_sales.confirm(call, session, priced, body)
    return answer(_created(call.twin, session, payment))


def _what_is_sold(body: Doc) -> Doc:
    plan = {
        "product_id": body["product_id"],
        "quantity": whole(body, "quantity", least=1),
        "addons": body.get("addons"),
    }
    bought_once = body.get("one_time_product_cart") or []
    if not isinstance(bought_once, list):
        raise refuse_body("one_time_product_cart", "must be a list")
    return {
        "product_cart": [plan, *bought_once],
        "subscription_data": {name: body.get(name) for name in ("trial_period_days", "on_demand")},
    }


def _created(twin: Twin, session: Doc, payment: Doc) -> Doc:
    subscription = known(twin, payment["subscription_ids"][0])
    once = [{"product_id": item["product_id"], "quantity": item["quantity"]} for item in session["cart"][1:]]
    return {
        **direct_sales.created(twin, session, payment),
        "subscription_id": subscription["id"],
        "addons": subscription["addons"],
        "recurring_pre_tax_amount": recurring_pre_tax_amount(twin, subscription),
        "trial_amount": subscription["trial_amount"],
        "payment_method_required": payment["payment_link"] is not None,
        "one_time_product_cart": once or None,
    }
