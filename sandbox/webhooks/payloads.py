"""The body of an event: the object as it is at this moment, in the provider's envelope."""

from collections.abc import Callable

import msgspec

from ..billing import dunning
from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin
from ..http.skew import shifted
from ..resources import (
    abandoned_checkouts,
    credit_ledger,
    disputes,
    entitlement_grants,
    licenses,
    payments,
    payouts,
    refunds,
    subscriptions,
)

# Kind of the stored object -> (`payload_type`, who shows it).
PAYLOADS: dict[str, tuple[str, Callable[[Twin, Doc], Doc]]] = {
    "payments": ("Payment", payments.serialise),
    "refunds": ("Refund", refunds.serialise),
    "disputes": ("Dispute", disputes.serialise),
    "subscriptions": ("Subscription", subscriptions.serialise),
    "license_keys": ("LicenseKey", licenses.serialise),
    "payouts": ("Payout", payouts.serialise),
    "credit_ledger": ("CreditLedgerEntry", credit_ledger.serialise),
    "credit_warnings": ("CreditBalanceLow", credit_ledger.serialise_warning),
    "abandoned_checkouts": ("AbandonedCheckout", abandoned_checkouts.serialise),
    "entitlement_grants": ("EntitlementGrant", entitlement_grants.serialise),
    "dunning_attempts": ("DunningAttempt", dunning.serialise),
}


def envelope(twin: Twin, event: Doc, *, newer: bool = False) -> bytes | None:
    """Return the body for an event from the object's state at this moment; None if the object is gone.

    `event` is its row, the options decoded.
    """
    payload_type, serialise = PAYLOADS[event["kind"]]
    doc = twin.store.get(event["kind"], event["object_id"])
    if doc is None:
        return None
    data = {"payload_type": payload_type, **serialise(twin, doc)}
    if event["kind"] == "subscriptions":
        # Webhooks carry two fields more than the object; the payment is named on renewals only (SDK 1.123.0).
        data["past_due_ends_at"] = _time(doc["past_due_ends_at"])
        data["payment_id"] = _payment_of(twin, doc) if event["type"] == "subscription.renewed" else None
    for path, value in event["options"].get("changes", {}).items():
        _change(data, path.split("."), value)
    body = {
        "business_id": BUSINESS_ID,
        "type": event["type"],
        # At least a millisecond newer, or a quick delivery would be the same body.
        "timestamp": rfc3339(max(twin.clock.now(), event["event_at"] + 1) if newer else event["event_at"]),
        "data": data,
    }
    return shifted(twin, msgspec.json.encode(body))


def _change(doc: Doc, path: list[str], value: object) -> None:
    *parents, last = path
    for name in parents:
        inner = doc.get(name)
        doc[name] = dict(inner) if isinstance(inner, dict) else {}
        doc = doc[name]
    doc[last] = value


def _time(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _payment_of(twin: Twin, subscription: Doc) -> str | None:
    where = {"subscription_id": subscription["id"], "status": "succeeded"}
    latest = twin.store.find("payments", where=where, limit=1)
    return str(latest[0]["id"]) if latest else None
