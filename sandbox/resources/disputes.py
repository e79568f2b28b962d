"""Disputes: opened and decided through `/_sandbox/disputes`, readable on the wire."""

from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin
from ..http.call import Call, Routes, answer, found, listing, page, query_choice, query_time
from ..http.lists import lagging, window
from ..http.server import Response
from . import customers

routes = Routes()

OUTCOMES = ("expired", "accepted", "cancelled", "challenged", "won", "lost")
STATUSES = tuple(f"dispute_{name}" for name in ("opened", *OUTCOMES))
# Every dispute of the sandbox is in the middle one.
STAGE = "dispute"
STAGES = ("pre_dispute", STAGE, "pre_arbitration")


@routes.get("/disputes")
def list_disputes(call: Call) -> Response:
    limit, offset = page(call)
    status = query_choice(call, "dispute_status", STATUSES)
    if query_choice(call, "dispute_stage", STAGES) not in (None, STAGE):
        return listing([], list_item)
    since = query_time(call, "created_at_gte")
    until = lagging(call.twin, "disputes", query_time(call, "created_at_lte"))
    limit, offset = window(call.twin, "disputes", limit=limit, offset=offset)
    docs = call.twin.store.find(
        "disputes",
        customer_id=call.query.get("customer_id"),
        where={"status": status} if status else {},
        since=since,
        until=until,
        limit=limit,
        offset=offset,
    )
    return listing(docs, list_item)


@routes.get("/disputes/{dispute_id}")
def get_dispute(call: Call, dispute_id: str) -> Response:
    return answer(serialise(call.twin, found(call.twin.store.get("disputes", dispute_id), "Dispute")))


def open_dispute(twin: Twin, payment: Doc, *, amount: int, reason: str) -> Doc:
    """Open a dispute over `amount` minor units of a payment and return it."""
    dispute: Doc = {
        "id": twin.ids.new("dp_"),
        "created_at": twin.clock.now(),
        "customer_id": payment["customer_id"],
        "payment_id": payment["id"],
        "amount": amount,
        "currency": payment["currency"],
        "reason": reason,
        "status": "dispute_opened",
    }
    twin.store.put("disputes", dispute)
    payment["dispute_ids"].append(dispute["id"])
    twin.store.put("payments", payment)
    emit(twin, "dispute.opened", kind="disputes", object_id=dispute["id"])
    return dispute


def decide(twin: Twin, dispute: Doc, outcome: str) -> Doc:
    """End a dispute with one of OUTCOMES and announce it."""
    dispute["status"] = f"dispute_{outcome}"
    twin.store.put("disputes", dispute)
    emit(twin, f"dispute.{outcome}", kind="disputes", object_id=dispute["id"])
    return dispute


def disputes_of(twin: Twin, payment: Doc) -> list[Doc]:
    """Return the payment's disputes, oldest first."""
    known = [twin.store.get("disputes", dispute_id) for dispute_id in payment["dispute_ids"]]
    return [dispute for dispute in known if dispute is not None]


def short(dispute: Doc) -> Doc:
    """Return the dispute as a payment carries it; the amount is a string on this wire."""
    return {
        "dispute_id": dispute["id"],
        "payment_id": dispute["payment_id"],
        "business_id": BUSINESS_ID,
        "amount": str(dispute["amount"]),
        "currency": dispute["currency"],
        "dispute_stage": STAGE,
        "dispute_status": dispute["status"],
        "is_resolved_by_rdr": None,
        "created_at": rfc3339(dispute["created_at"]),
        "remarks": None,
    }


def list_item(dispute: Doc) -> Doc:
    """Return the dispute as lists show it."""
    shown = {**short(dispute), "payment_provider": "dodo"}
    del shown["remarks"]
    return shown


def serialise(twin: Twin, dispute: Doc) -> Doc:
    """Return the dispute as `GET /disputes/{id}` and its webhooks show it."""
    return {
        **short(dispute),
        "brand_id": BRAND_ID,
        "customer": customers.limited(twin, dispute["customer_id"]),
        "payment_provider": "dodo",
        "reason": dispute["reason"],
    }
