"""Observe: read the provider's payment again and turn what it says into states, the only way states are made.

Settle, status page, webhooks, reconciler and poller all end here, so their order cannot matter: a payment is stored
as seen, its owner is found by proof, and the change is one transaction that names the states it may leave.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from encore import tokens
from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.models import Payment, PaymentListItem
from encore.errors import ProviderError
from encore.rules.attempts import CHARGE_TYPES_OF, AttemptKind, Sighting, sight, whose_payment
from encore.services import dues_payments, fulfilment, messages, refunds, settling
from encore.services.shop import Shop
from encore.store import acceptances, attempts, checkouts, subscriptions
from encore.store import payments as payment_rows
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.checkouts import Checkout


@dataclass(frozen=True)
class _AttemptOwner:
    attempt: Attempt
    acceptance: Acceptance


@dataclass(frozen=True)
class _CheckoutOwner:
    checkout: Checkout


@dataclass(frozen=True)
class _LostRow:
    """The mark is ours but the row is not there: an older backup was restored."""

    attempt_id: str


@dataclass(frozen=True)
class _Renewal:
    """A later payment of a subscription sold here, whose mark it inherits: nobody's duplicate."""


_Owner = _AttemptOwner | _CheckoutOwner | _LostRow | _Renewal


def observe_payment(shop: Shop, payment_id: str, *, budget: Budget) -> bool:
    """Read one payment and settle by it; False if it belongs to nothing we know (yet).

    Raises NotExecuted or Unavailable when the provider gives no answer.
    """
    return settle_payment(shop, shop.dodo.payments.get(payment_id, budget=budget))


def try_payment(shop: Shop, payment_id: str, *, budget: Budget) -> bool:
    """Read one payment and settle by it; False if the provider gave no answer: then the worker asks again."""
    payment = read_payment(shop, payment_id, budget=budget)
    if payment is None:
        return False
    settle_payment(shop, payment)
    return True


def read_payment(shop: Shop, payment_id: str, *, budget: Budget) -> Payment | None:
    """Read one payment; None if the provider gave no answer."""
    try:
        return shop.dodo.payments.get(payment_id, budget=budget)
    except ProviderError:
        return None


def list_unsettled(shop: Shop, items: Iterable[PaymentListItem]) -> list[PaymentListItem]:
    """Return the listed payments that a full read may change; a list row lacks the cart, so it settles nothing."""
    found = []
    for item in items:
        row = payment_rows.get_payment(shop.store, item.payment_id)
        if (
            row is None
            or row.status != item.status
            or (row.disposition == "seen" and item.status == "succeeded")
            or _is_of_new_try(shop, row, item)
            or _is_refund_news(row, item)
        ):
            found.append(item)
    return found


def _is_of_new_try(shop: Shop, row: payment_rows.Payment, item: PaymentListItem) -> bool:
    """Tell whether what was booked as a renewal has paid the dues that were claimed a moment later."""
    is_renewal = row.disposition == "renewal" and item.status == "succeeded"
    return is_renewal and dues_payments.owner_of(shop, item) is not None


def _is_refund_news(row: payment_rows.Payment, item: PaymentListItem) -> bool:
    """Tell whether the provider's list shows a refund that we have not counted: one begun elsewhere."""
    if item.refund_status == "full":
        return row.refunded < row.amount
    return item.refund_status == "partial" and row.refunded == 0


def settle_payment(shop: Shop, payment: Payment) -> bool:
    """Store a payment as just read and settle whatever owns it; False if nothing of ours does.

    Safe to call with any payment, any number of times, in any order.
    """
    with shop.store.write():
        is_ours = book_payment(shop, payment)
        crash_point("observe.uncommitted")
    crash_point("observe.committed")
    return is_ours


def book_payment(shop: Shop, payment: Payment) -> bool:
    """Do `settle_payment` inside `store.write()`, where more is to commit with it."""
    if shop.settings.business_id and payment.business_id not in (None, shop.settings.business_id):
        return False
    owner = find_owner(shop, payment)
    match owner:
        case None:
            return False
        case _LostRow(attempt_id=attempt_id):
            settling.note_lost_row(shop, payment, attempt_id=attempt_id)
        case _Renewal():
            store_seen(shop, payment)
            payment_rows.mark_disposition(shop.store, payment.payment_id, disposition="renewal", leaving=("seen",))
        case _CheckoutOwner(checkout=checkout):
            settling.take_from_wrong_holder(shop, payment, owner_id=checkout.id)
            store_seen(shop, payment, checkout_id=checkout.id)
            fulfilment.remember_customer(shop, payment, language=checkout.language)
            settling.settle_checkout(shop, checkout, payment, sighting=_sighting(payment))
        case _AttemptOwner(attempt=attempt, acceptance=acceptance):
            # An id has one holder.
            if attempt.provider_payment_id != payment.payment_id:
                settling.take_from_wrong_holder(shop, payment, owner_id=attempt.id)
            store_seen(shop, payment, attempt_id=attempt.id, acceptance_id=acceptance.id)
            if attempt.kind == "dues":
                dues_payments.take(shop, attempt, payment)
            settling.settle_attempt(shop, attempt, acceptance, payment, sighting=_sighting(payment))
    refunds.observe_refunds(shop, payment)
    refunds.observe_disputes(shop, payment)
    if payment.subscription_id is not None:
        # What was paid for it shows only in the subscription itself, which the worker reads.
        subscriptions.insert_to_read(shop.store, payment.subscription_id, due_at=shop.now())
    return True


