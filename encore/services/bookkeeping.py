"""What every use case of the charge protocol writes beside its own change: ledger, attribution, next look.

Call these inside `store.write()`, so that a fact and its record commit together.
"""

from typing import Any, cast

from encore import tokens
from encore.rules.attempts import AttemptEvent, AttemptKind, Outcome, leaving, transition
from encore.rules.money import Money
from encore.services.shop import Shop
from encore.store import (
    acceptances,
    alarms,
    attempts,
    budgets,
    checkouts,
    customers,
    ledger,
    offer_instances,
    orders,
    outbox,
)
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order

OWNER = "owner"


def record(shop: Shop, event: str, **facts: Any) -> None:
    """Append a fact to the ledger."""
    ledger.insert_entry(shop.store, {"event": event, **facts}, now=shop.now())


# An outcome is entered from these only: a yes that was paid never falls back to "needs the checkout".
_ENTERED_FROM: dict[Outcome, tuple[str, ...]] = {
    "open": (),
    "needs_checkout": ("open",),
    "closed": ("open", "needs_checkout"),
    "charged": ("open", "needs_checkout", "closed"),
    "refunded": ("open", "needs_checkout", "closed"),
}


def apply_event(
    shop: Shop,
    attempt: Attempt,
    event: AttemptEvent,
    *,
    reason: str | None = None,
    decline_code: str | None = None,
    next_check_at: int | None = None,
    acceptance: Acceptance | None = None,
) -> bool:
    """Do to an attempt and its yes what the table says of `event`, and record it.

    `acceptance` is its yes, if this transaction has read it. False if the attempt has meanwhile left every state the
    event may leave, which is never an error: read it again.
    """
    acceptance = acceptance or acceptances.get_acceptance(shop.store, attempt.acceptance_id)
    kind = cast(AttemptKind, attempt.kind)
    allowed = leaving(kind, event)
    move = transition(
        kind, allowed[0], event=event, undo_asked=acceptance is not None and acceptance.undo_at is not None
    )
    if acceptance is None or move is None or move.to is None:
        return False
    # Seen again in the state it has is no news; only a new reason for a failure is worth a row.
    states = allowed if decline_code else tuple(state for state in allowed if state != move.to)
    now = shop.now()
    if not attempts.mark_state(
        shop.store,
        attempt.id,
        state=move.to,
        leaving=states,
        now=now,
        reason=reason,
        decline_code=decline_code,
        next_check_at=next_check_at,
    ):
        return False
    if attempt.state == "unknown":
        clear_alarm(shop, "unknown_too_old", object_id=attempt.id)
    record(shop, "attempt.moved", attempt_id=attempt.id, state=move.to, cause=event, reason=reason)
    if move.outcome is not None:
        acceptances.mark_outcome(
            shop.store,
            acceptance.id,
            outcome=move.outcome,
            leaving=_ENTERED_FROM[move.outcome],
            now=now,
            reason=reason or event,
        )
    if move.outcome in ("needs_checkout", "closed"):
        offer_instances.insert_event(shop.store, acceptance.offer_instance_id, kind="failed", now=now)
    if move.to == "unknown":
        offer_instances.insert_event(shop.store, acceptance.offer_instance_id, kind="unknown", now=now)
    return True


def take_spend(shop: Shop, customer_id: str, amount: Money) -> bool:
    """Count a one-click charge against the customer's day; False if a cap is reached."""
    return budgets.take_spend(
        shop.store,
        customer_id=customer_id,
        currency=amount.currency,
        amount=amount.minor,
        now=shop.now(),
        most_charges=shop.settings.one_click_per_day,
        most_amount=shop.settings.one_click_cap(amount.currency),
    )


def look_after_ms(shop: Shop, looks: int) -> int:
    """How long to wait before the next look after this many looks, in milliseconds."""
    schedule = shop.settings.looks_s
    return int(1000 * (schedule[looks] if looks < len(schedule) else shop.settings.look_every_s))


