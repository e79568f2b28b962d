"""Add-ons: extras that can be attached to subscription products."""

from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    answer,
    empty,
    found,
    listing,
    page,
    query_flag,
    read_body,
    required_text,
    text,
    whole,
)
from ..http.server import Response
from . import uploads
from .catalogue import MAX_DESCRIPTION, MAX_NAME, archive, read_currency, read_tax_category, unarchive

routes = Routes()


@routes.post("/addons")
def create_addon(call: Call) -> Response:
    body = read_body(call)
    addon = insert_addon(
        call.twin,
        name=required_text(body, "name", limit=MAX_NAME),
        description=text(body, "description", limit=MAX_DESCRIPTION),
        price=whole(body, "price", least=0),
        currency=read_currency(body),
        tax_category=read_tax_category(body),
        addon_id=call.twin.ids.new("adn_"),
        created_at=call.twin.clock.now(),
    )
    return answer(serialise(addon))


def insert_addon(
    twin: Twin,
    *,
    addon_id: str,
    name: str,
    description: str | None,
    price: int,
    currency: str,
    tax_category: str,
    created_at: int,
) -> Doc:
    """Store a new add-on and return it; `price` is minor units of one."""
    addon: Doc = {
        "name": name,
        "description": description,
        "price": price,
        "currency": currency,
        "tax_category": tax_category,
        "id": addon_id,
        "created_at": created_at,
        "updated_at": created_at,
        "image": None,
        "image_id": None,
        "archived": False,
    }
    twin.store.put("addons", addon)
    return addon


@routes.get("/addons")
def list_addons(call: Call) -> Response:
    limit, offset = page(call)
    where = {"archived": int(query_flag(call, "archived") or False)}
    return listing(call.twin.store.find("addons", where=where, limit=limit, offset=offset), serialise)


@routes.get("/addons/{addon_id}")
def get_addon(call: Call, addon_id: str) -> Response:
    return answer(serialise(_known(call, addon_id)))


@routes.patch("/addons/{addon_id}")
def update_addon(call: Call, addon_id: str) -> Response:
    addon, body = _known(call, addon_id), read_body(call)
    if body.get("name") is not None:
        addon["name"] = required_text(body, "name", limit=MAX_NAME)
    if body.get("description") is not None:
        addon["description"] = text(body, "description", limit=MAX_DESCRIPTION)
    if body.get("price") is not None:
        addon["price"] = whole(body, "price", least=0)
    if body.get("currency") is not None:
        addon["currency"] = read_currency(body)
    if body.get("tax_category") is not None:
        addon["tax_category"] = read_tax_category(body)
    addon |= {**uploads.image_fields(call.twin, body), "updated_at": call.twin.clock.now()}
    call.twin.store.put("addons", addon)
    return answer(serialise(addon))


@routes.delete("/addons/{addon_id}")
def archive_addon(call: Call, addon_id: str) -> Response:
    archive(call.twin, "addons", _known(call, addon_id))
    return empty(200)


@routes.post("/addons/{addon_id}/unarchive")
def unarchive_addon(call: Call, addon_id: str) -> Response:
    unarchive(call.twin, "addons", _known(call, addon_id))
    return empty(200)


@routes.put("/addons/{addon_id}/images")
def upload_addon_image(call: Call, addon_id: str) -> Response:
    _known(call, addon_id)
    # The answer's image_id is required here, so every upload is a new picture.
    return uploads.offer_image(call.twin, None, anew=True)


def serialise(addon: Doc) -> Doc:
    """Return the add-on as the wire shows it."""
    return {
        "id": addon["id"],
        "business_id": BUSINESS_ID,
        "name": addon["name"],
        "description": addon["description"],
        "price": addon["price"],
        "currency": addon["currency"],
        "tax_category": addon["tax_category"],
        "image": addon["image"],
        "created_at": rfc3339(addon["created_at"]),
        "updated_at": rfc3339(addon["updated_at"]),
    }


def _known(call: Call, addon_id: str) -> Doc:
    return found(call.twin.store.get("addons", addon_id), "Add-on")
