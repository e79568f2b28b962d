"""The payments of dues: whose they are without a mark of ours, and what they give. Writes go inside `store.write()`.

The provider takes no metadata with dues, so a payment is known by its subscription and by having been made after the
claim, on the provider's own clock (charging.md, section 1, "Whose payment is it?").
"""

from encore.dodo.models import Payment, PaymentListItem
from encore.rules.attempts import LIVE_DIRECT, sight
from encore.rules.dues import ENDED, LATE_MS, OTHER_SALES, DuesQuote, Owed, begins_period, has_paid_again, thaw_dues
from encore.rules.money import Money
from encore.services import bookkeeping, fulfilment, messages
from encore.services.shop import Shop
from encore.store import acceptances, attempts, catalogue, payments, subscriptions
from encore.store import dues as rows
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.dues import DuesTry
from encore.store.offer_instances import OfferInstance
from encore.store.payments import Payment as PaymentRow
from encore.store.subscriptions import Subscription

# A payment that is a month late is nobody's try; so many tries of one subscription are looked through for its own.
_MOST_TRIES = 10


def owner_of(shop: Shop, payment: Payment | PaymentListItem) -> Attempt | None:
    """Return the attempt whose dues a payment pays, or tried to pay; None if it is none's.

    The one that its answer named, else the newest begun before the payment was made that may still be paid.
    """
    named = _named_by_answer(shop, payment)
    if named is not None or payment.subscription_id is None:
        return named
    listed = rows.list_tries(shop.store, payment.subscription_id, limit=_MOST_TRIES)
    tries = [found for found in listed if found.customer_id == payment.customer.customer_id]
    known = payments.get_payment(shop.store, payment.payment_id)
    if known is not None and known.attempt_id is not None:
        its = next((found for found in tries if found.attempt_id == known.attempt_id), None)
    else:
        # A newer try that came to nothing does not hide the late success of the one before.
        its = next((found for found in tries if _may_be_of(shop, payment, found, thaw_dues(found.quote_json))), None)
    return attempts.get_attempt(shop.store, its.attempt_id) if its else None


def _named_by_answer(shop: Shop, payment: Payment | PaymentListItem) -> Attempt | None:
    """Return the dues whose answer named a payment, however long ago; a stranger's payment is nobody's."""
    attempt = attempts.get_by_payment(shop.store, payment.payment_id)
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id) if attempt else None
    if attempt is None or acceptance is None or attempt.kind != "dues":
        return None
    is_theirs = payment.customer.customer_id == acceptance.customer_id
    return attempt if is_theirs and payment.subscription_id in (None, attempt.subscription_id) else None


def _may_be_of(shop: Shop, payment: Payment | PaymentListItem, found: DuesTry, quote: DuesQuote) -> bool:
    """Tell whether a payment that is booked to nobody is that of a try, by what it is and when it was made."""
    if _is_other_sale(shop, payment, quote.owed):
        return False
    is_success = sight(payment.status) == "succeeded"
    # The provider may also take the failed payment itself up again, under its old id.
    is_again = is_success and payment.payment_id == quote.owed.billing
    if not is_again and not quote.owed.is_before(payment.payment_id, made_at=payment.created_at):
        return False
    if found.state in LIVE_DIRECT:
        # A success lets the subscription run again, whoever made it: the dues are paid. What failed with another card
        # than the agreed one was the provider's own try.
        return is_success or (found.provider_payment_id is None and _is_with(payment, quote))
    # A request that was refused or never sent made no payment.
    is_late = found.state in ("absent", "failed", "dropped") or _is_again(shop, payment, found, quote)
    in_time = payment.created_at <= (found.claimed_at or 0) + LATE_MS
    return is_late and is_success and in_time and _is_with(payment, quote)


def _is_other_sale(shop: Shop, payment: Payment | PaymentListItem | PaymentRow, owed: Owed) -> bool:
    """Tell whether a payment is for a change of plan or on demand, made elsewhere, while something else was owed.

    In its days of grace a plan may be changed in the provider's portal; its sum is not to be measured by the dues'.
    """
    if payment.charge_type not in OTHER_SALES:
        return False
    failed = payments.get_payment(shop.store, owed.billing)
    return failed is None or failed.charge_type != payment.charge_type


def _is_again(shop: Shop, payment: Payment | PaymentListItem, found: DuesTry, quote: DuesQuote) -> bool:
    """Tell whether a further success may be paid dues once more, which a person must see: no other sale or renewal."""
    if found.state != "paid" or quote.owed.amount not in (None, Money(payment.total_amount, payment.currency)):
        return False
    row = subscriptions.get_by_provider_id(shop.store, quote.owed.subscription_id)
    kept = payments.get_payment(shop.store, found.provider_payment_id or "")
    if row is None or kept is None:
        return True
    period = (row.previous_billing_at, row.next_billing_at)
    return not begins_period(paid_at=kept.created_at, made_at=payment.created_at, period=period)


def _is_with(payment: Payment | PaymentListItem, quote: DuesQuote) -> bool:
    method_id = payment.payment_method_id if isinstance(payment, Payment) else None
    return method_id is None or quote.method is None or method_id == quote.method.payment_method_id


