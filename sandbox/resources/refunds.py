"""Refunds, full and partial."""

from ..core.clock import DAY_MS, rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    found,
    listing,
    metadata,
    page,
    query_choice,
    query_time,
    read_body,
    refuse_body,
    required_text,
    text,
)
from ..http.lists import lagging, window
from ..http.server import Response
from . import customers, wallets

routes = Routes()

STATUSES = ("succeeded", "failed", "pending", "review")
UNFINISHED = ("pending", "review")


@routes.post("/refunds")
def create_refund(call: Call) -> Response:
    body = read_body(call)
    payment_id = required_text(body, "payment_id")
    reason, pairs = text(body, "reason"), metadata(body)
    payment = found(call.twin.store.get("payments", payment_id), "Payment")
    if body.get("currency") not in (None, payment["currency"]):
        raise refuse_body("currency", "must be the currency the customer paid in")
    refund = begin(call.twin, payment, items=body.get("items"), reason=reason, pairs=pairs)
    return answer(serialise(call.twin, refund))


@routes.get("/refunds")
def list_refunds(call: Call) -> Response:
    limit, offset = page(call)
    filters = {
        "status": query_choice(call, "status", STATUSES),
        **{name: call.query.get(name) for name in ("customer_id", "subscription_id")},
    }
    since = query_time(call, "created_at_gte")
    until = lagging(call.twin, "refunds", query_time(call, "created_at_lte"))
    limit, offset = window(call.twin, "refunds", limit=limit, offset=offset)
    docs = call.twin.store.find(
        "refunds",
        where={name: value for name, value in filters.items() if value},
        since=since,
        until=until,
        limit=limit,
        offset=offset,
    )
    return listing(docs, list_item)


@routes.get("/refunds/{refund_id}")
def get_refund(call: Call, refund_id: str) -> Response:
    return answer(serialise(call.twin, found(call.twin.store.get("refunds", refund_id), "Refund")))


def begin(twin: Twin, payment: Doc, *, items: object, reason: str | None, pairs: Doc, amount: int | None = None) -> Doc:
    """Refund a payment and return the refund.

    `items` is the wire's list of lines, None for all that is left; `amount` (minor units) takes that much from
    the lines in order instead, for refunds begun elsewhere. Raises WireError where the provider refuses.
    """
    _check_refundable(twin, payment)
    by_line = _lines_from_amount(twin, payment, amount) if amount is not None else _lines(twin, payment, items)
    total = sum(by_line.values())
    if not total:
        raise WireError(422, "NOTHING_TO_REFUND", "There is nothing to refund")
    refund: Doc = {
        "id": twin.ids.new("ref_"),
        "created_at": twin.clock.now(),
        "customer_id": payment["customer_id"],
        "payment_id": payment["id"],
        "subscription_ids": payment["subscription_ids"],
        "amount": total,
        "currency": payment["currency"],
        "is_partial": total < payment["total"],
        "by_line": by_line,
        "reason": reason,
        "metadata": pairs,
        "status": "pending",
    }
    twin.store.put("refunds", refund)
    payment["refund_ids"].append(refund["id"])
    payment["updated_at"] = twin.clock.now()
    twin.store.put("payments", payment)
    outcome = twin.switch("refund_outcome")
    return refund if outcome == "pending" else settle(twin, refund, outcome)


def settle(twin: Twin, refund: Doc, status: str) -> Doc:
    """Finish a refund and announce it. Raises WireError (409) if it was finished before."""
    if refund["status"] not in UNFINISHED:
        raise WireError(409, "CONFLICT", f"The refund has {refund['status']} already")
    payment = twin.store.get("payments", refund["payment_id"])
    if status == "succeeded" and payment is not None:
        before = sum(made["amount"] for made in refunds_of(twin, payment) if made["status"] == "succeeded")
        wallets.refund(twin, payment, refunded=before, amount=refund["amount"])
    refund["status"] = status
    twin.store.put("refunds", refund)
    if status in ("succeeded", "failed"):
        emit(twin, f"refund.{status}", kind="refunds", object_id=refund["id"])
    return refund


def refunds_of(twin: Twin, payment: Doc) -> list[Doc]:
    """Return the payment's refunds, oldest first."""
    refunds = [twin.store.get("refunds", refund_id) for refund_id in payment["refund_ids"]]
    return [refund for refund in refunds if refund is not None]


def refunded_amount(twin: Twin, payment: Doc) -> int:
    """Return what was or is being given back, in minor units; failed refunds do not count."""
    return sum(refund["amount"] for refund in refunds_of(twin, payment) if refund["status"] != "failed")


def refundable(line: Doc) -> int:
    """Return what of a line may be given back: nothing of a prorated one, and nothing that credit has paid."""
    return 0 if line["prorated"] else int(line["total"] - line["credited"])


