"""Eligibility: which offer an order gets, decided by rules and guards, with a stored reason for each of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from encore.rules.conditions import Reason, evaluate
from encore.rules.facts import Facts, PlanFacts
from encore.rules.funnels import Funnel, Step, has_room_for_page, is_downsell, may_show_suppressed
from encore.rules.kinds import PLAN_CHANGE, Offer
from encore.rules.methods import Unusable


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one step is shown, with the reason of each rule and guard. `needs_checkout`: without one-click button.

    A method that cannot be charged does not bar an offer of something sold once: its button then leads to the standard
    checkout (R5b). It bars a change of plan: the checkout would sell a second subscription.
    """

    funnel_id: str
    funnel_version: int
    step_key: str
    offer_id: str
    is_eligible: bool
    needs_checkout: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The funnel an order gets (None: no offer) and the decision on every funnel considered, in order."""

    funnel: Funnel | None
    trace: tuple[Decision, ...]


METHOD_GUARD = "guard.method_usable"


def decide(funnels: Iterable[Funnel], facts: Facts, *, offers: Mapping[str, Offer]) -> Choice:
    """Choose the first funnel, by priority (highest first, then id), whose rules match and whose first step may show.

    `funnels` are the live ones for this trigger and placement, `offers` their offers by id. Funnels behind the chosen
    one are not considered and have no decision.
    """
    trace: list[Decision] = []
    for funnel in sorted(funnels, key=lambda funnel: (-funnel.priority, funnel.id)):
        rules = tuple(_rule_reasons(funnel, facts))
        decision = _decide(funnel, funnel.steps[0], facts, offers=offers, rules=rules, declined_step_key=None)
        trace.append(decision)
        if decision.is_eligible:
            return Choice(funnel=funnel, trace=tuple(trace))
    return Choice(funnel=None, trace=tuple(trace))


def decide_cards(
    funnels: Iterable[Funnel], facts: Facts, *, offers: Mapping[str, Offer], cap: int
) -> tuple[Decision, ...]:
    """Decide on every step of every funnel, the most important funnel first: each eligible one is a card (R7c).

    At most `cap` are eligible, and of two that offer the same product only the first.
    """
    trace: list[Decision] = []
    listed: set[str] = set()
    for funnel in sorted(funnels, key=lambda funnel: (-funnel.priority, funnel.id)):
        rules = tuple(_rule_reasons(funnel, facts))
        for step in funnel.steps:
            decision = _decide(funnel, step, facts, offers=offers, rules=rules, declined_step_key=None)
            if decision.is_eligible:
                decision = _among(decision, offers[step.offer_id].product_id, listed=listed, cap=cap)
            trace.append(decision)
    return tuple(trace)


def _among(decision: Decision, product_id: str, *, listed: set[str], cap: int) -> Decision:
    """Hold an eligible card to the list it joins; `listed` are the products there, this one too if it may stay."""
    is_new, has_room = product_id not in listed, len(listed) < cap
    reasons = (
        *decision.reasons,
        Reason("guard.listed_once", is_new, (("product", product_id),)),
        Reason("guard.card_cap", has_room, (("cap", str(cap)), ("seen", str(len(listed))))),
    )
    if is_new and has_room:
        listed.add(product_id)
    return replace(decision, reasons=reasons, is_eligible=is_new and has_room)


def decide_step(
    funnel: Funnel, step: Step, facts: Facts, *, offers: Mapping[str, Offer], declined_step_key: str | None
) -> Decision:
    """Decide on a later step of a funnel already chosen: guards only, its rules have matched this order.

    `declined_step_key` is the step whose decline led here, None for the other edges.
    """
    return _decide(funnel, step, facts, offers=offers, rules=(), declined_step_key=declined_step_key)


def _decide(
    funnel: Funnel,
    step: Step,
    facts: Facts,
    *,
    offers: Mapping[str, Offer],
    rules: tuple[Reason, ...],
    declined_step_key: str | None,
) -> Decision:
    reasons = [*rules]
    # A rule that does not match says all there is to say: the guards of an offer nobody proposed are noise.
    if all(reason.is_ok for reason in rules):
        reasons.extend(_guard_reasons(funnel, step, facts, offers=offers, declined_step_key=declined_step_key))
    return Decision(
        funnel_id=funnel.id,
        funnel_version=funnel.version,
        step_key=step.key,
        offer_id=step.offer_id,
        is_eligible=all(reason.is_ok or reason.key == METHOD_GUARD for reason in reasons),
        needs_checkout=isinstance(facts.method, Unusable),
        reasons=tuple(reasons),
    )


def _rule_reasons(funnel: Funnel, facts: Facts) -> Iterator[Reason]:
    """One reason a group: that of the condition that holds, or of each that does not."""
    for group in funnel.rules:
        failed: list[Reason] = []
        for condition in group:
            reason = evaluate(condition, facts)
            if reason.is_ok:
                failed = []
                yield reason
                break
            failed.append(reason)
        yield from failed


def _guard_reasons(
    funnel: Funnel,
    step: Step,
    facts: Facts,
    *,
    offers: Mapping[str, Offer],
    declined_step_key: str | None,
) -> Iterator[Reason]:
    offer = offers.get(step.offer_id)
    is_live = offer is not None and offer.id in facts.live_offers
    yield Reason("guard.offer_live", is_live, (("offer", step.offer_id),))
    if offer is None:
        return
    if offer.deadline_at is not None:
        yield Reason("guard.before_deadline", facts.now < offer.deadline_at, (("deadline", str(offer.deadline_at)),))
    yield from _product_reasons(offer, facts)
    yield _suppression_reason(funnel, step, offer, facts, declined_step_key=declined_step_key)
    yield Reason(
        "guard.page_cap",
        has_room_for_page(funnel, step_key=step.key, ups_shown=facts.ups_shown, downs_shown=facts.downs_shown),
        (("cap", str(funnel.page_cap)), ("seen", str(facts.ups_shown + facts.downs_shown))),
    )
    if offer.kind == PLAN_CHANGE:
        yield from _plan_reasons(offer, facts.plan)
        return
    unusable = facts.method.reason if isinstance(facts.method, Unusable) else None
    yield Reason(METHOD_GUARD, unusable is None, (("reason", str(unusable)),) if unusable else ())


def _product_reasons(offer: Offer, facts: Facts) -> Iterator[Reason]:
    product = facts.products.get(offer.product_id)
    named = ("product", offer.product_id)
    yield Reason("guard.product_sold", product is not None and not product.is_archived, (named,))
    if product is not None:
        currency = product.price.currency
        seen = (("wanted", facts.total.currency), ("seen", currency))
        yield Reason("guard.currency", currency == facts.total.currency, seen)
    is_owned = offer.product_id in facts.owned_products or offer.product_id in facts.products_bought
    yield Reason("guard.not_owned", not is_owned or offer.allows_buy_again, (named,))
    yield Reason("guard.no_open_yes", offer.product_id not in facts.open_products, (named,))


def _plan_reasons(offer: Offer, plan: PlanFacts | None) -> Iterator[Reason]:
    named = ("wanted", offer.product_id)
    if plan is None:
        yield Reason("guard.subscription_known", False, (named,))
        return
    yield Reason("guard.plan_above", offer.product_id in plan.above, (named, ("seen", plan.product_id)))
    yield Reason("guard.plan_changeable", plan.obstacle is None, _why(plan.obstacle))
    yield Reason("guard.plan_payable", plan.unpayable is None, _why(plan.unpayable))


def _why(reason: str | None) -> tuple[tuple[str, str], ...]:
    return (("reason", reason),) if reason else ()


def _suppression_reason(
    funnel: Funnel, step: Step, offer: Offer, facts: Facts, *, declined_step_key: str | None
) -> Reason:
    named = (("product", offer.product_id),)
    if offer.product_id not in facts.suppressed_products:
        return Reason("guard.not_declined", True, named)
    is_exception = is_downsell(funnel, step.key) and may_show_suppressed(
        funnel,
        step_key=step.key,
        declined_step_key=declined_step_key,
        product_id=offer.product_id,
        downsells_shown=facts.downsells_shown,
    )
    return Reason("guard.own_downsell" if is_exception else "guard.not_declined", is_exception, named)
