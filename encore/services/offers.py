"""Offers after an order: which one is shown, the buyer's no, and where each answer leads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.errors import ProviderError
from encore.ids import new_id
from encore.rules.attempts import LIVE
from encore.rules.conditions import Reason
from encore.rules.eligibility import Decision, decide, decide_step
from encore.rules.facts import Facts, PlanFacts, ProductFacts
from encore.rules.funnels import RETURN_PAGE, Edge, Funnel, Step, get_step, is_downsell
from encore.rules.funnels import next_step as follow
from encore.rules.kinds import PLAN_CHANGE, Offer
from encore.rules.methods import MethodCheck, MethodReason, SavedMethod, Unusable
from encore.rules.money import Money
from encore.rules.plan_changes import change_hash, freeze_change
from encore.rules.quotes import freeze, quote_hash
from encore.services import bookkeeping, budgets, catalogue, funnels, offer_pages, plan_offers, quoting, reconcile
from encore.services.bindings import is_bound
from encore.services.pages import OfferPage, ProductCard
from encore.services.shop import Shop
from encore.services.standing import authority_until, standing_of
from encore.store import acceptances, attempts, offer_instances, orders
from encore.store import catalogue as products
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order

# Preview and methods run side by side; a page that waits longer shows the thank-you page instead.
_SHOW_BUDGET_S = 6.0
# The provider lists a card some seconds after it paid; past this the standard checkout is offered (R1c).
_METHOD_WAIT_MS = 10_000


# ---- Which offer comes next ------------------------------------------------------------------------------------


def next_step(shop: Shop, order: Order, *, language: str) -> OfferInstance | None:
    """Return the instance to show after a first order, making it if its turn has come; None: the thank-you page.

    Idempotent: a reload, a second tab and the worker find the instance that one of them has stored.
    """
    shown = offer_instances.list_of_order(shop.store, order.id)
    if not shown:
        return _enter(shop, order, language=language)
    last = shown[-1]
    edge = _edge_of(shop, last)
    if edge == "waiting":
        return last
    if edge == "ended":
        return None
    funnel = funnels.get_funnel(shop, last.funnel_id, version=last.funnel_version)
    step = follow(funnel, last.step_key, edge) if funnel else None
    if funnel is None or step is None:
        return None
    declined_step_key = last.step_key if edge == "declined" else None
    return _show_step(shop, order, funnel, step, declined_step_key=declined_step_key, language=language)


def _edge_of(shop: Shop, instance: OfferInstance) -> Edge | Literal["waiting", "ended"]:
    """Tell where an instance's answer leads; `waiting`: nowhere yet, `ended`: it ran out and the funnel with it."""
    if instance.state == "declined":
        return "declined"
    if instance.kind == PLAN_CHANGE and plan_offers.was_left(shop, instance):
        return "failed"
    if instance.state == "expired" or (instance.state == "shown" and not _is_open(shop, instance)):
        return "ended"
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is None or acceptance.outcome in ("open", "needs_checkout"):
        return "waiting"
    if instance.kind == PLAN_CHANGE and acceptance.outcome == "closed" and acceptance.close_reason != plan_offers.LEFT:
        # Without a checkout to fall back to it is closed at once; its buyer has yet to read that, and to go on.
        return "waiting"
    return "failed" if acceptance.outcome == "closed" else "accepted"


def _is_open(shop: Shop, instance: OfferInstance) -> bool:
    if instance.kind == PLAN_CHANGE and not plan_offers.is_open(shop, instance):
        return False
    standing = plan_offers.standing(shop, instance) if instance.kind == PLAN_CHANGE else standing_of(shop, instance)
    return shop.now() < instance.expires_at and standing.is_live and not standing.is_owned and not standing.is_declined


