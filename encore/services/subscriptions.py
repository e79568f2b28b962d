"""Subscriptions: read again from the provider, stored, and what follows from them: access, and changes that are done.

As with payments, only what was just read makes states, so the order, repetition and loss of events change nothing.
"""

import json
from dataclasses import asdict

from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.models import Subscription as ProviderSubscription
from encore.errors import NotExecuted, ProviderError
from encore.ids import new_id
from encore.rules.plan_changes import STATUSES_WITH_ACCESS, Addon, is_done, thaw_change
from encore.services import bookkeeping, budgets, card_charges, dues_payments, messages, plan_groups, settling, trials
from encore.services.kinds.plan_change import addons_of, read_addons, state_of, write_addons
from encore.services.shop import Shop
from encore.store import acceptances, attempts, catalogue, checkouts, customers, offer_instances, orders
from encore.store import subscriptions as rows
from encore.store.subscriptions import Subscription

_READ_S, _PAGE_S = 8.0, 4.0
_MOST_READS = 20
# A change of ours shows in its subscription within this time, or waits for a renewal and is told then.
_OWN_CHANGE_MS = 24 * 3_600_000
# What could not be read is asked for again at these distances; a subscription that is never there is given up.
_RETRY_MS = (1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000)


def observe_subscription(shop: Shop, provider_subscription_id: str, *, budget: Budget) -> Subscription | None:
    """Read one subscription and settle by it; None if its customer is nobody we know.

    Raises NotExecuted or Unavailable when the provider gives no answer.
    """
    asked_at = shop.now()
    found = shop.dodo.subscriptions.get(provider_subscription_id, budget=budget)
    return settle_subscription(shop, found, asked_at=asked_at)


def try_subscription(shop: Shop, provider_subscription_id: str, *, budget: Budget) -> bool:
    """Read one subscription and settle by it; without an answer the worker asks again, and this is False."""
    try:
        observe_subscription(shop, provider_subscription_id, budget=budget)
    except ProviderError:
        with shop.store.write():
            rows.insert_to_read(shop.store, provider_subscription_id, due_at=shop.now())
        return False
    return True


def settle_subscription(shop: Shop, found: ProviderSubscription, *, asked_at: int) -> Subscription | None:
    """Store a subscription as just read, let access follow it, and settle the change that is under way for it.

    `asked_at` (epoch milliseconds) is when the provider was asked: an answer may have been overtaken on its way, and
    what was asked for later stands. Safe to call with any subscription, any number of times, in any order.
    """
    with shop.store.write():
        trials.settle_checkout(shop, found, asked_at=asked_at)
        row = _store(shop, found, asked_at=asked_at)
        if row is not None:
            follow_access(shop, row)
            _settle_live_change(shop, row)
            dues_payments.note_paid_again(shop, row)
            card_charges.tell(shop, row)
        crash_point("subscription.uncommitted")
    crash_point("subscription.committed")
    return row


def _store(shop: Shop, found: ProviderSubscription, *, asked_at: int) -> Subscription | None:
    known = rows.get_by_provider_id(shop.store, found.subscription_id)
    checkout = checkouts.get_by_subscription(shop.store, found.subscription_id)
    if known is None and checkout is None and customers.get_customer(shop.store, found.customer.customer_id) is None:
        return None
    order = orders.get_of_checkout(shop.store, checkout.id) if checkout else None
    scheduled = found.scheduled_change
    rows.upsert_subscription(
        shop.store,
        Subscription(
            id=new_id("sbs"),
            provider_subscription_id=found.subscription_id,
            customer_id=found.customer.customer_id,
            order_id=order.id if order else None,
            product_id=found.product_id,
            quantity=found.quantity or 1,
            addons_json=write_addons(addons_of(found.addons)),
            status=found.status,
            amount=found.recurring_pre_tax_amount,
            currency=found.currency,
            tax_inclusive=int(bool(found.tax_inclusive)),
            interval_count=found.payment_frequency_count,
            interval_unit=found.payment_frequency_interval,
            trial_days=found.trial_period_days or 0,
            is_on_demand=int(bool(found.on_demand)),
            cancels_at_period_end=int(bool(found.cancel_at_next_billing_date)),
            has_discount=int(bool(found.discounts or found.discount_id)),
            scheduled_json=None
            if scheduled is None
            else json.dumps(
                {
                    "product_id": scheduled.product_id,
                    "quantity": scheduled.quantity,
                    "addons": [asdict(addon) for addon in addons_of(scheduled.addons)],
                    "effective_at": scheduled.effective_at,
                }
            ),
            payment_method_id=found.payment_method_id,
            created_at=found.created_at,
            previous_billing_at=found.previous_billing_at,
            next_billing_at=found.next_billing_at,
            state_hash=state_of(found),
            observed_at=asked_at,
        ),
    )
    row = rows.get_by_provider_id(shop.store, found.subscription_id)
    if row is not None and known is not None and known.state_hash != row.state_hash:
        _note_change(shop, known, row)
    return row


