"""Changing a subscription: plan changes, charges on demand, another payment method, and PATCH."""

from fractions import Fraction

from ..billing import plan_changes, recurring, renewals
from ..billing.recurring import Charge
from ..billing.subscription_updates import patch
from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError, answer, empty, flag, metadata, read_body, refuse_body, text, whole
from ..http.server import Response
from ..money.bill import Item, line_of
from . import subscriptions
from .subscriptions import known

routes = Routes()


@routes.post("/subscriptions/{subscription_id}/change-plan/preview")
def preview_change(call: Call, subscription_id: str) -> Response:
    subscription = known(call.twin, subscription_id)
    quoted = plan_changes.quote(call.twin, subscription, read_body(call))
    return answer(plan_changes.preview(call.twin, subscription, quoted))


@routes.post("/subscriptions/{subscription_id}/change-plan")
def change_plan(call: Call, subscription_id: str) -> Response:
    body = read_body(call)
    with call.twin.store.write():
        subscription = known(call.twin, subscription_id)
        quoted = plan_changes.quote(call.twin, subscription, body)
        payment = plan_changes.carry_out(call.twin, subscription, quoted)
    # Before August 2026 the body was empty.
    return empty(200) if call.twin.switch("change_plan_answer") == "empty" else answer(_handles(call.twin, payment))


@routes.delete("/subscriptions/{subscription_id}/change-plan/scheduled")
def cancel_scheduled(call: Call, subscription_id: str) -> Response:
    with call.twin.store.write():
        subscription = call.twin.store.get("subscriptions", subscription_id)
        if subscription is None:
            # Documented: 404 says that nothing is scheduled, an unknown subscription is 422.
            raise WireError(422, "INVALID_REQUEST_PARAMETERS", "Subscription not found")
        plan_changes.cancel_scheduled(call.twin, subscription)
    return empty(204)


@routes.post("/subscriptions/{subscription_id}/charge")
def charge_on_demand(call: Call, subscription_id: str) -> Response:
    body = read_body(call)
    with call.twin.store.write():
        subscription = known(call.twin, subscription_id)
        _check_chargeable(call.twin, subscription)
        payment = recurring.charge(call.twin, subscription, _on_demand(subscription, body))
    return answer({"payment_id": payment["id"]})


@routes.post("/subscriptions/{subscription_id}/update-payment-method")
def update_payment_method(call: Call, subscription_id: str) -> Response:
    body = read_body(call)
    if body.get("type") not in ("new", "existing"):
        raise refuse_body("type", "must be new or existing")
    with call.twin.store.write():
        subscription = known(call.twin, subscription_id)
        if subscription["status"] in subscriptions.ENDED:
            raise WireError(422, "SUBSCRIPTION_INACTIVE", "Subscription is not active")
        if body["type"] == "new":
            payment: Doc | None = _ask_for_method(call.twin, subscription, text(body, "return_url", limit=2000))
        else:
            payment = _use_method(call.twin, subscription, text(body, "payment_method_id", required=True))
    return answer(_handles(call.twin, payment))


@routes.patch("/subscriptions/{subscription_id}")
def update_subscription(call: Call, subscription_id: str) -> Response:
    body = read_body(call)
    with call.twin.store.write():
        subscription = known(call.twin, subscription_id)
        events = patch(call.twin, subscription, body)
        subscriptions.save(call.twin, subscription)
        subscriptions.announce(call.twin, subscription, *events)
    return answer(subscriptions.serialise(call.twin, subscription))


def _handles(twin: Twin, payment: Doc | None) -> Doc:
    """Return the four handles of a page to pay on; all null when the stored method settles it."""
    if payment is None:
        return {"payment_id": None, "payment_link": None, "client_secret": None, "expires_on": None}
    link = payment["payment_link"]
    # The page of a bank has no end of its own.
    ends_at = payment.get("expires_at") if link else None
    return {
        "payment_id": payment["id"],
        "payment_link": link,
        "client_secret": twin.ids.client_secret(payment["id"]) if link else None,
        "expires_on": None if ends_at is None else rfc3339(ends_at),
    }


def _check_chargeable(twin: Twin, subscription: Doc) -> None:
    if subscription["status"] == "expired":
        raise WireError(422, "SUBSCRIPTION_EXPIRED", "Subscription expired cannot create new charges")
    if subscription["status"] != "active":
        raise WireError(422, "SUBSCRIPTION_INACTIVE", "Subscription is not active")
    if not subscription["on_demand"]:
        raise WireError(422, "SUBSCRIPTION_NOT_ON_DEMAND", "Subscription is already not on demand")
    if subscription["cancel_at_next_billing_date"]:
        raise WireError(422, "CHARGE_NOT_ALLOWED_FOR_SCHEDULED_CANCELLATION", "Subscription scheduled for cancellation")
    last = twin.store.find("payments", customer_id=subscription["customer_id"], limit=1)
    if last and subscription["id"] in last[0]["subscription_ids"] and last[0]["status"] not in ("succeeded", "failed"):
        raise WireError(
            409, "PREVIOUS_PAYMENT_PENDING", "Cannot create new charge as previous payment is not successful yet"
        )


def _on_demand(subscription: Doc, body: Doc) -> Charge:
    price = whole(body, "product_price", least=1)
    if body.get("product_currency") not in (None, subscription["currency"]):
        raise WireError(422, "UNSUPPORTED_CURRENCY", "The charge must have the subscription's currency")
    config = body.get("customer_balance_config") or {}
    if not isinstance(config, dict):
        raise refuse_body("customer_balance_config", "must be an object")
    plan = subscription["items"][0]
    item = Item("subscription", plan["ref"], price, 1, 0, 0, plan["tax_inclusive"])
    name = text(body, "product_description") or plan["name"]
    effect: Doc = {
        "what": "on_demand",
        "fields": {},
        "on_payment_failure": None,
        "uses_credit": flag(config, "allow_customer_credits_usage", default=True),
    }
    pairs = metadata(body) if body.get("metadata") is not None else subscription["metadata"]
    return Charge((line_of(item, Fraction(1)),), "on_demand", effect, [{**plan, "name": name}], pairs)


def _ask_for_method(twin: Twin, subscription: Doc, return_url: str | None) -> Doc:
    """Begin the payment that a new method is given with: what is owed, or nothing."""
    failed = twin.store.get("payments", subscription["owed_payment_id"])
    if failed is not None:
        begun = recurring.begin_again(twin, failed, sets_method=True, return_url=return_url)
        return recurring.offer_link(twin, begun)
    effect: Doc = {"what": "method", "fields": {}, "on_payment_failure": None, "sets_method": True}
    asked = Charge((), "renewal", effect, [], subscription["metadata"], return_url=return_url)
    return recurring.offer_link(twin, recurring.begin(twin, subscription, asked))


def _use_method(twin: Twin, subscription: Doc, method_id: str | None) -> Doc | None:
    """Put a saved method on a subscription and charge it what is owed; returns that payment."""
    method = twin.store.get("payment_methods", method_id)
    if method is None or method["customer_id"] != subscription["customer_id"] or method["deleted"]:
        raise WireError(422, "NO_ELIGIBLE_PAYMENT_METHODS")
    subscription["payment_method_id"] = method["id"]
    subscriptions.save(twin, subscription)
    subscriptions.announce(twin, subscription, "update_payment_method")
    return renewals.pay_dues(twin, subscription)
