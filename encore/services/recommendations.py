"""Recommendations: what a signed-in buyer is shown in their account, and the offer instance that a card leads to.

A list asks the provider nothing: its prices are those of our copy of the catalogue. The exact total, with tax, is asked
for when a card is opened, and stands on the offer's own page.
"""

from dataclasses import dataclass
from typing import Literal

from encore.dodo import Budget
from encore.errors import ProviderError
from encore.ids import new_id
from encore.rules.eligibility import Decision, decide_cards
from encore.rules.facts import Facts
from encore.rules.funnels import ACCOUNT
from encore.rules.kinds import Offer
from encore.rules.methods import MethodCheck, SavedMethod, Unusable
from encore.rules.money import Money
from encore.rules.quotes import Quote, freeze, quote_hash
from encore.services import budgets, catalogue, funnels, offers, quoting
from encore.services.pages import ProductCard
from encore.services.shop import Shop
from encore.services.sign_ins import Account
from encore.services.standing import standing_of
from encore.store import acceptances, offer_instances, orders
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order

# Price and methods are read side by side; a card that waits longer says that there is no price now.
_OPEN_BUDGET_S = 6.0


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A card: the product with its listed price, and the merchant's words (`title`, and `gain` if written).

    `is_owned`: the buyer has it already, and may buy it again.
    """

    offer_id: str
    product: ProductCard
    words: dict[str, str]
    words_language: str
    is_owned: bool


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """A yes to a recommendation that is not settled: its product has no card, and its own page says how it stands."""

    instance_id: str
    product_name: str


@dataclass(frozen=True, kw_only=True)
class Recommended:
    """What stands on a page of the account: the cards, at most the merchant's cap (R7c), and what is not settled."""

    cards: tuple[Recommendation, ...]
    under_way: tuple[UnderWay, ...]


@dataclass(frozen=True)
class Opened:
    """The instance that a card leads to, new or not; its page says how it stands."""

    instance_id: str


OpenResult = Opened | Literal["not_offered", "no_price"]


@dataclass(frozen=True)
class _Occasion:
    """Whom something is recommended to: the account's latest order that stands, and what the rules read of it."""

    order: Order
    facts: Facts
    offers: dict[str, Offer]


# ---- The list --------------------------------------------------------------------------------------------------


def recommend(shop: Shop, account: Account, *, language: str) -> Recommended:
    """Return what a page of the account shows, and store why."""
    cards = list_cards(shop, account, language=language)
    return Recommended(cards=cards, under_way=_list_under_way(shop, account))


def list_cards(shop: Shop, account: Account, *, language: str) -> tuple[Recommendation, ...]:
    """Return what an account is recommended, at most the merchant's cap (R7c), and store why."""
    decided = _decide(shop, account, language=language)
    if decided is None:
        return ()
    occasion, trace = decided
    cards = [_card(shop, occasion, decision, language=language) for decision in trace if decision.is_eligible]
    return tuple(card for card in cards if card is not None)


def _list_under_way(shop: Shop, account: Account) -> tuple[UnderWay, ...]:
    """Return the account's yeses that are not settled, so that whoever left their pages finds them again."""
    yeses = [yes for customer in account.customer_ids for yes in acceptances.list_open(shop.store, customer)]
    instances = [offer_instances.get_instance(shop.store, yes.offer_instance_id) for yes in yeses]
    recommended = [instance for instance in instances if instance is not None and instance.is_recommendation]
    names = [catalogue.get_by_id(shop, instance.product_id) for instance in recommended]
    return tuple(
        UnderWay(instance_id=instance.id, product_name=product.name if product else instance.product_id)
        for instance, product in zip(recommended, names, strict=True)
    )


