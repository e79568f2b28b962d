"""Settling: what a payment, just read, makes of the checkout or attempt that owns it. Call inside `store.write()`."""

import json
from typing import assert_never

from encore.dodo.models import Payment
from encore.rules.attempts import (
    OF_SUBSCRIPTION,
    AttemptEvent,
    Keep,
    KeepAndRefund,
    LeaveToPerson,
    Return,
    Sighting,
    judge_success,
)
from encore.rules.dues import DuesQuote, thaw_dues
from encore.rules.money import Money
from encore.rules.plan_changes import thaw_change
from encore.services import bookkeeping, dues_payments, fulfilment, messages, refunds
from encore.services.shop import Shop
from encore.store import acceptances, attempts, checkouts, offer_instances, orders, plan_ends
from encore.store import payments as payment_rows
from encore.store import subscriptions as subscription_rows
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.checkouts import Checkout
from encore.store.offer_instances import OfferInstance

# Within the one request that sends, the page itself says what came of it.
_TOLD_ON_THE_PAGE_MS = 20_000


def settle_checkout(shop: Shop, checkout: Checkout, payment: Payment, *, sighting: Sighting) -> None:
    """Settle a shop checkout: a success grants its order once, anything else is noted for the return page."""
    if payment.subscription_id is not None:
        checkouts.mark_subscription(shop.store, checkout.id, subscription_id=payment.subscription_id)
    if sighting != "succeeded":
        checkouts.mark_observed(
            shop.store,
            checkout.id,
            customer_id=payment.customer.customer_id,
            payment_id=payment.payment_id,
            status=payment.status or "processing",
            decline_code=payment.error_code,
        )
        return
    if checkouts.mark_paid(
        shop.store, checkout.id, customer_id=payment.customer.customer_id, payment_id=payment.payment_id
    ):
        payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="kept", leaving=("seen",))
        fulfilment.grant_checkout(shop, checkout, payment)
        _compare_cart(shop, payment, product_id=checkout.product_id, quantity=checkout.quantity)
        return
    order = orders.get_of_checkout(shop.store, checkout.id)
    if order is not None and _is_payment_of_trial(checkout, payment):
        if checkouts.mark_payment_of_nothing(shop.store, checkout.id, payment_id=payment.payment_id):
            payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="kept", leaving=("seen",))
            orders.mark_payment_of_nothing(shop.store, order.id, payment_id=payment.payment_id)
        return
    if order is not None and order.amount == 0 and _is_of_same_subscription(checkout, payment):
        # The first price after a free trial, however the provider calls it: owed, so never a duplicate.
        payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="renewal", leaving=("seen",))
        return
    if order is not None and order.payment_id != payment.payment_id:
        # One session that was paid twice: the second payment bought nothing, so it goes back.
        _give_back(shop, payment, reason="duplicate")


def _is_payment_of_trial(checkout: Checkout, payment: Payment) -> bool:
    """Tell whether this is the payment of zero that a free trial began with, seen after its subscription."""
    return payment.total_amount == 0 and _is_of_same_subscription(checkout, payment)


def _is_of_same_subscription(checkout: Checkout, payment: Payment) -> bool:
    return payment.subscription_id == checkout.subscription_id is not None


def _compare_cart(shop: Shop, payment: Payment, *, product_id: str, quantity: int) -> None:
    paid = [(item.product_id, item.quantity) for item in payment.product_cart or ()]
    if paid and paid != [(product_id, quantity)]:
        bookkeeping.raise_alarm(
            shop, "cart_mismatch", object_id=payment.payment_id, detail=f"expected {product_id} x {quantity}"
        )


def settle_attempt(
    shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment, *, sighting: Sighting
) -> None:
    """Settle an attempt by its payment. `failed` may rise to paid; nothing falls."""
    _note_ids(shop, attempt, payment)
    if attempt.kind == "dues" and dues_payments.waits_for_buyer(attempt, payment):
        sighting = "requires_action"
    match sighting:
        case "succeeded":
            _settle_success(shop, attempt, acceptance, payment)
        case "processing":
            bookkeeping.apply_event(shop, attempt, "seen_processing", next_check_at=_next_look(shop, attempt))
        case "requires_action":
            _settle_action(shop, attempt, payment)
        case "failed":
            _settle_failure(shop, attempt, acceptance, payment)
        case _:
            assert_never(sighting)


