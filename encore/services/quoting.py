"""Quoting: what an offer costs this buyer now, and which saved method would pay it; both only from the provider."""

import contextvars
import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Literal, TypeVar

import msgspec

from encore.dodo import Budget
from encore.dodo.models import PaymentMethod
from encore.errors import NotExecuted, ProviderError
from encore.rules.kinds import Offer
from encore.rules.methods import (
    MethodCheck,
    SavedMethod,
    Unusable,
    Usable,
    method_that_paid,
    pre_check,
    read_expiry,
    read_last4,
    read_network,
)
from encore.rules.quotes import QUOTE_FRESH_MS, Moved, Quote, QuotedMethod, compare, freeze, is_stale, quote_hash, thaw
from encore.services import funnels, sign_ins
from encore.services.kinds import one_time
from encore.services.shop import Shop
from encore.store import checkouts, customers, offer_instances, orders, payments
from encore.store.checkouts import Checkout
from encore.store.offer_instances import OfferInstance, PreparedQuote
from encore.store.orders import Order

T = TypeVar("T")

# Two reads side by side before a claim: together they may hold the buyer for this long (charging.md, section 1).
_RECHECK_S = 4.0
# Made once, before there is a second thread: see the end of `encore.dodo.models`.
_METHODS = msgspec.json.Decoder(list[SavedMethod])


def aside(shop: Shop, call: Callable[[], T]) -> "Future[T]":
    """Run a read of the provider beside this thread, timed with the request it belongs to."""
    return shop.pool.submit(contextvars.copy_context().run, call)


def role_of(shop: Shop, instance: OfferInstance) -> str:
    """Return the role an instance's offer was published with: upsell, downsell or cross_sell."""
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    return offer.role if offer else ""


def billing_of(shop: Shop, order_id: str) -> dict[str, str]:
    """Return the billing address of a first order's payment: all its known fields go with the next charge."""
    order = orders.get_order(shop.store, order_id)
    payment = payments.get_payment(shop.store, order.payment_id) if order and order.payment_id else None
    if payment is None and order is not None:
        begun = _trial_checkout(shop, order)
        return json.loads(begun.begun_billing_json) if begun and begun.begun_billing_json else {}
    return json.loads(payment.billing_json) if payment and payment.billing_json else {}


def _trial_checkout(shop: Shop, order: Order) -> Checkout | None:
    """Return the checkout of an order that a trial began without a payment."""
    is_unpaid = order.payment_id is None and order.checkout_id is not None
    return checkouts.get_checkout(shop.store, str(order.checkout_id)) if is_unpaid else None


def read_methods(shop: Shop, customer_id: str, *, budget: Budget) -> list[SavedMethod]:
    """Read a customer's saved methods from the provider and keep them for the next page.

    Raises NotExecuted or Unavailable: no answer is not "no method".
    """
    listed = _ask_methods(shop, customer_id, budget=budget)
    with shop.store.write():
        customers.upsert_saved_methods(
            shop.store,
            customers.SavedMethods(
                customer_id=customer_id,
                methods_json=msgspec.json.encode(listed).decode(),
                read_at=shop.now(),
            ),
        )
    return listed


def _ask_methods(shop: Shop, customer_id: str, *, budget: Budget) -> list[SavedMethod]:
    return [_saved(method) for method in shop.dodo.customers.payment_methods(customer_id, budget=budget)]


def recent_methods(shop: Shop, customer_id: str) -> list[SavedMethod] | None:
    """Return the methods read in the last minute, or None."""
    kept = customers.get_saved_methods(shop.store, customer_id)
    if kept is None or not 0 <= shop.now() - kept.read_at <= QUOTE_FRESH_MS:
        return None
    return _METHODS.decode(kept.methods_json)


def known_method(shop: Shop, customer_id: str, payment_method_id: str | None) -> QuotedMethod | None:
    """Return a saved method as it was last listed, however long ago, for showing only; None if it never was."""
    listed = known_methods(shop, customer_id)
    return next((m.as_quoted() for m in listed if m.payment_method_id == payment_method_id), None)


def known_methods(shop: Shop, customer_id: str) -> list[SavedMethod]:
    """Return the saved methods as they were last listed, however long ago: enough to list offers, never to charge."""
    kept = customers.get_saved_methods(shop.store, customer_id)
    return _METHODS.decode(kept.methods_json) if kept else []


def check_method(shop: Shop, order: Order, methods: list[SavedMethod], *, currency: str) -> MethodCheck:
    """Find the method that paid an order among the saved ones and decide whether one click may charge it."""
    payment = payments.get_payment(shop.store, order.payment_id) if order.payment_id else None
    card = json.loads(payment.method_json) if payment and payment.method_json else {}
    begun = _trial_checkout(shop, order)
    if begun is not None:
        # Without a payment the method its trial began with is known by id alone (security.md, section 2).
        card = {"payment_method_id": begun.begun_method_id}
    paid = method_that_paid(
        methods,
        payment_method_id=card.get("payment_method_id") or None,
        network=card.get("network"),
        last4=card.get("last4"),
        expiry_month=card.get("expiry_month"),
        expiry_year=card.get("expiry_year"),
    )
    return pre_check(paid, currency=currency, now=shop.now())


