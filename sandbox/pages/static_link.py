"""A product's static link: `/buy/{product_id}` opens a checkout session of its own.

The parameters are those of the provider's page Checkout Link; other names are ignored, as the provider does.
"""

from typing import Any

from ..core.store import Doc
from ..http.call import Call, Routes, WireError
from ..http.server import Response
from ..resources import checkouts
from .draw import go_to
from .sessions import result

routes = Routes()

# Query parameter -> field of the billing address.
ADDRESS = {"country": "country", "addressLine": "street", "city": "city", "state": "state", "zipCode": "zipcode"}
# Query parameter that fixes what another one filled in -> flag of the session.
FIXES = {
    "disableEmail": "allow_customer_editing_email",
    "disableFullName": "allow_customer_editing_name",
    "disableCountry": "allow_customer_editing_country",
    "disableAddressLine": "allow_customer_editing_street",
    "disableCity": "allow_customer_editing_city",
    "disableState": "allow_customer_editing_state",
    "disableZipCode": "allow_customer_editing_zipcode",
}


@routes.get("/buy/{product_id}")
def buy(call: Call, product_id: str) -> Response:
    try:
        with call.twin.store.write():
            session, _ = checkouts.new_session(call.twin, order_of(product_id, call.query))
            # What the link says of the buyer is only filled in: nobody has proved to own that address.
            session["customer"] = _customer(call.query)
            call.twin.store.put("sessions", session)
    except WireError:
        return result(call, "unknown", None, status=404)
    return go_to(f"/session/{session['id']}")


def order_of(product_id: str, query: dict[str, str]) -> Doc:
    """Return the body of `POST /checkouts` that a static link stands for."""
    quantity = query.get("quantity", "1")
    flags: Doc = {flag: False for name, flag in FIXES.items() if query.get(name) == "true"}
    flags["allow_discount_code"] = query.get("showDiscounts", "true") != "false"
    body: dict[str, Any] = {
        "product_cart": [{"product_id": product_id, "quantity": int(quantity) if quantity.isdecimal() else 0}],
        "return_url": query.get("redirect_url") or None,
        "metadata": {name[9:]: value for name, value in query.items() if name.startswith("metadata_")},
        "feature_flags": {"redirect_immediately": bool(query.get("redirect_url")), **flags},
    }
    if query.get("country"):
        body["billing_address"] = {field: query.get(name) or None for name, field in ADDRESS.items()}
    return body


def _customer(query: dict[str, str]) -> Doc:
    name = query.get("fullName") or f"{query.get('firstName', '')} {query.get('lastName', '')}".strip()
    return {"email": query.get("email") or None, "name": name or None, "phone_number": None}
