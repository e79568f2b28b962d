"""Plan pages: what the rows of a subscription and of a quote mean to their buyer, as one of the states of `ux.md`.

Nothing here writes or calls the provider, so a reload, a second tab and the answer to a click agree.
"""

import json
from dataclasses import dataclass, replace
from typing import Literal

from encore.i18n import format_share
from encore.rules.card_declines import read_card_decline
from encore.rules.credit_timeline import Renewal, draw_renewals
from encore.rules.money import Money
from encore.rules.plan_changes import QUOTE_LIFE_MS, Addon, PlanQuote, thaw_change
from encore.rules.plan_groups import Difference, Direction, PlanGroup, Point, gains, losses
from encore.rules.quotes import QuotedMethod
from encore.services import card_charges, catalogue, plan_addons, plan_groups, quoting, trial_pages
from encore.services.kinds.plan_change import read_addons
from encore.services.pages import ProductCard
from encore.services.plan_addons import AddonChange, AddonChoice
from encore.services.plan_groups import MostChosen
from encore.services.shop import Shop
from encore.store import acceptances, attempts, offer_instances, payments
from encore.store import subscriptions as rows
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

PlanState = Literal["active", "trial", "on_hold", "past_due", "paused", "scheduled", "cancelling", "cancelled"]
QuoteState = Literal[
    "preview",
    "quote_expired",
    "quote_changed",
    "pending_change",
    "processing",
    "checking",
    "action_required",
    "changed",
    "scheduled",
    "failed",
    "not_charged",
    "limited",
]

_FAST_POLL_S, _SLOW_POLL_S = 2.0, 5.0
_PROCESSING_POLLS_FOR_MS, _CHECKING_POLLS_FOR_MS = 60_000, 120_000
# Where each kind of yes is told of.
_PAGES = {"one_time": "o", "plan_change": "quotes", "dues": "dues"}


@dataclass(frozen=True)
class PointLine:
    """One thing gained or lost, and what the other plan has of it, if anything."""

    text: str
    other: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlanCard:
    """One plan of the group as a subscriber sees it; `gained` and `losses` are against the plan they have.

    `most_chosen` is set on the plan that is ordered most, where that was counted.
    """

    product: ProductCard
    is_current: bool
    direction: Direction
    points: tuple[str, ...]
    gained: frozenset[str]
    losses: tuple[PointLine, ...]
    most_chosen: MostChosen | None = None


@dataclass(frozen=True, kw_only=True)
class PlanPrice:
    """What each renewal costs, for all units, before tax unless `tax_inclusive`; `interval_unit` is Day, Week, .."""

    price: Money
    interval_count: int
    interval_unit: str
    tax_inclusive: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a preview as shown: `share` is how much of its price counts, None for all of it."""

    name: str
    price: Money
    quantity: int
    share: str | None
    is_credit: bool


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A change that waits for its day (epoch milliseconds); `is_same_plan`: only its seats or add-ons are others."""

    product_name: str
    quantity: int
    addons: tuple[AddonChange, ...]
    is_same_plan: bool
    at: int


