"""Subscriptions: what they hold, how they begin, and how the wire shows them."""

from ..billing.pricing import Line
from ..billing.terms import after_cycle, period_fields, plan_of, rules, terms_of
from ..core.clock import rfc3339
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import BRAND_ID, Twin
from ..http.call import Call, Routes, WireError, answer, found, listing, page, query_choice, query_flag, query_time
from ..http.lists import lagging, strip_metadata, window
from ..http.server import Response
from ..money.calendar import next_date
from ..money.proration import beginning, in_trial
from . import customers, discounts

routes = Routes()

STATUSES = ("pending", "active", "on_hold", "paused", "past_due", "cancelled", "failed", "expired")
ENDED = ("cancelled", "failed", "expired")
# A grace period counts as active for access, and for what may be changed.
RUNNING = ("active", "past_due")
HOLDING = (*RUNNING, "on_hold", "paused")


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
    if call.query.get("brand_id", BRAND_ID) != BRAND_ID:
        return listing([], lambda doc: doc)
    since = query_time(call, "created_at_gte")
    until = lagging(call.twin, "subscriptions", query_time(call, "created_at_lte"))
    limit, offset = window(call.twin, "subscriptions", limit=limit, offset=offset)
    docs = call.twin.store.find(
        "subscriptions",
        customer_id=call.query.get("customer_id"),
        where=where,
        since=since,
        until=until,
        limit=limit,
        offset=offset,
    )
    return answer({"items": strip_metadata(call.twin, "subscriptions", [list_item(call.twin, doc) for doc in docs])})


@routes.get("/subscriptions/{subscription_id}")
def get_subscription(call: Call, subscription_id: str) -> Response:
    return answer(serialise(call.twin, known(call.twin, subscription_id)))


@routes.get("/subscriptions/{subscription_id}/usage-history")
def get_usage_history(call: Call, subscription_id: str) -> Response:
    # There are no meters here, so nothing was ever used.
    known(call.twin, subscription_id)
    return listing([], lambda doc: doc)


@routes.get("/subscriptions/{subscription_id}/credit-usage")
def get_credit_usage(call: Call, subscription_id: str) -> Response:
    # Of credit entitlements; the balance that plan changes leave is none of them.
    return answer({"subscription_id": known(call.twin, subscription_id)["id"], "items": []})


def known(twin: Twin, subscription_id: str) -> Doc:
    """Return a subscription; raises the wire's 404."""
    return found(twin.store.get("subscriptions", subscription_id), "Subscription")


def refuse_second(twin: Twin, customer_id: str) -> None:
    """Refuse another subscription of a customer who has one, if the business allows no more than one."""
    if twin.switch("multiple_subscriptions"):
        return
    held = twin.store.find("subscriptions", customer_id=customer_id)
    if any(subscription["status"] in HOLDING for subscription in held):
        raise WireError(
            422, "CUSTOMER_HAS_EXISTING_SUBSCRIPTION", f"Customer {customer_id} has an existing subscription."
        )


def create(
    twin: Twin,
    line: Line,
    *,
    subscription_id: str | None = None,
    customer_id: str,
    billing: Doc,
    pairs: Doc,
    codes: tuple[Doc, ...],
    more: Doc,
) -> Doc:
    """Store a pending subscription for one recurring line of a cart and return it.

    `subscription_id` is that of a pending one to begin anew, `codes` are the cart's discounts, `more` is what its
    checkout asked for: custom_field_responses, tax_id, business_name, fees_inclusive.
    """
    now, trial = twin.clock.now(), line.trial
    pending = twin.store.get("subscriptions", subscription_id)
    terms = terms_of(line.product, line.quantity, list(line.addons))
    given = [{"discount_id": code["id"], "cycles_remaining": code["subscription_cycles"]} for code in codes]
    plan = plan_of(twin, terms, billing=billing, discounts=given)
    first = (
        beginning(plan, now, rules(twin)) if trial is None else in_trial(now, trial.days, line.gross - line.discount)
    )
    subscription: Doc = {
        "id": subscription_id or twin.ids.new("sub_"),
        "created_at": pending["created_at"] if pending else now,
        "customer_id": customer_id,
        "status": "pending",
        **terms,
        **period_fields(first),
        "term_end": next_date(now, *terms["period"]),
        "trial_period_days": trial.days if trial else 0,
        "trial_amount": (trial.amount or None) if trial else None,
        "billing": billing,
        "metadata": pairs,
        "discounts": given,
        "payment_method_id": None,
        "card": {},
        "on_demand": line.on_demand,
        "cancel_at_next_billing_date": False,
        "cancelled_at": None,
        "cancelled_by": None,
        "cancellation_feedback": None,
        "cancellation_comment": None,
        "paused_at": None,
        "past_due_ends_at": None,
        "scheduled_change": None,
        # The payment a plan change waits for, and the one whose failure stopped the subscription.
        "pending_payment_id": None,
        "owed_payment_id": None,
        "timer_at": None,
        **more,
    }
    return save(twin, subscription)


def save(twin: Twin, subscription: Doc) -> Doc:
    """Store a subscription, and see that the clock comes back to it when its period ends."""
    due_at = subscription["period_end"]
    runs = subscription["status"] in RUNNING and not subscription["on_demand"]
    if runs and subscription["timer_at"] != due_at:
        subscription["timer_at"] = due_at
        twin.later(due_at=due_at, action="renew", doc={"subscription_id": subscription["id"], "due_at": due_at})
    twin.store.put("subscriptions", subscription)
    return subscription


