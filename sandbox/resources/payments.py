"""Payments: reading them, and the one place where a payment's status moves."""

from typing import Any

from ..billing import settlement
from ..core.cards import BY_FINGERPRINT, decline_message
from ..core.clock import rfc3339
from ..core.places import CURRENCIES
from ..core.store import Doc
from ..core.twin import BRAND_ID, BUSINESS_ID, Twin
from ..http.call import Call, Routes, WireError, answer, found, page, query_choice, query_time
from ..http.lists import lagging, strip_metadata, window
from ..http.server import Response
from . import abandoned_checkouts, customers, discounts, disputes, refunds, wallets

routes = Routes()

STATUSES = (
    "succeeded",
    "failed",
    "cancelled",
    "processing",
    "requires_customer_action",
    "requires_merchant_action",
    "requires_payment_method",
    "requires_confirmation",
    "requires_capture",
    "partially_captured",
    "partially_captured_and_capturable",
)
# The session behind a payment made by `POST /payments`; the wire shows no checkout for one.
LINK_PREFIX = "lnk_"
FINAL = ("succeeded", "failed", "cancelled")


@routes.get("/payments")
def list_payments(call: Call) -> Response:
    limit, offset = page(call)
    filters = {
        "status": query_choice(call, "status", STATUSES),
        "currency": query_choice(call, "currency", CURRENCIES),
        **{name: call.query.get(name) for name in ("customer_id", "subscription_id", "product_id")},
    }
    since = query_time(call, "created_at_gte")
    until = lagging(call.twin, "payments", query_time(call, "created_at_lte"))
    limit, offset = window(call.twin, "payments", limit=limit, offset=offset)
    if call.query.get("brand_id", BRAND_ID) != BRAND_ID:
        limit = 0
    docs = call.twin.store.find(
        "payments",
        where={name: value for name, value in filters.items() if value},
        since=since,
        until=until,
        limit=limit,
        offset=offset,
    )
    return answer({"items": strip_metadata(call.twin, "payments", [list_item(call.twin, doc) for doc in docs])})


@routes.get("/payments/{payment_id}")
def get_payment(call: Call, payment_id: str) -> Response:
    return answer(serialise(call.twin, found(call.twin.store.get("payments", payment_id), "Payment")))


@routes.get("/payments/{payment_id}/line-items")
def get_line_items(call: Call, payment_id: str) -> Response:
    payment = found(call.twin.store.get("payments", payment_id), "Payment")
    if call.query.get("currency", payment["currency"]) != payment["currency"]:
        raise WireError(422, "INVALID_QUERY_PARAMS", "currency: is not the payment's currency")
    refunded = refunds.refunded_by_line(call.twin, payment)
    return answer(
        {
            "currency": payment["currency"],
            "partial_refund_allowed": call.twin.switch("partial_refunds"),
            "items": [
                {
                    "items_id": line["id"],
                    "amount": line["total"],
                    "tax": line["tax"],
                    "refundable_amount": max(0, refunds.refundable(line) - refunded.get(line["id"], 0)),
                    "name": line["name"],
                    "description": None,
                }
                for line in payment["lines"]
            ],
        }
    )


def move(
    twin: Twin, payment: Doc, status: str, *, error_code: str | None = None, authenticated: bool | None = None
) -> Doc:
    """Move a payment to `status` with everything that follows from it: saved card, subscription, events."""
    payment = {
        **payment,
        "status": status,
        "updated_at": twin.clock.now(),
        "error_code": error_code,
        "error_message": decline_message(error_code) if error_code else None,
    }
    if authenticated is not None:
        payment["three_ds_status"] = "authenticated" if authenticated else "failed"
    if status == "succeeded":
        payment = _succeed(twin, payment)
    elif status in ("failed", "cancelled"):
        wallets.give_back(twin, payment)
    twin.store.put("payments", payment)
    settlement.settle(twin, payment)
    abandoned_checkouts.follow(twin, payment)
    if settlement.leaves_no_payment(twin, payment):
        twin.store.remove("payments", payment["id"])
    return payment


