"""What the outcome of a payment does to the subscriptions it was for, and the events that tell of it, in order.

A payment carries its `effect`, decided when it was charged:
`{"what": renewal | change | scheduled | on_demand | method, "fields": what the subscription becomes when it is paid,
"on_payment_failure": prevent_change | apply_change, "sets_method": whether its card becomes the subscription's,
"uses_credit": false if it leaves the balance alone}`.
"""

from ..core.clock import DAY_MS
from ..core.events import emit
from ..core.store import Doc
from ..core.twin import Twin
from ..money.proration import beginning
from ..resources import licenses, subscriptions
from . import credits, dunning
from .terms import period_fields, plan_of, rules

EVENT_OF = {"renewal": "renewed", "change": "plan_changed", "scheduled": "plan_changed"}


def settle(twin: Twin, payment: Doc) -> None:
    """Announce a payment's new status and do what follows from it."""
    status = payment["status"]
    if status == "succeeded":
        if payment["charge_type"] == "new":
            subscriptions.activate(twin, payment)
        _announce_payment(twin, payment, "succeeded")
        _paid(twin, payment)
        if payment["charge_type"] in (None, "new"):
            licenses.issue(twin, payment, names_payment=not leaves_no_payment(twin, payment))
    elif status in ("failed", "cancelled"):
        _announce_payment(twin, payment, status)
        _unpaid(twin, payment)
    else:
        # There is no payment.requires_customer_action: a pending authentication arrives as processing.
        _announce_payment(twin, payment, "processing")


def apply_change(twin: Twin, subscription: Doc, fields: Doc) -> None:
    """Put a subscription on its new plan and say so."""
    subscription |= {**fields, "scheduled_change": None}
    subscriptions.save(twin, subscription)
    subscriptions.announce(twin, subscription, "plan_changed")


def leaves_no_payment(twin: Twin, payment: Doc) -> bool:
    """Tell whether this began a free trial, of which the switch says that no payment is left."""
    begins = payment["status"] == "succeeded" and payment["charge_type"] == "new" and payment["total"] == 0
    if not begins or twin.switch("free_trial") != "no_payment":
        return False
    return all(subscription["trial_paid"] == 0 for subscription in subscriptions.of_payment(twin, payment))


def _announce_payment(twin: Twin, payment: Doc, name: str) -> None:
    if leaves_no_payment(twin, payment):
        return
    emit(twin, f"payment.{name}", kind="payments", object_id=payment["id"])


def _paid(twin: Twin, payment: Doc) -> None:
    for subscription in subscriptions.of_payment(twin, payment):
        if payment["effect"] is not None:
            _apply_paid(twin, subscription, payment)
        elif subscription["trial_paid"] is None:
            # The provider announces the first charge as a renewal too (FAQ Q64); a trial is none yet.
            emit(twin, "subscription.renewed", kind="subscriptions", object_id=subscription["id"])


def _apply_paid(twin: Twin, subscription: Doc, payment: Doc) -> None:
    if subscription["status"] in subscriptions.ENDED:
        # It ended while the payment was on its way; the money is the merchant's to give back.
        return
    effect, was = payment["effect"], subscription["status"]
    # A card changed in a pause does not end the pause.
    status = was if was == "paused" else "active"
    subscription |= {**_fields_now(twin, subscription, effect), "status": status, "past_due_ends_at": None}
    if effect["what"] in ("change", "scheduled"):
        subscription["scheduled_change"] = None
    if subscription["pending_payment_id"] == payment["id"]:
        subscription["pending_payment_id"] = None
    if subscription["owed_payment_id"] is not None:
        _withdraw_links(twin, subscription, payment)
    if effect.get("sets_method"):
        subscription |= {"payment_method_id": payment["method_id"], "card": payment["card"]}
        emit(twin, "subscription.update_payment_method", kind="subscriptions", object_id=subscription["id"])
    subscription["owed_payment_id"] = None
    subscriptions.save(twin, subscription)
    events = ["active"] if was in ("on_hold", "past_due") else []
    # What is paid late after apply_change was announced when it was applied.
    if effect["what"] in EVENT_OF and not (payment["retry_attempt"] and effect["what"] != "renewal"):
        events.append(EVENT_OF[effect["what"]])
    if events or effect["what"] == "method":
        subscriptions.announce(twin, subscription, *events)
    dunning.recovered(twin, subscription, payment)


