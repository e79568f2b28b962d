"""Entitlement grants: what a payment gives access to. Known by their webhooks only."""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin

# Event type -> the grant's status, spelled as in the OpenAPI 1.113.0 (its examples have it in lower case).
STATUSES = {"created": "Pending", "delivered": "Delivered", "failed": "Failed", "revoked": "Revoked"}


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
        "integration_type": "digital_files",
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


def _time(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)
