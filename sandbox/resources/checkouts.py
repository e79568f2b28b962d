"""Checkout sessions: create, confirm with a saved method, read, preview."""

from collections.abc import Iterable

from ..billing import charges
from ..billing.pricing import (
    MAX_CART_LINES,
    Line,
    Priced,
    check_amounts,
    check_minimum,
    price_cart,
    read_cart,
    read_discount_codes,
)
from ..core.clock import rfc3339
from ..core.places import COUNTRIES, CURRENCIES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    flag,
    found,
    metadata,
    read_body,
    refuse_body,
    required_text,
    text,
    unsupported_country,
)
from ..http.server import Response
from ..money.calendar import DAY_MS, next_date
from . import abandoned_checkouts, customers
from .checkout_page import read_page

routes = Routes()

LIFE_MS = 24 * 3600 * 1000
CONFIRMED_LIFE_MS = 15 * 60 * 1000
ADDRESS_FIELDS = ("street", "city", "state", "zipcode")


@routes.post("/checkouts")
def create_checkout(call: Call) -> Response:
    body = read_body(call)
    session, priced = new_session(call.twin, body)
    method_id = text(body, "payment_method_id")
    if method_id is not None and not session["confirm"]:
        raise refuse_body("payment_method_id", "needs confirm: true")
    if not session["confirm"]:
        call.twin.store.put("sessions", session)
        return answer(_created(call.twin, session, url=call.twin.url(f"/session/{session['id']}")))
    address = ("zipcode",) if session["minimal_address"] else ADDRESS_FIELDS
    payment, url = confirm(call.twin, session, priced, method_id, address=address)
    return answer(_created(call.twin, session, url=url, payment_id=payment["id"]))


@routes.get("/checkouts/{session_id}")
def get_checkout(call: Call, session_id: str) -> Response:
    session = found(call.twin.store.get("sessions", session_id), "Checkout session")
    payment = call.twin.store.get("payments", session["payment_id"])
    customer = session["customer"]
    return answer(
        {
            "id": session["id"],
            "created_at": rfc3339(session["created_at"]),
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "payment_id": payment["id"] if payment else None,
            "payment_status": payment["status"] if payment else None,
        }
    )


@routes.post("/checkouts/preview")
def preview_checkout(call: Call) -> Response:
    body = read_body(call)
    cart, codes = read_cart(body), read_discount_codes(body)
    billing = _read_billing(body) or {"country": "US", "zipcode": None}
    priced = price_cart(
        call.twin,
        cart,
        country=billing["country"],
        zipcode=billing["zipcode"],
        codes=codes,
        customer_id=_read_customer(call.twin, body)["customer_id"],
        **_read_currency(body),
    )
    check_minimum(priced)
    return answer(_preview(call.twin, priced))


def preview_session(twin: Twin, session: Doc, billing: Doc) -> Doc:
    """Return what `POST /checkouts/preview` answers for a session's cart and an address."""
    return _preview(twin, price_session(twin, session, billing))


def price_session(twin: Twin, session: Doc, billing: Doc, *, customer_id: str | None = None) -> Priced:
    """Price a session's cart for an address, and for its own customer unless another is named."""
    return price_cart(
        twin,
        session["cart"],
        country=billing["country"],
        zipcode=billing.get("zipcode"),
        codes=session["discount_codes"],
        customer_id=customer_id or session["customer_id"],
        billing_currency=session["billing_currency"],
        fees_inclusive=session["fees_inclusive"],
    )


def confirm(
    twin: Twin, session: Doc, priced: Priced, method_id: str | None, *, address: tuple[str, ...]
) -> tuple[Doc, str | None]:
    """Finalise what `new_session` returned at once and return its payment, and the page to pay on.

    With a saved method the charge is made here and there is no page to visit. `address` names what the billing
    address must have beside its country. Raises WireError.
    """
    check_amounts(session["cart"], priced)
    customer_id = _confirming_customer(twin, session)
    if method_id is not None and session["customer_id"] is None:
        raise refuse_body("customer.customer_id", "is required with payment_method_id")
    method = None if method_id is None else _own_method(twin, customer_id, method_id)
    billing = _confirmed_billing(twin, session, customer_id, address)
    if (customer_id, billing) != (session["customer_id"], session["billing"]):
        # It was priced before it was known who buys, or where: discounts and tax depend on that.
        priced = price_session(twin, session, billing, customer_id=customer_id)
    session |= {"customer_id": customer_id, "billing": billing}
    order = charges.Order(
        priced=priced,
        customer_id=customer_id,
        billing=billing,
        metadata=session["metadata"],
        session_id=session["id"],
        return_url=session["return_url"],
        tax_id=session["tax_id"],
        business_name=session["business_name"],
        fees_inclusive=session["fees_inclusive"],
    )
    if method is None:
        check_minimum(order.priced)
        payment, url = charges.begin(twin, order, charges.NO_SOURCE), twin.url(f"/session/{session['id']}")
        abandoned_checkouts.follow(twin, payment)
    else:
        source = charges.Source.saved(twin, method)
        payment, url = charges.charge(twin, order, source.forced() if session["force_3ds"] else source), None
        if payment["status"] != "succeeded":
            # A success has noted it.
            customers.note_use(twin, method["id"])
    session |= {"payment_id": payment["id"], "one_click": method is not None}
    twin.store.put("sessions", session)
    return payment, url