def preview(shop: Shop, offer: Offer, order: Order, *, quantity: int, budget: Budget) -> Quote:
    """Ask the provider what so many of an offer cost the buyer of an order, without a method yet.

    Raises NotExecuted or Unavailable; the offer is then not shown.
    """
    billing = billing_of(shop, order.id)
    answer = shop.dodo.checkouts.preview(
        one_time.preview_request(
            product_id=offer.product_id, quantity=quantity, discount_code=offer.discount_code, billing=billing
        ),
        budget=budget,
    )
    return one_time.read_quote(
        answer,
        product_id=offer.product_id,
        quantity=quantity,
        discount_code=offer.discount_code,
        # Whoever paid in one currency is shown no price in another.
        currency=order.currency,
        country=billing.get("country", order.country or ""),
        method=None,
        now=shop.now(),
    )


def prepare(shop: Shop, offer: Offer, order: Order, *, budget: Budget) -> Quote:
    """Return a quote under 60 s old: the prepared one, or a new preview that is then kept."""
    kept = offer_instances.get_prepared_quote(shop.store, order_id=order.id, offer_id=offer.id)
    if kept is not None and kept.offer_version == offer.version:
        quote = thaw(kept.quote_json)
        if not is_stale(quote, shop.now()):
            return quote
    quote = preview(shop, offer, order, quantity=offer.quantity, budget=budget)
    with shop.store.write():
        offer_instances.upsert_prepared_quote(
            shop.store,
            PreparedQuote(
                order_id=order.id,
                offer_id=offer.id,
                offer_version=offer.version,
                quote_json=freeze(quote),
                previewed_at=quote.previewed_at,
            ),
        )
    return quote


def recheck(shop: Shop, instance: OfferInstance) -> Literal["same", "moved"]:
    """Ask again, right before a claim, whether the method is still there and the price still the one shown.

    `moved`: the instance now carries the fresh quote, and nothing may be charged by this click. Both are asked for
    side by side, however young the quote: the provider charges its price of this moment, whatever a page shows.
    Raises NotExecuted or Unavailable.
    """
    order = orders.get_order(shop.store, instance.follows)
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    shown = thaw(instance.quote_json)
    if order is None or offer is None:
        raise ValueError(f"{instance.id} names rows that are gone")
    if shown.method is None:
        return "same"
    budget = shop.dodo.budget(_RECHECK_S)
    # Not kept: a charge may change them, and a commit here would make the buyer wait for the disk once more.
    methods = aside(shop, lambda: _ask_methods(shop, instance.customer_id, budget=budget))
    # So many as the page showed: the buyer may have chosen another number than the offer begins with.
    fresh = preview(shop, offer, order, quantity=shown.quantity, budget=budget)
    check = _check_again(shop, instance, order, methods.result(), currency=fresh.currency)
    if isinstance(compare(shown, fresh), Moved):
        _requote(shop, instance, with_method(fresh, check), moved_from=instance.quote_json, check=check)
        return "moved"
    if not isinstance(check, Usable) or check.method.as_quoted() != shown.method:
        # The page says which card it would be now; without one it says why, and leads to the checkout.
        _requote(shop, instance, with_method(fresh, check), moved_from=instance.quote_json, check=check)
        return "moved"
    return "same"


def may_choose(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether an instance's browser has proven the address of its customer, and so may use all their methods.

    Nobody else is let near a recommendation.
    """
    if instance.is_recommendation:
        return True
    return sign_ins.has_account(shop, instance.buyer_key, customer_id=instance.customer_id)


def _check_again(
    shop: Shop, instance: OfferInstance, order: Order, methods: list[SavedMethod], *, currency: str
) -> MethodCheck:
    """Check the method a signed-in buyer has chosen; without one, or if it cannot pay any more, the one that paid."""
    if instance.chosen_method_id is not None and may_choose(shop, instance):
        chosen = next((m for m in methods if m.payment_method_id == instance.chosen_method_id), None)
        check = pre_check(chosen, currency=currency, now=shop.now())
        if isinstance(check, Usable):
            return check
    return check_method(shop, order, methods, currency=currency)


def with_method(quote: Quote, check: MethodCheck) -> Quote:
    """Return the quote paid by the checked method, or by none."""
    return replace(quote, method=check.method.as_quoted() if isinstance(check, Usable) else None)


def _requote(shop: Shop, instance: OfferInstance, quote: Quote, *, moved_from: str | None, check: MethodCheck) -> None:
    is_chosen = isinstance(check, Usable) and check.method.payment_method_id == instance.chosen_method_id
    with shop.store.write():
        offer_instances.mark_requoted(
            shop.store,
            instance.id,
            old_hash=instance.quote_hash,
            quote_json=freeze(quote),
            quote_hash=quote_hash(quote),
            moved_from_json=moved_from,
            no_method_reason=check.reason if isinstance(check, Unusable) else None,
            chosen_method_id=instance.chosen_method_id if is_chosen else None,
        )


def methods_or_none(shop: Shop, customer_id: str, *, budget: Budget) -> list[SavedMethod] | None:
    """Read a customer's methods; None when the provider gives no answer, which is not "no method" (R4d)."""
    try:
        return read_methods(shop, customer_id, budget=budget)
    except NotExecuted:
        return []
    except ProviderError:
        return None


def _saved(method: PaymentMethod) -> SavedMethod:
    card = method.card
    expiry = read_expiry(card.expiry_month, card.expiry_year) if card else None
    return SavedMethod(
        payment_method_id=method.payment_method_id,
        kind=method.payment_method or "",
        method_type=method.payment_method_type,
        network=read_network(card.card_network) if card else None,
        last4=read_last4(card.last4_digits) if card else None,
        expiry_month=expiry[0] if expiry else None,
        expiry_year=expiry[1] if expiry else None,
        reusable=method.recurring_enabled,
    )
