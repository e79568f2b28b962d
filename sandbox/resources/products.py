"""Products: one-time and recurring, with their add-ons, licence keys and files."""

from typing import Any

from ..core.clock import rfc3339
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
from . import uploads
from .catalogue import MAX_DESCRIPTION, MAX_NAME, archive, read_tax_category, unarchive
from .prices import read_duration, read_price

routes = Routes()

PRICING_MODES = ("by_currency", "by_country")


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
    return answer(serialise(call.twin, _known(call, product_id)))


@routes.post("/products")
def create_product(call: Call) -> Response:
    body = read_body(call)
    name, category, price = required_text(body, "name", limit=MAX_NAME), read_tax_category(body), read_price(body)
    product = insert_product(
        call.twin,
        product_id=call.twin.ids.new("pdt_"),
        name=name,
        description=text(body, "description", limit=MAX_DESCRIPTION),
        price=price,
        tax_category=category,
        pairs=metadata(body),
        details=_read_details(call.twin, body, price),
    )
    return answer(serialise(call.twin, product))


@routes.patch("/products/{product_id}")
def update_product(call: Call, product_id: str) -> Response:
    product, body = _known(call, product_id), read_body(call)
    if body.get("name") is not None:
        product["name"] = required_text(body, "name", limit=MAX_NAME)
    if body.get("description") is not None:
        product["description"] = text(body, "description", limit=MAX_DESCRIPTION)
    if body.get("price") is not None:
        product["price"] = read_price(body)
        product["is_recurring"] = product["price"]["type"] == "recurring_price"
    if body.get("tax_category") is not None:
        product["tax_category"] = read_tax_category(body)
    if body.get("metadata") is not None:
        product["metadata"] = metadata(body)
    product |= _read_details(call.twin, body, product["price"])
    product |= uploads.image_fields(call.twin, body)
    product["updated_at"] = call.twin.clock.now()
    call.twin.store.put("products", product)
    return empty(200)


@routes.delete("/products/{product_id}")
def archive_product(call: Call, product_id: str) -> Response:
    archive(call.twin, "products", _known(call, product_id))
    return empty(200)


@routes.post("/products/{product_id}/unarchive")
def unarchive_product(call: Call, product_id: str) -> Response:
    unarchive(call.twin, "products", _known(call, product_id))
    return empty(200)


@routes.put("/products/{product_id}/images")
def upload_product_image(call: Call, product_id: str) -> Response:
    anew = query_flag(call, "force_update") or False
    return uploads.offer_image(call.twin, _known(call, product_id)["image_id"], anew=anew)


@routes.put("/products/{product_id}/files")
def upload_product_file(call: Call, product_id: str) -> Response:
    _known(call, product_id)
    return uploads.offer_file(call.twin, required_text(read_body(call), "file_name", limit=255))


def insert_product(
    twin: Twin,
    *,
    product_id: str,
    name: str,
    description: str | None,
    price: Doc,
    tax_category: str,
    pairs: Doc,
    details: Doc | None = None,
    image: str | None = None,
    created_at: int | None = None,
) -> Doc:
    """Store a new product and return it; `image` is a path on this sandbox, `details` what differs from none."""
    now = twin.clock.now() if created_at is None else created_at
    product: Doc = {
        "id": product_id,
        "created_at": now,
        "updated_at": now,
        "name": name,
        "description": description,
        "image": image and twin.url(image),
        "image_id": None,
        "price": price,
        "is_recurring": price["type"] == "recurring_price",
        "tax_category": tax_category,
        "metadata": pairs,
        "archived": False,
        "addons": None,
        "license_key_enabled": False,
        "license_key_activation_message": None,
        "license_key_activations_limit": None,
        "license_key_duration": None,
        "delivery": None,
        "pricing_mode": None,
        **(details or {}),
    }
    twin.store.put("products", product)
    return product


def serialise(twin: Twin, product: Doc) -> Doc:
    """Return the product as `GET /products/{id}` shows it."""
    delivery = product["delivery"]
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
        "addons": product["addons"],
        "license_key_enabled": product["license_key_enabled"],
        "license_key_activation_message": product["license_key_activation_message"],
        "license_key_activations_limit": product["license_key_activations_limit"],
        "license_key_duration": product["license_key_duration"],
        "digital_product_delivery": delivery
        and {**delivery, "files": [uploads.serialise_file(twin, file_id) for file_id in delivery["files"]]},
        "entitlements": [],
        "credit_entitlements": [],
        "pricing_mode": product["pricing_mode"],
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
        "pricing_mode": product["pricing_mode"],
        "created_at": rfc3339(product["created_at"]),
        "updated_at": rfc3339(product["updated_at"]),
    }


def _known(call: Call, product_id: str) -> Doc:
    return found(call.twin.store.get("products", product_id), "Product")


def _read_details(twin: Twin, body: Doc, price: Doc) -> Doc:
    """Return the checked optional fields that a body names."""
    if body.get("brand_id") not in (None, BRAND_ID):
        raise refuse_body("brand_id", "unknown brand")
    for field in ("entitlements", "credit_entitlements"):
        if body.get(field):
            raise refuse_body(field, "are not part of this sandbox")
    details: Doc = {}
    if body.get("addons") is not None:
        details["addons"] = _addons(twin, body["addons"], price)
    if body.get("license_key_enabled") is not None:
        details["license_key_enabled"] = flag(body, "license_key_enabled")
    if body.get("license_key_activation_message") is not None:
        details["license_key_activation_message"] = text(body, "license_key_activation_message")
    if body.get("license_key_activations_limit") is not None:
        details["license_key_activations_limit"] = whole(body, "license_key_activations_limit", least=0)
    if body.get("license_key_duration") is not None:
        details["license_key_duration"] = read_duration(body["license_key_duration"], "license_key_duration")
    if body.get("digital_product_delivery") is not None:
        details["delivery"] = _delivery(twin, body["digital_product_delivery"])
    if body.get("pricing_mode") is not None:
        if body["pricing_mode"] not in PRICING_MODES:
            raise refuse_body("pricing_mode", "must be by_currency or by_country")
        details["pricing_mode"] = body["pricing_mode"]
    return details


def _addons(twin: Twin, ids: Any, price: Doc) -> list[str] | None:
    if not isinstance(ids, list) or not all(isinstance(addon_id, str) for addon_id in ids):
        raise refuse_body("addons", "must be a list of ids")
    if ids and price["type"] != "recurring_price":
        raise refuse_body("addons", "are for subscription products only")
    if len(set(ids)) < len(ids):
        raise WireError(422, "DUPLICATE_ADDON_IDS_IN_REQUEST", "An add-on is named twice")
    for addon_id in ids:
        addon = twin.store.get("addons", addon_id)
        if addon is None or addon["archived"]:
            raise WireError(422, "MISSING_ADDON_IDS", f"Add-on {addon_id[:60]} not found")
        if addon["currency"] != price["currency"]:
            raise refuse_body("addons", "must have the product's currency")
    return ids or None


def _delivery(twin: Twin, delivery: Any) -> Doc:
    if not isinstance(delivery, dict) or not isinstance(delivery.get("files") or [], list):
        raise refuse_body("digital_product_delivery", "must be an object, its files a list of ids")
    return {
        "external_url": text(delivery, "external_url", limit=2000),
        "instructions": text(delivery, "instructions"),
        "files": [uploads.check_file(twin, file_id) for file_id in delivery.get("files") or []],
    }
