"""Payouts: what the provider sends the merchant. Known by their webhooks only; no money moves here."""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin

# Event type -> the payout's status.
STATUSES = {
    "created": "not_initiated",
    "in_progress": "in_progress",
    "on_hold": "on_hold",
    "failed": "failed",
    "success": "success",
}
# Each figure is our choice: fees are not documented in full.
FEE = 500
AMOUNT = 100_000


def create(twin: Twin, *, amount: int = AMOUNT) -> Doc:
    """Store a payout of so many cents, announce it and return it."""
    now = twin.clock.now()
    payout: Doc = {
        "id": twin.ids.new("pyt_"),
        "created_at": now,
        "updated_at": now,
        "status": "not_initiated",
        "amount": amount,
        "fee": FEE,
        "currency": "USD",
        "remarks": None,
    }
    twin.store.put("payouts", payout)
    emit(twin, "payout.created", kind="payouts", object_id=payout["id"])
    return payout


def move(twin: Twin, payout: Doc, event: str) -> Doc:
    """Move a payout to the status of one of STATUSES and announce it."""
    payout |= {"status": STATUSES[event], "updated_at": twin.clock.now()}
    payout["remarks"] = "Ordered by the sandbox" if event in ("failed", "on_hold") else None
    twin.store.put("payouts", payout)
    emit(twin, f"payout.{event}", kind="payouts", object_id=payout["id"])
    return payout


def serialise(twin: Twin, payout: Doc) -> Doc:
    """Return the payout as its webhooks show it; `refunds`, `chargebacks` and `tax` are deprecated on the wire."""
    return {
        "payout_id": payout["id"],
        "business_id": BUSINESS_ID,
        "amount": payout["amount"],
        "fee": payout["fee"],
        "tax": 0,
        "refunds": 0,
        "chargebacks": 0,
        "currency": payout["currency"],
        "status": payout["status"],
        "payment_method": "bank_transfer",
        "payout_document_url": twin.url(f"/invoices/payouts/{payout['id']}"),
        "name": None,
        "remarks": payout["remarks"],
        "additional_docs": [],
        "created_at": rfc3339(payout["created_at"]),
        "updated_at": rfc3339(payout["updated_at"]),
    }
