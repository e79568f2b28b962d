"""What a payment gives and takes back: orders and entitlements. Call these inside `store.write()`."""

from encore.dodo.models import Payment
from encore.dodo.models import Subscription as ProviderSubscription
from encore.ids import new_id
from encore.rules.plan_changes import thaw_change
from encore.services import bookkeeping, messages
from encore.services.shop import Shop
from encore.store import acceptances, catalogue, customers, offer_instances, orders, subscriptions
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.checkouts import Checkout
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order


def grant_checkout(shop: Shop, checkout: Checkout, payment: Payment) -> Order:
    """Grant what a shop checkout paid for: one order, its entitlement, one receipt."""
    order = _grant(
        shop,
        payment,
        checkout_id=checkout.id,
        buyer_key=checkout.buyer_key,
        product_id=checkout.product_id,
        quantity=checkout.quantity,
        language=checkout.language,
    )
    if payment.subscription_id is not None:
        subscriptions.mark_order(shop.store, payment.subscription_id, order_id=order.id)
    product = catalogue.get_product(shop.store, checkout.product_id)
    if payment.subscription_id is not None and product is not None and product.trial_days:
        messages.send_trial_receipt(
            shop,
            order,
            card=messages.card_of(payment) if order.amount else None,
            begun_at=payment.created_at,
            days=product.trial_days,
            price=product.price_minor if (order.quantity, order.currency) == (1, product.currency) else None,
            ref=checkout.ref,
        )
    else:
        messages.send_receipt(shop, order, payment, first=None, ref=checkout.ref)
    return order


def grant_trial(shop: Shop, checkout: Checkout, found: ProviderSubscription) -> Order:
    """Grant what a free trial without a payment began: one order of nothing, its entitlement, one receipt."""
    order = _insert_order(
        shop,
        payment_id=None,
        amount=0,
        currency=found.currency,
        country=found.billing.country if found.billing else None,
        checkout_id=checkout.id,
        buyer_key=checkout.buyer_key,
        product_id=checkout.product_id,
        quantity=checkout.quantity,
        language=checkout.language,
        customer_id=found.customer.customer_id,
    )
    _give(shop, order)
    subscriptions.mark_order(shop.store, found.subscription_id, order_id=order.id)
    messages.send_trial_receipt(
        shop,
        order,
        card=None,
        begun_at=found.created_at or shop.now(),
        days=found.trial_period_days or 0,
        price=found.recurring_pre_tax_amount,
        ref=checkout.ref,
    )
    return order


def grant_acceptance(
    shop: Shop, acceptance: Acceptance, attempt: Attempt, instance: OfferInstance, payment: Payment
) -> Order:
    """Grant what a charged yes paid for, linked to the first order."""
    first = bookkeeping.first_order_of(shop, instance)
    order = _grant(
        shop,
        payment,
        acceptance_id=acceptance.id,
        attempt_id=attempt.id,
        first_order_id=first.id,
        buyer_key=instance.buyer_key,
        product_id=acceptance.product_id,
        quantity=acceptance.quantity,
        language=instance.language,
        customer_id=acceptance.customer_id,
    )
    messages.send_receipt(shop, order, payment, first=first, ref=bookkeeping.ref_of(shop, first))
    return order


def grant_plan_change(
    shop: Shop, acceptance: Acceptance, attempt: Attempt, instance: OfferInstance, *, payment: Payment | None
) -> Order:
    """Write the order of a plan change that is done, and tell its buyer, once; `payment` None: nothing was charged.

    It gives no access of its own: what a customer has follows the subscription, when that is read.
    """
    quote = thaw_change(instance.quote_json)
    order = insert_subscription_order(shop, acceptance, attempt, instance, payment=payment, currency=quote.due.currency)
    subscriptions.mark_order(shop.store, str(attempt.subscription_id), order_id=order.id)
    messages.tell_of_order(
        shop,
        "plan_scheduled" if quote.is_scheduled else "plan_changed",
        order,
        attempt,
        payment=payment,
        at=quote.effective_at if quote.is_scheduled else shop.now(),
    )
    return order


