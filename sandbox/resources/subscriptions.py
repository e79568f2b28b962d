"""Subscriptions, as far as a first purchase makes them."""

from ..billing.pricing import Line
from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, Twin
from ..http.call import Call, Routes, answer, found, listing, page, query_choice, query_flag, query_time
from ..http.server import Response
from ..money.calendar import next_date
from . import customers

routes = Routes()

STATUSES = ("pending", "active", "on_hold", "paused", "past_due", "cancelled", "failed", "expired")


@routes.get("/subscriptions")
def list_subscriptions(call: Call) -> Response:
    limit, offset = page(call)
    where: Doc = {}
    for name, value in (
        ("status", query_choice(call, "status", STATUSES)),
        ("product_id", call.query.get("product_id")),
    ):
        if value:
            where[name] = value
    cancelling = query_flag(call, "cancel_at_next_billing_date")
    if cancelling is not None:
        where["cancel_at_next_billing_date"] = int(cancelling)
    docs = call.twin.store.find(
        "subscriptions",
        customer_id=call.query.get("customer_id"),
        where=where,
        since=query_time(call, "created_at_gte"),
        until=query_time(call, "created_at_lte"),
        limit=limit,
        offset=offset,
    )
    return listing(docs, lambda doc: list_item(call.twin, doc))


@routes.get("/subscriptions/{subscription_id}")
def get_subscription(call: Call, subscription_id: str) -> Response:
    return answer(serialise(call.twin, found(call.twin.store.get("subscriptions", subscription_id), "Subscription")))


def create(twin: Twin, line: Line, *, customer_id: str, billing: Doc, pairs: Doc, more: Doc) -> Doc:
    """Store a pending subscription for one recurring line of a cart and return it.

    `more` is what its checkout asked for: custom_field_responses, tax_id, business_name.
    """
    price, now = line.product["price"], twin.clock.now()
    subscription: Doc = {
        "id": twin.ids.new("sub_"),
        "created_at": now,
        "customer_id": customer_id,
        "status": "pending",
        "product_id": line.product["id"],
        "product_name": line.product["name"],
        "quantity": line.quantity,
        "currency": price["currency"],
        "unit_price": price["price"],
        "tax_inclusive": price["tax_inclusive"],
        "frequency": [price["payment_frequency_count"], price["payment_frequency_interval"]],
        "period": [price["subscription_period_count"], price["subscription_period_interval"]],
        "trial_period_days": price["trial_period_days"],
        "period_start": now,
        "period_end": next_date(now, price["payment_frequency_count"], price["payment_frequency_interval"]),
        "billing": billing,
        "metadata": pairs,
        **more,
        "payment_method_id": None,
        "cancel_at_next_billing_date": False,
    }
    twin.store.put("subscriptions", subscription)
    return subscription


def activate(twin: Twin, payment: Doc) -> None:
    """Activate the subscriptions a first payment bought."""
    for subscription in _of_payment(twin, payment):
        subscription |= {"status": "active", "payment_method_id": payment["method_id"]}
        twin.store.put("subscriptions", subscription)
        emit(twin, "subscription.active", kind="subscriptions", object_id=subscription["id"])


def renewed(twin: Twin, payment: Doc) -> None:
    """Announce a paid period; the provider does so for the first charge too (FAQ Q64)."""
    for subscription in _of_payment(twin, payment):
        emit(twin, "subscription.renewed", kind="subscriptions", object_id=subscription["id"])


def fail(twin: Twin, payment: Doc) -> None:
    """End the subscriptions whose first payment failed; `failed` is terminal."""
    for subscription in _of_payment(twin, payment):
        twin.store.put("subscriptions", {**subscription, "status": "failed"})
        emit(twin, "subscription.failed", kind="subscriptions", object_id=subscription["id"])


def begin_next_period(twin: Twin, subscription: Doc) -> Doc:
    """Move a subscription into its next period and return it."""
    start = subscription["period_end"]
    subscription |= {"period_start": start, "period_end": next_date(start, *subscription["frequency"])}
    twin.store.put("subscriptions", subscription)
    return subscription


def service_periods(twin: Twin, subscription_ids: list[str]) -> list[Doc]:
    """Return the periods a payment pays for, one for each subscription."""
    periods = []
    for subscription_id in subscription_ids:
        subscription = twin.store.get("subscriptions", subscription_id)
        if subscription is not None:
            periods.append(
                {
                    "subscription_id": subscription_id,
                    "starts_at": rfc3339(subscription["period_start"]),
                    "ends_at": rfc3339(subscription["period_end"]),
                    "proration_factor": "1",
                }
            )
    return periods


def serialise(twin: Twin, subscription: Doc) -> Doc:
    """Return the subscription as `GET /subscriptions/{id}` shows it."""
    shown = list_item(twin, subscription)
    del shown["product_name"]
    return {
        **shown,
        "brand_id": BRAND_ID,
        "addons": [],
        "meters": [],
        "credit_entitlement_cart": [],
        "meter_credit_entitlement_cart": [],
        "discounts": None,
        "custom_field_responses": subscription.get("custom_field_responses"),
        "cancellation_feedback": None,
        "cancellation_comment": None,
        "expires_at": None,
    }


def list_item(twin: Twin, subscription: Doc) -> Doc:
    """Return the subscription as lists show it."""
    count, interval = subscription["frequency"]
    period_count, period_interval = subscription["period"]
    return {
        "subscription_id": subscription["id"],
        "status": subscription["status"],
        "product_id": subscription["product_id"],
        "product_name": subscription["product_name"],
        "quantity": subscription["quantity"],
        "currency": subscription["currency"],
        "recurring_pre_tax_amount": subscription["unit_price"] * subscription["quantity"],
        "tax_inclusive": bool(subscription["tax_inclusive"]),
        "payment_frequency_count": count,
        "payment_frequency_interval": interval,
        "subscription_period_count": period_count,
        "subscription_period_interval": period_interval,
        "previous_billing_date": rfc3339(subscription["period_start"]),
        "next_billing_date": rfc3339(subscription["period_end"]),
        "created_at": rfc3339(subscription["created_at"]),
        "cancelled_at": None,
        "cancelled_by": None,
        "cancel_at_next_billing_date": subscription["cancel_at_next_billing_date"],
        "on_demand": False,
        "trial_period_days": subscription["trial_period_days"],
        "trial_amount": None,
        "customer": customers.limited(twin, subscription["customer_id"]),
        "billing": subscription["billing"],
        "metadata": subscription["metadata"],
        "payment_method_id": subscription["payment_method_id"],
        "has_payment_method": subscription["payment_method_id"] is not None,
        "discounts": [],
        "discount_id": None,
        "discount_cycles_remaining": None,
        "scheduled_change": None,
        "paused_at": None,
        "tax_id": subscription.get("tax_id"),
        "customer_business_name": subscription.get("business_name"),
    }


def _of_payment(twin: Twin, payment: Doc) -> list[Doc]:
    found = [twin.store.get("subscriptions", subscription_id) for subscription_id in payment["subscription_ids"]]
    return [subscription for subscription in found if subscription is not None]