def announce(twin: Twin, subscription: Doc, *names: str) -> None:
    """Emit `subscription.<name>` for each, then `subscription.updated`, which follows every change of a field."""
    for name in (*names, "updated"):
        emit(twin, f"subscription.{name}", kind="subscriptions", object_id=subscription["id"])


def activate(twin: Twin, payment: Doc) -> None:
    """Activate the subscriptions a first payment bought."""
    for subscription in of_payment(twin, payment):
        subscription |= {
            "status": "active",
            "payment_method_id": payment["method_id"],
            "card": payment["card"],
        }
        if subscription["trial_paid"] is None:
            subscription["discounts"] = after_cycle(subscription["discounts"])
        save(twin, subscription)
        emit(twin, "subscription.active", kind="subscriptions", object_id=subscription["id"])


def of_payment(twin: Twin, payment: Doc) -> list[Doc]:
    """Return the subscriptions that a payment pays for."""
    named = [twin.store.get("subscriptions", subscription_id) for subscription_id in payment["subscription_ids"]]
    return [subscription for subscription in named if subscription is not None]


def service_period(subscription: Doc, factor: str = "1") -> Doc:
    """Return the subscription's running period as a payment for it shows it."""
    return {
        "subscription_id": subscription["id"],
        "starts_at": rfc3339(subscription["period_start"]),
        "ends_at": rfc3339(subscription["period_end"]),
        "proration_factor": factor,
    }


def serialise(twin: Twin, subscription: Doc) -> Doc:
    """Return the subscription as `GET /subscriptions/{id}` and the subscription webhooks show it."""
    shown = list_item(twin, subscription)
    del shown["product_name"]
    return {
        **shown,
        "brand_id": BRAND_ID,
        "addons": subscription["addons"],
        "meters": [],
        "credit_entitlement_cart": [],
        "meter_credit_entitlement_cart": [],
        "discounts": _discounts(twin, subscription) or None,
        "custom_field_responses": subscription["custom_field_responses"],
        "cancellation_feedback": subscription["cancellation_feedback"],
        "cancellation_comment": subscription["cancellation_comment"],
        # Null while it runs, as in the provider's examples, although the term is known.
        "expires_at": rfc3339(subscription["term_end"]) if subscription["status"] == "expired" else None,
    }


def list_item(twin: Twin, subscription: Doc) -> Doc:
    """Return the subscription as lists show it."""
    count, interval = subscription["frequency"]
    period_count, period_interval = subscription["period"]
    given = subscription["discounts"]
    return {
        "subscription_id": subscription["id"],
        "status": subscription["status"],
        "product_id": subscription["product_id"],
        "product_name": subscription["product_name"],
        "quantity": subscription["quantity"],
        "currency": subscription["currency"],
        "recurring_pre_tax_amount": recurring_pre_tax_amount(twin, subscription),
        "tax_inclusive": subscription["tax_inclusive"],
        "payment_frequency_count": count,
        "payment_frequency_interval": interval,
        "subscription_period_count": period_count,
        "subscription_period_interval": period_interval,
        "previous_billing_date": rfc3339(subscription["period_start"]),
        "next_billing_date": rfc3339(subscription["period_end"]),
        "created_at": rfc3339(subscription["created_at"]),
        "cancelled_at": _shown(subscription["cancelled_at"]),
        "cancelled_by": subscription["cancelled_by"],
        "cancel_at_next_billing_date": subscription["cancel_at_next_billing_date"],
        "on_demand": subscription["on_demand"],
        "trial_period_days": subscription["trial_period_days"],
        "trial_amount": subscription["trial_amount"],
        "customer": customers.limited(twin, subscription["customer_id"]),
        "billing": subscription["billing"],
        "metadata": subscription["metadata"],
        "payment_method_id": subscription["payment_method_id"],
        "has_payment_method": bool(subscription["payment_method_id"] or subscription["card"]),
        "discounts": [
            {"discount_id": one["discount_id"], "discount_cycles_remaining": one["cycles_remaining"]} for one in given
        ],
        "discount_id": given[0]["discount_id"] if given else None,
        "discount_cycles_remaining": given[0]["cycles_remaining"] if given else None,
        "scheduled_change": _scheduled_change(subscription["scheduled_change"]),
        "paused_at": _shown(subscription["paused_at"]),
        "tax_id": subscription["tax_id"],
        "customer_business_name": subscription["business_name"],
    }


def recurring_pre_tax_amount(twin: Twin, subscription: Doc) -> int:
    """Return what a period costs after discounts, in minor units; it contains tax only if the price does."""
    plan = plan_of(twin, subscription, billing=subscription["billing"], discounts=subscription["discounts"])
    return sum(item.net for item in plan.items)


def _discounts(twin: Twin, subscription: Doc) -> list[Doc]:
    shown = []
    for place, given in enumerate(subscription["discounts"]):
        discount = twin.store.get("discounts", given["discount_id"])
        if discount is not None:
            shown.append({**discounts.detail(discount, place), "cycles_remaining": given["cycles_remaining"]})
    return shown


def _scheduled_change(scheduled: Doc | None) -> Doc | None:
    if scheduled is None:
        return None
    terms = scheduled["fields"]
    addons = [item for item in terms["items"] if item["kind"] == "addon"]
    return {
        "id": scheduled["id"],
        "product_id": terms["product_id"],
        "product_name": terms["product_name"],
        "product_description": terms["product_description"],
        "quantity": terms["quantity"],
        "addons": [{"addon_id": item["ref"], "name": item["name"], "quantity": item["quantity"]} for item in addons],
        "effective_at": rfc3339(scheduled["effective_at"]),
        "created_at": rfc3339(scheduled["created_at"]),
    }


def _shown(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)
