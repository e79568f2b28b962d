"""Trying a failed charge of a subscription again, for merchants who opted in."""

from ..core.cards import SOFT_DECLINES
from ..core.clock import DAY_MS, rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, Twin

HOUR_MS = 3_600_000
# Hours after the try before; within the merchant's window of 1 to 30 days, soft declines only.
RETRY_AFTER_H = (12, 24, 48, 72, 96, 120, 168, 168)


def plan_retry(twin: Twin, subscription: Doc, payment: Doc) -> None:
    """Plan the next try after a failed one; the first opens a dunning attempt and announces it."""
    number = payment["retry_attempt"]
    if not twin.switch("dunning") or payment["error_code"] not in SOFT_DECLINES or number >= len(RETRY_AFTER_H):
        return
    attempt = _open_attempt(twin, subscription)
    due_at = twin.clock.now() + RETRY_AFTER_H[number] * HOUR_MS
    if due_at > attempt["created_at"] + int(twin.switch("dunning_window_days")) * DAY_MS:
        return
    doc = {"subscription_id": subscription["id"], "payment_id": payment["id"]}
    twin.later(due_at=due_at, action="retry", doc=doc)


def recovered(twin: Twin, subscription: Doc, payment: Doc) -> None:
    """Close the attempt that a paid charge ends."""
    for attempt in _attempts(twin, subscription):
        attempt |= {"status": "recovered", "payment_id": payment["id"]}
        twin.store.put("dunning_attempts", attempt)
        emit(twin, "dunning.recovered", kind="dunning_attempts", object_id=attempt["id"])


def serialise(twin: Twin, attempt: Doc) -> Doc:
    """Return the attempt as the dunning webhooks show it."""
    return {
        "brand_id": BRAND_ID,
        "created_at": rfc3339(attempt["created_at"]),
        "customer_id": attempt["customer_id"],
        "payment_id": attempt["payment_id"],
        "status": attempt["status"],
        "subscription_id": attempt["subscription_id"],
        "trigger_state": attempt["trigger_state"],
    }


def _open_attempt(twin: Twin, subscription: Doc) -> Doc:
    for attempt in _attempts(twin, subscription):
        return attempt
    attempt = {
        "id": twin.ids.new("dun_"),
        "created_at": twin.clock.now(),
        "customer_id": subscription["customer_id"],
        "subscription_id": subscription["id"],
        "payment_id": None,
        "status": "recovering",
        # The documented states of the trigger are on_hold and cancelled; a grace period is shown as on_hold.
        "trigger_state": "on_hold",
    }
    twin.store.put("dunning_attempts", attempt)
    emit(twin, "dunning.started", kind="dunning_attempts", object_id=attempt["id"])
    return attempt


def _attempts(twin: Twin, subscription: Doc) -> list[Doc]:
    where = {"subscription_id": subscription["id"], "status": "recovering"}
    return twin.store.find("dunning_attempts", customer_id=subscription["customer_id"], where=where)