def _enter(shop: Shop, order: Order, *, language: str) -> OfferInstance | None:
    live = funnels.live_funnels(shop, placement=RETURN_PAGE)
    if not live or order.state != "granted":
        return None
    budget = shop.dodo.budget(_SHOW_BUDGET_S)
    offers = funnels.live_offers(shop)
    methods = _methods(shop, order, budget=budget)
    plan = _plan(shop, order, methods, offers=offers, budget=budget)
    choice = decide(live, _facts(shop, order, methods, offers=offers, language=language, plan=plan), offers=offers)
    _store_decisions(shop, order, choice.trace)
    if choice.funnel is None:
        return None
    step = choice.funnel.steps[0]
    return _show(shop, order, choice.funnel, step, offers[step.offer_id], methods, budget=budget, language=language)


def _show_step(
    shop: Shop, order: Order, funnel: Funnel, step: Step, *, declined_step_key: str | None, language: str
) -> OfferInstance | None:
    budget = shop.dodo.budget(_SHOW_BUDGET_S)
    offers = funnels.live_offers(shop)
    methods = _methods(shop, order, budget=budget)
    # It may be paused by now: then it is none of the live ones.
    proposed = {offer_id: offer for offer_id, offer in offers.items() if offer_id == step.offer_id}
    plan = _plan(shop, order, methods, offers=proposed, budget=budget)
    facts = _facts(shop, order, methods, offers=offers, language=language, plan=plan)
    decision = decide_step(funnel, step, facts, offers=offers, declined_step_key=declined_step_key)
    _store_decisions(shop, order, (decision,))
    if not decision.is_eligible:
        return None
    return _show(shop, order, funnel, step, offers[step.offer_id], methods, budget=budget, language=language)


def awaits_method(shop: Shop, order: Order) -> bool:
    """Tell whether the card that just paid is not listed yet: the offer then waits a little for its button (R1c)."""
    if not _is_just_paid(shop, order) or offer_instances.list_of_order(shop.store, order.id):
        return False
    if not funnels.live_funnels(shop, placement=RETURN_PAGE):
        return False
    methods = _methods(shop, order, budget=shop.dodo.budget(_SHOW_BUDGET_S))
    # No answer is not "not listed": the first order's page is not held up by a provider that is away.
    return methods is not None and _is_unlisted(shop, order, methods)


def awaits_subscription(shop: Shop, order: Order) -> bool:
    """Tell whether the plan that was just bought is not begun yet: the offer of a higher one then waits a little."""
    # An order that sold no plan ends here, by its rows alone.
    if not _is_just_paid(shop, order) or not plan_offers.awaits_subscription(shop, order):
        return False
    offers = funnels.live_offers(shop)
    steps = [step.offer_id for funnel in funnels.live_funnels(shop) for step in funnel.steps]
    if not any(offers[step].kind == PLAN_CHANGE for step in steps if step in offers):
        return False
    plan_offers.facts_of(shop, order, (), budget=shop.dodo.budget(_SHOW_BUDGET_S))
    return plan_offers.awaits_subscription(shop, order)


def _is_just_paid(shop: Shop, order: Order) -> bool:
    return shop.now() - order.created_at < _METHOD_WAIT_MS


def _is_unlisted(shop: Shop, order: Order, methods: Sequence[SavedMethod]) -> bool:
    return _check(shop, order, methods, currency=order.currency) == Unusable(MethodReason.NO_CARD)


def _methods(shop: Shop, order: Order, *, budget: Budget) -> Sequence[SavedMethod] | None:
    kept = quoting.recent_methods(shop, order.customer_id)
    if kept is not None and not (_is_just_paid(shop, order) and _is_unlisted(shop, order, kept)):
        return kept
    if not budgets.take(shop, "status"):
        return None
    return quoting.methods_or_none(shop, order.customer_id, budget=budget)


def _check(shop: Shop, order: Order, methods: Sequence[SavedMethod] | None, *, currency: str) -> MethodCheck:
    if methods is None:
        return Unusable(MethodReason.NO_CARD)
    return quoting.check_method(shop, order, list(methods), currency=currency)


