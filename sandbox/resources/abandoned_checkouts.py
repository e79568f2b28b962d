"""Abandoned checkouts: a payment that did not succeed is looked at again an hour later."""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, Twin

# dodo-api.md section 12: detected 60 minutes after a payment that has not succeeded.
DETECTED_AFTER_MS = 3_600_000
FAILED = ("failed", "cancelled")


def follow(twin: Twin, payment: Doc) -> None:
    """Plan the look at a payment of a checkout that has not succeeded, or note that one has."""
    if payment["charge_type"] not in (None, "new") or not twin.switch("abandoned_checkouts"):
        return
    if payment["status"] == "succeeded":
        recover(twin, payment)
    else:
        due_at = twin.clock.now() + DETECTED_AFTER_MS
        twin.later(due_at=due_at, action="abandon", doc={"payment_id": payment["id"]})


def detect(twin: Twin, doc: Doc) -> None:
    """Announce the checkout of `doc["payment_id"]` as abandoned, once, unless the customer has paid since.

    A payment still in processing is not abandoned (our choice): the customer has done what they could.
    """
    payment = twin.store.get("payments", doc["payment_id"])
    if payment is None or payment["status"] in ("succeeded", "processing"):
        return
    if _of_session(twin, "abandoned_checkouts", payment) or _is_paid(twin, payment):
        return
    abandoned: Doc = {
        "id": twin.ids.new("abc_"),
        "created_at": twin.clock.now(),
        "customer_id": payment["customer_id"],
        "payment_id": payment["id"],
        "session_id": payment["session_id"],
        "product_ids": [line["product_id"] for line in payment["lines"]],
        "abandoned_at": payment["updated_at"],
        "reason": "payment_failed" if payment["status"] in FAILED else "checkout_incomplete",
        "status": "abandoned",
        "recovered_payment_id": None,
    }
    twin.store.put("abandoned_checkouts", abandoned)
    emit(twin, "abandoned_checkout.detected", kind="abandoned_checkouts", object_id=abandoned["id"])


def recover(twin: Twin, payment: Doc) -> None:
    """Announce as recovered what this customer had abandoned and has now paid for.

    That is the same checkout, or another with one of its products (our choice: the docs do not say).
    """
    bought = {line["product_id"] for line in payment["lines"]}
    open_ones = twin.store.find(
        "abandoned_checkouts", customer_id=payment["customer_id"], where={"status": "abandoned"}
    )
    for abandoned in open_ones:
        if abandoned["session_id"] == payment["session_id"] or bought & set(abandoned["product_ids"]):
            abandoned |= {"status": "recovered", "recovered_payment_id": payment["id"]}
            twin.store.put("abandoned_checkouts", abandoned)
            emit(twin, "abandoned_checkout.recovered", kind="abandoned_checkouts", object_id=abandoned["id"])


def serialise(twin: Twin, abandoned: Doc) -> Doc:
    """Return the abandoned checkout as its webhooks show it."""
    return {
        "payment_id": abandoned["payment_id"],
        "customer_id": abandoned["customer_id"],
        "brand_id": BRAND_ID,
        "abandonment_reason": abandoned["reason"],
        "abandoned_at": rfc3339(abandoned["abandoned_at"]),
        "status": abandoned["status"],
        "recovered_payment_id": abandoned["recovered_payment_id"],
    }


def _is_paid(twin: Twin, payment: Doc) -> bool:
    return any(other["status"] == "succeeded" for other in _of_session(twin, "payments", payment))


def _of_session(twin: Twin, kind: str, payment: Doc) -> list[Doc]:
    where = {"session_id": payment["session_id"]} if payment["session_id"] else {"payment_id": payment["id"]}
    return twin.store.find(kind, customer_id=payment["customer_id"], where=where)
