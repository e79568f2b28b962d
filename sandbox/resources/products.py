"""Products: one-time and recurring."""

from typing import Any

from ..core.clock import rfc3339
from ..core.places import CURRENCIES, UNCHARGEABLE_CURRENCIES
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    empty,
    flag,
    found,
    listing,
    metadata,
    page,
    query_flag,
    read_body,
    refuse_body,
    required_text,
    text,
    whole,
)
from ..http.server import Response

routes = Routes()

TAX_CATEGORIES = ("digital_products", "saas", "e_book", "edtech", "live_tutoring")
INTERVALS = ("Day", "Week", "Month", "Year")
# Subscription prices are at least $1 in the docs; the figure is taken for every two-decimal currency.
MINIMUM_RECURRING_PRICE = 100


@routes.get("/products")
def list_products(call: Call) -> Response:
    limit, offset = page(call)
    where: Doc = {"archived": 1 if query_flag(call, "archived") else 0}
    recurring = query_flag(call, "recurring")
    if recurring is not None:
        where["is_recurring"] = int(recurring)
    if call.query.get("brand_id", BRAND_ID) != BRAND_ID:
        return listing([], list_item)
    products = call.twin.store.find("products", where=where, oldest_first=True, limit=limit, offset=offset)
    return listing(products, list_item)


@routes.get("/products/{product_id}")
def get_product(call: Call, product_id: str) -> Response:
    return answer(serialise(found(call.twin.store.get("products", product_id), "Product")))


@routes.post("/products")
def create_product(call: Call) -> Response:
    body = read_body(call)
    product = insert_product(
        call.twin,
        product_id=call.twin.ids.new("pdt_"),
        name=required_text(body, "name"),
        description=text(body, "description"),
        price=read_price(body),
        tax_category=_tax_category(body),
        pairs=metadata(body),
    )
    return answer(serialise(product))


@routes.patch("/products/{product_id}")
def update_product(call: Call, product_id: str) -> Response:
    store = call.twin.store
    product = found(store.get("products", product_id), "Product")
    body = read_body(call)
    if body.get("name") is not None:
        product["name"] = required_text(body, "name")
    if body.get("description") is not None:
        product["description"] = text(body, "description")
    if body.get("price") is not None:
        product["price"] = read_price(body)
        product["is_recurring"] = product["price"]["type"] == "recurring_price"
    if body.get("tax_category") is not None:
        product["tax_category"] = _tax_category(body)
    if body.get("metadata") is not None:
        product["metadata"] = metadata(body)
    product["updated_at"] = call.twin.clock.now()
    store.put("products", product)
    return empty(200)


@routes.delete("/products/{product_id}")
def archive_product(call: Call, product_id: str) -> Response:
    store = call.twin.store
    product = found(store.get("products", product_id), "Product")
    if product["archived"]:
        raise WireError(410, "PRODUCT_IS_DELETED", "Product is deleted")
    store.put("products", {**product, "archived": True, "updated_at": call.twin.clock.now()})
    return empty(200)


@routes.post("/products/{product_id}/unarchive")
def unarchive_product(call: Call, product_id: str) -> Response:
    store = call.twin.store
    product = found(store.get("products", product_id), "Product")
    store.put("products", {**product, "archived": False, "updated_at": call.twin.clock.now()})
    return empty(200)


def insert_product(
    twin: Twin,
    *,
    product_id: str,
    name: str,
    description: str | None,
    price: Doc,
    tax_category: str,
    pairs: Doc,
    image: str | None = None,
    created_at: int | None = None,
) -> Doc:
    """Store a new product and return it; `image` is a path on this sandbox."""
    now = twin.clock.now() if created_at is None else created_at
    product: Doc = {
        "id": product_id,
        "created_at": now,
        "updated_at": now,
        "name": name,
        "description": description,
        "image": image and twin.url(image),
        "price": price,
        "is_recurring": price["type"] == "recurring_price",
        "tax_category": tax_category,
        "metadata": pairs,
        "archived": False,
    }
    twin.store.put("products", product)
    return product


