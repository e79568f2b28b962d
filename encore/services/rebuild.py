"""Rebuild: what to do after an older backup was restored and the provider knows payments that we no longer do.

A payment whose attempt or checkout is still here is settled as ever. One whose row is lost carries our signed mark, so
it is ours, but what the buyer agreed to is gone: it is stored for a person and never refunded by itself.
"""

from dataclasses import dataclass

from encore import tokens
from encore.dodo.models import Payment, Subscription
from encore.errors import ProviderError
from encore.rules.attempts import sight
from encore.services import bookkeeping, fulfilment, observe, refunds, subscriptions, trials
from encore.services.shop import Shop
from encore.store import attempts, checkouts, payments

# As far back as the provider keeps a payment refundable, and a little more.
_BACK_MS = 35 * 24 * 3_600_000
_LIST_S = 60.0
_READ_S = 10.0
_LOST_ROW_ALARM = "payment_without_row"
_PERSON_ALARM = "payment_needs_person"


@dataclass(frozen=True)
class Rebuilt:
    """How many payments were settled by rows we still have, which went to a person, and whether all were seen."""

    settled: int
    left_to_person: tuple[str, ...]
    is_complete: bool


def rebuild(shop: Shop) -> Rebuilt:
    """Read five weeks of the provider's payments and take in every success of ours that has no row here.

    Safe to run any number of times. What is not complete (the provider did not answer) is found by running it again.
    """
    since = shop.now() - _BACK_MS
    found = shop.dodo.payments.list_all(created_at_gte=since, budget=shop.dodo.budget(_LIST_S))
    settled, left, is_complete = 0, [], found.is_clean
    for item in found.items:
        row = payments.get_payment(shop.store, item.payment_id)
        if sight(item.status) != "succeeded" or (row is not None and row.status == "succeeded"):
            continue
        try:
            payment = shop.dodo.payments.get(item.payment_id, budget=shop.dodo.budget(_READ_S))
        except ProviderError:
            is_complete = False
            continue
        lost = _lost_row(shop, payment)
        if lost is not None:
            _leave_to_person(shop, payment, lost=lost)
            left.append(payment.payment_id)
        elif observe.settle_payment(shop, payment):
            settled += 1
    begun, are_all = _take_in_trials(shop, since=since)
    return Rebuilt(settled=settled + begun, left_to_person=tuple(left), is_complete=is_complete and are_all)


def _take_in_trials(shop: Shop, *, since: int) -> tuple[int, bool]:
    """Take in the trials of our checkouts that have no payment; returns how many, and whether all were seen."""
    listed = trials.find(shop, since=since, budget=shop.dodo.budget(_LIST_S))
    for one in listed.items:
        if trials.find_checkout(shop, one) is None and trials.is_free(one):
            _tell_of_lost_trial(shop, one)
    unsettled = [one.subscription_id for one in listed.items if trials.is_unsettled(shop, one)]
    read = [subscriptions.try_subscription(shop, name, budget=shop.dodo.budget(_READ_S)) for name in unsettled]
    return sum(read), listed.is_clean and all(read)


def _tell_of_lost_trial(shop: Shop, found: Subscription) -> None:
    detail = f"begun by {found.customer.customer_id} for {found.mark('checkout_id')}, which an older backup lacks"
    with shop.store.write():
        bookkeeping.raise_alarm(shop, "trial_without_row", object_id=found.subscription_id, detail=detail)


def _lost_row(shop: Shop, payment: Payment) -> str | None:
    """Name the attempt or checkout that a payment provably belongs to and that is not here; None if it is."""
    is_change = payment.charge_type == "plan_change"
    if not is_change and payment.charge_type not in (None, "new"):
        return None
    keys = shop.settings.attempt_sig_keys
    attempt_id, checkout_id = payment.mark("attempt_id"), payment.mark("checkout_id")
    if attempt_id is not None:
        is_ours = tokens.is_mark(keys, payment.mark("attempt_sig"), attempt_id, payment.customer.customer_id)
        return attempt_id if is_ours and attempts.get_attempt(shop.store, attempt_id) is None else None
    # One that was begun elsewhere inherits the mark of the checkout that sold its subscription.
    if checkout_id is not None and not is_change:
        is_ours = tokens.is_mark(keys, payment.mark("checkout_sig"), "checkout", checkout_id)
        return checkout_id if is_ours and checkouts.get_checkout(shop.store, checkout_id) is None else None
    return None


def _leave_to_person(shop: Shop, payment: Payment, *, lost: str) -> None:
    with shop.store.write():
        fulfilment.remember_customer(shop, payment, language=None)
        # Manual from the start: with the consent gone, neither keeping nor returning it can be right by rule.
        observe.store_seen(shop, payment)
        payments.mark_disposition(shop.store, payment.payment_id, disposition="manual", leaving=("seen",))
        bookkeeping.clear_alarm(shop, _LOST_ROW_ALARM, object_id=payment.payment_id)
        paid = f"{payment.total_amount} {payment.currency} paid by {payment.customer.customer_id}"
        detail = f"{paid} for {lost}, which an older backup does not have"
        bookkeeping.raise_alarm(shop, _PERSON_ALARM, object_id=payment.payment_id, detail=detail)
        refunds.observe_refunds(shop, payment)