def _created(twin: Twin, session: Doc, *, url: str | None, payment_id: str | None = None) -> Doc:
    return {
        "session_id": session["id"],
        "checkout_url": url,
        "payment_id": payment_id,
        "client_secret": twin.ids.client_secret(payment_id) if payment_id else None,
        "publishable_key": "pk_sandbox" if payment_id else None,
    }


def new_session(twin: Twin, body: Doc, *, prefix: str = "cks_", most_lines: int = MAX_CART_LINES) -> tuple[Doc, Priced]:
    """Return the session a body asks for, not stored yet, and what it costs as far as is known; raises WireError."""
    confirm, now = flag(body, "confirm"), twin.clock.now()
    cart, codes = read_cart(body, most=most_lines), read_discount_codes(body)
    customer = _read_customer(twin, body)
    billing = _read_billing(body)
    session: Doc = {
        "id": twin.ids.new(prefix),
        "created_at": now,
        "expires_at": now + (CONFIRMED_LIFE_MS if confirm else LIFE_MS),
        "confirm": confirm,
        "one_click": False,
        "cart": cart,
        "discount_codes": codes,
        "customer_id": customer.pop("customer_id"),
        "customer": customer,
        "billing": billing,
        "metadata": metadata(body),
        "return_url": _address(body, "return_url"),
        "cancel_url": _address(body, "cancel_url"),
        **read_page(body),
        **_read_business(body),
        "force_3ds": flag(body, "force_3ds"),
        **_read_currency(body),
        "payment_id": None,
        # What the buyer typed for the last try, so that another card is all a second try needs.
        "typed": None,
    }
    # A cart that cannot be sold is refused now, not when the buyer stands at the till.
    return session, price_session(twin, session, billing or {"country": "US", "zipcode": None})


def _read_customer(twin: Twin, body: Doc) -> Doc:
    customer = body.get("customer")
    if customer is None:
        return {"customer_id": None, "email": None, "name": None, "phone_number": None}
    if not isinstance(customer, dict):
        raise refuse_body("customer", "must be an object")
    customer_id = text(customer, "customer_id")
    if customer_id is not None:
        known = found(twin.store.get("customers", customer_id), "Customer")
        return {"customer_id": customer_id, **{key: known[key] for key in ("email", "name", "phone_number")}}
    email = customers.checked_email(required_text(customer, "email", limit=254), "customer.email")
    return {
        "customer_id": None,
        "email": email,
        "name": text(customer, "name", limit=250),
        "phone_number": text(customer, "phone_number", limit=40),
    }


def _read_billing(body: Doc) -> Doc | None:
    address = body.get("billing_address")
    if address is None:
        return None
    if not isinstance(address, dict):
        raise refuse_body("billing_address", "must be an object")
    country = required_text(address, "country", limit=2)
    if country not in COUNTRIES:
        raise unsupported_country(country)
    return {"country": country, **{name: text(address, name, limit=250) for name in ADDRESS_FIELDS}}


def _confirmed_billing(twin: Twin, session: Doc, customer_id: str, address: tuple[str, ...]) -> Doc:
    billing: Doc | None = session["billing"]
    if billing is None:
        if twin.switch("billing_address_omitted") == "refused":
            raise refuse_body("billing_address", "is required with confirm")
        paid = twin.store.find("payments", customer_id=customer_id, limit=1)
        if not paid:
            raise refuse_body("billing_address", "is required with confirm")
        stored: Doc = paid[0]["billing"]
        return stored
    for name in address:
        if not billing[name]:
            raise refuse_body(f"billing_address.{name}", "is required with confirm")
    return billing


def _confirming_customer(twin: Twin, session: Doc) -> str:
    if session["customer_id"] is not None:
        return str(session["customer_id"])
    customer = session["customer"]
    if customer["email"] is None:
        raise refuse_body("customer", "is required with confirm")
    matched = customers.match_customer(
        twin,
        email=customer["email"],
        name=customer["name"] or customer["email"].split("@")[0],
        phone_number=customer["phone_number"],
        always_new=session["flags"]["always_create_new_customer"],
    )
    return str(matched["id"])


def _own_method(twin: Twin, customer_id: str, method_id: str) -> Doc:
    method = twin.store.get("payment_methods", method_id)
    if method is None or method["customer_id"] != customer_id or method["deleted"]:
        raise WireError(422, "NO_ELIGIBLE_PAYMENT_METHODS")
    return method


