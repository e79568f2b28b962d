"""The bank's authentication step, reached from the checkout or by a payment's `payment_link` alone."""

from ..core.store import Doc
from ..http.call import Call, Routes
from ..http.server import Response
from ..resources import payments
from .sessions import result, send_on

routes = Routes()


@routes.get("/authenticate/{payment_id}")
def show(call: Call, payment_id: str) -> Response:
    payment = call.twin.store.get("payments", payment_id)
    if payment is None:
        return result(call, "unknown", None, status=404)
    session = _session_of(call, payment)
    if payment["status"] != "requires_customer_action":
        return result(call, "consumed", session, status=409, payment=payment)
    return result(call, "authenticate", session, payment=payment)


@routes.post("/authenticate/{payment_id}")
def answer_bank(call: Call, payment_id: str) -> Response:
    payment = call.twin.store.get("payments", payment_id)
    if payment is None:
        return result(call, "unknown", None, status=404)
    session = _session_of(call, payment)
    answer = call.form.get("result")
    if payment["status"] != "requires_customer_action" or answer not in ("approve", "fail"):
        return result(call, "consumed", session, status=409, payment=payment)
    approved = answer == "approve"
    payment = payments.move(
        call.twin,
        payment,
        "succeeded" if approved else "failed",
        error_code=None if approved else "AUTHENTICATION_FAILURE",
        authenticated=approved,
    )
    return send_on(call, session, payment)


def _session_of(call: Call, payment: Doc) -> Doc | None:
    return call.twin.store.get("sessions", payment["session_id"])