def _note_ids(shop: Shop, attempt: Attempt, payment: Payment) -> None:
    if attempt.kind == "hosted":
        attempts.mark_hosted_payment(shop.store, attempt.id, payment_id=payment.payment_id)
        return
    if attempt.provider_payment_id is None:
        session_id = payment.checkout_session_id
        is_free = session_id is None or attempts.get_by_session(shop.store, session_id) is None
        attempts.mark_ids(
            shop.store, attempt.id, payment_id=payment.payment_id, session_id=session_id if is_free else None
        )


def take_from_wrong_holder(shop: Shop, payment: Payment, *, owner_id: str) -> None:
    """Take a payment's id from an attempt that holds it by the word of an answer, when another is proven its owner.

    `owner_id` is the attempt or checkout that is proven. Nothing is known of the holder's own charge then: it is
    unknown again.
    """
    holder = attempts.get_by_payment(shop.store, payment.payment_id)
    if holder is None or holder.kind == "hosted" or holder.id == owner_id:
        return
    attempts.mark_payment_disproved(shop.store, holder.id)
    bookkeeping.apply_event(
        shop, holder, "answer_disproved", reason="other_payment_id", next_check_at=_next_look(shop, holder)
    )


def _settle_action(shop: Shop, attempt: Attempt, payment: Payment) -> None:
    if attempt.kind == "hosted" or payment.payment_link or attempt.checkout_url:
        bookkeeping.apply_event(shop, attempt, "seen_action", next_check_at=_next_look(shop, attempt))
    else:
        # Without a link there is no way to the bank, so the standard checkout is the way to pay.
        bookkeeping.apply_event(shop, attempt, "seen_action_without_link", reason="no_payment_link")


def _settle_failure(shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment) -> None:
    code = payment.error_code or "UNKNOWN_ERROR"
    if attempt.kind == "hosted":
        # The session may still be payable: its page lets the buyer try another card.
        if code != attempt.decline_code or attempt.state != "hosted_open":
            bookkeeping.apply_event(
                shop,
                attempt,
                "seen_failed_still_payable",
                decline_code=code,
                next_check_at=_next_look(shop, attempt),
            )
        return
    moved = bookkeeping.apply_event(shop, attempt, "seen_failed", decline_code=code)
    if attempt.kind in OF_SUBSCRIPTION:
        # Its answer is empty as a rule, so it is unknown for a moment; only who was left waiting is told by e-mail.
        if moved and shop.now() - (attempt.claimed_at or 0) > _TOLD_ON_THE_PAGE_MS:
            tell_not_charged(shop, attempt, acceptance)
    elif moved and attempt.state == "unknown":
        messages.tell_of_payment(shop, "outcome_not_charged", payment.payment_id, dedup=attempt.id)


def tell_not_charged(shop: Shop, attempt: Attempt, acceptance: Acceptance) -> None:
    """Queue the message that an attempt has come to nothing, once."""
    if attempt.kind == "dues":
        dues_payments.tell_not_paid(shop, attempt, acceptance)
        return
    kind = "plan_not_changed" if attempt.kind == "plan_change" else "outcome_not_charged"
    messages.tell_of_yes(shop, kind, acceptance, dedup=attempt.id)


def _next_look(shop: Shop, attempt: Attempt) -> int:
    return shop.now() + bookkeeping.look_after_ms(shop, attempt.looks)


def _settle_success(shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment) -> None:
    row = payment_rows.get_payment(shop.store, payment.payment_id)
    if row is None or row.disposition != "seen":
        return
    if _is_scheduled_renewal(shop, attempt, acceptance):
        payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="renewal", leaving=("seen",))
        return
    if _is_payment_of_nothing(shop, attempt, acceptance, payment):
        payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="kept", leaving=("seen",))
        orders.mark_payment(shop.store, attempt_id=attempt.id, payment_id=payment.payment_id)
        return
    verdict = judge_success(
        kind=attempt.kind,
        outcome=acceptance.outcome,
        closed_at=acceptance.closed_at,
        begun_at=payment.created_at,
        undo_at=acceptance.undo_at,
        amount_agreed=None if acceptance.amount is None else Money(acceptance.amount, str(acceptance.currency)),
        amount_paid=Money(payment.total_amount, payment.currency),
        is_right_cart=_is_right_cart(payment, acceptance),
    )
    match verdict:
        case Keep():
            _keep(shop, attempt, acceptance, payment, meaning=verdict)
        case KeepAndRefund(reason=reason):
            _keep_and_refund(shop, attempt, acceptance, payment, reason=reason)
        case Return(reason=reason):
            bookkeeping.apply_event(shop, attempt, "success_returned", reason=reason)
            _give_back(shop, payment, reason=reason)
            messages.tell_of_payment(shop, "outcome_returned", payment.payment_id, dedup=payment.payment_id)
        case LeaveToPerson(reason=reason):
            payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="manual", leaving=("seen",))
            is_dues = attempt.kind == "dues" and reason == "paid_twice"
            alarm = "dues_paid_twice" if is_dues else "payment_needs_person"
            bookkeeping.raise_alarm(shop, alarm, object_id=payment.payment_id, detail=reason)
        case _:
            assert_never(verdict)


