"""What a change of card has charged: nothing, unless the plan came to owe something between our look and the request.

The provider then takes what is owed from the new card, outside of any attempt, and we cannot prevent it. So each
request is written down before it is sent, and the payment that comes of it is told the buyer and a person.
"""

import json

from encore.crash_point import crash_point
from encore.ids import new_id
from encore.rules.dues import charged_by_card_change
from encore.rules.money import Money
from encore.services import bookkeeping, messages
from encore.services.kinds import dues as kind
from encore.services.shop import Shop
from encore.store import attempts, card_changes, catalogue, customers, payments
from encore.store import subscriptions as rows
from encore.store.card_changes import CardChange
from encore.store.subscriptions import Subscription

# In any other state the provider charges what is owed as soon as it has a card.
OWES_NOTHING = ("active",)
# A link for a new card can be used for a day, and a payment may take two days more (dodo-api.md, section 14).
_FOLLOWED_MS = 7 * 24 * 3_600_000
# For as long the page of the plan tells of it.
_SHOWN_MS = 24 * 3_600_000
# By then a request is answered, or has died with its process; longer than any time-out of ours.
_UNDER_WAY_MS = 60_000


def may_change(shop: Shop, row: Subscription) -> bool:
    """Tell whether a subscription may be given another card: it owes nothing, and no charge of it is under way."""
    is_free = attempts.get_live_of_subscription(shop.store, row.provider_subscription_id) is None
    return row.status in OWES_NOTHING and is_free


def begin(shop: Shop, row: Subscription) -> str | None:
    """Write down a request that is about to be sent; None if the plan owes something by now, or is being charged."""
    change = CardChange(id=new_id("cch"), subscription_id=row.provider_subscription_id, asked_at=shop.now())
    with shop.store.write():
        # Again, in the transaction: a claim of dues asks for this row, and we for its attempt.
        current = rows.get_by_provider_id(shop.store, row.provider_subscription_id)
        if current is None or not may_change(shop, current):
            return None
        card_changes.insert_change(shop.store, change)
    crash_point("card.noted")
    return change.id


def note_answer(shop: Shop, change_id: str, *, payment_id: str | None) -> None:
    """Write down that a request is over, whatever came of it; `payment_id` is what its answer named."""
    with shop.store.write():
        card_changes.mark_answered(shop.store, change_id, payment_id=payment_id, now=shop.now())


def is_under_way(shop: Shop, row: Subscription) -> bool:
    """Tell whether a request is on its way that would charge what the plan owes."""
    return card_changes.has_unanswered(shop.store, row.provider_subscription_id, since=shop.now() - _UNDER_WAY_MS)


def tell(shop: Shop, row: Subscription) -> None:
    """Tell the buyer and a person of what a change of card has charged, once, inside `store.write()`.

    Asked whenever the subscription is read, which follows each of its payments.
    """
    name = row.provider_subscription_id
    for change in card_changes.list_without_charge(shop.store, name, since=shop.now() - _FOLLOWED_MS):
        payment = _charged_by(shop, change)
        if payment is not None and card_changes.mark_charged(shop.store, change.id, payment_id=payment.id):
            _tell(shop, row, payment)


def charged(shop: Shop, row: Subscription) -> Money | None:
    """Return what a change of card of the last day has charged; None: nothing."""
    change = card_changes.get_newest_charge(shop.store, row.provider_subscription_id, since=shop.now() - _SHOWN_MS)
    payment = payments.get_payment(shop.store, change.charged_payment_id or "") if change else None
    return Money(payment.amount, payment.currency) if payment else None


def _charged_by(shop: Shop, change: CardChange) -> payments.Payment | None:
    listed = payments.list_of_subscription(shop.store, change.subscription_id, since=0)
    by_time = charged_by_card_change(map(kind.as_seen, listed), asked_at=change.asked_at)
    for payment in listed:
        is_named = payment.id == change.provider_payment_id
        # What a try of the buyer was booked to was asked for and has its order.
        is_unasked = payment.attempt_id is None and payment.status == "succeeded" and payment.amount > 0
        if is_unasked and (is_named or payment.id in by_time):
            return payment
    return None


def _tell(shop: Shop, row: Subscription, payment: payments.Payment) -> None:
    customer = customers.get_customer(shop.store, row.customer_id)
    product = catalogue.get_product(shop.store, row.product_id)
    bookkeeping.tell_buyer(
        shop,
        "dues_paid",
        dedup=payment.id,
        customer_id=row.customer_id,
        language=(customer.language if customer else None) or shop.settings.language,
        facts=messages.facts_of(
            product_name=product.name if product else row.product_id,
            amount=payment.amount,
            currency=payment.currency,
            card=json.loads(payment.method_json) if payment.method_json else None,
            order_number=None,
            url=messages.subscription_url(shop, row.id),
            at=shop.now(),
        ),
    )
    bookkeeping.raise_alarm(
        shop, "charged_by_card_change", object_id=payment.id, detail=f"subscription {row.provider_subscription_id}"
    )
