"""The add-ons of a cart line or a plan change: reading them, and finding what they are."""

from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError, refuse_body, whole

MAX_ADDONS = 20


def read_addons(value: object, where: str) -> list[Doc]:
    """Return `[{addon_id, quantity}]` of a body; null is the same as none. Raises WireError."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_ADDONS or not all(isinstance(item, dict) for item in value):
        raise refuse_body(where, f"must be a list of at most {MAX_ADDONS} objects")
    wanted = [{"addon_id": item.get("addon_id"), "quantity": whole(item, "quantity", least=1)} for item in value]
    ids = [item["addon_id"] for item in wanted]
    if not all(isinstance(addon_id, str) and addon_id for addon_id in ids):
        raise refuse_body(where, "every add-on needs an addon_id")
    if len(set(ids)) < len(ids):
        raise WireError(422, "DUPLICATE_ADDON_IDS_IN_REQUEST", "The same add-on is named twice")
    return wanted


def find_addons(twin: Twin, product: Doc, wanted: list[Doc]) -> list[tuple[Doc, int]]:
    """Return the add-ons with their quantities; refuses what the product does not offer or another currency."""
    found = []
    for item in wanted:
        addon = twin.store.get("addons", item["addon_id"])
        if addon is None or item["addon_id"] not in (product.get("addons") or []):
            raise WireError(422, "MISSING_ADDON_IDS", f"The product has no add-on {item['addon_id'][:60]}")
        if addon["currency"] != product["price"]["currency"]:
            raise WireError(422, "UNSUPPORTED_CURRENCY", "An add-on must have the currency of its product")
        found.append((addon, item["quantity"]))
    return found