def find_owner(shop: Shop, payment: Payment) -> _Owner | None:
    """Find whose payment this is, by proof: a signed mark with the right customer, or a session only we know.

    A payment link lets anyone write metadata and renewals may inherit it, so an id alone is never believed
    (charging.md, section 1, "Whose payment is it?").
    """
    marked = _marked_attempt(shop, payment)
    if marked is not None and not isinstance(marked, _Renewal):
        return marked
    # Dues bear the marks that their subscription inherited, if any: to those alone they would be a renewal.
    proven = _paid_dues(shop, payment) or marked or _owner_of_session(shop, payment) or _marked_checkout(shop, payment)
    return proven or (_Renewal() if is_of_known_subscription(shop, payment) else None)


def is_of_known_subscription(shop: Shop, payment: Payment | PaymentListItem) -> bool:
    """Tell whether a payment is a later one of a subscription sold here; not each is sure to inherit its metadata."""
    if payment.subscription_id is None or payment.charge_type in (None, "new"):
        return False
    row = subscriptions.get_by_provider_id(shop.store, payment.subscription_id)
    return row is not None and row.customer_id == payment.customer.customer_id


def _paid_dues(shop: Shop, payment: Payment) -> _AttemptOwner | None:
    attempt = dues_payments.owner_of(shop, payment)
    return _with_acceptance(shop, attempt) if attempt else None


def _marked_attempt(shop: Shop, payment: Payment) -> _Owner | None:
    attempt_id = payment.mark("attempt_id")
    if attempt_id is None:
        return None
    attempt = attempts.get_attempt(shop.store, attempt_id)
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id) if attempt else None
    paying = payment.customer.customer_id
    agreed = acceptance.customer_id if acceptance else paying
    is_hosted = attempt is not None and attempt.kind == "hosted"
    whose = whose_payment(
        is_mark_true=tokens.is_mark(shop.settings.attempt_sig_keys, payment.mark("attempt_sig"), attempt_id, agreed),
        # A hosted session carries no customer id of ours, so the session itself must be the one we made.
        sent_customer_id=None if is_hosted else agreed,
        paying_customer_id=paying,
        stored_session_id=attempt.provider_session_id if attempt else None,
        paid_session_id=payment.checkout_session_id,
        charge_type=payment.charge_type,
        kind=cast(AttemptKind, attempt.kind) if attempt else _kind_paid_by(payment),
    )
    if whose != "ours":
        return _Renewal() if whose == "renewal" else None
    return _AttemptOwner(attempt, acceptance) if attempt and acceptance else _LostRow(attempt_id)


def _kind_paid_by(payment: Payment) -> AttemptKind:
    """Return the kind of attempt that makes such a payment, where the attempt's own row is lost."""
    return "plan_change" if payment.charge_type in CHARGE_TYPES_OF["plan_change"] else "one_click"


def _owner_of_session(shop: Shop, payment: Payment) -> _Owner | None:
    if payment.checkout_session_id is None or payment.charge_type not in (None, "new"):
        return None
    attempt = attempts.get_by_session(shop.store, payment.checkout_session_id)
    if attempt is not None and attempt.kind == "hosted":
        return _with_acceptance(shop, attempt)
    checkout = checkouts.get_by_session(shop.store, payment.checkout_session_id)
    return _CheckoutOwner(checkout) if checkout else None


def _marked_checkout(shop: Shop, payment: Payment) -> _Owner | None:
    """Find a checkout whose session was made but not stored (the process died between the two), or that is renewed."""
    checkout_id = payment.mark("checkout_id")
    checkout = checkouts.get_checkout(shop.store, checkout_id) if checkout_id else None
    if checkout is None:
        return None
    paying = payment.customer.customer_id
    whose = whose_payment(
        is_mark_true=tokens.is_mark(
            shop.settings.attempt_sig_keys, payment.mark("checkout_sig"), "checkout", checkout.id
        ),
        # Whoever pays a checkout is its customer: nobody was named when it began.
        sent_customer_id=paying,
        paying_customer_id=paying,
        stored_session_id=checkout.provider_session_id,
        paid_session_id=payment.checkout_session_id,
        charge_type=payment.charge_type,
    )
    if whose != "ours":
        return _Renewal() if whose == "renewal" else None
    return _CheckoutOwner(checkout) if payment.checkout_session_id else None


def _with_acceptance(shop: Shop, attempt: Attempt) -> _AttemptOwner | None:
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id)
    return _AttemptOwner(attempt, acceptance) if acceptance else None


def _sighting(payment: Payment) -> Sighting:
    return sight(payment.status)


def store_seen(
    shop: Shop,
    payment: Payment,
    *,
    attempt_id: str | None = None,
    acceptance_id: str | None = None,
    checkout_id: str | None = None,
) -> None:
    """Store a payment as just read, inside `store.write()`, booked to its owner or to nobody."""
    card = messages.card_of(payment)
    payment_rows.upsert_observed(
        shop.store,
        payment_rows.Payment(
            id=payment.payment_id,
            attempt_id=attempt_id,
            acceptance_id=acceptance_id,
            checkout_id=checkout_id,
            subscription_id=payment.subscription_id,
            customer_id=payment.customer.customer_id,
            charge_type=payment.charge_type,
            provider_session_id=payment.checkout_session_id,
            status=payment.status or "processing",
            amount=payment.total_amount,
            currency=payment.currency,
            tax=payment.tax,
            decline_code=payment.error_code,
            payment_link=payment.payment_link,
            method_json=json.dumps(card, sort_keys=True) if card else None,
            billing_json=json.dumps(payment.billing.known_fields(), sort_keys=True) if payment.billing else None,
            created_at=payment.created_at,
            observed_at=shop.now(),
        ),
    )
