"""Changing a plan: preview, confirm, and dropping a change that is scheduled.

Every amount is the provider's, stored as a quote before it is shown; a confirm sends the quote that was shown and no
other, after the provider has said once more that it still holds. The charge itself is `charging`'s.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from encore.crash_point import crash_point
from encore.dodo.models import Subscription as ProviderSubscription
from encore.dodo.urls import is_checkout_url
from encore.errors import NotExecuted, ProviderError
from encore.ids import new_id
from encore.rules.methods import SavedMethod
from encore.rules.plan_changes import (
    AT_RENEWAL,
    MAX_SEATS,
    MODE_AT_RENEWAL,
    NOW,
    QUOTE_LIFE_MS,
    PlanQuote,
    Wish,
    change_hash,
    freeze_change,
    may_confirm,
    thaw_change,
)
from encore.rules.plan_groups import PlanGroup
from encore.rules.quotes import QuotedMethod
from encore.services import (
    bookkeeping,
    budgets,
    charging,
    fallback,
    plan_ends,
    plan_groups,
    quoting,
    reconcile,
    subscriptions,
)
from encore.services.consent import Consent
from encore.services.kinds import plan_change
from encore.services.kinds.plan_change import addons_of
from encore.services.shop import Shop
from encore.store import acceptances, attempts, catalogue, offer_instances, payments
from encore.store import subscriptions as rows
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

# What a buyer's own change is booked under; no offer of the merchant can be called so.
OWN_CHANGE = "@plan_change"
# One that has run out is answered with the figures of this moment.
UNANSWERED = ("shown", "expired")
_PREVIEW_S = 8.0
_NOT_BEFORE_RENEWAL_MS = 10 * 60_000

Refusal = Literal[
    "not_a_plan",
    "same_plan",
    "bad_quantity",
    "bad_time",
    "archived",
    "on_hold",
    "paused",
    "ended",
    "on_demand",
    "usage_based",
    "pending_change",
    "scheduled_change",
    "ending",
    "no_price",
]
# What the provider calls each; anything else is "the price cannot be shown".
_REFUSALS: dict[str, Refusal] = {
    "PENDING_PLAN_CHANGE_EXISTS": "pending_change",
    "PREVIOUS_PAYMENT_PENDING": "pending_change",
    "SCHEDULED_PLAN_CHANGE_EXISTS": "scheduled_change",
    "PLAN_CHANGE_NOT_ALLOWED_FOR_SCHEDULED_CANCELLATION": "ending",
    "INACTIVE_SUBSCRIPTION_PLAN_CHANGE_NOT_SUPPORTED": "ended",
    "SUBSCRIPTION_INACTIVE": "ended",
    "SUBSCRIPTION_EXPIRED": "ended",
    "ON_DEMAND_PLAN_CHANGE_NOT_SUPPORTED": "on_demand",
    "UNSUPPORTED_ACTION": "usage_based",
    "PRODUCT_IS_DELETED": "archived",
}
_REFUSALS_OF_STATUS: dict[str, Refusal] = {
    "on_hold": "on_hold",
    "paused": "paused",
    "pending": "pending_change",
    "cancelled": "ended",
    "failed": "ended",
    "expired": "ended",
}


@dataclass(frozen=True)
class Quoted:
    """A quote is stored and may be shown; `is_moved`: it stands for another one that no longer holds."""

    instance_id: str
    is_moved: bool = False


@dataclass(frozen=True)
class NotQuoted:
    """There is no price to show, so nothing can be changed, and why."""

    reason: Refusal


@dataclass(frozen=True)
class Confirmed:
    """The click was taken, by this request or an earlier one, and the quote's page says what came of it.

    `limited` and `unavailable`: nothing was done.
    """

    result: charging.AcceptResult


class _Refused(Exception):
    def __init__(self, reason: Refusal) -> None:
        self.reason: Refusal = reason


# ---- Preview ---------------------------------------------------------------------------------------------------


def preview(
    shop: Shop,
    subscription: Subscription,
    *,
    product_id: str,
    quantity: int | None,
    buyer_key: str,
    language: str,
) -> Quoted | NotQuoted:
    """Ask what a change would cost and store the quote; nothing changes until it is confirmed.

    `quantity` None keeps the subscription's own; add-ons are kept. A way down is quoted twice: at the renewal, and now
    with its credit; the one the merchant prefers is returned, the other stands beside it.
    """
    try:
        current = _read(shop, subscription)
        wishes = _wishes(shop, current, product_id=product_id, quantity=quantity)
        method = _method_of(shop, current)
        with _kept_running(shop, current, wishes[0]) as running:
            quotes = _ask_all(shop, running, wishes, method=method)
    except _Refused as refused:
        return NotQuoted(refused.reason)
    return _store(shop, subscription, quotes, buyer_key=buyer_key, language=language)


@contextmanager
def _kept_running(shop: Shop, current: ProviderSubscription, wish: Wish) -> Iterator[ProviderSubscription]:
    """Let a subscription that is set to end go on inside: the provider tells no price for one that ends."""
    if not wish.resumes:
        yield current
        return
    running = _withdraw_end(shop, current)
    try:
        yield running
    finally:
        plan_ends.put_back(shop, current.subscription_id)


def _withdraw_end(shop: Shop, current: ProviderSubscription) -> ProviderSubscription:
    # So near to its end it might be renewed, and charged, before the end is put back.
    if current.next_billing_at is None or current.next_billing_at - shop.now() < _NOT_BEFORE_RENEWAL_MS:
        raise _Refused("ending")
    try:
        return plan_ends.withdraw(shop, current.subscription_id)
    except plan_ends.NotWithdrawn as moved:
        is_changing = attempts.get_live_of_subscription(shop.store, current.subscription_id) is not None
        raise _Refused("pending_change" if is_changing else "no_price") from moved
    except ProviderError as error:
        budgets.heed(shop, error)
        plan_ends.put_back(shop, current.subscription_id)
        raise _Refused("no_price") from error


def _ask_all(
    shop: Shop, current: ProviderSubscription, wishes: list[Wish], *, method: QuotedMethod | None
) -> list[PlanQuote]:
    """Return the quotes of the wishes that have one; raises what the first was refused for if none has."""
    quotes: list[PlanQuote] = []
    refusal: _Refused | None = None
    for wish in wishes:
        try:
            quotes.append(_ask(shop, current, wish, method=method))
        except _Refused as refused:
            refusal = refusal or refused
    if refusal is not None and not quotes:
        raise refusal
    return quotes


def _read(shop: Shop, subscription: Subscription) -> ProviderSubscription:
    """Read the subscription as it is now, and refuse what cannot be changed."""
    _take_call(shop)
    budget = shop.dodo.budget(_PREVIEW_S)
    asked_at = shop.now()
    try:
        current = shop.dodo.subscriptions.get(subscription.provider_subscription_id, budget=budget)
    except ProviderError as error:
        budgets.heed(shop, error)
        raise _Refused("no_price") from error
    subscriptions.settle_subscription(shop, current, asked_at=asked_at)
    if current.on_demand:
        raise _Refused("on_demand")
    if current.status in _REFUSALS_OF_STATUS:
        raise _Refused(_REFUSALS_OF_STATUS[current.status])
    if attempts.get_live_of_subscription(shop.store, current.subscription_id) is not None:
        raise _Refused("pending_change")
    if current.scheduled_change is not None:
        raise _Refused("scheduled_change")
    return current


def _take_call(shop: Shop) -> None:
    if not budgets.take_soon(shop, "status"):
        raise _Refused("no_price")


def _wishes(shop: Shop, current: ProviderSubscription, *, product_id: str, quantity: int | None) -> list[Wish]:
    group = plan_groups.group_of(shop, current.product_id)
    direction = group.direction(current.product_id, product_id) if group else None
    if group is None or direction is None:
        raise _Refused("not_a_plan")
    _demand_sold(shop, product_id)
    before = current.quantity or 1
    wanted = before if quantity is None else quantity
    if not 1 <= wanted <= MAX_SEATS:
        raise _Refused("bad_quantity")
    if direction == "same":
        if wanted == before:
            raise _Refused("same_plan")
        direction = "up" if wanted > before else "down"
    now = Wish(
        subscription_id=current.subscription_id,
        product_id=product_id,
        quantity=wanted,
        addons=addons_of(current.addons),
        mode=group.upgrade_mode if direction == "up" else group.downgrade_mode,
        when=NOW,
        resumes=plan_ends.is_to_end(shop, current),
    )
    return [now] if direction == "up" else _ways_down(group, now)


def _demand_sold(shop: Shop, product_id: str) -> None:
    product = catalogue.get_product(shop.store, product_id)
    if product is None:
        raise _Refused("not_a_plan")
    if product.archived_at is not None:
        raise _Refused("archived")


def _ways_down(group: PlanGroup, now: Wish) -> list[Wish]:
    later = replace(now, mode=MODE_AT_RENEWAL, when=AT_RENEWAL)
    return [later, now] if group.downgrade_when == AT_RENEWAL else [now, later]


def _method_of(shop: Shop, current: ProviderSubscription) -> QuotedMethod | None:
    """Return the saved method that pays for the subscription, as far as the provider lists it."""
    customer_id = current.customer.customer_id
    kept = _pays(current, quoting.recent_methods(shop, customer_id))
    if kept is not None:
        return kept
    # A card that was just given is in no list we have read before.
    return _pays(current, quoting.methods_or_none(shop, customer_id, budget=shop.dodo.budget(_PREVIEW_S)))


def _pays(current: ProviderSubscription, methods: list[SavedMethod] | None) -> QuotedMethod | None:
    return next((m.as_quoted() for m in methods or () if m.payment_method_id == current.payment_method_id), None)


def _ask(shop: Shop, current: ProviderSubscription, wish: Wish, *, method: QuotedMethod | None) -> PlanQuote:
    _take_call(shop)
    try:
        answer = shop.dodo.subscriptions.preview_change(
            wish.subscription_id, plan_change.change_request(wish), budget=shop.dodo.budget(_PREVIEW_S)
        )
        return plan_change.read_quote(answer, current, wish, method=method, now=shop.now())
    except NotExecuted as refusal:
        budgets.heed(shop, refusal)
        raise _Refused(_REFUSALS.get(refusal.code, "no_price")) from refusal
    except ProviderError as error:
        raise _Refused("no_price") from error


def _store(
    shop: Shop,
    subscription: Subscription,
    quotes: list[PlanQuote],
    *,
    buyer_key: str,
    language: str,
    moved_from: str | None = None,
) -> Quoted:
    now = shop.now()
    ids = [new_id("quo") for _ in quotes]
    with shop.store.write():
        for number, (instance_id, quote) in enumerate(zip(ids, quotes, strict=True)):
            offer_instances.insert_instance(
                shop.store,
                OfferInstance(
                    id=instance_id,
                    offer_id=OWN_CHANGE,
                    offer_version=0,
                    funnel_id="",
                    funnel_version=0,
                    step_key="",
                    placement="account",
                    source_ref=instance_id,
                    buyer_key=buyer_key,
                    customer_id=subscription.customer_id,
                    product_id=quote.wish.product_id,
                    language=language,
                    quote_json=freeze_change(quote),
                    quote_hash=change_hash(quote),
                    moved_from_json=moved_from if number == 0 else None,
                    no_method_reason=None,
                    created_at=now,
                    expires_at=now + QUOTE_LIFE_MS,
                    answered_at=None,
                    state="shown",
                    kind="plan_change",
                    alternative_id=ids[1 - number] if len(ids) > 1 else None,
                ),
            )
        bookkeeping.record(shop, "plan_change.quoted", instance_id=ids[0], subscription_id=subscription.id)
    return Quoted(ids[0], is_moved=moved_from is not None)


# ---- Confirm ---------------------------------------------------------------------------------------------------


def get_quote(shop: Shop, instance_id: str, *, customer_ids: tuple[str, ...]) -> OfferInstance | None:
    """Return a quote of one of these customers; anybody else's is as unknown as one that never was."""
    instance = offer_instances.get_instance(shop.store, instance_id)
    is_theirs = instance is not None and instance.kind == "plan_change" and instance.customer_id in customer_ids
    return instance if is_theirs else None