def _card(shop: Shop, occasion: _Occasion, decision: Decision, *, language: str) -> Recommendation | None:
    offer = occasion.offers[decision.offer_id]
    product = catalogue.get_by_id(shop, offer.product_id)
    if product is None:
        return None
    words, words_language = offer.words_in(language, fallback=shop.settings.language)
    return Recommendation(
        offer_id=offer.id,
        product=product,
        words={name: text for name, text in words.items() if text},
        words_language=words_language,
        is_owned=offer.product_id in occasion.facts.owned_products,
    )


def _decide(shop: Shop, account: Account, *, language: str) -> tuple[_Occasion, tuple[Decision, ...]] | None:
    """Decide on every card for an account; None for one that has no order to go by, or where nothing is recommended."""
    live = funnels.live_funnels(shop, placement=ACCOUNT)
    order = _latest_order(shop, account) if live else None
    if order is None:
        return None
    live_offers = funnels.live_offers(shop)
    facts = _facts(shop, account, order, live_offers=live_offers, language=language)
    trace = decide_cards(live, facts, offers=live_offers, cap=shop.settings.max_recommendations)
    _note(shop, order, trace)
    return _Occasion(order=order, facts=facts, offers=live_offers), trace


def _latest_order(shop: Shop, account: Account) -> Order | None:
    found = [orders.get_latest_standing(shop.store, customer) for customer in account.customer_ids]
    return max((order for order in found if order is not None), key=lambda order: order.number, default=None)


def _facts(shop: Shop, account: Account, order: Order, *, live_offers: dict[str, Offer], language: str) -> Facts:
    """Return what rules and guards read: of the latest order, and of everything the account's customers have."""
    customers = account.customer_ids
    return Facts(
        customer_id=order.customer_id,
        products_bought=frozenset({order.product_id}),
        total=Money(order.amount, order.currency),
        country=order.country,
        language=language,
        orders_so_far=sum(orders.count_of_customer(shop.store, customer) for customer in customers),
        owned_products=frozenset[str]().union(*(orders.list_owned_products(shop.store, c) for c in customers)),
        suppressed_products=frozenset[str]().union(
            *(offer_instances.list_suppressed_products(shop.store, c) for c in customers)
        ),
        products=offers.product_facts(shop),
        live_offers=frozenset(live_offers),
        method=quoting.check_method(
            shop, order, quoting.known_methods(shop, order.customer_id), currency=order.currency
        ),
        now=shop.now(),
        open_products=frozenset[str]().union(*(acceptances.list_open_products(shop.store, c) for c in customers)),
    )


def _note(shop: Shop, order: Order, trace: tuple[Decision, ...]) -> None:
    """Store the decisions that are new or come out otherwise than last time: a page seen again writes nothing."""
    rows = [offers.decision_row(shop, order, decision) for decision in trace]
    known = {
        (row.funnel_id, row.step_key): row.reasons_json for row in offer_instances.list_decisions(shop.store, order.id)
    }
    news = [row for row in rows if known.get((row.funnel_id, row.step_key)) != row.reasons_json]
    # A full disk must not keep anybody from reading.
    if not news or not shop.store.has_room():
        return
    with shop.store.write():
        for row in news:
            offer_instances.insert_decision(shop.store, row)


# ---- One card --------------------------------------------------------------------------------------------------


