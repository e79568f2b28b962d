"""Plan changes as offers: who has just bought a plan is shown a higher one, and it is changed in place, by one charge.

A browser that has only paid has proven one card and one order. It may change the subscription which that order sold,
and only while that card pays for it (security.md, section 2). There is no hosted way to pay: it would sell a second
subscription, so what one click cannot charge is not offered.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.models import Subscription as ProviderSubscription
from encore.errors import ProviderError
from encore.ids import new_id
from encore.rules.facts import PlanFacts
from encore.rules.kinds import Offer
from encore.rules.methods import MethodReason, SavedMethod, Unusable, Usable, pre_check
from encore.rules.plan_changes import (
    AT_RENEWAL,
    MODE_AT_RENEWAL,
    QUOTE_LIFE_MS,
    PlanQuote,
    Wish,
    change_hash,
    freeze_change,
    may_confirm,
    thaw_change,
)
from encore.rules.quotes import QUOTE_FRESH_MS, QuotedMethod
from encore.services import (
    budgets,
    charging,
    funnels,
    plan_cards,
    plan_changes,
    plan_ends,
    plan_groups,
    plan_pages,
    plan_quotes,
    quoting,
    sign_ins,
    subscriptions,
)
from encore.services.charging import AcceptResult
from encore.services.consent import Consent
from encore.services.kinds.plan_change import addons_of
from encore.services.plan_quotes import Refused
from encore.services.shop import Shop
from encore.services.standing import Standing, authority_until, standing_of
from encore.store import acceptances, attempts, checkouts, offer_instances, orders
from encore.store import plan_ends as ends
from encore.store import subscriptions as rows
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order
from encore.store.subscriptions import Subscription

# Three reads before a claim, each of which decides whether there is a next: methods, subscription, price.
_RECHECK_S = 6.0
# Why a yes is closed, once its buyer has gone on from it.
LEFT = "buyer_declined"


class NotOffered(Exception):
    """A plan change is not shown to this buyer now; `reason` is stored with the decision."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotPayable(NotOffered):
    """The card that pays for the plan cannot be charged by this buyer's click; asking again changes nothing."""


def first_order(shop: Shop, instance: OfferInstance) -> Order | None:
    """Return the order that an instance follows; a second try follows the first try, and that the order."""
    order = orders.get_order(shop.store, instance.source_ref)
    first = None if order else offer_instances.get_instance(shop.store, instance.source_ref)
    return orders.get_order(shop.store, first.source_ref) if first else order


# ---- Whether it may be offered ---------------------------------------------------------------------------------


def facts_of(shop: Shop, order: Order, methods: Sequence[SavedMethod] | None, *, budget: Budget) -> PlanFacts | None:
    """Return what is known of the subscription that an order sold, read again if that is a minute old."""
    row = _subscription_of(shop, order, budget=budget)
    if row is None:
        return None
    payer = _payer(shop, order, row, methods or (), given_after=None)
    return PlanFacts(
        product_id=row.product_id,
        above=_plans_above(shop, row.product_id),
        obstacle=obstacle_of(shop, row),
        unpayable=payer if isinstance(payer, str) else None,
    )


def awaits_subscription(shop: Shop, order: Order) -> bool:
    """Tell whether an order has sold a plan which the provider is only about to begin."""
    name = _sold(shop, order)
    row = rows.get_by_provider_id(shop.store, name) if name else None
    return name is not None and (row is None or row.status == "pending")


def _sold(shop: Shop, order: Order) -> str | None:
    checkout = checkouts.get_checkout(shop.store, order.checkout_id) if order.checkout_id else None
    return checkout.subscription_id if checkout else None


def _subscription_of(shop: Shop, order: Order, *, budget: Budget) -> Subscription | None:
    name = _sold(shop, order)
    if name is None:
        return None
    row = rows.get_by_provider_id(shop.store, name)
    is_fresh = row is not None and row.status != "pending" and shop.now() - row.observed_at <= QUOTE_FRESH_MS
    if is_fresh or not budgets.take(shop, "status"):
        return row
    subscriptions.try_subscription(shop, name, budget=budget)
    return rows.get_by_provider_id(shop.store, name)


def _plans_above(shop: Shop, product_id: str) -> frozenset[str]:
    group = plan_groups.group_of(shop, product_id)
    plans = group.plans if group else ()
    return frozenset(
        plan.product_id for plan in plans if group and group.direction(product_id, plan.product_id) == "up"
    )