def read_price(body: Doc) -> Doc:
    """Return the checked price object of a product body, complete with its defaults."""
    price = body.get("price")
    if not isinstance(price, dict):
        raise refuse_body("price", "must be an object")
    kind = price.get("type")
    if kind not in ("one_time_price", "recurring_price"):
        raise refuse_body("price.type", "must be one_time_price or recurring_price")
    currency = price.get("currency")
    if currency not in CURRENCIES:
        raise refuse_body("price.currency", "must be a currency code")
    if currency in UNCHARGEABLE_CURRENCIES:
        raise WireError(422, "UNSUPPORTED_CURRENCY", f"{currency} cannot be charged")
    if flag(price, "pay_what_you_want"):
        raise refuse_body("price.pay_what_you_want", "is not part of this sandbox yet")
    checked: Doc = {
        "type": kind,
        "currency": currency,
        "price": whole(price, "price", least=0),
        "discount": 0,
        "discount_bps": None,
        "purchasing_power_parity": flag(price, "purchasing_power_parity"),
        "tax_inclusive": flag(price, "tax_inclusive"),
    }
    return {**checked, **(_one_time() if kind == "one_time_price" else _recurring(price))}


def serialise(product: Doc) -> Doc:
    """Return the product as `GET /products/{id}` shows it."""
    return {
        "product_id": product["id"],
        "business_id": BUSINESS_ID,
        "brand_id": BRAND_ID,
        "name": product["name"],
        "description": product["description"],
        "image": product["image"],
        "is_recurring": product["is_recurring"],
        "price": product["price"],
        "tax_category": product["tax_category"],
        "metadata": product["metadata"],
        "addons": None,
        "license_key_enabled": False,
        "license_key_activation_message": None,
        "license_key_activations_limit": None,
        "license_key_duration": None,
        "digital_product_delivery": None,
        "entitlements": [],
        "credit_entitlements": [],
        "pricing_mode": None,
        "product_collection_id": None,
        "created_at": rfc3339(product["created_at"]),
        "updated_at": rfc3339(product["updated_at"]),
    }


def list_item(product: Doc) -> Doc:
    """Return the product as lists show it: a flat price beside `price_detail`."""
    price = product["price"]
    return {
        "product_id": product["id"],
        "business_id": BUSINESS_ID,
        "name": product["name"],
        "description": product["description"],
        "image": product["image"],
        "is_recurring": product["is_recurring"],
        "price": price["price"],
        "currency": price["currency"],
        "tax_inclusive": price["tax_inclusive"],
        "price_detail": price,
        "tax_category": product["tax_category"],
        "metadata": product["metadata"],
        "entitlements": [],
        "pricing_mode": None,
        "created_at": rfc3339(product["created_at"]),
        "updated_at": rfc3339(product["updated_at"]),
    }


def _one_time() -> Doc:
    return {"pay_what_you_want": False, "suggested_price": None}


def _recurring(price: Doc) -> Doc:
    if price["price"] < MINIMUM_RECURRING_PRICE:
        raise refuse_body("price.price", f"of a subscription must be at least {MINIMUM_RECURRING_PRICE}")
    return {
        "payment_frequency_count": whole(price, "payment_frequency_count", least=1, most=366),
        "payment_frequency_interval": _interval(price, "payment_frequency_interval"),
        "subscription_period_count": whole(price, "subscription_period_count", least=1, most=7300),
        "subscription_period_interval": _interval(price, "subscription_period_interval"),
        "trial_period_days": whole(price, "trial_period_days", least=0, most=10_000, default=0),
        "trial_amount": None,
        "trial_apply_discounts": None,
        "trial_payment_method_optional": False,
        "zero_amount_payment_method_optional": False,
    }


def _interval(price: Doc, field: str) -> Any:
    if price.get(field) not in INTERVALS:
        raise refuse_body(f"price.{field}", "must be Day, Week, Month or Year")
    return price[field]


def _tax_category(body: Doc) -> str:
    category = required_text(body, "tax_category")
    if category not in TAX_CATEGORIES:
        raise refuse_body("tax_category", "unknown category")
    return category