def _facts(
    shop: Shop,
    order: Order,
    methods: Sequence[SavedMethod] | None,
    *,
    offers: dict[str, Offer],
    language: str,
    plan: PlanFacts | None = None,
) -> Facts:
    shown = offer_instances.list_of_order(shop.store, order.id)
    downs = [instance for instance in shown if was_downsell(shop, instance)]
    return Facts(
        customer_id=order.customer_id,
        products_bought=frozenset({order.product_id}),
        total=Money(order.amount, order.currency),
        country=order.country,
        language=language,
        orders_so_far=orders.count_of_customer(shop.store, order.customer_id),
        owned_products=orders.list_owned_products(shop.store, order.customer_id),
        suppressed_products=offer_instances.list_suppressed_products(shop.store, order.customer_id),
        products=product_facts(shop),
        live_offers=frozenset(offers),
        method=_check(shop, order, methods, currency=order.currency),
        now=shop.now(),
        open_products=acceptances.list_open_products(shop.store, order.customer_id),
        downsells_shown=frozenset(
            instance.product_id
            for instance in offer_instances.list_of_customer(shop.store, order.customer_id)
            if was_downsell(shop, instance)
        ),
        # A second try is the same page again.
        ups_shown=len({instance.step_key for instance in shown} - {instance.step_key for instance in downs}),
        downs_shown=len({instance.step_key for instance in downs}),
        plan=plan,
    )


def _plan(
    shop: Shop, order: Order, methods: Sequence[SavedMethod] | None, *, offers: dict[str, Offer], budget: Budget
) -> PlanFacts | None:
    """Return what is known of the plan an order sold, where an offer is about it."""
    if not any(offer.kind == PLAN_CHANGE for offer in offers.values()):
        return None
    return plan_offers.facts_of(shop, order, methods, budget=budget)


