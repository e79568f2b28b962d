"""Order pages: an order and today's payments as the return, thank-you and order pages show them."""

import json
from collections.abc import Sequence
from dataclasses import replace

from encore.rules.disputes import is_lost, is_open
from encore.rules.money import Money
from encore.rules.quotes import Quote, QuotedMethod
from encore.services import bookkeeping, catalogue, trial_pages
from encore.services.pages import OrderSummary, PaymentLine, ProductCard
from encore.services.shop import Shop
from encore.store import acceptances, attempts, customers, offer_instances, orders, payments
from encore.store.orders import Order
from encore.store.payments import Payment


def summarise(shop: Shop, order: Order, *, is_earlier: bool = False) -> OrderSummary:
    """Return a first order as a page shows it; `is_earlier`: the page is not about it."""
    customer = customers.get_customer(shop.store, order.customer_id)
    return OrderSummary(
        ref=bookkeeping.ref_of(shop, order),
        number=order.number,
        product=product_of(shop, order),
        quantity=order.quantity,
        total=Money(order.amount, order.currency),
        masked_email=mask(customer.email) if customer and customer.email else None,
        created_at=order.created_at,
        trial=trial_pages.of_order(shop, order),
        is_earlier=is_earlier,
    )


def product_of(shop: Shop, order: Order) -> ProductCard:
    """Return the product of an order, by the name it was bought under."""
    card = catalogue.get_by_id(shop, order.product_id)
    if card is None:
        raise ValueError(f"{order.product_id} was never in the catalogue")
    return replace(card, name=order.product_name)


def list_payments(shop: Shop, order: Order, *, with_account: bool = False) -> tuple[PaymentLine, ...]:
    """Return the payments of an order and of the offers taken after it, those under way included.

    `with_account`: also of what was bought or changed later in the account, for whoever is signed in to it.
    """
    lines = [
        payment_line(shop, order),
        *(
            payment_line(shop, one)
            for one in orders.list_of_first(shop.store, order.id, with_account=with_account)
            # A change of plan that charged nothing is an order, but no payment.
            if one.amount or one.payment_id
        ),
    ]
    return (*lines, *_under_way(shop, order, with_account=with_account))


def sum_today(lines: tuple[PaymentLine, ...]) -> tuple[Money, ...]:
    """Return what the paid lines add up to, less what was refunded, per currency in the order the currencies appear."""
    sums: dict[str, Money] = {}
    for line in lines:
        if line.state in ("paid", "free", "disputed"):
            code = line.amount.currency
            kept = line.amount - line.refunded if line.refunded else line.amount
            sums[code] = sums[code] + kept if code in sums else kept
    return tuple(sums.values())


def sum_with_order(shop: Shop, first: Order, *, total: Money) -> Money | None:
    """Return what an order, the offers taken after it and one sum more add up to, as `sum_of_paid` says."""
    return sum_of_paid([first, *orders.list_of_first(shop.store, first.id)], more=total)


def sum_of_paid(earlier: Sequence[Order], *, more: Money) -> Money | None:
    """Return what orders that stand have cost and one sum more; None if they cost nothing, or currencies differ."""
    # A free trial is an order, but no payment that another one could be the second of.
    paid = [Money(order.amount, order.currency) for order in earlier if order.state == "granted" and order.amount]
    if not paid or any(amount.currency != more.currency for amount in paid):
        return None
    return sum(paid, start=more)


def payment_line(shop: Shop, order: Order) -> PaymentLine:
    """Return the payment of one order, and how it stands."""
    payment = payments.get_payment(shop.store, order.payment_id) if order.payment_id else None
    return PaymentLine(
        payment_id=order.payment_id,
        product_name=order.product_name,
        quantity=order.quantity,
        amount=Money(order.amount, order.currency),
        state=_state_of(order, payment),
        at=payment.created_at if payment else order.created_at,
        method=method_of(payment) if payment else None,
        refunded=Money(payment.refunded, payment.currency) if payment and payment.refunded else None,
    )


def _state_of(order: Order, payment: Payment | None) -> str:
    if order.checkout_id is not None and order.amount == 0 and order.state == "granted":
        # A free trial, with a payment of zero or with none.
        return "free"
    if payment is None:
        return "paid"
    if order.state == "reversed":
        # As on the offer's own page: what was refunded in full is not the bank's doing.
        return "lost" if is_lost(payment.dispute_status) and payment.refunded < payment.amount else "refunded"
    return "disputed" if is_open(payment.dispute_status) else "paid"


def _under_way(shop: Shop, order: Order, *, with_account: bool) -> list[PaymentLine]:
    lines = []
    recommended = offer_instances.list_recommended(shop.store, order.customer_id) if with_account else []
    filed_here = [one for one in recommended if bookkeeping.first_order_of(shop, one).id == order.id]
    for instance in (*offer_instances.list_of_order(shop.store, order.id), *filed_here):
        acceptance = acceptances.get_of_instance(shop.store, instance.id)
        if acceptance is None or acceptance.outcome != "open" or acceptance.amount is None:
            continue
        tries = attempts.list_of_acceptance(shop.store, acceptance.id)
        is_unknown = bool(tries) and tries[-1].state == "unknown"
        product = catalogue.get_by_id(shop, acceptance.product_id)
        lines.append(
            PaymentLine(
                payment_id=tries[-1].provider_payment_id if tries else None,
                product_name=product.name if product else acceptance.product_id,
                quantity=acceptance.quantity,
                amount=Money(acceptance.amount, str(acceptance.currency)),
                state="checking" if is_unknown else "processing",
                at=acceptance.created_at,
                method=None,
            )
        )
    return lines


def method_of(payment: Payment) -> QuotedMethod | None:
    """Return the masked method that paid."""
    return QuotedMethod(**json.loads(payment.method_json)) if payment.method_json else None


def quote_as_paid(quote: Quote, payment: Payment) -> Quote:
    """Return a quote with the figures of a payment made on the provider's own page."""
    currency = payment.currency
    total, tax = Money(payment.amount, currency), Money(payment.tax or 0, currency)
    return replace(quote, lines=(), subtotal=total - tax, discount=Money(0, currency), tax=tax, total=total)


def mask(email: str) -> str:
    """Return an address a passer-by cannot read: its first letter and its domain."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}•••@{domain}"
