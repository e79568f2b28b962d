"""Trials: a subscription that begins with days which cost nothing, or little, and what that makes of its checkout.

A free trial may have no payment, so the subscription itself is the proof that its checkout was completed; one that is
charged is settled by its payment, as every other checkout is.
"""

import json
from dataclasses import replace

from encore import tokens
from encore.dodo import Budget
from encore.dodo.models import Subscription as ProviderSubscription
from encore.dodo.pages import Look
from encore.services import bookkeeping, fulfilment
from encore.services.shop import Shop
from encore.store import checkouts
from encore.store.checkouts import Checkout

# Whoever holds the account may give a subscription another method later. Only what is read this soon after it began is
# surely the method of the browser that began it, which may then pay an offer with it in one click (security.md, 2).
_METHOD_KNOWN_MS = 15 * 60_000
_CLOCK_SKEW_MS = 15 * 60_000
_NEVER_BEGAN = {"pending": "processing", "failed": "failed"}


def find(shop: Shop, *, since: int, product_id: str | None = None, budget: Budget) -> Look[ProviderSubscription]:
    """Look at the subscriptions begun since `since` (epoch milliseconds), of one product or all, that bear our mark.

    The session of a checkout names no subscription, so this is how that of a trial is found; the oldest comes first.
    A list lacks the add-ons of each: read one in full before anything is settled by it.
    """
    found = shop.dodo.subscriptions.list_all(
        created_at_gte=since - _CLOCK_SKEW_MS, product_id=product_id, budget=budget
    )
    ours = [one for one in found.items if is_ours(shop, one)]
    return replace(found, items=tuple(sorted(ours, key=lambda one: (one.created_at or 0, one.subscription_id))))


def is_ours(shop: Shop, found: ProviderSubscription) -> bool:
    """Tell whether a subscription bears the signed mark of a checkout of ours, whose row may be lost."""
    checkout_id = found.mark("checkout_id")
    signature, keys = found.mark("checkout_sig"), shop.settings.attempt_sig_keys
    return checkout_id is not None and tokens.is_mark(keys, signature, "checkout", checkout_id)


def find_checkout(shop: Shop, found: ProviderSubscription) -> Checkout | None:
    """Return the checkout whose signed mark a subscription bears; None without one, or where its row is lost."""
    return checkouts.get_checkout(shop.store, str(found.mark("checkout_id"))) if is_ours(shop, found) else None


def is_free(found: ProviderSubscription) -> bool:
    """Tell whether a subscription began with a trial that costs nothing; any other is proven by a payment."""
    return bool(found.trial_period_days) and not found.trial_amount


def is_unsettled(shop: Shop, found: ProviderSubscription) -> bool:
    """Tell whether a listed subscription may begin a trial here that is not known yet."""
    checkout = find_checkout(shop, found) if is_free(found) else None
    return checkout is not None and checkout.state != "paid" and found.status not in _NEVER_BEGAN


def settle_checkout(shop: Shop, found: ProviderSubscription, *, asked_at: int) -> None:
    """Settle the checkout of a free trial by its subscription, just read. Call inside `store.write()`."""
    if not is_free(found):
        return
    checkout = find_checkout(shop, found)
    if checkout is None:
        return
    if checkout.state == "paid":
        _tell_of_second(shop, checkout, found)
    elif found.status in _NEVER_BEGAN:
        _note_not_begun(shop, checkout, found)
    elif checkouts.mark_begun(
        shop.store,
        checkout.id,
        customer_id=found.customer.customer_id,
        subscription_id=found.subscription_id,
        method_id=_method_it_began_with(found, asked_at=asked_at),
        billing_json=json.dumps(found.billing.known_fields(), sort_keys=True) if found.billing else None,
    ):
        fulfilment.remember_customer(shop, found, language=checkout.language)
        fulfilment.grant_trial(shop, checkout, found)


def _note_not_begun(shop: Shop, checkout: Checkout, found: ProviderSubscription) -> None:
    # A declined card leaves a failed subscription behind; what is told of that is no news of the next one.
    is_other = checkout.subscription_id not in (None, found.subscription_id)
    if is_other and found.status == "failed" and checkout.payment_status == "processing":
        return
    checkouts.mark_trial_seen(
        shop.store,
        checkout.id,
        customer_id=found.customer.customer_id,
        subscription_id=found.subscription_id,
        status=_NEVER_BEGAN[found.status],
    )


def _tell_of_second(shop: Shop, checkout: Checkout, found: ProviderSubscription) -> None:
    if checkout.subscription_id != found.subscription_id and found.status not in ("pending", "failed", "cancelled"):
        # One session that began two trials: ending one is a person's decision, and nothing was charged yet.
        bookkeeping.raise_alarm(
            shop, "second_trial", object_id=found.subscription_id, detail=f"checkout {checkout.id} began one before"
        )


def _method_it_began_with(found: ProviderSubscription, *, asked_at: int) -> str | None:
    is_fresh = found.created_at is not None and asked_at - found.created_at <= _METHOD_KNOWN_MS
    return found.payment_method_id if is_fresh else None