def is_surely_of(attempt: Attempt, payment: Payment, quote: DuesQuote) -> bool:
    """Tell whether a try itself made a payment: it is known by its id, or was paid with the method agreed to.

    While a try is under way, the provider's own try with the card of before pays the dues just as well. What that took
    nobody here has asked for.
    """
    is_known = attempt.provider_payment_id == payment.payment_id
    return is_known or (quote.method is not None and payment.payment_method_id == quote.method.payment_method_id)


def take(shop: Shop, attempt: Attempt, payment: Payment) -> None:
    """Book a payment to the dues it proves to pay, though it was a renewal by what was seen of it before."""
    payments.mark_owner(
        shop.store, payment.payment_id, attempt_id=attempt.id, acceptance_id=attempt.acceptance_id, leaving="renewal"
    )


def is_paid_already(shop: Shop, attempt: Attempt) -> bool:
    """Tell whether another try was paid after this one was claimed: the same dues twice, as far as we can see."""
    tries = rows.list_tries(shop.store, str(attempt.subscription_id), limit=_MOST_TRIES)
    return any(
        found.attempt_id != attempt.id
        and found.outcome == "charged"
        and found.provider_payment_id is not None
        and found.changed_at >= (attempt.claimed_at or 0)
        for found in tries
    )


def note_paid_again(shop: Shop, row: Subscription) -> None:
    """Leave to a person every success that paid once more what a try had paid: the provider's own, beside ours.

    Asked whenever the subscription is read, which follows each of its payments: so no order of them hides one.
    """
    for found in rows.list_tries(shop.store, row.provider_subscription_id, limit=_MOST_TRIES):
        if found.outcome != "charged":
            continue
        owed = thaw_dues(found.quote_json).owed
        for payment in list_paid_again(shop, row, owed, attempt_id=found.attempt_id, disposition="renewal"):
            # Once: what a person has dealt with is not told again. Never refunded by us: it bears no mark of ours, and
            # only the provider knows whether it counts it for a further period (charging.md, section 1).
            if payments.mark_disposition(shop.store, payment.id, disposition="manual", leaving=("renewal",)):
                bookkeeping.raise_alarm(
                    shop, "dues_paid_twice", object_id=payment.id, detail=f"attempt {found.attempt_id}"
                )


def list_paid_again(
    shop: Shop, row: Subscription, owed: Owed, *, attempt_id: str, disposition: str
) -> list[PaymentRow]:
    """Return the payments of this disposition that stand beside the one kept for a try, and paid the same dues."""
    listed = payments.list_of_subscription(shop.store, row.provider_subscription_id, since=0)
    kept = next((p for p in listed if p.attempt_id == attempt_id and p.disposition == "kept"), None)
    if kept is None:
        return []
    return [
        payment
        for payment in listed
        if payment.disposition == disposition
        and payment.status == "succeeded"
        and payment.refunded < payment.amount
        and not _is_other_sale(shop, payment, owed)
        and has_paid_again(
            owed,
            paid_at=kept.created_at,
            payment_id=payment.id,
            made_at=payment.created_at,
            period=(row.previous_billing_at, row.next_billing_at),
        )
    ]


def waits_for_buyer(attempt: Attempt, payment: Payment) -> bool:
    """Tell whether a payment without a method is one whose page the buyer has been sent to, and no failure."""
    has_page = payment.payment_link is not None or attempt.checkout_url is not None
    return payment.status == "requires_payment_method" and has_page


def grant(
    shop: Shop, acceptance: Acceptance, attempt: Attempt, instance: OfferInstance, *, payment: Payment | None
) -> None:
    """Write the order of dues that are paid, and tell their buyer, once; `payment` None: nothing was owed any more.

    It gives no access: that is whatever the subscription gives when it is read.
    """
    quote = thaw_dues(instance.quote_json)
    row = subscriptions.get_by_provider_id(shop.store, str(attempt.subscription_id))
    if row is None:
        raise ValueError(f"{attempt.subscription_id} is gone")
    # Where nothing was charged, the sum of nothing is in the plan's own currency.
    currency = quote.owed.amount.currency if quote.owed.amount else row.currency
    order = fulfilment.insert_subscription_order(
        shop, acceptance, attempt, instance, payment=payment, currency=currency
    )
    messages.tell_of_order(shop, "dues_paid", order, attempt, payment=payment, at=shop.now())
    if payment is not None and row.status in ENDED:
        # It ended while its payment was under way: the customer has paid, and has nothing for it.
        bookkeeping.raise_alarm(shop, "dues_paid_after_end", object_id=payment.payment_id, detail=row.status)


def tell_not_paid(shop: Shop, attempt: Attempt, acceptance: Acceptance) -> None:
    """Queue the message that dues were not paid, once; it states no sum where the provider told none."""
    row = subscriptions.get_by_provider_id(shop.store, str(attempt.subscription_id))
    product = catalogue.get_product(shop.store, acceptance.product_id)
    instance = messages.instance_of(shop, acceptance.id)
    if row is None or instance is None:
        raise ValueError(f"{acceptance.id} names rows that are gone")
    bookkeeping.tell_buyer(
        shop,
        "dues_not_paid",
        dedup=attempt.id,
        customer_id=acceptance.customer_id,
        language=instance.language,
        facts=messages.facts_of(
            product_name=product.name if product else acceptance.product_id,
            amount=acceptance.amount or 0,
            currency=acceptance.currency or row.currency,
            card=None,
            order_number=None,
            url=messages.subscription_url(shop, row.id),
            at=shop.now(),
        ),
    )
