"""The price of a change of plan: asked of the provider, stored as a quote, and only then shown.

Nothing changes here; `plan_changes` makes the change that a quote shows.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from encore.dodo import Budget
from encore.dodo.models import Subscription as ProviderSubscription
from encore.errors import NotExecuted, ProviderError
from encore.ids import new_id
from encore.rules.methods import SavedMethod
from encore.rules.plan_changes import (
    AT_RENEWAL,
    MAX_SEATS,
    MODE_AT_RENEWAL,
    NOW,
    QUOTE_LIFE_MS,
    Addon,
    PlanQuote,
    Wish,
    change_hash,
    compare_parts,
    freeze_change,
    thaw_change,
)
from encore.rules.plan_groups import Direction, PlanGroup
from encore.rules.quotes import QuotedMethod
from encore.services import bookkeeping, budgets, plan_ends, plan_groups, quoting, subscriptions
from encore.services.kinds import plan_change
from encore.services.kinds.plan_change import addons_of
from encore.services.shop import Shop
from encore.store import addons as addon_rows
from encore.store import attempts, catalogue, offer_instances
from encore.store.catalogue import Product
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

# What a buyer's own change is booked under; no offer of the merchant can be called so.
OWN_CHANGE = "@plan_change"
PREVIEW_S = 8.0
_NOT_BEFORE_RENEWAL_MS = 10 * 60_000

Refusal = Literal[
    "not_a_plan",
    "same_plan",
    "bad_quantity",
    "bad_addon",
    "bad_addon_quantity",
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
    "mode_refused",
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
    "MISSING_ADDON_IDS": "bad_addon",
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


class Refused(Exception):
    def __init__(self, reason: Refusal) -> None:
        self.reason: Refusal = reason


def preview(
    shop: Shop,
    subscription: Subscription,
    *,
    product_id: str,
    quantity: int | None,
    buyer_key: str,
    language: str,
    addons: Mapping[str, int] | None = None,
    may_show_lower: bool = False,
) -> Quoted | NotQuoted:
    """Ask what a change would cost and store the quote; nothing changes until it is confirmed.

    `quantity` None keeps the subscription's own; `addons` is how many of each are wanted, 0 for none, and one that it
    does not name is kept, unless the new plan does not take it. A way down is quoted twice, unless the merchant allows
    one way only: at the renewal, and now with its credit; the one they prefer is returned, the other stands beside it.
    `may_show_lower`: the quote's page may put a plan in between first, once in a request.
    """
    try:
        current = read_now(shop, subscription)
        wishes = wishes_of(shop, current, product_id=product_id, quantity=quantity, addons=addons or {})
        method = _method_of(shop, current)
        with _kept_running(shop, current, wishes[0]) as running:
            quotes = _ask_all(shop, running, wishes, method=method)
    except Refused as refused:
        return NotQuoted(refused.reason)
    return store_quotes(
        shop, subscription, quotes, buyer_key=buyer_key, language=language, may_show_lower=may_show_lower
    )


def preview_again(
    shop: Shop, instance: OfferInstance, subscription: Subscription, *, buyer_key: str, language: str
) -> Quoted | NotQuoted:
    """Ask anew what the change of a quote costs, because its buyer asks: it has run out, or did not go through."""
    quote = thaw_change(instance.quote_json)
    wish = quote.wish
    return preview(
        shop,
        subscription,
        product_id=wish.product_id,
        quantity=wish.quantity,
        addons={**dict.fromkeys(_held(quote.from_addons), 0), **_held(wish.addons)},
        buyer_key=buyer_key,
        language=language,
    )


@contextmanager
def _kept_running(shop: Shop, current: ProviderSubscription, wish: Wish) -> Iterator[ProviderSubscription]:
    """Let a subscription that is set to end go on inside: the provider tells no price for one that ends."""
    if not wish.resumes:
        yield current
        return
    running = withdraw_end(shop, current)
    try:
        yield running
    finally:
        plan_ends.put_back(shop, current.subscription_id)


def withdraw_end(shop: Shop, current: ProviderSubscription) -> ProviderSubscription:
    # So near to its end it might be renewed, and charged, before the end is put back.
    if current.next_billing_at is None or current.next_billing_at - shop.now() < _NOT_BEFORE_RENEWAL_MS:
        raise Refused("ending")
    try:
        return plan_ends.withdraw(shop, current.subscription_id)
    except plan_ends.NotWithdrawn as moved:
        is_changing = attempts.get_live_of_subscription(shop.store, current.subscription_id) is not None
        raise Refused("pending_change" if is_changing else "no_price") from moved
    except ProviderError as error:
        budgets.heed(shop, error)
        plan_ends.put_back(shop, current.subscription_id)
        raise Refused("no_price") from error


def _ask_all(
    shop: Shop, current: ProviderSubscription, wishes: list[Wish], *, method: QuotedMethod | None
) -> list[PlanQuote]:
    """Return the quotes of the wishes that have one; raises what the first was refused for if none has."""
    quotes: list[PlanQuote] = []
    refusal: Refused | None = None
    for wish in wishes:
        try:
            quotes.append(ask(shop, current, wish, method=method))
        except Refused as refused:
            refusal = refusal or refused
    if refusal is not None and not quotes:
        raise refusal
    return quotes


def read_now(shop: Shop, subscription: Subscription, *, budget: Budget | None = None) -> ProviderSubscription:
    """Read the subscription as it is now, and refuse what cannot be changed."""
    _take_call(shop)
    asked_at = shop.now()
    try:
        current = shop.dodo.subscriptions.get(
            subscription.provider_subscription_id, budget=budget or shop.dodo.budget(PREVIEW_S)
        )
    except ProviderError as error:
        budgets.heed(shop, error)
        raise Refused("no_price") from error
    subscriptions.settle_subscription(shop, current, asked_at=asked_at)
    if current.on_demand:
        raise Refused("on_demand")
    if current.status in _REFUSALS_OF_STATUS:
        raise Refused(_REFUSALS_OF_STATUS[current.status])
    if attempts.get_live_of_subscription(shop.store, current.subscription_id) is not None:
        raise Refused("pending_change")
    if current.scheduled_change is not None:
        raise Refused("scheduled_change")
    return current


def _take_call(shop: Shop) -> None:
    if not budgets.take_soon(shop, "status"):
        raise Refused("no_price")


def wishes_of(
    shop: Shop, current: ProviderSubscription, *, product_id: str, quantity: int | None, addons: Mapping[str, int]
) -> list[Wish]:
    """Return the changes that lead to what is asked for: one on the way up, two on the way down. Raises Refused."""
    group = plan_groups.group_of(shop, current.product_id)
    order = group.direction(current.product_id, product_id) if group else None
    if group is None or order is None:
        raise Refused("not_a_plan")
    demand_sold(shop, product_id)
    seats = current.quantity or 1 if quantity is None else quantity
    if not 1 <= seats <= MAX_SEATS:
        raise Refused("bad_quantity")
    extras = _wanted_addons(shop, current, product_id=product_id, addons=addons)
    direction = _direction(shop, current, order, product_id=product_id, seats=seats, extras=extras)
    now = Wish(
        subscription_id=current.subscription_id,
        product_id=product_id,
        quantity=seats,
        addons=extras,
        mode=group.upgrade_mode if direction == "up" else group.downgrade_mode,
        when=NOW,
        resumes=plan_ends.is_to_end(shop, current),
        direction=direction,
    )
    return [now] if direction == "up" else _ways_down(group, now)


def _wanted_addons(
    shop: Shop, current: ProviderSubscription, *, product_id: str, addons: Mapping[str, int]
) -> tuple[Addon, ...]:
    """Return the add-ons afterwards: those held are kept, as many as are asked for, if the plan takes them."""
    held = _held(addons_of(current.addons))
    taken = {addon.id for addon in addon_rows.list_of_product(shop.store, product_id)}
    if product_id == current.product_id:
        # One that is sold no more may be kept, or given up.
        taken |= held.keys()
    elif held.keys() - taken:
        # Nobody is told that something is lost because of a list that may be minutes old.
        taken |= _addons_at_provider(shop, product_id)
    if any(count and addon_id not in taken | held.keys() for addon_id, count in addons.items()):
        raise Refused("bad_addon")
    if any(not 0 <= count <= MAX_SEATS for count in addons.values()):
        raise Refused("bad_addon_quantity")
    wanted = {**held, **addons}
    return tuple(Addon(addon_id, n) for addon_id, n in sorted(wanted.items()) if n and addon_id in taken)


def _held(addons: tuple[Addon, ...]) -> dict[str, int]:
    return {addon.addon_id: addon.quantity for addon in addons}


def _addons_at_provider(shop: Shop, product_id: str) -> set[str]:
    _take_call(shop)
    try:
        return set(shop.dodo.products.get(product_id, budget=shop.dodo.budget(PREVIEW_S)).addons or ())
    except ProviderError as error:
        budgets.heed(shop, error)
        raise Refused("no_price") from error


def _direction(
    shop: Shop,
    current: ProviderSubscription,
    order: Direction,
    *,
    product_id: str,
    seats: int,
    extras: tuple[Addon, ...],
) -> Literal["up", "down"]:
    """Tell whether a change is billed as one up or down: by plan, seats and add-ons together.

    Where they pull in two directions its totals decide (proration.md, section 4), at listed prices, which nobody is
    shown: else a way down that bills nothing now would give away seats until the renewal.
    """
    before, after = (current.quantity or 1, addons_of(current.addons)), (seats, extras)
    rises, falls = compare_parts(before, after)
    rises, falls = rises or order == "up", falls or order == "down"
    if not rises and not falls:
        raise Refused("same_plan")
    if rises != falls:
        return "up" if rises else "down"
    old, new = (catalogue.get_product(shop.store, plan_id) for plan_id in (current.product_id, product_id))
    if old is None or new is None or _interval(old) != _interval(new):
        return "up"
    return "down" if _listed_total(shop, new, *after) < _listed_total(shop, old, *before) else "up"


def _interval(product: Product) -> tuple[int | None, str | None]:
    return product.interval_count, product.interval_unit


def _listed_total(shop: Shop, product: Product, seats: int, extras: tuple[Addon, ...]) -> int:
    listed = [(addon_rows.get_addon(shop.store, extra.addon_id), extra.quantity) for extra in extras]
    return product.price_minor * seats + sum(addon.price_minor * count for addon, count in listed if addon)


def demand_sold(shop: Shop, product_id: str) -> None:
    product = catalogue.get_product(shop.store, product_id)
    if product is None:
        raise Refused("not_a_plan")
    if product.archived_at is not None:
        raise Refused("archived")


def _ways_down(group: PlanGroup, now: Wish) -> list[Wish]:
    later = replace(now, mode=MODE_AT_RENEWAL, when=AT_RENEWAL)
    ways = [later, now] if group.downgrade_when == AT_RENEWAL else [now, later]
    return ways if group.downgrade_both else ways[:1]


def _method_of(shop: Shop, current: ProviderSubscription) -> QuotedMethod | None:
    """Return the saved method that pays for the subscription, as far as the provider lists it."""
    customer_id = current.customer.customer_id
    kept = _pays(current, quoting.recent_methods(shop, customer_id))
    if kept is not None:
        return kept
    # A card that was just given is in no list we have read before.
    return _pays(current, quoting.methods_or_none(shop, customer_id, budget=shop.dodo.budget(PREVIEW_S)))


def _pays(current: ProviderSubscription, methods: list[SavedMethod] | None) -> QuotedMethod | None:
    return next((m.as_quoted() for m in methods or () if m.payment_method_id == current.payment_method_id), None)


def ask(
    shop: Shop,
    current: ProviderSubscription,
    wish: Wish,
    *,
    method: QuotedMethod | None,
    budget: Budget | None = None,
) -> PlanQuote:
    """Ask what a wish costs; raises Refused."""
    _take_call(shop)
    try:
        answer = shop.dodo.subscriptions.preview_change(
            wish.subscription_id, plan_change.change_request(wish), budget=budget or shop.dodo.budget(PREVIEW_S)
        )
        return plan_change.read_quote(answer, current, wish, method=method, now=shop.now())
    except NotExecuted as refusal:
        budgets.heed(shop, refusal)
        raise Refused(_reason_of(refusal.code, wish)) from refusal
    except ProviderError as error:
        raise Refused("no_price") from error


def _reason_of(code: str, wish: Wish) -> Refusal:
    # In a trial, for another interval, or by an API that does not know it (proration.md, section 8).
    if wish.mode == "prorated_immediately_keep_cycle" and code in ("UNSUPPORTED_ACTION", "INVALID_REQUEST_BODY"):
        return "mode_refused"
    return _REFUSALS.get(code, "no_price")


def store_quotes(
    shop: Shop,
    subscription: Subscription,
    quotes: list[PlanQuote],
    *,
    buyer_key: str,
    language: str,
    moved_from: str | None = None,
    may_show_lower: bool = False,
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
                    may_show_lower=int(may_show_lower and number == 0),
                ),
            )
        bookkeeping.record(shop, "plan_change.quoted", instance_id=ids[0], subscription_id=subscription.id)
    return Quoted(ids[0], is_moved=moved_from is not None)
