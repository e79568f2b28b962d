"""What buyers are told by mail: receipts, and what became of a payment or a yes. Call these inside `store.write()`."""

import json
from collections.abc import Mapping
from typing import Any

from encore.dodo.models import Payment
from encore.rules.methods import read_expiry, read_last4, read_network
from encore.rules.money import Money
from encore.rules.plan_changes import thaw_change
from encore.rules.trials import trial_end
from encore.services import bookkeeping, order_pages
from encore.services.shop import Shop
from encore.store import acceptances, catalogue, customers, offer_instances, orders, subscriptions
from encore.store import payments as payment_rows
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order
from encore.store.subscriptions import Subscription

_DAY_MS = 86_400_000


def send_receipt(shop: Shop, order: Order, payment: Payment, *, first: Order | None, ref: str) -> None:
    """Queue the receipt of an order; `first` is the order that it follows, `ref` the reference a buyer knows."""
    _tell(
        shop,
        "receipt",
        order,
        number=(first or order).number,
        card=card_of(payment),
        url=order_url(shop, ref),
        at=payment.created_at,
        more=_sum_today(shop, order, first),
    )


def send_trial_receipt(
    shop: Shop, order: Order, *, card: dict[str, Any] | None, begun_at: int, days: int, price: int | None, ref: str
) -> None:
    """Queue the receipt of a trial: what was charged today, and what is charged when it ends.

    `price` is that of a period before tax, None where nobody has named it in the order's currency.
    """
    _tell(
        shop,
        "trial_started",
        order,
        number=order.number,
        card=card,
        url=order_url(shop, ref),
        at=begun_at,
        more={"trial_ends_at": trial_end(begun_at, days), "price_after": price},
    )


def tell_of_order(shop: Shop, kind: str, order: Order, attempt: Attempt, *, payment: Payment | None, at: int) -> None:
    """Queue the message about the order of a charge of a subscription, once; `at` is the time it tells."""
    subscription = subscriptions.get_by_provider_id(shop.store, str(attempt.subscription_id))
    first = orders.get_order(shop.store, order.first_order_id) if order.first_order_id else None
    _tell(
        shop,
        kind,
        order,
        number=order.number,
        card=card_of(payment) if payment else None,
        url=subscription_url(shop, subscription.id if subscription else ""),
        at=at,
        more=_sum_today(shop, order, first),
    )


def _tell(
    shop: Shop,
    kind: str,
    order: Order,
    *,
    number: int,
    card: dict[str, Any] | None,
    url: str,
    at: int,
    more: Mapping[str, object],
) -> None:
    facts = facts_of(
        product_name=order.product_name,
        amount=order.amount,
        currency=order.currency,
        card=card,
        order_number=number,
        url=url,
        at=at,
    )
    bookkeeping.tell_buyer(
        shop,
        kind,
        dedup=order.id,
        customer_id=order.customer_id,
        language=order.language,
        facts={**facts, **more},
    )


def tell_of_payment(shop: Shop, kind: str, payment_id: str, *, dedup: str) -> None:
    """Queue a message about a payment we hold a row of: refund done, or the outcome of a checked payment."""
    row = payment_rows.get_payment(shop.store, payment_id)
    if row is None:
        return
    order = orders.get_of_payment(shop.store, payment_id)
    source = _first_order_of(shop, order, acceptance_id=row.acceptance_id)
    # A later payment of a subscription has no order: its plan names it.
    plan = subscriptions.get_by_provider_id(shop.store, row.subscription_id or "")
    product_name, language = _named(shop, order, acceptance_id=row.acceptance_id, plan=plan)
    bookkeeping.tell_buyer(
        shop,
        kind,
        dedup=dedup,
        customer_id=order.customer_id if order else row.customer_id,
        language=language,
        facts=facts_of(
            product_name=product_name,
            amount=row.amount,
            currency=row.currency,
            card=json.loads(row.method_json) if row.method_json else None,
            order_number=source.number if source else None,
            url=_url_of(shop, source, plan),
            at=shop.now(),
        ),
    )


def _url_of(shop: Shop, source: Order | None, plan: Subscription | None) -> str:
    if source is not None:
        return order_url(shop, bookkeeping.ref_of(shop, source))
    return subscription_url(shop, plan.id) if plan else shop.settings.public_url


