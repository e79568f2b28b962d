"""Entitlement grants: what a payment gives access to. They come of triggered events only."""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin
from ..http.call import Call, Routes, found, listing, page, query_choice
from ..http.server import Response

routes = Routes()

INTEGRATION = "digital_files"
INTEGRATIONS = (
    "discord",
    "telegram",
    "github",
    "figma",
    "framer",
    "notion",
    INTEGRATION,
    "license_key",
    "feature_flag",
)

# Event type -> the grant's status, spelled as in the OpenAPI 1.113.0 (its examples have it in lower case).
STATUSES = {"created": "Pending", "delivered": "Delivered", "failed": "Failed", "revoked": "Revoked"}


@routes.get("/customers/{customer_id}/entitlement-grants")
def list_grants(call: Call, customer_id: str) -> Response:
    limit, offset = page(call)
    status = query_choice(call, "status", STATUSES.values())
    integration = query_choice(call, "integration_type", INTEGRATIONS)
    grants = [
        grant
        for grant in _grants_of(call, customer_id)
        if status in (None, STATUSES[grant["event"]]) and integration in (None, INTEGRATION)
    ]
    return listing(grants[offset : offset + limit], lambda grant: _list_item(call.twin, grant))


@routes.get("/customers/{customer_id}/entitlements")
def list_entitlements(call: Call, customer_id: str) -> Response:
    return listing(_grants_of(call, customer_id), _entitlement)


def create(twin: Twin, payment: Doc) -> Doc:
    """Grant the files of what a payment bought, announce it and return the grant."""
    now = twin.clock.now()
    grant: Doc = {
        "id": twin.ids.new("entg_"),
        "created_at": now,
        "updated_at": now,
        "customer_id": payment["customer_id"],
        "payment_id": payment["id"],
        "subscription_id": payment["subscription_ids"][0] if payment["subscription_ids"] else None,
        "entitlement_id": twin.ids.new("ent_"),
        "metadata": payment["metadata"],
        "event": "created",
        "delivered_at": None,
        "revoked_at": None,
    }
    twin.store.put("entitlement_grants", grant)
    emit(twin, "entitlement_grant.created", kind="entitlement_grants", object_id=grant["id"])
    return grant


def move(twin: Twin, grant: Doc, event: str) -> Doc:
    """Move a grant to the status of one of STATUSES and announce it."""
    now = twin.clock.now()
    grant |= {"event": event, "updated_at": now}
    if f"{event}_at" in grant:
        grant[f"{event}_at"] = now
    twin.store.put("entitlement_grants", grant)
    emit(twin, f"entitlement_grant.{event}", kind="entitlement_grants", object_id=grant["id"])
    return grant


def _list_item(twin: Twin, grant: Doc) -> Doc:
    # `external_id` is in the webhooks' examples, and in no document's list.
    return {name: value for name, value in serialise(twin, grant).items() if name != "external_id"}


def serialise(twin: Twin, grant: Doc) -> Doc:
    """Return the grant as its webhooks show it: one of digital files, without a link to them."""
    failed, revoked = grant["event"] == "failed", grant["event"] == "revoked"
    return {
        "id": grant["id"],
        "business_id": BUSINESS_ID,
        "brand_id": BRAND_ID,
        "entitlement_id": grant["entitlement_id"],
        "customer_id": grant["customer_id"],
        "payment_id": grant["payment_id"],
        "subscription_id": grant["subscription_id"],
        "external_id": "",
        "integration_type": INTEGRATION,
        "status": STATUSES[grant["event"]],
        "metadata": grant["metadata"],
        "created_at": rfc3339(grant["created_at"]),
        "updated_at": rfc3339(grant["updated_at"]),
        "delivered_at": _time(grant["delivered_at"]),
        "revoked_at": _time(grant["revoked_at"]),
        "revocation_reason": "manual" if revoked else None,
        "error_code": "DELIVERY_FAILED" if failed else None,
        "error_message": "Ordered by the sandbox" if failed else None,
        "digital_product_delivery": None,
        "feature": None,
        "license_key": None,
        "oauth_url": None,
        "oauth_expires_at": None,
    }


def _grants_of(call: Call, customer_id: str) -> list[Doc]:
    found(call.twin.store.get("customers", customer_id), "Customer")
    return call.twin.store.find("entitlement_grants", customer_id=customer_id)


def _entitlement(grant: Doc) -> Doc:
    """Return a grant as a customer's entitlements list it: the status in lower case there."""
    return {
        "grant_id": grant["id"],
        "entitlement_id": grant["entitlement_id"],
        "entitlement_name": "Files",
        "entitlement_description": None,
        "integration_type": INTEGRATION,
        "status": STATUSES[grant["event"]].lower(),
        "created_at": rfc3339(grant["created_at"]),
        "updated_at": rfc3339(grant["updated_at"]),
        "delivered_at": _time(grant["delivered_at"]),
        "revoked_at": _time(grant["revoked_at"]),
    }


def _time(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)