def confirm(
    shop: Shop, instance: OfferInstance, *, quote_hash: str, consent: Consent
) -> Confirmed | Quoted | NotQuoted:
    """Make the change that was shown, once, whoever else clicks.

    The provider is asked again first: only a price no worse than the one shown goes. Otherwise nothing is sent, and the
    new quote is returned, to be shown beside the old one.
    """
    if instance.state not in UNANSWERED:
        return Confirmed("taken")
    shown = thaw_change(instance.quote_json)
    subscription = rows.get_by_provider_id(shop.store, shown.wish.subscription_id)
    if subscription is None or quote_hash != instance.quote_hash:
        return Confirmed("moved")
    try:
        _demand_sold(shop, shown.wish.product_id)
        current = _read(shop, subscription)
        is_ending = plan_ends.is_to_end(shop, current)
        if is_ending and not shown.wish.resumes:
            raise _Refused("ending")
        if is_ending:
            current = _withdraw_end(shop, current)
    except _Refused as refused:
        # Another tab's change may be the one under way: then its page is the answer, and nothing of ours was sent.
        return NotQuoted(refused.reason)
    try:
        return _confirm_running(shop, instance, subscription, current, shown, consent=consent)
    finally:
        # Whatever came of it: a withdrawn end is put back unless the change went through or is under way.
        plan_ends.put_back(shop, current.subscription_id)