@dataclass(frozen=True, kw_only=True)
class PlanPage:
    """A subscription and what it may become; `addons` are those it has and those its plan takes.

    `is_in_trial`: whatever its state, the price of the plan has not been paid yet.
    `card_charge` is what a change of card of the last day has charged, since the plan came to owe it a moment before.
    `pending_page` is the path of the charge under way. `is_stale`: the provider gave no answer, so this was last known.
    """

    state: PlanState
    subscription_id: str
    product: ProductCard
    quantity: int
    addons: tuple[AddonChoice, ...]
    has_discount: bool
    price: PlanPrice | None
    next_billing_at: int | None
    trial_ends_at: int | None
    is_in_trial: bool
    scheduled: Scheduled | None
    plans: tuple[PlanCard, ...]
    can_change: bool
    method: QuotedMethod | None
    can_end: bool
    can_change_card: bool
    card_charge: Money | None
    pending_page: str | None
    is_stale: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the sum due; `is_credit` takes it off, as the tax of a downgrade."""

    amount: Money
    is_credit: bool


@dataclass(frozen=True, kw_only=True)
class LowerOption:
    """A plan between the present one and the lower one that was asked for, and what it has that the latter lacks."""

    product: ProductCard
    keeps: tuple[PointLine, ...]


@dataclass(frozen=True, kw_only=True)
class QuotePage:
    """One quote of a plan change in one of its states; the figures are the provider's, as stored.

    `renewals` draw what the credit pays for. `alternative` is the same change in the other way. `moved_from` is the
    quote that no longer holds. `reason` is a message key. `subtotal` and `tax` are None where they say nothing more
    than the sum due. `paid` is what was charged, None for nothing. `lower_option` stands above what was asked for.
    """

    state: QuoteState
    quote_id: str
    subscription_id: str
    before: ProductCard
    after: ProductCard
    direction: Direction
    gains: tuple[PointLine, ...]
    losses: tuple[PointLine, ...]
    quote: PlanQuote
    quote_hash: str
    lines: tuple[Line, ...]
    subtotal: Part | None
    tax: Part | None
    renewal: PlanPrice
    renewals: tuple[Renewal, ...]
    is_drawn_with_tax: bool
    addons: tuple[AddonChange, ...]
    expires_at: int
    moved_from: PlanQuote | None = None
    alternative: "QuotePage | None" = None
    lower_option: LowerOption | None = None
    reason: str | None = None
    paid: Money | None = None
    poll_after_s: float | None = None
    pending_page: str | None = None


# ---- The plan --------------------------------------------------------------------------------------------------


def plan_page(shop: Shop, row: Subscription, *, language: str, is_stale: bool = False) -> PlanPage | None:
    """Return the page of a subscription; None for one whose product never was in the catalogue."""
    product = catalogue.get_by_id(shop, row.product_id)
    if product is None:
        return None
    group = plan_groups.group_of(shop, row.product_id)
    pending = attempts.get_live_of_subscription(shop.store, row.provider_subscription_id)
    state = plan_state(shop, row)
    return PlanPage(
        state=state,
        subscription_id=row.id,
        product=product,
        quantity=row.quantity,
        addons=plan_addons.list_choices(shop, row.product_id, read_addons(row.addons_json)),
        has_discount=bool(row.has_discount),
        price=_price(row),
        next_billing_at=row.next_billing_at,
        trial_ends_at=row.next_billing_at if state == "trial" else None,
        is_in_trial=trial_pages.is_running(shop, row),
        scheduled=_scheduled(shop, row),
        plans=_plan_cards(shop, group, row, language=language) if group else (),
        can_change=state in ("active", "trial", "past_due", "cancelling") and pending is None and not row.is_on_demand,
        method=quoting.known_method(shop, row.customer_id, row.payment_method_id),
        can_end=state in ("active", "trial", "past_due", "on_hold") and pending is None,
        can_change_card=card_charges.may_change(shop, row),
        card_charge=card_charges.charged(shop, row),
        pending_page=page_of(shop, pending) if pending else None,
        is_stale=is_stale,
    )


def _price(row: Subscription) -> PlanPrice | None:
    if row.amount is None or row.interval_unit is None:
        return None
    return PlanPrice(
        price=Money(row.amount, row.currency),
        interval_count=row.interval_count or 1,
        interval_unit=row.interval_unit,
        tax_inclusive=bool(row.tax_inclusive),
    )


def plan_state(shop: Shop, row: Subscription) -> PlanState:
    """Return what a subscription is to its buyer, by its row."""
    match row.status:
        case "on_hold" | "paused" | "past_due":
            state: PlanState = row.status
            return state
        case "active" if row.cancels_at_period_end:
            return "cancelling"
        case "active" if row.scheduled_json is not None:
            return "scheduled"
        case "active":
            return "trial" if trial_pages.is_running(shop, row) else "active"
        case _:
            return "cancelled"


def _scheduled(shop: Shop, row: Subscription) -> Scheduled | None:
    if row.scheduled_json is None:
        return None
    change = json.loads(row.scheduled_json)
    product = catalogue.get_by_id(shop, change["product_id"])
    return Scheduled(
        product_name=product.name if product else change["product_id"],
        quantity=change["quantity"],
        addons=plan_addons.list_changes(
            shop, read_addons(row.addons_json), [Addon(**addon) for addon in change["addons"]]
        ),
        is_same_plan=change["product_id"] == row.product_id,
        at=change["effective_at"],
    )


def _plan_cards(shop: Shop, group: PlanGroup, row: Subscription, *, language: str) -> tuple[PlanCard, ...]:
    most = plan_groups.most_chosen(shop, group)
    cards = []
    for plan in group.plans:
        product = catalogue.get_by_id(shop, plan.product_id)
        is_current = plan.product_id == row.product_id
        if product is None or (product.is_archived and not is_current):
            continue
        gained, lost = _difference(shop, group, row.product_id, plan.product_id, language=language)
        cards.append(
            PlanCard(
                product=product,
                is_current=is_current,
                direction=group.direction(row.product_id, plan.product_id) or "same",
                points=tuple(p.in_language(language, fallback=shop.settings.language) for p in plan.points),
                gained=frozenset(line.text for line in gained),
                losses=tuple(line for line in lost if line.other is None),
                most_chosen=most if most and most.product_id == plan.product_id else None,
            )
        )
    return tuple(cards)


def _difference(
    shop: Shop, group: PlanGroup | None, before_id: str, after_id: str, *, language: str
) -> tuple[tuple[PointLine, ...], tuple[PointLine, ...]]:
    """Return what a change gives and takes, in the merchant's own points.

    A thing that both plans have more or less of is told once: as gained on the way up, as lost on the way down.
    """
    before, after = (group.plan(id_) if group else None for id_ in (before_id, after_id))
    if group is None or before is None or after is None:
        return (), ()

    def tell(differences: tuple[Difference, ...], *, tells_both: bool) -> tuple[PointLine, ...]:
        found = [d for d in differences if d.other is None or tells_both]
        return tuple(PointLine(told(d.point), told(d.other) if d.other else None) for d in found)

    def told(point: Point) -> str:
        return point.in_language(language, fallback=shop.settings.language)

    is_up = group.direction(before_id, after_id) == "up"
    return tell(gains(before, after), tells_both=is_up), tell(losses(before, after), tells_both=not is_up)


def page_of(shop: Shop, attempt: Attempt) -> str | None:
    """Return the path of the page that tells of a charge of a subscription."""
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id)
    return page_of_yes(shop, acceptance) if acceptance else None


def page_of_yes(shop: Shop, acceptance: Acceptance) -> str | None:
    """Return the path of the page that tells of a yes."""
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id)
    return f"/{_PAGES[instance.kind]}/{instance.id}" if instance else None


# ---- A quote ---------------------------------------------------------------------------------------------------


def quote_page(shop: Shop, instance: OfferInstance, *, language: str) -> QuotePage:
    """Return the page of a quote for the account it belongs to (the caller has checked that)."""
    base = _base(shop, instance, language=language)
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is not None:
        tries = attempts.list_of_acceptance(shop.store, acceptance.id)
        return _answered(shop, tries[-1], base) if tries else replace(base, state="not_charged")
    page = _unanswered(shop, instance, base)
    if page.state == "preview" and instance.may_show_lower:
        page = replace(page, lower_option=_lower_option(shop, page, language=language))
    other = offer_instances.get_instance(shop.store, instance.alternative_id) if instance.alternative_id else None
    if page.state != "preview" or other is None or other.state != "shown":
        return page
    alternative = _base(shop, other, language=language)
    page, alternative = _drawn_with(page, alternative), _drawn_with(alternative, page)
    return replace(page, alternative=alternative)


def _lower_option(shop: Shop, page: QuotePage, *, language: str) -> LowerOption | None:
    """Return the plan right above the lower one that was asked for: what costs the least more, and keeps something."""
    group = plan_groups.group_of(shop, page.before.id)
    if group is None or not group.lower_option:
        return None
    for plan in group.plans_between(page.before.id, page.after.id):
        product = catalogue.get_by_id(shop, plan.product_id)
        keeps, _ = _difference(shop, group, page.after.id, plan.product_id, language=language)
        if product is not None and not product.is_archived and keeps:
            return LowerOption(product=product, keeps=keeps)
    return None


def _drawn_with(page: QuotePage, other: QuotePage) -> QuotePage:
    """Draw the renewals at what the provider says one costs with its tax, where the other way down tells that."""
    price = other.quote.due
    if not other.quote.is_scheduled or price.minor == 0 or other.quote.credit_used.minor or not page.renewals:
        return page
    renewals = draw_renewals(
        page.quote.credit_added, price, first_at=page.quote.next_billing_at, period=page.quote.period
    )
    return replace(page, renewals=renewals or page.renewals, is_drawn_with_tax=bool(renewals))


def _base(shop: Shop, instance: OfferInstance, *, language: str) -> QuotePage:
    quote = thaw_change(instance.quote_json)
    row = rows.get_by_provider_id(shop.store, quote.wish.subscription_id)
    before = catalogue.get_by_id(shop, quote.from_product_id)
    after = catalogue.get_by_id(shop, quote.wish.product_id)
    if row is None or before is None or after is None:
        raise ValueError(f"{instance.id} names rows that are gone")
    group = plan_groups.group_of(shop, quote.from_product_id)
    gained, lost = _difference(shop, group, before.id, after.id, language=language)
    return QuotePage(
        state="preview",
        quote_id=instance.id,
        subscription_id=row.id,
        before=before,
        after=after,
        direction=quote.wish.direction,
        gains=gained,
        losses=lost,
        quote=quote,
        quote_hash=instance.quote_hash,
        lines=_lines(shop, quote, language=language),
        subtotal=_part(quote.subtotal, quote)
        if quote.tax or quote.credit_used.minor or quote.credit_added.minor
        else None,
        tax=_part(quote.tax, quote),
        renewal=PlanPrice(
            price=quote.renewal,
            interval_count=quote.period.count,
            interval_unit=quote.period.unit,
            tax_inclusive=quote.tax_inclusive,
        ),
        renewals=draw_renewals(quote.credit_added, quote.renewal, first_at=quote.next_billing_at, period=quote.period),
        is_drawn_with_tax=quote.tax_inclusive,
        addons=plan_addons.list_changes(shop, quote.from_addons, quote.wish.addons),
        expires_at=instance.expires_at,
        moved_from=thaw_change(instance.moved_from_json) if instance.moved_from_json else None,
    )


def _part(minor: int | None, quote: PlanQuote) -> Part | None:
    """Return a part of the sum due, None for nothing."""
    return Part(amount=Money(abs(minor), quote.due.currency), is_credit=minor < 0) if minor else None


def _lines(shop: Shop, quote: PlanQuote, *, language: str) -> tuple[Line, ...]:
    lines = []
    for line in quote.lines:
        product = catalogue.get_by_id(shop, line.product_id)
        whole = line.factor.removeprefix("-") in ("1", "0")
        lines.append(
            Line(
                name=product.name if product else line.name or line.product_id,
                price=line.unit_price,
                quantity=line.quantity,
                share=None if whole else format_share(line.factor.removeprefix("-"), language),
                is_credit=line.is_credit,
            )
        )
    return tuple(lines)


def _unanswered(shop: Shop, instance: OfferInstance, base: QuotePage) -> QuotePage:
    live = attempts.get_live_of_subscription(shop.store, base.quote.wish.subscription_id)
    if live is not None:
        return replace(base, state="pending_change", pending_page=page_of(shop, live))
    yes = acceptances.get_open_yes(shop.store, customer_id=instance.customer_id, product_id=instance.product_id)
    if yes is not None:
        # Of another subscription of theirs, to the same plan: one at a time.
        return replace(base, state="pending_change", pending_page=page_of_yes(shop, yes))
    if shop.now() >= instance.expires_at or not _is_of_this_state(shop, base.quote):
        return replace(base, state="quote_expired")
    if base.moved_from is not None:
        return replace(base, state="quote_expired" if _was_void(base.moved_from, base.quote) else "quote_changed")
    return base


def _was_void(old: PlanQuote, new: PlanQuote) -> bool:
    """Tell whether an old quote had run out, by its time or by a change of the subscription, when a new one came."""
    return old.state != new.state or new.previewed_at - old.previewed_at >= QUOTE_LIFE_MS


def _is_of_this_state(shop: Shop, quote: PlanQuote) -> bool:
    row = rows.get_by_provider_id(shop.store, quote.wish.subscription_id)
    return row is not None and row.state_hash == quote.state


def _answered(shop: Shop, attempt: Attempt, base: QuotePage) -> QuotePage:
    match attempt.state:
        case "paid":
            return _done(shop, attempt, base)
        case "sending" | "pending" | "queued":
            return _polling(shop, attempt, base, state="processing")
        case "unknown":
            return _polling(shop, attempt, base, state="checking")
        case "action_required":
            return replace(base, state="action_required")
        case "failed":
            return replace(base, state="failed", reason=_reason_of(attempt))
        case "rejected" if attempt.decline_code:
            return replace(base, state="failed", reason=_reason_of(attempt))
        case _:
            return replace(base, state="not_charged")


def _done(shop: Shop, attempt: Attempt, base: QuotePage) -> QuotePage:
    acceptance_payment = payments.get_kept(shop.store, attempt.acceptance_id)
    paid = Money(acceptance_payment.amount, acceptance_payment.currency) if acceptance_payment else None
    if base.quote.is_scheduled:
        return replace(base, state="scheduled")
    if _is_of_this_state(shop, base.quote) and shop.now() - attempt.changed_at < QUOTE_LIFE_MS:
        # Paid, and the provider has not told the new plan yet: access follows what it tells.
        return _polling(shop, attempt, base, state="processing")
    return replace(base, state="changed", paid=paid)


def _reason_of(attempt: Attempt) -> str | None:
    return read_card_decline(attempt.decline_code).words if attempt.decline_code else None


def _polling(shop: Shop, attempt: Attempt, base: QuotePage, *, state: QuoteState) -> QuotePage:
    return replace(base, state=state, poll_after_s=poll_after_s(shop, attempt, is_checking=state == "checking"))


def poll_after_s(shop: Shop, attempt: Attempt, *, is_checking: bool) -> float | None:
    """Return after how many seconds a page asks again what became of a charge; None: only when its buyer does."""
    still_polls = shop.now() - attempt.created_at < (
        _CHECKING_POLLS_FOR_MS if is_checking else _PROCESSING_POLLS_FOR_MS
    )
    if not still_polls:
        return None
    return _SLOW_POLL_S if is_checking else _FAST_POLL_S
