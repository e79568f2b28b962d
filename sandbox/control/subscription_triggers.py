"""Triggers of subscription and dunning events: each is led to as a merchant and a card would lead to it."""

from ..billing import renewals
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import found
from .demo import PRO
from .insider import next_charge, patch, post, switched

GRACE_DAYS = 7
# Soft, so that dunning tries again.
USUAL_DECLINE = "INSUFFICIENT_FUNDS"


def lead_to(twin: Twin, name: str, subscription: Doc, making: Doc) -> None:
    """Let `subscription.<name>` happen to an active subscription; raises WireError if a route refuses."""
    path = f"/subscriptions/{subscription['id']}"
    if name == "on_hold":
        fail_renewal(twin, subscription, making)
    elif name == "past_due":
        with switched(twin, "grace_period_days", GRACE_DAYS):
            fail_renewal(twin, subscription, making)
    elif name == "expired":
        renewed_last = {**subscription, "term_end": subscription["period_end"]}
        twin.store.put("subscriptions", renewed_last)
        renewals.at_period_end(twin, {"subscription_id": subscription["id"], "due_at": subscription["period_end"]})
    elif name == "plan_changed":
        change = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "prorated_immediately"}
        post(twin, f"{path}/change-plan", change)
    elif name == "update_payment_method":
        method = {"type": "existing", "payment_method_id": subscription["payment_method_id"]}
        post(twin, f"{path}/update-payment-method", method)
    elif name == "updated":
        patch(twin, path, {"metadata": {**subscription["metadata"], "updated": "yes"}})
    elif name == "cancelled":
        patch(twin, path, {"status": "cancelled"})
    elif name in ("paused", "unpaused"):
        patch(twin, path, {"status": "paused"})
        if name == "unpaused":
            patch(twin, path, {"status": "active"})


def lead_to_dunning(twin: Twin, name: str, subscription: Doc, making: Doc) -> None:
    """Let a renewal fail for a merchant who opted in to dunning, and for `recovered` be paid at the next try."""
    with switched(twin, "dunning", True):
        fail_renewal(twin, subscription, making)
        if name == "recovered":
            stopped = found(twin.store.get("subscriptions", subscription["id"]), "Subscription")
            with next_charge(twin, "succeeded"):
                renewals.pay_dues(twin, stopped)


def fail_renewal(twin: Twin, subscription: Doc, making: Doc) -> None:
    """Decline the subscription's next charge, now."""
    with next_charge(twin, "failed", making.get("error_code", USUAL_DECLINE)):
        renewals.renew(twin, subscription)