def obstacle_of(shop: Shop, row: Subscription) -> str | None:
    """Return why a subscription is not offered another plan now, None if nothing is in the way."""
    if row.status == "pending":
        return "pending"
    if row.is_on_demand:
        return "on_demand"
    if attempts.get_live_of_subscription(shop.store, row.provider_subscription_id) is not None:
        return "pending_change"
    # Withdrawn for the price of a change only: to its buyer it ends.
    if ends.get_noted_at(shop.store, row.provider_subscription_id) is not None:
        return "cancelling"
    state = plan_pages.plan_state(shop, row)
    return None if state == "active" else state


def _payer(
    shop: Shop, order: Order, row: Subscription, methods: Sequence[SavedMethod], *, given_after: str | None
) -> QuotedMethod | str:
    """Return the subscription's method if one click of this browser may charge it, else why not.

    It must be the one that paid the order, or one this browser has given on the provider's page: `given_after` are the
    ids (JSON) of those there were before. Whoever has lately proven the address may use whatever card the plan has.
    """
    name, currency = row.payment_method_id, row.currency or order.currency
    listed = next((method for method in methods if method.payment_method_id == name), None)
    check = pre_check(listed, currency=currency, now=shop.now())
    if isinstance(check, Unusable):
        return str(check.reason)
    paid = quoting.check_method(shop, order, list(methods), currency=currency)
    has_paid = isinstance(paid, Usable) and paid.method.payment_method_id == name
    is_given = given_after is not None and name not in json.loads(given_after)
    may_charge = has_paid or is_given or may_use_any_card(shop, order)
    return check.method.as_quoted() if may_charge else str(MethodReason.OTHER_CARD)


def may_use_any_card(shop: Shop, order: Order) -> bool:
    """Tell whether the browser of an order has lately signed in to its customer's account, as a plan change needs."""
    return sign_ins.has_account(shop, order.buyer_key, customer_id=order.customer_id, lately=True)


def standing(shop: Shop, instance: OfferInstance) -> Standing:
    """Return how an offered plan change stands: a second try as the first, and declined if its buyer has gone on."""
    stands = standing_of(shop, _first_try(shop, instance))
    return replace(stands, is_declined=stands.is_declined or was_left(shop, instance))


def _first_try(shop: Shop, instance: OfferInstance) -> OfferInstance:
    return offer_instances.get_instance(shop.store, instance.source_ref) or instance