def _confirm_running(
    shop: Shop,
    instance: OfferInstance,
    subscription: Subscription,
    current: ProviderSubscription,
    shown: PlanQuote,
    *,
    consent: Consent,
) -> Confirmed | Quoted | NotQuoted:
    try:
        fresh = _ask(shop, current, shown.wish, method=shown.method)
    except _Refused as refused:
        return NotQuoted(refused.reason)
    if shop.now() >= instance.expires_at or may_confirm(shown, fresh) != "go":
        return _store(
            shop,
            subscription,
            [fresh],
            buyer_key=instance.buyer_key,
            language=instance.language,
            # The old figures are kept, to be shown beside the new ones.
            moved_from=instance.quote_json,
        )
    crash_point("claim.checked")
    result = charging.claim_and_send(shop, instance, _charge(shop, instance, shown), consent=consent)
    look_now(shop, instance)
    return Confirmed(result)


def _charge(shop: Shop, instance: OfferInstance, shown: PlanQuote) -> charging.Charge:
    attempt_id = new_id("att")
    # Our mark goes with the payment only: a subscription's own metadata is inherited by its renewals.
    metadata = bookkeeping.attribution(
        shop, instance, role="plan_change", attempt_id=attempt_id, customer_id=instance.customer_id
    )
    return charging.Charge(
        kind="plan_change",
        attempt_id=attempt_id,
        body=plan_change.charge_request(shown, metadata=metadata),
        product_id=shown.wish.product_id,
        quantity=shown.wish.quantity,
        amount=shown.due,
        is_still_offered=lambda: _is_still_possible(shop, shown),
        subscription_id=shown.wish.subscription_id,
        # Queued, it would be sent on a preview up to half a minute old.
        can_wait=False,
        # Asked for by name and signed in by e-mail: the cap is for clicks on what we offer.
        is_capped=False,
    )