def _note_change(shop: Shop, known: Subscription, row: Subscription) -> None:
    group = plan_groups.group_of(shop, row.product_id)
    bookkeeping.record(
        shop,
        "subscription.changed",
        subscription_id=row.id,
        status=row.status,
        product_id=row.product_id,
        # The provider's event tells only the new plan; what we knew before tells up from down.
        product_before=known.product_id,
        direction=group.direction(known.product_id, row.product_id) if group else None,
    )
    if known.product_id != row.product_id and not attempts.has_change_to(
        shop.store, row.provider_subscription_id, product_id=row.product_id, since=shop.now() - _OWN_CHANGE_MS
    ):
        _tell_plan(shop, row)


def _tell_plan(shop: Shop, row: Subscription) -> None:
    """Tell a customer of a plan that was changed elsewhere, or has changed at its renewal: our own changes tell it."""
    customer = customers.get_customer(shop.store, row.customer_id)
    product = catalogue.get_product(shop.store, row.product_id)
    bookkeeping.tell_buyer(
        shop,
        "plan_now",
        dedup=f"{row.id}:{row.state_hash}",
        customer_id=row.customer_id,
        language=(customer.language if customer else None) or shop.settings.language,
        facts=messages.facts_of(
            product_name=product.name if product else row.product_id,
            amount=row.amount or 0,
            currency=row.currency,
            card=None,
            order_number=None,
            url=messages.subscription_url(shop, row.id),
            at=shop.now(),
        ),
    )


def follow_access(shop: Shop, row: Subscription) -> None:
    """Let the customer's access be what the subscription gives now. Call inside `store.write()`."""
    order = orders.get_order(shop.store, row.order_id) if row.order_id else None
    # Money that went back took its access with it, whatever the subscription says since.
    if order is None or order.state != "granted":
        return
    gives = {row.product_id} if row.status in STATUSES_WITH_ACCESS else set()
    access = orders.list_access(shop.store, order.id)
    for product_id in sorted(gives | access.keys()):
        has = product_id in access and access[product_id] is None
        if has == (product_id in gives):
            continue
        orders.mark_access(
            shop.store,
            order.id,
            customer_id=order.customer_id,
            product_id=product_id,
            now=shop.now(),
            gives=not has,
        )
        bookkeeping.record(
            shop, "access.given" if not has else "access.taken", subscription_id=row.id, product_id=product_id
        )


def scheduled_of(row: Subscription) -> tuple[str, int, tuple[Addon, ...]] | None:
    """Return a subscription's scheduled change: product, quantity and add-ons."""
    if row.scheduled_json is None:
        return None
    scheduled = json.loads(row.scheduled_json)
    return scheduled["product_id"], scheduled["quantity"], tuple(Addon(**addon) for addon in scheduled["addons"])


def _settle_live_change(shop: Shop, row: Subscription) -> None:
    """Settle the change under way by what the subscription has become.

    A change that charges is paid by its payment alone; until that is seen it is processing. One that charges nothing,
    or only at the next renewal, has no payment now: the subscription itself is the proof.
    """
    attempt = attempts.get_live_of_subscription(shop.store, row.provider_subscription_id)
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id) if attempt else None
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id) if acceptance else None
    if attempt is None or acceptance is None or instance is None or attempt.kind != "plan_change":
        return
    quote = thaw_change(instance.quote_json)
    if not has_become(row, instance.quote_json):
        return
    if quote.due.minor == 0 or quote.is_scheduled:
        settling.keep_without_payment(shop, attempt, acceptance, instance)
    else:
        bookkeeping.apply_event(
            shop, attempt, "seen_processing", next_check_at=shop.now() + bookkeeping.look_after_ms(shop, attempt.looks)
        )


def has_become(row: Subscription, quote_json: str) -> bool:
    """Tell whether a subscription is, or is scheduled to become, what a frozen quote asks for."""
    return is_done(
        thaw_change(quote_json).wish,
        product_id=row.product_id,
        quantity=row.quantity,
        addons=read_addons(row.addons_json),
        scheduled=scheduled_of(row),
    )


def read_for_page(shop: Shop, row: Subscription) -> bool:
    """Read a subscription again for its page; False if the page must show what was last known."""
    if not budgets.take(shop, "status"):
        return False
    return try_subscription(shop, row.provider_subscription_id, budget=shop.dodo.budget(_PAGE_S))


def read_due(shop: Shop) -> int:
    """Read the subscriptions that something has happened to; returns how many were read."""
    due = rows.list_to_read(shop.store, now=shop.now(), limit=_MOST_READS)
    read = 0
    for provider_subscription_id, tries in due:
        if not budgets.take(shop, "reconcile"):
            break
        read += _read_one(shop, provider_subscription_id, tries=tries)
    return read


def _read_one(shop: Shop, provider_subscription_id: str, *, tries: int) -> bool:
    asked_before = shop.now()
    try:
        observe_subscription(shop, provider_subscription_id, budget=shop.dodo.budget(_READ_S))
    except ProviderError as error:
        budgets.heed(shop, error)
        is_gone = isinstance(error, NotExecuted) and error.status == 404
        with shop.store.write():
            if is_gone and tries >= len(_RETRY_MS):
                rows.delete_to_read(shop.store, provider_subscription_id, asked_before=asked_before)
            else:
                wait_ms = _RETRY_MS[min(tries, len(_RETRY_MS) - 1)]
                rows.mark_to_read_failed(shop.store, provider_subscription_id, due_at=shop.now() + wait_ms)
        return False
    with shop.store.write():
        rows.delete_to_read(shop.store, provider_subscription_id, asked_before=asked_before)
    return True