def _is_right_cart(payment: Payment, acceptance: Acceptance) -> bool:
    if payment.product_cart is None:
        return True
    return [(item.product_id, item.quantity) for item in payment.product_cart] == [
        (acceptance.product_id, acceptance.quantity)
    ]


def _is_scheduled_renewal(shop: Shop, attempt: Attempt, acceptance: Acceptance) -> bool:
    """Tell whether a payment is the renewal at which a scheduled change takes effect: it takes a renewal's place."""
    if attempt.kind != "plan_change" or acceptance.outcome != "charged":
        return False
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id)
    return instance is not None and thaw_change(instance.quote_json).is_scheduled


def _is_payment_of_nothing(shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment) -> bool:
    """Tell whether this is the payment of zero for what credit has paid, settled by the subscription before."""
    is_settled = attempt.kind in OF_SUBSCRIPTION and acceptance.outcome == "charged"
    return is_settled and payment.total_amount == 0 and payment_rows.get_kept(shop.store, acceptance.id) is None


def keep_without_payment(shop: Shop, attempt: Attempt, acceptance: Acceptance, instance: OfferInstance) -> None:
    """Settle a plan change or dues that are done and charge nothing now: the subscription itself is the proof."""
    if not bookkeeping.apply_event(shop, attempt, "success_kept", reason="nothing_due"):
        return
    if attempt.kind == "dues":
        dues_payments.grant(shop, acceptance, attempt, instance, payment=None)
    else:
        fulfilment.grant_plan_change(shop, acceptance, attempt, instance, payment=None)
        _tell_if_it_ends(shop, attempt, instance)
    offer_instances.insert_event(shop.store, instance.id, kind="paid", now=shop.now())


def _tell_if_it_ends(shop: Shop, attempt: Attempt, instance: OfferInstance) -> None:
    """Tell a person of a change that lets a plan go on, but succeeded only after its end had been put back."""
    wish = thaw_change(instance.quote_json).wish
    name = wish.subscription_id
    row = subscription_rows.get_by_provider_id(shop.store, name)
    is_to_go_on = wish.resumes and plan_ends.get_noted_at(shop.store, name) is None
    if is_to_go_on and row is not None and row.cancels_at_period_end:
        bookkeeping.raise_alarm(shop, "changed_plan_ends", object_id=name, detail=f"attempt {attempt.id}")


def _keep(shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment, *, meaning: Keep) -> None:
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id)
    if instance is None:
        raise ValueError(f"{acceptance.id} has no offer instance")
    _settle_paid(shop, attempt, acceptance, payment, event="success_kept")
    if attempt.kind == "plan_change":
        fulfilment.grant_plan_change(shop, acceptance, attempt, instance, payment=payment)
        _tell_if_it_ends(shop, attempt, instance)
    elif attempt.kind == "dues":
        dues_payments.grant(shop, acceptance, attempt, instance, payment=payment)
        _tell_if_paid_twice(shop, attempt, payment)
    else:
        fulfilment.grant_acceptance(shop, acceptance, attempt, instance, payment)
    offer_instances.insert_event(shop.store, instance.id, kind="paid", now=shop.now())
    if meaning.is_more and attempt.kind == "dues":
        _give_back_excess(shop, attempt, acceptance, payment, quote=thaw_dues(instance.quote_json))
    elif meaning.is_more:
        # Told a person only: of a change of plan the API refunds no proration.
        detail = _overcharge(acceptance, payment)
        bookkeeping.raise_alarm(shop, "plan_change_overcharged", object_id=payment.payment_id, detail=detail)
    if attempt.state == "unknown" and attempt.kind not in OF_SUBSCRIPTION:
        messages.tell_of_payment(shop, "outcome_paid", payment.payment_id, dedup=attempt.id)
    if meaning.is_less:
        bookkeeping.record(shop, "payment.less_than_agreed", payment_id=payment.payment_id)