def _is_still_possible(shop: Shop, shown: PlanQuote) -> bool:
    """Tell, inside the claim, whether what we last read of subscription and plan is still what the quote is about."""
    row = rows.get_by_provider_id(shop.store, shown.wish.subscription_id)
    product = catalogue.get_product(shop.store, shown.wish.product_id)
    if row is None or row.state_hash != shown.state or product is None or product.archived_at is not None:
        return False
    # A change is paid before the subscription is seen to have changed: meanwhile the state it started from looks as if
    # it still held, and a quote of another tab for it would be a second charge.
    spent = attempts.get_quote_of_newest_change(
        shop.store, shown.wish.subscription_id, since=shop.now() - QUOTE_LIFE_MS
    )
    if spent is None:
        return True
    newest = thaw_change(spent)
    # A change for the next renewal leaves the plan as it is until then, and may have been called off.
    return newest.is_scheduled or newest.state != shown.state


def preview_again(
    shop: Shop, instance: OfferInstance, subscription: Subscription, *, buyer_key: str, language: str
) -> Quoted | NotQuoted:
    """Ask anew what the change of a quote costs, because its buyer asks: it has run out, or did not go through."""
    wish = thaw_change(instance.quote_json).wish
    return preview(
        shop,
        subscription,
        product_id=wish.product_id,
        quantity=wish.quantity,
        buyer_key=buyer_key,
        language=language,
    )


