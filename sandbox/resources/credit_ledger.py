"""Entries of a credit entitlement's ledger (API credits and the like). Known by their webhooks only.

The money a subscription has in credit is another ledger: `billing/credits.py`.
"""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin

# Event type -> (`transaction_type`, change of the balance, change of the overage) in credits.
ENTRIES = {
    "added": ("credit_added", 100, 0),
    "deducted": ("credit_deducted", -15, 0),
    "expired": ("credit_expired", -40, 0),
    "rolled_over": ("credit_rolled_over", 25, 0),
    "rollover_forfeited": ("rollover_forfeited", -25, 0),
    "overage_charged": ("overage_charged", 0, 10),
    "overage_reset": ("overage_reset", 0, -10),
    "manual_adjustment": ("manual_adjustment", 5, 0),
}
# Every customer of the sandbox begins with as much, so that no balance goes below zero (our choice).
OPENING_BALANCE = 1000
OPENING_OVERAGE = 50
LOW_PERCENT = 20


def write(twin: Twin, subscription: Doc, event: str) -> Doc:
    """Store one of ENTRIES for a subscription, announce it and return it."""
    transaction_type, amount, overage = ENTRIES[event]
    before = twin.store.find("credit_ledger", customer_id=subscription["customer_id"], limit=1)
    balance = before[0]["balance_after"] if before else OPENING_BALANCE
    overdrawn = before[0]["overage_after"] if before else OPENING_OVERAGE
    entry: Doc = {
        "id": twin.ids.new("cle_"),
        "created_at": twin.clock.now(),
        "customer_id": subscription["customer_id"],
        "subscription_id": subscription["id"],
        "entitlement_id": twin.ids.new("cde_"),
        "grant_id": twin.ids.new("cgr_"),
        "transaction_type": transaction_type,
        "amount": abs(amount or overage),
        "is_credit": amount + overage > 0,
        "balance_before": balance,
        "balance_after": balance + amount,
        "overage_before": overdrawn,
        "overage_after": overdrawn + overage,
        "metadata": subscription["metadata"],
    }
    twin.store.put("credit_ledger", entry)
    emit(twin, f"credit.{event}", kind="credit_ledger", object_id=entry["id"])
    return entry


def warn(twin: Twin, subscription: Doc) -> Doc:
    """Announce that a subscription's credits run low, and return the warning."""
    warning: Doc = {
        "id": twin.ids.new("cbl_"),
        "created_at": twin.clock.now(),
        "customer_id": subscription["customer_id"],
        "subscription_id": subscription["id"],
        "entitlement_id": twin.ids.new("cde_"),
        "available": 15,
        "granted": 100,
    }
    twin.store.put("credit_warnings", warning)
    emit(twin, "credit.balance_low", kind="credit_warnings", object_id=warning["id"])
    return warning


def serialise(twin: Twin, entry: Doc) -> Doc:
    """Return the entry as its webhooks show it; credits are decimal strings on this wire."""
    return {
        "id": entry["id"],
        "business_id": BUSINESS_ID,
        "brand_id": BRAND_ID,
        "customer_id": entry["customer_id"],
        "credit_entitlement_id": entry["entitlement_id"],
        "grant_id": entry["grant_id"],
        "transaction_type": entry["transaction_type"],
        "amount": str(entry["amount"]),
        "is_credit": entry["is_credit"],
        "balance_before": str(entry["balance_before"]),
        "balance_after": str(entry["balance_after"]),
        "overage_before": str(entry["overage_before"]),
        "overage_after": str(entry["overage_after"]),
        "reference_type": "subscription",
        "reference_id": entry["subscription_id"],
        "description": f"Sandbox: {entry['transaction_type'].replace('_', ' ')}",
        "metadata": entry["metadata"],
        "created_at": rfc3339(entry["created_at"]),
    }


def serialise_warning(twin: Twin, warning: Doc) -> Doc:
    """Return the warning as `credit.balance_low` shows it."""
    return {
        "customer_id": warning["customer_id"],
        "subscription_id": warning["subscription_id"],
        "brand_id": BRAND_ID,
        "credit_entitlement_id": warning["entitlement_id"],
        "credit_entitlement_name": "API credits",
        "available_balance": str(warning["available"]),
        "subscription_credits_amount": str(warning["granted"]),
        "threshold_percent": LOW_PERCENT,
        "threshold_amount": str(warning["granted"] * LOW_PERCENT // 100),
    }
