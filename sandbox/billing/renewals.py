"""What happens when a period ends: the renewal, the change that was scheduled instead, or the end."""

from ..core.store import Doc
from ..core.twin import Twin
from ..money.currency import minimum_charge
from ..money.proration import following
from ..money.proration import renew as renewal_bill
from ..resources import subscriptions
from . import credits, recurring
from .recurring import Charge
from .terms import after_cycle, period_fields, period_of, plan_of, rules


def at_period_end(twin: Twin, doc: Doc) -> None:
    """Do what is due at a period's end; a timer whose period was moved since does nothing."""
    subscription = twin.store.get("subscriptions", doc["subscription_id"])
    if subscription is None or subscription["period_end"] != doc["due_at"]:
        return
    if subscription["status"] not in subscriptions.RUNNING or subscription["on_demand"]:
        return
    if subscription["cancel_at_next_billing_date"]:
        _end(twin, subscription, "cancelled")
    elif subscription["period_end"] >= subscription["term_end"]:
        _end(twin, subscription, "expired")
    else:
        renew(twin, subscription)


def renew(twin: Twin, subscription: Doc) -> Doc:
    """Charge the next period, or the change scheduled for it, and return the payment.

    Events: payment.succeeded, subscription.renewed; or payment.failed and what the failure leads to.
    """
    scheduled = subscription["scheduled_change"]
    if scheduled is not None and scheduled["effective_at"] <= subscription["period_end"]:
        return _charge_scheduled(twin, subscription, scheduled)
    return recurring.charge(twin, subscription, _renewal(twin, subscription))


def retry(twin: Twin, doc: Doc) -> None:
    """Try a failed charge again, if it is still owed."""
    subscription = twin.store.get("subscriptions", doc["subscription_id"])
    if subscription is not None and subscription["owed_payment_id"] == doc["payment_id"]:
        pay_dues(twin, subscription)


def pay_dues(twin: Twin, subscription: Doc) -> Doc | None:
    """Charge what a stopped subscription owes and return the payment; None if it owes nothing."""
    failed = twin.store.get("payments", subscription["owed_payment_id"])
    return None if failed is None else recurring.charge_again(twin, subscription, failed)


def expire_link(twin: Twin, doc: Doc) -> None:
    """End a payment link nobody used."""
    payment = twin.store.get("payments", doc["payment_id"])
    if payment is not None:
        recurring.cancel_link(twin, payment)


def end_grace(twin: Twin, doc: Doc) -> None:
    """End a grace period in which nothing was paid."""
    subscription = twin.store.get("subscriptions", doc["subscription_id"])
    if subscription is None or subscription["past_due_ends_at"] != doc["ends_at"]:
        return
    subscription["past_due_ends_at"] = None
    if twin.switch("grace_end") == "cancelled":
        _end(twin, subscription, "cancelled")
    else:
        subscription["status"] = "on_hold"
        subscriptions.save(twin, subscription)
        subscriptions.announce(twin, subscription, "on_hold")


def _renewal(twin: Twin, subscription: Doc) -> Charge:
    using, given = rules(twin), subscription["discounts"]
    plan = plan_of(twin, subscription, billing=subscription["billing"], discounts=given)
    bill = renewal_bill(
        plan,
        balance=credits.balance(twin, subscription),
        minimum=minimum_charge(subscription["currency"]),
        rules=using,
    )
    following_period = following(plan, period_of(subscription), using)
    fields = {**period_fields(following_period), "discounts": after_cycle(given)}
    effect = {"what": "renewal", "fields": fields, "on_payment_failure": None}
    return Charge(bill.lines, "renewal", effect, subscription["items"], subscription["metadata"])


def _charge_scheduled(twin: Twin, subscription: Doc, scheduled: Doc) -> Doc:
    """Charge the new plan's full price instead of the renewal."""
    using = rules(twin)
    new = {**subscription, **scheduled["fields"]}
    plan = plan_of(twin, new, billing=new["billing"], discounts=new["discounts"])
    bill = renewal_bill(
        plan, balance=credits.balance(twin, subscription), minimum=minimum_charge(new["currency"]), rules=using
    )
    fields = {
        **scheduled["fields"],
        **period_fields(following(plan, period_of(subscription), using)),
        "discounts": after_cycle(new["discounts"]),
    }
    effect = {"what": "scheduled", "fields": fields, "on_payment_failure": scheduled["on_payment_failure"]}
    asked = Charge(bill.lines, "plan_change", effect, new["items"], scheduled["metadata"], discounts=scheduled["codes"])
    return recurring.charge(twin, subscription, asked)


def _end(twin: Twin, subscription: Doc, status: str) -> None:
    subscription |= {"status": status, "scheduled_change": None}
    if status == "cancelled":
        subscription["cancelled_at"] = twin.clock.now()
    subscriptions.save(twin, subscription)
    subscriptions.announce(twin, subscription, status)