def _withdraw_links(twin: Twin, subscription: Doc, paid: Doc) -> None:
    """End the other links on which the same dues could be paid once more."""
    open_ones = twin.store.find(
        "payments", customer_id=subscription["customer_id"], where={"status": "requires_payment_method"}
    )
    for payment in open_ones:
        if payment["id"] != paid["id"] and payment["effect"] and subscription["id"] in payment["subscription_ids"]:
            twin.later(due_at=twin.clock.now(), action="expire_link", doc={"payment_id": payment["id"]})


def _fields_now(twin: Twin, subscription: Doc, effect: Doc) -> Doc:
    """Return what becomes of a subscription; a period that is over by now begins today instead (our choice)."""
    fields: Doc = effect["fields"]
    if fields.get("period_end", twin.clock.now() + 1) > twin.clock.now():
        return fields
    sold = {**subscription, **fields}
    plan = plan_of(twin, sold, billing=sold["billing"], discounts=sold["discounts"])
    return {**fields, **period_fields(beginning(plan, twin.clock.now(), rules(twin)))}


def _unpaid(twin: Twin, payment: Doc) -> None:
    for subscription in subscriptions.of_payment(twin, payment):
        credits.put_back(twin, subscription, payment["id"])
        if payment["charge_type"] == "new":
            # `failed` is terminal: the first payment was not made.
            twin.store.put("subscriptions", {**subscription, "status": "failed"})
            emit(twin, "subscription.failed", kind="subscriptions", object_id=subscription["id"])
        elif payment["effect"] is not None and subscription["status"] not in subscriptions.ENDED:
            _apply_unpaid(twin, subscription, payment)


def _apply_unpaid(twin: Twin, subscription: Doc, payment: Doc) -> None:
    effect = payment["effect"]
    if subscription["pending_payment_id"] == payment["id"]:
        subscription["pending_payment_id"] = None
        subscriptions.save(twin, subscription)
    if effect["what"] == "method" or (payment["retry_attempt"] and subscription["owed_payment_id"] is None):
        # Nothing was owed, or it was paid in another way meanwhile.
        return
    if effect["what"] in ("renewal", "on_demand") or payment["retry_attempt"]:
        _stop(twin, subscription, payment)
    elif effect["on_payment_failure"] == "apply_change":
        apply_change(twin, subscription, effect["fields"])
        _stop(twin, subscription, payment)
    elif effect["what"] == "scheduled":
        _renew_old_plan(twin, subscription)


def _stop(twin: Twin, subscription: Doc, payment: Doc) -> None:
    """Put a subscription on hold, or into its grace period if there is one; what is owed stays owed."""
    first_time = subscription["status"] == "active"
    subscription["owed_payment_id"] = payment["id"]
    grace_days = int(twin.switch("grace_period_days"))
    if first_time and grace_days and payment["effect"]["what"] == "renewal":
        ends_at = twin.clock.now() + grace_days * DAY_MS
        subscription |= {"status": "past_due", "past_due_ends_at": ends_at}
        doc = {"subscription_id": subscription["id"], "ends_at": ends_at}
        twin.later(due_at=ends_at, action="end_grace", doc=doc)
    elif first_time:
        subscription["status"] = "on_hold"
    subscriptions.save(twin, subscription)
    if first_time:
        subscriptions.announce(twin, subscription, subscription["status"])
    dunning.plan_retry(twin, subscription, payment)


def _renew_old_plan(twin: Twin, subscription: Doc) -> None:
    """Drop a scheduled change that was not paid; the old plan renews, with the usual retries."""
    subscription["scheduled_change"] = None
    subscriptions.save(twin, subscription)
    subscriptions.announce(twin, subscription)
    due_at = subscription["period_end"]
    twin.later(due_at=twin.clock.now(), action="renew", doc={"subscription_id": subscription["id"], "due_at": due_at})