def refunded_by_line(twin: Twin, payment: Doc) -> dict[str, int]:
    """Return what each line has given back, by line id."""
    totals: dict[str, int] = {}
    for refund in refunds_of(twin, payment):
        if refund["status"] != "failed":
            for line_id, amount in refund["by_line"].items():
                totals[line_id] = totals.get(line_id, 0) + amount
    return totals


def serialise(twin: Twin, refund: Doc) -> Doc:
    """Return the refund as `GET /refunds/{id}` shows it."""
    return {
        **list_item(refund),
        "brand_id": BRAND_ID,
        "customer": customers.limited(twin, refund["customer_id"]),
        "metadata": refund["metadata"],
    }


def list_item(refund: Doc) -> Doc:
    """Return the refund as lists and payments show it."""
    return {
        "refund_id": refund["id"],
        "payment_id": refund["payment_id"],
        "business_id": BUSINESS_ID,
        "status": refund["status"],
        "amount": refund["amount"],
        "currency": refund["currency"],
        "is_partial": refund["is_partial"],
        "reason": refund["reason"],
        "created_at": rfc3339(refund["created_at"]),
        "network_reference": None,
        "network_reference_type": None,
        "network_reference_updated_at": None,
    }


def _check_refundable(twin: Twin, payment: Doc) -> None:
    if payment["status"] != "succeeded":
        raise WireError(422, "PAYMENT_NOT_SUCCEEDED")
    if not payment["total"]:
        raise WireError(422, "ZERO_AMOUNT_PAYMENT_REFUND_NOT_ALLOWED", "A payment of zero cannot be refunded")
    if any(refund["status"] == "pending" for refund in refunds_of(twin, payment)):
        raise WireError(422, "EXISTING_REFUND_REQUEST_PROCESSING", "A refund is already being processed")
    if refunded_amount(twin, payment) >= payment["total"]:
        raise WireError(422, "PAYMENT_ALREADY_REFUNDED")
    days = twin.switch("refund_window_days")
    if twin.clock.now() - payment["created_at"] > days * DAY_MS:
        raise WireError(
            422, "REFUND_WINDOW_EXPIRED", f"Refunds cannot be initiated {days} days after payment creation."
        )


def _lines(twin: Twin, payment: Doc, items: object) -> dict[str, int]:
    left = _left_by_line(twin, payment)
    if items is None or items == []:
        return {line_id: amount for line_id, amount in left.items() if amount}
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise refuse_body("items", "must be a list of objects")
    if not twin.switch("partial_refunds"):
        raise WireError(422, "PARTIAL_REFUND_NOT_ALLOWED", "Partial refunds are not allowed for this payment")
    chosen: dict[str, int] = {}
    for item in items:
        line = _find_line(payment, item.get("item_id"))
        if line["id"] in chosen:
            raise WireError(422, "DUPLICATE_LINE_ITEMS_IN_REQUEST", "Duplicate item_ids specified in items array")
        if line["prorated"]:
            raise WireError(422, "LINE_ITEM_PRORATED", "A prorated line item cannot be refunded")
        chosen[line["id"]] = _line_amount(line, item, left[line["id"]])
    return chosen


def _line_amount(line: Doc, item: Doc, left: int) -> int:
    if not left:
        raise WireError(422, "LINE_ITEM_FULLY_REFUNDED", "The line item has already been refunded")
    amount = item.get("amount")
    if amount is None:
        return left
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise refuse_body("items.amount", "must be an integer")
    if amount <= 0:
        raise WireError(422, "LINE_ITEM_REFUND_AMOUNT_TOO_LOW", "The refund amount is too low")
    if item.get("tax_inclusive") is False and not line["tax_inclusive"]:
        net = line["total"] - line["tax"]
        amount += (2 * amount * line["tax"] + net) // (2 * net) if net else 0
    if amount > left:
        raise WireError(422, "LINE_ITEM_REFUND_AMOUNT_TOO_HIGH", "The refund amount exceeds what is left")
    return amount


def _lines_from_amount(twin: Twin, payment: Doc, amount: int) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for line_id, left in _left_by_line(twin, payment).items():
        taken = min(left, amount)
        if taken:
            chosen[line_id] = taken
        amount -= taken
    if amount:
        raise WireError(422, "REFUND_AMOUNT_EXCEEDS_PAID_AMOUNT", "The refund exceeds what was paid")
    return chosen


def _left_by_line(twin: Twin, payment: Doc) -> dict[str, int]:
    refunded = refunded_by_line(twin, payment)
    return {line["id"]: refundable(line) - refunded.get(line["id"], 0) for line in payment["lines"]}


def _find_line(payment: Doc, item_id: object) -> Doc:
    for line in payment["lines"]:
        if item_id in (line["id"], line["product_id"]):
            found_line: Doc = line
            return found_line
    raise WireError(422, "LINE_ITEM_NOT_FOUND", "The payment has no such line item")
