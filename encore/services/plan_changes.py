"""Changing a plan: confirming a quote, asking what became of it, and dropping a change that is scheduled.

A confirm sends the quote that was shown and no other, after the provider has said once more that it still holds.
Quotes are `plan_quotes`'; the charge itself is `charging`'s.
"""

from dataclasses import dataclass

from encore.crash_point import crash_point
from encore.dodo.models import Subscription as ProviderSubscription
from encore.dodo.urls import is_checkout_url
from encore.errors import ProviderError
from encore.ids import new_id
from encore.rules.dues import OWING
from encore.rules.plan_changes import QUOTE_LIFE_MS, PlanQuote, may_confirm, thaw_change
from encore.services import bookkeeping, budgets, charging, fallback, plan_ends, plan_quotes, reconcile, subscriptions
from encore.services.consent import Consent
from encore.services.kinds import plan_change
from encore.services.plan_quotes import PREVIEW_S, NotQuoted, Quoted, Refused
from encore.services.shop import Shop
from encore.store import acceptances, attempts, catalogue, offer_instances, payments
from encore.store import subscriptions as rows
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

# One that has run out is answered with the figures of this moment.
UNANSWERED = ("shown", "expired")


@dataclass(frozen=True)
class Confirmed:
    """The click was taken, by this request or an earlier one, and the quote's page says what came of it.

    `limited` and `unavailable`: nothing was done.
    """

    result: charging.AcceptResult


# ---- Confirm ---------------------------------------------------------------------------------------------------


def get_quote(shop: Shop, instance_id: str, *, customer_ids: tuple[str, ...]) -> OfferInstance | None:
    """Return a quote of one of these customers; anybody else's is as unknown as one that never was."""
    instance = offer_instances.get_instance(shop.store, instance_id)
    if instance is None or instance.kind != "plan_change" or instance.customer_id not in customer_ids:
        return None
    # One that the return page offers is answered there; here it is seen once it is under way.
    return instance if instance.offer_id == plan_quotes.OWN_CHANGE or instance.state == "accepted" else None


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
        plan_quotes.demand_sold(shop, shown.wish.product_id)
        current = plan_quotes.read_now(shop, subscription)
        is_ending = plan_ends.is_to_end(shop, current)
        if is_ending and not shown.wish.resumes:
            raise Refused("ending")
        if is_ending:
            current = plan_quotes.withdraw_end(shop, current)
    except Refused as refused:
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
        fresh = plan_quotes.ask(shop, current, shown.wish, method=shown.method)
    except Refused as refused:
        return NotQuoted(refused.reason)
    if shop.now() >= instance.expires_at or may_confirm(shown, fresh) != "go":
        return plan_quotes.store_quotes(
            shop,
            subscription,
            [fresh],
            buyer_key=instance.buyer_key,
            language=instance.language,
            # The old figures are kept, to be shown beside the new ones.
            moved_from=instance.quote_json,
        )
    crash_point("claim.checked")
    result = charging.claim_and_send(shop, instance, charge_of(shop, instance, shown), consent=consent)
    look_now(shop, shown.wish.subscription_id)
    return Confirmed(result)


def charge_of(
    shop: Shop, instance: OfferInstance, shown: PlanQuote, *, role: str = "plan_change", is_capped: bool = False
) -> charging.Charge:
    """Return what a yes charges; no cap is for what a buyer asks for by name, on a sign-in of the last half hour."""
    attempt_id = new_id("att")
    # Our mark goes with the payment only: a subscription's own metadata is inherited by its renewals.
    metadata = bookkeeping.attribution(
        shop, instance, role=role, attempt_id=attempt_id, customer_id=instance.customer_id
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
        is_capped=is_capped,
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


def look_now(shop: Shop, provider_subscription_id: str) -> None:
    """Ask the provider at once what became of a charge that was just sent: its answer says nothing as a rule."""
    live = attempts.get_live_of_subscription(shop.store, provider_subscription_id)
    if live is not None and live.state in ("unknown", "pending"):
        reconcile.look_for_buyer(shop, live)
    elif live is None:
        # Its payment is settled; what the plan is now shows in the subscription only.
        subscriptions.try_subscription(shop, provider_subscription_id, budget=shop.dodo.budget(PREVIEW_S))
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
        # Owing, it has yet to be seen that what was owed is paid.
        if row is None or row.status in OWING or row.observed_at < tries[-1].changed_at:
            subscriptions.try_subscription(shop, str(tries[-1].subscription_id), budget=shop.dodo.budget(PREVIEW_S))


def bank_url(shop: Shop, instance: OfferInstance) -> str | None:
    """Return where the buyer confirms a payment with their bank, or gives a card; None unless one waits for that."""
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    tries = attempts.list_of_acceptance(shop.store, acceptance.id) if acceptance else []
    if not tries or tries[-1].state != "action_required":
        return None
    payment = payments.get_payment(shop.store, tries[-1].provider_payment_id or "")
    link = (payment.payment_link if payment else None) or tries[-1].checkout_url
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
    budget = shop.dodo.budget(PREVIEW_S)
    try:
        shop.dodo.subscriptions.cancel_scheduled_change(subscription.provider_subscription_id, budget=budget)
    except ProviderError:
        return False
    crash_point("change.unscheduled")
    subscriptions.try_subscription(shop, subscription.provider_subscription_id, budget=budget)
    return True