def open_card(shop: Shop, account: Account, offer_id: str, *, buyer_key: str, language: str) -> OpenResult:
    """Return the instance behind a card of this account, making it with its price and method if none is live.

    A card that is shown no more leads to what it came to: the newest instance of its offer, if there is one.
    """
    decided = _decide(shop, account, language=language)
    decision = next((d for d in decided[1] if d.offer_id == offer_id and d.is_eligible), None) if decided else None
    if decided is None or decision is None:
        return _newest(shop, account, offer_id)
    occasion = decided[0]
    # Of every customer of the account: an order under another one of them must not make a second way to the same yes.
    opened = _opened(shop, account, offer_id)
    live = next((i for i in opened if _is_live(shop, i)), None)
    if live is not None:
        return Opened(live.id)
    earlier = [i for i in opened if i.customer_id == occasion.order.customer_id]
    budget = shop.dodo.budget(_OPEN_BUDGET_S)
    if not budgets.take(shop, "status"):
        return "no_price"
    methods = quoting.aside(shop, lambda: _methods(shop, occasion.order.customer_id, budget=budget))
    try:
        quote = quoting.prepare(shop, occasion.offers[offer_id], occasion.order, budget=budget)
    except ProviderError as error:
        # The price is the provider's or there is none.
        budgets.heed(shop, error)
        return "no_price"
    # The card of the latest order or none: another one is the buyer's to choose, never ours.
    check = quoting.check_method(shop, occasion.order, methods.result() or [], currency=quote.currency)
    fresh = _instance(
        shop,
        occasion,
        decision,
        quoting.with_method(quote, check),
        number=len(earlier) + 1,
        check=check,
        buyer_key=buyer_key,
        language=language,
    )
    return _store(shop, fresh, last=earlier[-1] if earlier else None)


def _methods(shop: Shop, customer_id: str, *, budget: Budget) -> list[SavedMethod] | None:
    kept = quoting.recent_methods(shop, customer_id)
    return kept if kept is not None else quoting.methods_or_none(shop, customer_id, budget=budget)


def _newest(shop: Shop, account: Account, offer_id: str) -> OpenResult:
    newest = max(_opened(shop, account, offer_id), key=lambda instance: instance.created_at, default=None)
    return "not_offered" if newest is None else Opened(newest.id)


def _opened(shop: Shop, account: Account, offer_id: str) -> list[OfferInstance]:
    opened = [i for customer in account.customer_ids for i in offer_instances.list_recommended(shop.store, customer)]
    return [instance for instance in opened if instance.offer_id == offer_id]


def _is_live(shop: Shop, instance: OfferInstance) -> bool:
    standing = standing_of(shop, instance)
    in_time = instance.state == "shown" and shop.now() < instance.expires_at
    return in_time and standing.is_live and not standing.is_declined


def _store(shop: Shop, fresh: OfferInstance, *, last: OfferInstance | None) -> OpenResult:
    """Store a new instance in place of the last one, which can be taken no more; another tab's stands if it was first.

    The occasion is numbered by the instances there were, so two tabs name the same one, and the row's UNIQUE lets one
    of them through: an account never has two live instances of an offer.
    """
    with shop.store.write():
        if last is not None:
            offer_instances.mark_superseded(shop.store, last.id, now=fresh.created_at)
        if offer_instances.insert_instance(shop.store, fresh):
            offer_instances.insert_event(shop.store, fresh.id, kind="shown", now=fresh.created_at)
    opened = offer_instances.list_recommended(shop.store, fresh.customer_id)
    return Opened([instance for instance in opened if instance.offer_id == fresh.offer_id][-1].id)


def _instance(
    shop: Shop,
    occasion: _Occasion,
    decision: Decision,
    quote: Quote,
    *,
    number: int,
    check: MethodCheck,
    buyer_key: str,
    language: str,
) -> OfferInstance:
    offer, order, now = occasion.offers[decision.offer_id], occasion.order, shop.now()
    return OfferInstance(
        id=new_id("oi"),
        offer_id=offer.id,
        offer_version=offer.version,
        funnel_id=decision.funnel_id,
        funnel_version=decision.funnel_version,
        step_key=decision.step_key,
        placement=ACCOUNT,
        source_ref=f"account:{order.customer_id}:{number}",
        order_id=order.id,
        buyer_key=buyer_key,
        customer_id=order.customer_id,
        product_id=offer.product_id,
        language=language,
        quote_json=freeze(quote),
        quote_hash=quote_hash(quote),
        moved_from_json=None,
        no_method_reason=check.reason if isinstance(check, Unusable) else None,
        created_at=now,
        expires_at=funnels.shown_until(shop, offer, now=now),
        answered_at=None,
        state="shown",
    )