def was_left(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether the buyer of an unanswered second try has gone on, from the page of the first."""
    acceptance = acceptances.get_of_instance(shop.store, _first_try(shop, instance).id)
    is_unanswered = instance.state in ("shown", "expired")
    return is_unanswered and acceptance is not None and acceptance.close_reason == LEFT


def is_open(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether the subscription of a shown instance can still be changed as it says."""
    wish = thaw_change(instance.quote_json).wish
    row = rows.get_by_provider_id(shop.store, wish.subscription_id)
    if row is None or obstacle_of(shop, row) is not None:
        return False
    return wish.product_id in _plans_above(shop, row.product_id)


# ---- Its price -------------------------------------------------------------------------------------------------


def quote(
    shop: Shop, order: Order, offer: Offer, methods: Sequence[SavedMethod] | None, *, budget: Budget
) -> PlanQuote:
    """Ask what the change of an offer costs the buyer of an order; every amount is the provider's.

    Raises NotOffered: then nothing is shown.
    """
    return _ask(shop, order, offer, methods or (), given_after=None, budget=budget)


def _ask(
    shop: Shop,
    order: Order,
    offer: Offer,
    methods: Sequence[SavedMethod],
    *,
    given_after: str | None,
    budget: Budget,
) -> PlanQuote:
    row = rows.get_by_provider_id(shop.store, _sold(shop, order) or "")
    if row is None:
        raise NotOffered("subscription_unknown")
    try:
        current = plan_quotes.read_now(shop, row, budget=budget)
        row = rows.get_by_provider_id(shop.store, current.subscription_id) or row
        obstacle = "cancelling" if plan_ends.is_to_end(shop, current) else obstacle_of(shop, row)
        if obstacle is not None or offer.product_id not in _plans_above(shop, current.product_id):
            raise NotOffered(obstacle or "not_above")
        method = _payer(shop, order, row, methods, given_after=given_after)
        if isinstance(method, str):
            raise NotPayable(method)
        wish = _wish(shop, current, offer)
        return plan_quotes.ask(shop, current, wish, method=method, budget=budget)
    except Refused as refused:
        raise NotOffered(refused.reason) from refused


def _wish(shop: Shop, current: ProviderSubscription, offer: Offer) -> Wish:
    """Return the change of an offer: seats and add-ons stay, mode and time are the offer's own if it names them."""
    wish = plan_quotes.wishes_of(shop, current, product_id=offer.product_id, quantity=None, addons={})[0]
    if wish.direction != "up" or wish.addons != addons_of(current.addons):
        raise NotOffered("less_of_something")
    if offer.timing == AT_RENEWAL:
        return replace(wish, mode=MODE_AT_RENEWAL, when=AT_RENEWAL)
    return replace(wish, mode=offer.mode or wish.mode)


def _ask_again(shop: Shop, instance: OfferInstance) -> PlanQuote:
    """Ask once more for the methods, the subscription and the price; raises NotOffered."""
    order = first_order(shop, instance)
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    if order is None or offer is None:
        raise NotOffered("gone")
    budget = shop.dodo.budget(_RECHECK_S)
    methods = quoting.methods_or_none(shop, order.customer_id, budget=budget)
    if methods is None:
        raise NotOffered("no_price")
    # A card may be given from the page of the first try while the second stands already.
    given_after = _first_try(shop, instance).methods_before_json
    return _ask(shop, order, offer, methods, given_after=given_after, budget=budget)


def is_void(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether a quote has run out: by its ten minutes, or because the subscription is not what it was (R14c)."""
    shown = thaw_change(instance.quote_json)
    row = rows.get_by_provider_id(shop.store, shown.wish.subscription_id)
    return shop.now() - shown.previewed_at >= QUOTE_LIFE_MS or row is None or row.state_hash != shown.state


def _requote(shop: Shop, instance: OfferInstance, fresh: PlanQuote, *, moved_from: str | None) -> None:
    with shop.store.write():
        offer_instances.mark_requoted(
            shop.store,
            instance.id,
            old_hash=instance.quote_hash,
            quote_json=freeze_change(fresh),
            quote_hash=change_hash(fresh),
            moved_from_json=moved_from,
            no_method_reason=None,
            chosen_method_id=None,
        )


def refresh(shop: Shop, instance: OfferInstance) -> None:
    """Bring an instance up to date, because its buyer looks: a change under way, or figures that have run out."""
    if instance.state != "shown":
        plan_changes.refresh(shop, instance)
        return
    # What could not be paid may be by now: another card was given, or the buyer has signed in.
    is_due = is_void(shop, instance) or instance.no_method_reason is not None
    if shop.now() >= instance.expires_at or not is_due or not is_open(shop, instance):
        return
    try:
        fresh = _ask_again(shop, instance)
    except NotPayable as refusal:
        _note_unpayable(shop, instance, reason=refusal.reason)
        return
    except NotOffered:
        # The page shows no button then.
        return
    _requote(shop, instance, fresh, moved_from=instance.quote_json)


def _note_unpayable(shop: Shop, instance: OfferInstance, *, reason: str) -> None:
    """Store why no click of this buyer pays a shown change, so that its page says that and not to try again."""
    with shop.store.write():
        offer_instances.mark_requoted(
            shop.store,
            instance.id,
            old_hash=instance.quote_hash,
            quote_json=instance.quote_json,
            quote_hash=instance.quote_hash,
            moved_from_json=instance.moved_from_json,
            no_method_reason=reason,
            chosen_method_id=None,
        )


# ---- Yes -------------------------------------------------------------------------------------------------------


def accept(shop: Shop, instance_id: str, *, buyer_key: str, quote_hash: str, consent: Consent) -> AcceptResult:
    """Change the plan that was offered, once, whoever else clicks; the page is then derived from the rows.

    As `charging.accept`: `taken` (answered, or not possible any more), `moved` (another price, or no longer this card:
    nothing was charged and the page says so), `limited` or `unavailable` (nothing was done).
    """
    instance = offer_instances.get_instance(shop.store, instance_id)
    if instance is None or instance.buyer_key != buyer_key or instance.state != "shown":
        return "taken"
    if quote_hash != instance.quote_hash:
        return "moved"
    shown = thaw_change(instance.quote_json)
    try:
        fresh = _ask_again(shop, instance)
    except NotPayable as refusal:
        _note_unpayable(shop, instance, reason=refusal.reason)
        return "moved"
    except NotOffered:
        # By now another tab may have changed the plan: its page says so. Else there is no price, so no charge.
        return "unavailable" if is_open(shop, instance) else "taken"
    is_old = shop.now() - shown.previewed_at >= QUOTE_LIFE_MS
    if is_old or fresh.method != shown.method or may_confirm(shown, fresh) != "go":
        _requote(shop, instance, fresh, moved_from=instance.quote_json)
        return "moved"
    crash_point("claim.checked")
    result = charging.claim_and_send(shop, instance, _charge(shop, instance, shown), consent=consent)
    plan_changes.look_now(shop, shown.wish.subscription_id)
    return result


def _charge(shop: Shop, instance: OfferInstance, shown: PlanQuote) -> charging.Charge:
    order = first_order(shop, instance)
    charge = plan_changes.charge_of(
        shop,
        replace(instance, source_ref=order.id if order else instance.source_ref),
        shown,
        role=quoting.role_of(shop, instance),
        # A click on what we have offered, by a browser that has only paid: the caps are for this.
        is_capped=True,
    )
    return replace(charge, is_still_offered=lambda: _is_still_offered(shop, instance) and charge.is_still_offered())


def _is_still_offered(shop: Shop, instance: OfferInstance) -> bool:
    """Tell, inside the claim, whether offer, order and buyer still stand as they did on the page."""
    stands = standing(shop, instance)
    return stands.is_live and not stands.is_owned and not stands.is_declined


# ---- After a change that was not paid --------------------------------------------------------------------------


def may_try_again(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether a change has come to nothing and may be asked for once more (R27b: a click has one charge).

    Not once its buyer has gone on or its customer has declined it, and not a second time: the plan can still be changed
    in the account.
    """
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is None or acceptance.outcome != "closed" or acceptance.close_reason == LEFT:
        return False
    return _first_try(shop, instance).id == instance.id and _is_still_offered(shop, instance)


def try_again(shop: Shop, instance: OfferInstance, *, language: str) -> str | None:
    """Return the instance that asks anew what a change costs which was not paid; None if there is no price now.

    Idempotent: there is one second try, whatever tab or card page the buyer comes from.
    """
    known = offer_instances.get_of_source(shop.store, source_ref=instance.id, offer_id=instance.offer_id)
    if known is not None:
        return known.id
    if not may_try_again(shop, instance):
        return None
    try:
        fresh = _ask_again(shop, instance)
    except NotOffered:
        return None
    now = shop.now()
    again = replace(
        instance,
        id=new_id("oi"),
        source_ref=instance.id,
        language=language,
        quote_json=freeze_change(fresh),
        quote_hash=change_hash(fresh),
        moved_from_json=None,
        created_at=now,
        expires_at=_until(shop, instance, now=now),
        answered_at=None,
        state="shown",
    )
    with shop.store.write():
        # Two tabs may come here at once: one row, the other tab reads it. And a no may have come while we asked (P4).
        if may_try_again(shop, instance) and offer_instances.insert_instance(shop.store, again):
            offer_instances.insert_event(shop.store, again.id, kind="shown", now=now)
    known = offer_instances.get_of_source(shop.store, source_ref=instance.id, offer_id=instance.offer_id)
    return known.id if known else None


def _until(shop: Shop, instance: OfferInstance, *, now: int) -> int:
    order = first_order(shop, instance)
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    ends_at = now + (instance.expires_at - instance.created_at)
    return min(
        ends_at, authority_until(shop, order) if order else now, (offer.deadline_at if offer else None) or ends_at
    )


def card_url(shop: Shop, instance: OfferInstance) -> str | None:
    """Return the provider's page on which the buyer of an unpaid change gives another card; None if there is none now.

    The methods there are before it are kept: the card of the subscription is then charged only if it is none of them,
    since another browser of this customer might have chosen one.
    """
    order = first_order(shop, instance)
    row = rows.get_by_provider_id(shop.store, thaw_change(instance.quote_json).wish.subscription_id)
    if order is None or row is None or not may_try_again(shop, instance):
        return None
    # Without the list there is no way there: taken for an empty one, a refusal would let every card pass for given.
    try:
        methods = quoting.read_methods(shop, order.customer_id, budget=shop.dodo.budget(_RECHECK_S))
    except ProviderError as error:
        budgets.heed(shop, error)
        return None
    with shop.store.write():
        offer_instances.mark_methods_before(
            shop.store, instance.id, methods_json=json.dumps([method.payment_method_id for method in methods])
        )
    return plan_cards.change_url(shop, row, return_url=f"{shop.settings.public_url}/o/{instance.id}/again")
