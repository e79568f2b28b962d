"""What PATCH may change of a subscription: its end, its pause, its dates, and what it says of its customer."""

from ..core.clock import parse_rfc3339
from ..core.places import SUPPORTED_COUNTRIES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError, flag, metadata, refuse_body, required_text, text, unsupported_country, whole
from ..money.calendar import INTERVALS, next_date
from ..resources import subscriptions

FEEDBACK = ("too_expensive", "missing_features", "switched_service", "unused", "customer_service", "low_quality",
            "too_complex", "other")  # fmt: skip
REASONS = ("cancelled_by_customer", "cancelled_by_merchant", "cancelled_by_merchant_send_dunning",
           "cancelled_by_merchant_grace_period_expired", "dodo_team")  # fmt: skip
ADDRESS_FIELDS = ("street", "city", "state", "zipcode")


def patch(twin: Twin, subscription: Doc, body: Doc) -> list[str]:
    """Change a subscription as a body says and return the events' names, `updated` apart. Raises WireError."""
    if body.get("pause") is not None:
        raise refuse_body("pause", "is no longer supported; send status: paused or active")
    status = body.get("status")
    if status in ("paused", "active"):
        if sum(value is not None for value in body.values()) > 1:
            raise refuse_body("status", f"{status} must be sent alone")
        return [_pause(twin, subscription) if status == "paused" else _resume(twin, subscription)]
    if status not in (None, "cancelled"):
        raise refuse_body("status", "can be set to cancelled, paused or active")
    _patch_details(twin, subscription, body)
    _patch_dates(twin, subscription, body)
    return _patch_end(twin, subscription, body)


def _pause(twin: Twin, subscription: Doc) -> str:
    if subscription["status"] == "paused":
        raise WireError(422, "SUBSCRIPTION_ALREADY_PAUSED", "Subscription is already paused")
    scheduled = subscription["cancel_at_next_billing_date"] or subscription["pending_payment_id"] is not None
    if subscription["status"] != "active" or subscription["on_demand"] or scheduled:
        raise WireError(422, "SUBSCRIPTION_NOT_ELIGIBLE_FOR_PAUSE", "Subscription is not eligible for pause")
    if not (subscription["payment_method_id"] or subscription["card"]):
        raise WireError(422, "SUBSCRIPTION_PAUSE_REQUIRES_PAYMENT_METHOD", "A pause requires a payment method")
    subscription |= {"status": "paused", "paused_at": twin.clock.now()}
    return "paused"


def _resume(twin: Twin, subscription: Doc) -> str:
    """Let a paused subscription run on: the pause is added to its period and to its term."""
    if subscription["status"] != "paused":
        raise WireError(422, "SUBSCRIPTION_NOT_PAUSED", "Subscription is not paused")
    paused_for = twin.clock.now() - subscription["paused_at"]
    subscription |= {
        "status": "active",
        "paused_at": None,
        "period_end": subscription["period_end"] + paused_for,
        "term_end": subscription["term_end"] + paused_for,
        "anchor_day": None,
    }
    return "unpaused"


def _patch_details(twin: Twin, subscription: Doc, body: Doc) -> None:
    if body.get("metadata") is not None:
        subscription["metadata"] = metadata(body)
    if body.get("billing") is not None:
        subscription["billing"] = _read_billing(body)
    for field, key in (("tax_id", "tax_id"), ("customer_business_name", "business_name")):
        if field in body:
            subscription[key] = text(body, field, limit=250)
    if body.get("customer_name") is not None:
        customer = twin.store.get("customers", subscription["customer_id"])
        assert customer is not None
        twin.store.put("customers", {**customer, "name": required_text(body, "customer_name", limit=250)})


def _patch_dates(twin: Twin, subscription: Doc, body: Doc) -> None:
    if body.get("disable_on_demand") is not None:
        _disable_on_demand(twin, subscription, body["disable_on_demand"])
    if body.get("next_billing_date") is not None:
        _refuse_ended(subscription)
        subscription |= {"period_end": _future(twin, body, "next_billing_date"), "anchor_day": None}
    count, interval = body.get("subscription_period_count"), body.get("subscription_period_interval")
    if count is None and interval is None:
        return
    number = subscription["period"][0] if count is None else whole(body, "subscription_period_count", least=1)
    unit = subscription["period"][1] if interval is None else _interval(interval)
    term_end = next_date(subscription["created_at"], number, unit)
    if term_end < subscription["term_end"]:
        raise WireError(422, "INVALID_REQUEST_PARAMETERS", "A subscription period can only be extended")
    subscription |= {"period": [number, unit], "term_end": term_end}


def _patch_end(twin: Twin, subscription: Doc, body: Doc) -> list[str]:
    feedback, reason = body.get("cancellation_feedback"), body.get("cancel_reason")
    if feedback is not None and feedback not in FEEDBACK:
        raise refuse_body("cancellation_feedback", f"must be one of {', '.join(FEEDBACK)}")
    if reason is not None and reason not in REASONS:
        raise refuse_body("cancel_reason", f"must be one of {', '.join(REASONS)}")
    if feedback is not None:
        subscription["cancellation_feedback"] = feedback
    if body.get("cancellation_comment") is not None:
        subscription["cancellation_comment"] = text(body, "cancellation_comment")
    actor = {"actor_type": "customer" if reason == "cancelled_by_customer" else "api_key"}
    if body.get("cancel_at_next_billing_date") is not None:
        _refuse_ended(subscription)
        scheduled = flag(body, "cancel_at_next_billing_date")
        subscription |= {"cancel_at_next_billing_date": scheduled, "cancelled_by": actor if scheduled else None}
    if body.get("status") != "cancelled":
        return []
    _refuse_ended(subscription)
    # What it owed is tried no more: the documentation does not say, but an ended one has nothing left to pay for.
    ended = {"status": "cancelled", "cancelled_at": twin.clock.now(), "cancelled_by": actor}
    subscription |= {**ended, "owed_payment_id": None}
    return ["cancelled"]


def _disable_on_demand(twin: Twin, subscription: Doc, body: object) -> None:
    if not isinstance(body, dict):
        raise refuse_body("disable_on_demand", "must be an object")
    if not subscription["on_demand"]:
        raise WireError(422, "SUBSCRIPTION_NOT_ON_DEMAND", "Subscription is already not on demand")
    end = _future(twin, body, "next_billing_date")
    subscription |= {"on_demand": False, "period_start": twin.clock.now(), "period_end": end, "anchor_day": None}


def _future(twin: Twin, body: Doc, field: str) -> int:
    try:
        moment = parse_rfc3339(required_text(body, field))
    except ValueError:
        raise refuse_body(field, "must be an RFC 3339 time") from None
    if moment <= twin.clock.now():
        raise WireError(422, "INVALID_REQUEST_PARAMETERS", f"Cannot change {field} to past time")
    return moment


def _refuse_ended(subscription: Doc) -> None:
    if subscription["status"] in subscriptions.ENDED:
        raise WireError(422, "SUBSCRIPTION_INACTIVE", "Subscription is not active")


def _interval(value: object) -> str:
    if value not in INTERVALS:
        raise refuse_body("subscription_period_interval", f"must be one of {', '.join(INTERVALS)}")
    return str(value)


def _read_billing(body: Doc) -> Doc:
    address = body["billing"]
    if not isinstance(address, dict):
        raise refuse_body("billing", "must be an object")
    country = required_text(address, "country", limit=2)
    if country not in SUPPORTED_COUNTRIES:
        raise unsupported_country(country)
    return {"country": country, **{name: text(address, name, limit=250) for name in ADDRESS_FIELDS}}