def serialise(twin: Twin, payment: Doc) -> Doc:
    """Return the payment as `GET /payments/{id}` and the payment webhooks show it."""
    one_time = [line for line in payment["lines"] if not line["recurring"]]
    card = payment["card"]
    return {
        **_shared(twin, payment),
        "business_id": BUSINESS_ID,
        "updated_at": rfc3339(payment["updated_at"]),
        "billing": payment["billing"],
        "tax": payment["tax"],
        "settlement_amount": payment["total"],
        "settlement_tax": payment["tax"],
        "settlement_currency": payment["currency"],
        "payment_link": payment["payment_link"],
        "error_code": payment["error_code"],
        "error_message": payment["error_message"],
        "product_cart": [{"product_id": line["product_id"], "quantity": line["quantity"]} for line in one_time] or None,
        "discounts": payment["discounts"] or None,
        "discount_id": payment["discounts"][0]["discount_id"] if payment["discounts"] else None,
        "custom_field_responses": payment.get("custom_field_responses"),
        "payment_method_id": _named_method(twin, payment),
        "card_holder_name": card.get("holder"),
        "card_issuing_country": card.get("country"),
        "is_update_payment_method": (payment["effect"] or {}).get("what") == "method",
        "refunds": [refunds.list_item(refund) for refund in refunds.refunds_of(twin, payment)],
        "disputes": [disputes.short(dispute) for dispute in disputes.disputes_of(twin, payment)],
    }


def list_item(twin: Twin, payment: Doc) -> Doc:
    """Return the subset that `GET /payments` lists: no method id, no cart, no tax; two fields are in the list alone."""
    return {
        **_shared(twin, payment),
        "has_license_key": payment.get("has_license_key", False),
        "dispute_status": _dispute_status(twin, payment),
    }


def _shared(twin: Twin, payment: Doc) -> Doc:
    card = payment["card"]
    subscription_ids = payment["subscription_ids"]
    return {
        "payment_id": payment["id"],
        "brand_id": BRAND_ID,
        "created_at": rfc3339(payment["created_at"]),
        "currency": payment["currency"],
        "customer": customers.limited(twin, payment["customer_id"]),
        "metadata": payment["metadata"],
        "status": payment["status"],
        "total_amount": payment["total"],
        "checkout_session_id": _shown_session(payment),
        "charge_type": payment["charge_type"],
        "subscription_id": subscription_ids[0] if len(subscription_ids) == 1 else None,
        "subscription_ids": subscription_ids,
        "is_multi_subscription": len(subscription_ids) > 1,
        "service_periods": payment["periods"],
        "includes_usage": False,
        "digital_products_delivered": False,
        "payment_provider": "dodo",
        "payment_method": "card" if card else None,
        "payment_method_type": "credit" if card else None,
        "card_last_four": card.get("last4"),
        "card_network": _network(twin, card.get("network")),
        "card_type": "credit" if card else None,
        "card_exp_month": card.get("exp_month"),
        "card_exp_year": card.get("exp_year"),
        "invoice_id": payment["invoice_id"],
        "invoice_url": None,
        "refund_status": _refund_status(twin, payment),
        "retry_attempt": payment["retry_attempt"],
        "three_ds_status": payment["three_ds_status"],
        "three_ds_flow": "challenge" if payment["three_ds_status"] else None,
        "three_ds_version": "2.2.0" if payment["three_ds_status"] else None,
    }


def _succeed(twin: Twin, payment: Doc) -> Doc:
    payment["invoice_id"] = payment["invoice_id"] or twin.ids.new("inv_")
    card = payment["card"]
    known = BY_FINGERPRINT.get(card.get("fingerprint"))
    if payment["used_saved_method"]:
        customers.note_use(twin, payment["method_id"])
    elif known is not None and twin.switch("saves_cards"):
        method = customers.save_method(
            twin,
            customer_id=payment["customer_id"],
            card=known,
            exp_month=card["exp_month"],
            exp_year=card["exp_year"],
            holder=card["holder"],
        )
        payment["method_id"] = method["id"]
    discounts.count_use(twin, [discount["discount_id"] for discount in payment["discounts"]])
    return payment


def _shown_session(payment: Doc) -> str | None:
    session_id: str | None = payment["session_id"]
    return None if session_id is None or session_id.startswith(LINK_PREFIX) else session_id


def _named_method(twin: Twin, payment: Doc) -> str | None:
    # The docs call it "saved method used, if any" and their first payments show null; hence the switch.
    if payment["used_saved_method"] or twin.switch("payment_names_method"):
        method_id: str | None = payment["method_id"]
        return method_id
    return None


def _network(twin: Twin, network: str | None) -> str | None:
    return network.upper() if network and twin.switch("card_network_case") == "upper" else network


def _refund_status(twin: Twin, payment: Doc) -> str | None:
    if not payment["refund_ids"]:
        return None
    returned = sum(r["amount"] for r in refunds.refunds_of(twin, payment) if r["status"] == "succeeded")
    if not returned:
        return None
    return "full" if returned >= payment["total"] else "partial"


def _dispute_status(twin: Twin, payment: Doc) -> Any:
    if not payment["dispute_ids"]:
        return None
    return disputes.disputes_of(twin, payment)[-1]["status"]
