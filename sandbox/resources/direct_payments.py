"""`POST /payments`: the deprecated way to sell one-time products, still served by the provider."""

from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, answer, read_body, refuse_body
from ..http.server import Response
from . import direct_sales

routes = Routes()

# OpenAPI 1.113.0, CreateOneTimePaymentRequest; a checkout takes 20.
MOST_LINES = 100


@routes.post("/payments")
def create_payment(call: Call) -> Response:
    body = read_body(call)
    direct_sales.demand_buyer(body)
    more: Doc = {name: body[name] for name in ("product_cart", "force_3ds") if name in body}
    session, priced = direct_sales.open_session(call, body, more, most_lines=MOST_LINES)
    _check_one_time(call.twin, session)
    payment = direct_sales.confirm(call, session, priced, body)
    cart = [
        {name: item[name] for name in ("product_id", "quantity", "amount") if name in item} for item in session["cart"]
    ]
    return answer(
        {
            **direct_sales.created(call.twin, session, payment),
            "total_amount": payment["total"],
            "product_cart": cart,
        }
    )


def _check_one_time(twin: Twin, session: Doc) -> None:
    for item in session["cart"]:
        product = twin.store.get("products", item["product_id"])
        if product is not None and product["is_recurring"]:
            raise refuse_body("product_cart", "must have one-time products only")