def tell_of_yes(shop: Shop, kind: str, acceptance: Acceptance, *, dedup: str) -> None:
    """Queue a message about a yes that left no payment: what was not charged, and where it can be seen."""
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id)
    if instance is None or acceptance.amount is None:
        return
    place = _place_of(shop, instance)
    if place is None:
        return
    product = catalogue.get_product(shop.store, acceptance.product_id)
    bookkeeping.tell_buyer(
        shop,
        kind,
        dedup=dedup,
        customer_id=acceptance.customer_id,
        language=instance.language,
        facts=facts_of(
            product_name=product.name if product else acceptance.product_id,
            amount=acceptance.amount,
            currency=str(acceptance.currency),
            card=None,
            order_number=place[0],
            url=place[1],
            at=shop.now(),
        ),
    )


def facts_of(
    *,
    product_name: str,
    amount: int,
    currency: str,
    card: dict[str, Any] | None,
    order_number: int | None,
    url: str,
    at: int,
) -> dict[str, Any]:
    """Return the facts a message to a buyer states in full: its link may open elsewhere."""
    return {
        "product_name": product_name,
        "amount": amount,
        "currency": currency,
        "card": card,
        "order_number": order_number,
        "order_url": url,
        "at": at,
    }


def card_of(payment: Payment) -> dict[str, Any] | None:
    """Return the masked card that paid, or None: brand, last four and expiry are all we keep."""
    last4 = read_last4(payment.card_last_four)
    if last4 is None:
        return None
    expiry = read_expiry(payment.card_exp_month, payment.card_exp_year)
    return {
        "payment_method_id": payment.payment_method_id or "",
        "kind": payment.payment_method or "card",
        "network": read_network(payment.card_network),
        "last4": last4,
        "expiry_month": expiry[0] if expiry else None,
        "expiry_year": expiry[1] if expiry else None,
    }


def order_url(shop: Shop, ref: str) -> str:
    """Return the address of an order's page."""
    return f"{shop.settings.public_url}/orders/{ref}"


def subscription_url(shop: Shop, subscription_id: str) -> str:
    """Return the address of a subscription's page; it asks for a sign-in."""
    return f"{shop.settings.public_url}/account/subscriptions/{subscription_id}"


def instance_of(shop: Shop, acceptance_id: str | None) -> OfferInstance | None:
    """Return the offer instance that a yes was given to."""
    acceptance = acceptances.get_acceptance(shop.store, acceptance_id) if acceptance_id else None
    return offer_instances.get_instance(shop.store, acceptance.offer_instance_id) if acceptance else None


def _sum_today(shop: Shop, order: Order, first: Order | None) -> dict[str, int]:
    """Return what an order and the one of today that it follows add up to (N15); nothing if it follows none."""
    if first is None or 0 in (order.amount, first.amount) or order.created_at - first.created_at > _DAY_MS:
        return {}
    followers = orders.list_of_first(shop.store, first.id)
    if order.id not in {one.id for one in followers}:
        # Bought in the account: it is filed under an order, but its page did not speak of that.
        return {}
    total = order_pages.sum_of_paid([first, *followers], more=Money(0, order.currency))
    return {"sum_today": total.minor} if total else {}


def _place_of(shop: Shop, instance: OfferInstance) -> tuple[int | None, str] | None:
    """Return the order's number, if any, and the page that a yes to this instance is seen on."""
    if instance.kind == "plan_change":
        wish = thaw_change(instance.quote_json).wish
        subscription = subscriptions.get_by_provider_id(shop.store, wish.subscription_id)
        return None, subscription_url(shop, subscription.id if subscription else "")
    first = bookkeeping.find_first_order(shop, instance)
    return (first.number, order_url(shop, bookkeeping.ref_of(shop, first))) if first else None


def _first_order_of(shop: Shop, order: Order | None, *, acceptance_id: str | None) -> Order | None:
    if order is not None and order.checkout_id is not None:
        return order
    if order is not None and order.first_order_id is not None:
        return orders.get_order(shop.store, order.first_order_id)
    instance = instance_of(shop, acceptance_id)
    return bookkeeping.find_first_order(shop, instance) if instance else None


def _named(shop: Shop, order: Order | None, *, acceptance_id: str | None, plan: Subscription | None) -> tuple[str, str]:
    if order is not None:
        return order.product_name, order.language
    instance = instance_of(shop, acceptance_id)
    product_id = instance.product_id if instance else plan.product_id if plan else None
    if product_id is None:
        return shop.settings.shop_name, shop.settings.language
    product = catalogue.get_product(shop.store, product_id)
    customer = customers.get_customer(shop.store, plan.customer_id) if plan else None
    language = instance.language if instance else customer.language if customer else None
    return (product.name if product else product_id), language or shop.settings.language