def was_downsell(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether an instance was shown as the answer to a no."""
    funnel = funnels.get_funnel(shop, instance.funnel_id, version=instance.funnel_version)
    return funnel is not None and is_downsell(funnel, instance.step_key)


def product_facts(shop: Shop) -> dict[str, ProductFacts]:
    """Return what decisions need to know of every product, by id."""
    return {
        product.id: ProductFacts(
            price=Money(product.price_minor, product.currency), is_archived=product.archived_at is not None
        )
        for product in products.list_products(shop.store)
    }


def _store_decisions(shop: Shop, order: Order, trace: Sequence[Decision]) -> None:
    with shop.store.write():
        for decision in trace:
            offer_instances.insert_decision(shop.store, decision_row(shop, order, decision))


def decision_row(shop: Shop, order: Order, decision: Decision) -> offer_instances.Decision:
    """Return a decision about an order's buyer as it is stored."""
    table = [{"key": reason.key, "ok": reason.is_ok, "values": dict(reason.values)} for reason in decision.reasons]
    return offer_instances.Decision(
        order_id=order.id,
        funnel_id=decision.funnel_id,
        step_key=decision.step_key,
        is_eligible=int(decision.is_eligible),
        reasons_json=json.dumps(table, sort_keys=True, ensure_ascii=False),
        created_at=shop.now(),
    )


def _show(
    shop: Shop,
    order: Order,
    funnel: Funnel,
    step: Step,
    offer: Offer,
    methods: Sequence[SavedMethod] | None,
    *,
    budget: Budget,
    language: str,
) -> OfferInstance | None:
    """Store the instance of a step with its quote; None if the provider names no price: then nothing is shown."""
    try:
        priced = _price(shop, order, offer, methods, budget=budget)
    except ProviderError:
        # The price is the provider's or there is none: better no offer than a price of our own.
        return None
    except plan_offers.NotOffered as refusal:
        _store_unpriced(shop, order, funnel, step, reason=refusal.reason)
        return None
    instance = _instance(shop, order, funnel, step, offer, priced, language=language)
    with shop.store.write():
        # Two tabs may come here at once: one row a step of an order, the other tab reads it.
        if offer_instances.insert_instance(shop.store, instance):
            offer_instances.insert_event(shop.store, instance.id, kind="shown", now=instance.created_at)
    shown = offer_instances.list_of_order(shop.store, order.id)
    return next((row for row in shown if row.offer_id == offer.id), None)


@dataclass(frozen=True)
class _Priced:
    """A quote as it is stored; `no_method_reason`: why there is no one-click button, None if there is."""

    quote_json: str
    quote_hash: str
    no_method_reason: str | None


def _price(shop: Shop, order: Order, offer: Offer, methods: Sequence[SavedMethod] | None, *, budget: Budget) -> _Priced:
    if offer.kind == PLAN_CHANGE:
        change = plan_offers.quote(shop, order, offer, methods, budget=budget)
        return _Priced(freeze_change(change), change_hash(change), None)
    quote = quoting.prepare(shop, offer, order, budget=budget)
    check = _check(shop, order, methods, currency=quote.currency)
    quote = quoting.with_method(quote, check)
    return _Priced(freeze(quote), quote_hash(quote), check.reason if isinstance(check, Unusable) else None)


def _store_unpriced(shop: Shop, order: Order, funnel: Funnel, step: Step, *, reason: str) -> None:
    """Store why a step that was to be shown was not: the provider, asked for its price, knew better than our rows."""
    reasons = (Reason("guard.plan_priced", False, (("reason", reason),)),)
    decision = Decision(funnel.id, funnel.version, step.key, step.offer_id, False, False, reasons)
    _store_decisions(shop, order, (decision,))


def _instance(
    shop: Shop, order: Order, funnel: Funnel, step: Step, offer: Offer, priced: _Priced, *, language: str
) -> OfferInstance:
    now = shop.now()
    return OfferInstance(
        id=new_id("oi"),
        offer_id=offer.id,
        offer_version=offer.version,
        funnel_id=funnel.id,
        funnel_version=funnel.version,
        step_key=step.key,
        placement=RETURN_PAGE,
        source_ref=order.id,
        buyer_key=order.buyer_key,
        customer_id=order.customer_id,
        product_id=offer.product_id,
        language=language,
        quote_json=priced.quote_json,
        quote_hash=priced.quote_hash,
        moved_from_json=None,
        no_method_reason=priced.no_method_reason,
        created_at=now,
        expires_at=min(funnels.shown_until(shop, offer, now=now), authority_until(shop, order)),
        answered_at=None,
        state="shown",
        kind=offer.kind,
    )


def prepare(shop: Shop, payment_id: str) -> None:
    """Fetch methods and quotes of a paid order before its buyer is back, so that the page need not wait.

    A courtesy of the worker: whatever fails here is asked again by the page.
    """
    order = orders.get_of_payment(shop.store, payment_id)
    if order is None or order.checkout_id is None or offer_instances.list_of_order(shop.store, order.id):
        return
    budget = shop.dodo.budget(_SHOW_BUDGET_S)
    offers = funnels.live_offers(shop)
    try:
        methods = quoting.read_methods(shop, order.customer_id, budget=budget)
        facts = _facts(shop, order, methods, offers=offers, language=order.language)
        choice = decide(funnels.live_funnels(shop, placement=RETURN_PAGE), facts, offers=offers)
        if choice.funnel is None:
            return
        for offer_id in _first_pages(choice.funnel):
            if offers[offer_id].kind == PLAN_CHANGE:
                continue
            quoting.prepare(shop, offers[offer_id], order, budget=budget)
    except ProviderError:
        return


def _first_pages(funnel: Funnel) -> list[str]:
    """The offers a buyer may see first: the entry and what its decline leads to."""
    entry = funnel.steps[0]
    step = follow(funnel, entry.key, "declined")
    return [entry.offer_id, *([get_step(funnel, step.key).offer_id] if step else [])]


# ---- One instance and its buyer --------------------------------------------------------------------------------


def bound_instance(shop: Shop, instance_id: str, *, buyer_key: str | None) -> OfferInstance | None:
    """Return an instance for the browser it was shown to, while its checkout gives authority; None for others.

    A recommendation is bound to the account instead: to each browser signed in to it, and only while it is.
    """
    instance = offer_instances.get_instance(shop.store, instance_id)
    if instance is None or not is_bound(shop, instance, buyer_key):
        return None
    if instance.is_recommendation:
        return instance
    order = plan_offers.first_order(shop, instance)
    return instance if order is not None and shop.now() <= authority_until(shop, order) else None


def page(shop: Shop, instance_id: str, *, buyer_key: str | None, language: str) -> OfferPage | None:
    """Return an instance's page for its own browser; None for everybody else and for unknown ids."""
    with shop.store.look():
        instance = bound_instance(shop, instance_id, buyer_key=buyer_key)
        return refreshed_page(shop, instance, buyer_key=buyer_key, language=language) if instance else None


def refreshed_page(shop: Shop, instance: OfferInstance, *, buyer_key: str | None, language: str) -> OfferPage:
    """Return an instance's page after asking the provider about a try that is under way."""
    instance = _open_yes_elsewhere(shop, instance, buyer_key=buyer_key) or instance
    if instance.kind == PLAN_CHANGE:
        plan_offers.refresh(shop, instance)
        instance = offer_instances.get_instance(shop.store, instance.id) or instance
    elif _ask_provider(shop, instance):
        instance = offer_instances.get_instance(shop.store, instance.id) or instance
    return offer_pages.render_instance(shop, instance, language=language)


def _ask_provider(shop: Shop, instance: OfferInstance) -> bool:
    """Ask about every try of an instance that is out at the provider; False if there is none."""
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is None or acceptance.outcome not in ("open", "needs_checkout"):
        return False
    tries = attempts.list_of_acceptance(shop.store, acceptance.id)
    # Queued and sending ones are in our own hands: there is nothing to ask yet.
    out = [a for a in tries if a.state in LIVE and a.state not in ("queued", "sending", "opening")]
    for attempt in out:
        reconcile.look_for_buyer(shop, attempt)
    return bool(out)


def _open_yes_elsewhere(shop: Shop, instance: OfferInstance, *, buyer_key: str | None) -> OfferInstance | None:
    """Return the instance of this browser whose yes to the same product is still open, if it is another one."""
    if instance.state != "shown":
        return None
    yes = acceptances.get_open_yes(shop.store, customer_id=instance.customer_id, product_id=instance.product_id)
    other = offer_instances.get_instance(shop.store, yes.offer_instance_id) if yes else None
    # A change that the buyer has asked for in the account has its page there.
    is_offer = other is not None and other.funnel_id != ""
    return other if other is not None and is_offer and is_bound(shop, other, buyer_key) else None


def public_product(shop: Shop, instance_id: str) -> ProductCard | None:
    """Return the product of an instance as anybody may see it in the shop; None for what an account is recommended."""
    instance = offer_instances.get_instance(shop.store, instance_id)
    is_public = instance is not None and not instance.is_recommendation
    return catalogue.get_by_id(shop, instance.product_id) if instance and is_public else None


def decline(shop: Shop, instance_id: str, *, buyer_key: str | None) -> None:
    """Take the buyer's no to a shown offer: remembered for this customer and product for good; idempotent."""
    instance = bound_instance(shop, instance_id, buyer_key=buyer_key)
    if instance is None:
        return
    with shop.store.write():
        now = shop.now()
        # The same compare-and-set as accept's claim: of a yes and a no at one instant exactly one moves the row.
        if not offer_instances.mark_declined(shop.store, instance.id, now=now):
            return
        offer_instances.insert_suppression(
            shop.store,
            customer_id=instance.customer_id,
            product_id=instance.product_id,
            offer_id=instance.offer_id,
            instance_id=instance.id,
            now=now,
        )
        offer_instances.insert_event(shop.store, instance.id, kind="declined", now=now)
        bookkeeping.record(shop, "offer.declined", instance_id=instance.id)
        crash_point("decline.uncommitted")
    crash_point("decline.committed")


def expire_due(shop: Shop) -> int:
    """Expire offers whose time is over; returns how many."""
    with shop.store.write():
        return len(offer_instances.mark_expired(shop.store, now=shop.now(), limit=100))
