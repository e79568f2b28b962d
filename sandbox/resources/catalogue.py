"""What products and add-ons have in common: currency, tax category, image, being archived."""

from ..core.places import CURRENCIES, UNCHARGEABLE_CURRENCIES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError, refuse_body, required_text

TAX_CATEGORIES = ("digital_products", "saas", "e_book", "edtech", "live_tutoring")
# Lengths after OpenAPI 1.113.0, PatchProductRequest and PatchAddonRequest.
MAX_NAME = 100
MAX_DESCRIPTION = 1000


def read_currency(body: Doc, field: str = "currency", *, where: str = "") -> str:
    """Return a currency that can be charged; `where` goes before the field's name in a refusal."""
    currency = body.get(field)
    if currency not in CURRENCIES:
        raise refuse_body(f"{where}{field}", "must be a currency code")
    if currency in UNCHARGEABLE_CURRENCIES:
        raise WireError(422, "UNSUPPORTED_CURRENCY", f"{currency} cannot be charged")
    return str(currency)


def read_tax_category(body: Doc) -> str:
    """Return the tax category, which must be there."""
    category = required_text(body, "tax_category")
    if category not in TAX_CATEGORIES:
        raise WireError(422, "UNSUPPORTED_TAX_CATEGORY", f"Category {category[:60]} currently not supported")
    return category


def archive(twin: Twin, kind: str, doc: Doc) -> None:
    """Archive a product or an add-on; one that is archived already is gone (410, as documented for products)."""
    if doc["archived"]:
        raise WireError(410, "PRODUCT_IS_DELETED", "Already deleted")
    twin.store.put(kind, {**doc, "archived": True, "updated_at": twin.clock.now()})


def unarchive(twin: Twin, kind: str, doc: Doc) -> None:
    """Put a product or an add-on back on sale."""
    twin.store.put(kind, {**doc, "archived": False, "updated_at": twin.clock.now()})