def _tell_if_paid_twice(shop: Shop, attempt: Attempt, payment: Payment) -> None:
    """Tell a person of dues paid by two tries, as by a bank's late yes to a card that was given up meanwhile.

    Both are kept, so that the buyer sees both and a refund of one reverses its own order.
    """
    if dues_payments.is_paid_already(shop, attempt):
        bookkeeping.raise_alarm(shop, "dues_paid_twice", object_id=payment.payment_id, detail=f"attempt {attempt.id}")


def _give_back_excess(
    shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment, *, quote: DuesQuote
) -> None:
    """Tell a person of what dues took too much, and give it back: only of a payment that the yes itself has made."""
    is_ours = dues_payments.is_surely_of(attempt, payment, quote)
    detail = _overcharge(acceptance, payment) + ("" if is_ours else "; not refunded: a try of the provider's own")
    bookkeeping.raise_alarm(shop, "dues_overcharged", object_id=payment.payment_id, detail=detail)
    if is_ours and acceptance.amount is not None and acceptance.currency == payment.currency:
        excess = payment.total_amount - acceptance.amount
        refunds.owe_partial_refund(shop, payment, amount=excess, reason="dues_overcharged")


def _overcharge(acceptance: Acceptance, payment: Payment) -> str:
    agreed = f"agreed {acceptance.amount} {acceptance.currency}"
    return f"{agreed}, paid {payment.total_amount} {payment.currency}"


def _keep_and_refund(shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment, *, reason: str) -> None:
    """Keep a payment that must not stand (overcharged, other cart, undo stored) and refund it in full."""
    _settle_paid(shop, attempt, acceptance, payment, event="success_kept_to_refund")
    refunds.owe_full_refund(shop, payment, reason=reason)
    messages.tell_of_payment(shop, "outcome_returned", payment.payment_id, dedup=payment.payment_id)
    if reason != "undo":
        bookkeeping.raise_alarm(shop, reason, object_id=payment.payment_id, detail=f"attempt {attempt.id}")


def _settle_paid(
    shop: Shop, attempt: Attempt, acceptance: Acceptance, payment: Payment, *, event: AttemptEvent
) -> None:
    payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="kept", leaving=("seen",))
    # The first success wins: another session still open must not stay a way to pay.
    for other in attempts.list_of_acceptance(shop.store, acceptance.id):
        if other.id != attempt.id and other.kind == "hosted":
            bookkeeping.apply_event(shop, other, "other_success_kept", reason="paid_elsewhere")
    bookkeeping.apply_event(shop, attempt, event, acceptance=acceptance)
    if attempt.kind == "hosted":
        # The amount agreed to is the one the provider's own page showed (charging.md, section 7).
        consent = {**json.loads(acceptance.consent_json), "paid_on_hosted_page": payment.payment_id}
        acceptances.mark_agreed(
            shop.store,
            acceptance.id,
            amount=payment.total_amount,
            currency=payment.currency,
            consent_json=json.dumps(consent, sort_keys=True, ensure_ascii=False),
        )


def _give_back(shop: Shop, payment: Payment, *, reason: str) -> None:
    if payment.total_amount == 0:
        payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="manual", leaving=("seen",))
        return
    if payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="returned", leaving=("seen",)):
        refunds.owe_full_refund(shop, payment, reason=reason)
        bookkeeping.raise_alarm(shop, "duplicate_refunded", object_id=payment.payment_id, detail=reason)


def note_lost_row(shop: Shop, payment: Payment, *, attempt_id: str) -> None:
    """Tell a person of a payment with a true mark whose row is missing; it is never refunded by itself."""
    if payment_rows.get_payment(shop.store, payment.payment_id) is not None:
        # Taken in by `reconcile --rebuild` before: the person has been told.
        return
    bookkeeping.raise_alarm(
        shop, "payment_without_row", object_id=payment.payment_id, detail=f"attempt {attempt_id}; reconcile --rebuild"
    )