def insert_subscription_order(
    shop: Shop,
    acceptance: Acceptance,
    attempt: Attempt,
    instance: OfferInstance,
    *,
    payment: Payment | None,
    currency: str,
) -> Order:
    """Write the order of a charge of a subscription, which is then read again; `payment` None: nothing was charged."""
    subscription = subscriptions.get_by_provider_id(shop.store, str(attempt.subscription_id))
    order = _insert_order(
        shop,
        acceptance_id=acceptance.id,
        attempt_id=attempt.id,
        payment_id=payment.payment_id if payment else None,
        first_order_id=subscription.order_id if subscription else None,
        customer_id=acceptance.customer_id,
        buyer_key=instance.buyer_key,
        product_id=acceptance.product_id,
        quantity=acceptance.quantity,
        amount=payment.total_amount if payment else 0,
        currency=payment.currency if payment else currency,
        language=instance.language,
        country=payment.billing.country if payment and payment.billing else None,
    )
    subscriptions.insert_to_read(shop.store, str(attempt.subscription_id), due_at=shop.now())
    return order


def _grant(
    shop: Shop,
    payment: Payment,
    *,
    buyer_key: str,
    product_id: str,
    quantity: int,
    language: str,
    customer_id: str | None = None,
    checkout_id: str | None = None,
    acceptance_id: str | None = None,
    attempt_id: str | None = None,
    first_order_id: str | None = None,
) -> Order:
    order = _insert_order(
        shop,
        payment_id=payment.payment_id,
        amount=payment.total_amount,
        currency=payment.currency,
        country=payment.billing.country if payment.billing else None,
        checkout_id=checkout_id,
        acceptance_id=acceptance_id,
        attempt_id=attempt_id,
        first_order_id=first_order_id,
        buyer_key=buyer_key,
        product_id=product_id,
        quantity=quantity,
        language=language,
        customer_id=customer_id or payment.customer.customer_id,
    )
    _give(shop, order)
    return order


def _insert_order(
    shop: Shop,
    *,
    payment_id: str | None,
    amount: int,
    currency: str,
    country: str | None,
    buyer_key: str,
    product_id: str,
    quantity: int,
    language: str,
    customer_id: str,
    checkout_id: str | None = None,
    acceptance_id: str | None = None,
    attempt_id: str | None = None,
    first_order_id: str | None = None,
) -> Order:
    product = catalogue.get_product(shop.store, product_id)
    order = Order(
        id=new_id("ord"),
        number=orders.next_number(shop.store),
        checkout_id=checkout_id,
        acceptance_id=acceptance_id,
        attempt_id=attempt_id,
        payment_id=payment_id,
        first_order_id=first_order_id,
        customer_id=customer_id,
        buyer_key=buyer_key,
        product_id=product_id,
        product_name=product.name if product else product_id,
        quantity=quantity,
        amount=amount,
        currency=currency,
        language=language,
        country=country,
        created_at=shop.now(),
        state="granted",
    )
    orders.insert_order(shop.store, order)
    bookkeeping.record(
        shop,
        "order.granted",
        order_id=order.id,
        payment_id=order.payment_id,
        amount=order.amount,
        currency=order.currency,
    )
    return order


def _give(shop: Shop, order: Order) -> None:
    """Give the customer of an order what was bought."""
    # What was listed before this payment cannot know the card that it saved.
    customers.forget_saved_methods(shop.store, order.customer_id)
    orders.insert_entitlement(
        shop.store, order_id=order.id, product_id=order.product_id, customer_id=order.customer_id, now=order.created_at
    )


def remember_customer(shop: Shop, bought: Payment | ProviderSubscription, *, language: str | None) -> None:
    """Store whom the provider says has paid, for receipts."""
    customers.upsert_customer(
        shop.store,
        customers.Customer(
            id=bought.customer.customer_id,
            email=bought.customer.email,
            name=bought.customer.name,
            language=language,
            first_seen_at=shop.now(),
        ),
    )


def reverse(shop: Shop, payment_id: str, *, reason: str) -> None:
    """Take back what a payment gave, after its full refund or a lost dispute; a second time does nothing."""
    order = orders.get_of_payment(shop.store, payment_id)
    if order is None or not orders.mark_reversed(shop.store, order.id):
        return
    orders.mark_revoked(shop.store, order.id, now=shop.now())
    bookkeeping.record(
        shop, "order.reversed", order_id=order.id, payment_id=payment_id, amount=order.amount, currency=order.currency
    )
    if order.acceptance_id is not None:
        acceptances.mark_outcome(
            shop.store, order.acceptance_id, outcome="refunded", leaving=("charged",), now=shop.now(), reason=reason
        )
        acceptance = acceptances.get_acceptance(shop.store, order.acceptance_id)
        if acceptance is not None:
            offer_instances.insert_event(shop.store, acceptance.offer_instance_id, kind="refunded", now=shop.now())
