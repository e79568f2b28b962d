"""Trying a failed charge of a subscription again by hand.

The SDK 1.123.0 has the two routes and says nothing of their rules. Ours: the charge a stopped subscription owes can be
tried again at any time, ten times by hand (the docs' SUBSCRIPTION_PAYMENT_RETRY_LIMIT_EXCEEDED is "more than 10
attempts"); what dunning does by itself is shown beside it.
"""

import json

from ..billing import renewals
from ..billing.dunning import RETRY_AFTER_H
from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError, answer, found
from ..http.server import Response

routes = Routes()

SENDS_ALLOWED = 10


@routes.get("/payments/{payment_id}/retry")
def get_retry_state(call: Call, payment_id: str) -> Response:
    return answer(_state(call.twin, _known(call, payment_id)))


@routes.post("/payments/{payment_id}/retry")
def retry_payment(call: Call, payment_id: str) -> Response:
    failed = _known(call, payment_id)
    if failed["manual_sends"] >= SENDS_ALLOWED:
        raise WireError(422, "SUBSCRIPTION_PAYMENT_RETRY_LIMIT_EXCEEDED", f"More than {SENDS_ALLOWED} attempts")
    subscription = _owing(call.twin, failed)
    if subscription is None:
        raise WireError(422, "INVALID_REQUEST_PARAMETERS", "This payment is not owed")
    payment = renewals.pay_dues(call.twin, subscription)
    assert payment is not None
    payment |= {
        "manual_sends": failed["manual_sends"] + 1,
        "invoice_id": payment["invoice_id"] or call.twin.ids.new("inv_"),
    }
    call.twin.store.put("payments", payment)
    return answer(
        {
            "payment_id": payment["id"],
            "invoice_id": payment["invoice_id"],
            "status": payment["status"],
            "is_manual_retry": True,
            "retry_attempt": payment["retry_attempt"],
            "sends_used": payment["manual_sends"],
            "sends_allowed": SENDS_ALLOWED,
            "retry_available_at": None,
        }
    )


def _state(twin: Twin, payment: Doc) -> Doc:
    owed, used = _owing(twin, payment) is not None, payment["manual_sends"]
    planned = _planned(twin, payment)
    return {
        "can_retry": owed and used < SENDS_ALLOWED,
        "reason": None if owed and used < SENDS_ALLOWED else "retry_limit_reached" if owed else "payment_not_owed",
        "sends_used": used,
        "sends_allowed": SENDS_ALLOWED,
        "retry_available_at": None,
        "automatic_retry_number": payment["retry_attempt"] + 1 if planned else None,
        "automatic_retry_total": len(RETRY_AFTER_H) if planned else None,
        "next_automatic_retry_at": rfc3339(planned) if planned else None,
    }


def _known(call: Call, payment_id: str) -> Doc:
    payment = found(call.twin.store.get("payments", payment_id), "Payment")
    return {"manual_sends": 0, **payment}


def _owing(twin: Twin, payment: Doc) -> Doc | None:
    """Return the subscription that a failed payment has stopped, None if nothing waits for this payment."""
    for subscription_id in payment["subscription_ids"]:
        subscription = twin.store.get("subscriptions", subscription_id)
        if subscription is not None and subscription["owed_payment_id"] == payment["id"]:
            return subscription
    return None


def _planned(twin: Twin, payment: Doc) -> int | None:
    """Return when dunning tries a payment again, in epoch milliseconds."""
    for row in twin.store.rows("SELECT due_at, doc FROM timers WHERE action = 'retry' ORDER BY due_at"):
        if json.loads(row["doc"])["payment_id"] == payment["id"]:
            return int(row["due_at"])
    return None