def look_now(shop: Shop, instance: OfferInstance) -> None:
    """Ask the provider at once what became of a change that was just sent: its answer says nothing as a rule."""
    shown = thaw_change(instance.quote_json)
    live = attempts.get_live_of_subscription(shop.store, shown.wish.subscription_id)
    if live is not None and live.state in ("unknown", "pending"):
        reconcile.look_for_buyer(shop, live)
    elif live is None:
        # Its payment is settled; what the plan is now shows in the subscription only.
        subscriptions.try_subscription(shop, shown.wish.subscription_id, budget=shop.dodo.budget(_PREVIEW_S))
    crash_point("change.looked")


def refresh(shop: Shop, instance: OfferInstance) -> None:
    """Ask the provider about a change that is under way, because its buyer asks."""
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is None:
        return
    tries = attempts.list_of_acceptance(shop.store, acceptance.id)
    if tries and tries[-1].state in ("unknown", "pending", "action_required"):
        reconcile.look_for_buyer(shop, tries[-1])
    elif tries and tries[-1].state == "paid" and budgets.take(shop, "status"):
        row = rows.get_by_provider_id(shop.store, str(tries[-1].subscription_id))
        if row is None or row.observed_at < tries[-1].changed_at:
            subscriptions.try_subscription(shop, str(tries[-1].subscription_id), budget=shop.dodo.budget(_PREVIEW_S))


def bank_url(shop: Shop, instance: OfferInstance) -> str | None:
    """Return where the buyer confirms the payment of a change with their bank; None unless the bank asks for it."""
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    tries = attempts.list_of_acceptance(shop.store, acceptance.id) if acceptance else []
    if not tries or tries[-1].state != "action_required":
        return None
    payment = payments.get_payment(shop.store, tries[-1].provider_payment_id or "")
    link = payment.payment_link if payment else None
    return link if link and is_checkout_url(link, shop.settings.checkout_hosts) else None


def give_up(shop: Shop, instance: OfferInstance) -> None:
    """Leave a change whose payment waits for the bank; if it succeeds there all the same, it is honoured."""
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is not None:
        fallback.close_yes(shop, acceptance.id, event="buyer_declined")


# ---- A scheduled change ----------------------------------------------------------------------------------------


def cancel_scheduled(shop: Shop, subscription: Subscription) -> bool:
    """Drop the scheduled change of a subscription; False if the provider gave no answer.

    It may be asked for as often as a buyer likes: one that is not there any more is dropped.
    """
    budget = shop.dodo.budget(_PREVIEW_S)
    try:
        shop.dodo.subscriptions.cancel_scheduled_change(subscription.provider_subscription_id, budget=budget)
    except ProviderError:
        return False
    crash_point("change.unscheduled")
    subscriptions.try_subscription(shop, subscription.provider_subscription_id, budget=budget)
    return True