def _read_business(body: Doc) -> Doc:
    tax_id, name = text(body, "tax_id", limit=100), text(body, "customer_business_name", limit=250)
    if tax_id is not None and not isinstance(body.get("billing_address"), dict):
        raise refuse_body("tax_id", "needs billing_address.country")
    if name is not None and tax_id is None:
        raise refuse_body("customer_business_name", "needs tax_id")
    return {"tax_id": tax_id, "business_name": name}


def _read_currency(body: Doc) -> Doc:
    currency, named = body.get("billing_currency"), body.get("adaptive_currency_fees_inclusive")
    if currency is not None and currency not in CURRENCIES:
        raise refuse_body("billing_currency", "must be a currency code")
    fees_inclusive = None if named is None else flag(body, "adaptive_currency_fees_inclusive")
    return {"billing_currency": currency, "fees_inclusive": fees_inclusive}


def _address(body: Doc, field: str) -> str | None:
    address = text(body, field, limit=2000)
    if address is not None and not address.startswith(("http://", "https://")):
        raise refuse_body(field, "must be an http or https address")
    return address


def _preview(twin: Twin, priced: Priced) -> Doc:
    plans = priced.subscribed
    first = plans[0] if plans else None
    return {
        "billing_country": priced.country,
        "currency": priced.currency,
        "current_breakup": _breakup(priced.lines),
        "recurring_breakup": _breakup(_renewals(priced, plans)) if plans else None,
        "product_cart": [_preview_line(priced, line) for line in priced.lines if not line.is_addon],
        "total_price": priced.total,
        "total_tax": priced.tax,
        "next_billing_date": rfc3339(_next_billing(twin, first)) if first else None,
        "trial_amount": (first.trial.amount or None) if first and first.trial else None,
        "trial_period_days": first.trial.days if first and first.trial else None,
        "subscriptions": [_preview_subscription(twin, priced, line) for line in plans] or None,
        "payment_method_required": priced.needs_method,
        "is_byop": False,
        "tax_id_business_name": None,
        "tax_id_err_msg": None,
        "tax_id_format_name": None,
    }


def _renewals(priced: Priced, plans: Iterable[Line]) -> list[Line]:
    """Return the lines of a full period of these subscriptions, add-ons included."""
    return [line.renewal for plan in plans for line in priced.with_addons(plan)]


def _breakup(lines: Iterable[Line]) -> Doc:
    lines = list(lines)
    return {
        "subtotal": sum(line.pre_tax for line in lines),
        "discount": sum(line.discount for line in lines),
        "tax": sum(line.tax for line in lines),
        "total_amount": sum(line.total for line in lines),
    }


def _preview_line(priced: Priced, line: Line) -> Doc:
    product = line.product
    return {
        "product_id": product["id"],
        "quantity": line.quantity,
        "name": product["name"],
        "description": product["description"],
        **_preview_prices(priced, line),
        "is_subscription": product["is_recurring"],
        "is_usage_based": False,
        "meters": [],
        "addons": [_preview_addon(priced, addon) for addon in priced.with_addons(line)[1:]] or None,
        "credit_entitlements": [],
        "discount_amount": line.percentage_bps,
        "discount_cycle": None,
        "monthly_equivalent": None,
    }


def _preview_addon(priced: Priced, line: Line) -> Doc:
    return {
        "addon_id": line.product["id"],
        "name": line.product["name"],
        "description": line.product["description"],
        "quantity": line.quantity,
        "single_quantity_price": line.product["price"]["price"],
        **_preview_prices(priced, line),
        "discount_amount": None,
    }


def _preview_prices(priced: Priced, line: Line) -> Doc:
    listed = line.product.get("listed")
    return {
        "currency": priced.currency,
        "og_currency": listed["currency"] if listed else priced.currency,
        "og_price": listed["price"] * line.quantity if listed else line.gross,
        "discounted_price": line.gross - line.discount,
        "tax": line.tax,
        # Basis points: 8.5 % is 850. The provider documents the field only as "tax rate".
        "tax_rate": line.tax_rate_bp,
        "tax_inclusive": line.tax_inclusive,
        "tax_category": line.product["tax_category"],
    }


def _preview_subscription(twin: Twin, priced: Priced, plan: Line) -> Doc:
    now, later = _breakup(priced.with_addons(plan)), _breakup(_renewals(priced, [plan]))
    return {
        "product_id": plan.product["id"],
        "amount_due_now": now["total_amount"],
        "tax_due_now": now["tax"],
        "recurring_amount": later["total_amount"],
        "recurring_tax": later["tax"],
        "next_billing_date": rfc3339(_next_billing(twin, plan)),
        "trial_period_days": plan.trial.days if plan.trial else None,
    }


def _next_billing(twin: Twin, plan: Line) -> int:
    price, now = plan.product["price"], twin.clock.now()
    if plan.trial is not None:
        return now + plan.trial.days * DAY_MS
    every = (price["payment_frequency_count"], price["payment_frequency_interval"])
    return next_date(now, *every, calendar=twin.switch("renewal_calendar"))