def return_url(shop: Shop, instance: OfferInstance) -> str:
    """The one address a buyer comes back to from any page of the provider: that of the first order.

    From a recommendation they come back to its own page: the order may be a year old, and its return page is for the
    browser that paid it.
    """
    if instance.is_recommendation:
        return f"{shop.settings.public_url}/o/{instance.id}"
    return f"{shop.settings.public_url}/r/{ref_of(shop, first_order_of(shop, instance))}"


def first_order_of(shop: Shop, instance: OfferInstance) -> Order:
    """Return the first order that an offer's own order is filed under."""
    first = find_first_order(shop, instance)
    if first is None:
        raise ValueError(f"{instance.follows} is not an order")
    return first


def find_first_order(shop: Shop, instance: OfferInstance) -> Order | None:
    """Return the first order that an instance goes back to, None for a change of a plan that follows none."""
    order = orders.get_order(shop.store, instance.follows)
    return orders.get_order(shop.store, order.first_order_id) if order and order.first_order_id else order


def ref_of(shop: Shop, order: Order) -> str:
    """Return the reference of the checkout that made this first order."""
    if order.checkout_id is None:
        raise ValueError(f"{order.id} is not a first order")
    checkout = checkouts.get_checkout(shop.store, order.checkout_id)
    if checkout is None:
        raise ValueError(f"{order.checkout_id} is gone")
    return checkout.ref


def attribution(shop: Shop, instance: OfferInstance, *, role: str, attempt_id: str, customer_id: str) -> dict[str, str]:
    """Return the metadata that goes with a charge: where it comes from (R11), and the signed mark that it is ours."""
    origin = {"first_order": instance.source_ref}
    if instance.is_recommendation:
        # It may come again after the same order: what it was opened as tells one from the other.
        origin = {"first_order": first_order_of(shop, instance).id, "occasion": instance.source_ref}
    return {
        "attempt_id": attempt_id,
        "attempt_sig": tokens.sign_mark(shop.settings.attempt_sig_keys, attempt_id, customer_id),
        "offer_id": instance.offer_id,
        "offer_version": str(instance.offer_version),
        "funnel_id": instance.funnel_id,
        "funnel_version": str(instance.funnel_version),
        # A buyer's own change of plan has no funnel: what its row keeps there is no step of one.
        "step": instance.step_key if instance.funnel_id else "",
        **origin,
        "placement": instance.placement,
        "role": role,
    }


def tell_buyer(shop: Shop, kind: str, *, dedup: str, customer_id: str, language: str, facts: dict[str, Any]) -> None:
    """Queue a message to a buyer, once; without a known address there is nobody to tell."""
    customer = customers.get_customer(shop.store, customer_id)
    if customer is None or not customer.email:
        return
    outbox.insert_message(
        shop.store,
        kind=kind,
        dedup_key=f"{kind}:{dedup}",
        recipient=customer.email,
        language=language,
        payload=facts,
        now=shop.now(),
    )


def raise_alarm(shop: Shop, kind: str, *, object_id: str, detail: str) -> None:
    """Raise an alarm and queue its e-mail to the owner, once until it is cleared."""
    now = shop.now()
    if not alarms.raise_alarm(shop.store, kind=kind, object_id=object_id, detail=detail, now=now):
        return
    record(shop, "alarm.raised", kind=kind, object_id=object_id)
    outbox.insert_message(
        shop.store,
        kind="alarm",
        dedup_key=f"alarm:{kind}:{object_id}:{now}",
        recipient=shop.settings.owner_email or OWNER,
        language=shop.settings.language,
        payload={"alarm": kind, "object": object_id, "detail": detail, "at": now},
        now=now,
    )


def clear_alarm(shop: Shop, kind: str, *, object_id: str) -> bool:
    """Clear an alarm that a fact has ended or a person has dealt with; False if it does not stand."""
    with shop.store.write():
        if not alarms.clear_alarm(shop.store, kind=kind, object_id=object_id, now=shop.now()):
            return False
        record(shop, "alarm.cleared", kind=kind, object_id=object_id)
        return True
