"""Choosing the card: whoever has proven the address of an offer's customer may pay it with any of their saved methods.

A browser that has only paid may not (security.md, section 2): it pays with the card that paid, or at the checkout.
"""

from dataclasses import replace
from typing import Literal

from encore.errors import ProviderError
from encore.rules.methods import SavedMethod, Usable, pre_check
from encore.rules.quotes import Quote, freeze, quote_hash, thaw
from encore.services import accounts, budgets, offers, quoting
from encore.services.pages import CardChoice, OfferPage
from encore.services.shop import Shop
from encore.store import offer_instances
from encore.store.offer_instances import OfferInstance

_READ_S = 4.0

ChooseResult = Literal["chosen", "not_usable", "provider_down"]


def page(shop: Shop, instance_id: str, *, buyer_key: str | None, language: str) -> OfferPage | None:
    """Return an offer's page with the cards to choose from, in state `choose_card`; None for another browser.

    In any other state there is nothing to choose: the offer was answered, or nobody here has proven the address.
    """
    found = offers.page(shop, instance_id, buyer_key=buyer_key, language=language)
    instance = offer_instances.get_instance(shop.store, instance_id)
    if found is None or instance is None or not found.can_choose:
        return found
    methods = _read_methods(shop, instance)
    quote = thaw(instance.quote_json)
    return replace(
        found,
        state="choose_card",
        cards=tuple(_choice(shop, instance, quote, method) for method in methods or ()),
        reason=None if methods is not None else "provider_down",
    )


def choose(shop: Shop, instance_id: str, *, buyer_key: str | None, name: str) -> ChooseResult:
    """Store a new quote for a shown offer, paid by the method with this name (as `page` gave it).

    The price is the one that was shown; like any quote it is asked for again before a charge, and so is the method.
    """
    instance = offers.bound_instance(shop, instance_id, buyer_key=buyer_key)
    if instance is None or not quoting.may_choose(shop, instance):
        return "not_usable"
    methods = _read_methods(shop, instance)
    if methods is None:
        return "provider_down"
    quote = thaw(instance.quote_json)
    meant = next((m for m in methods if accounts.method_name(shop, instance.customer_id, m) == name), None)
    check = pre_check(meant, currency=quote.currency, now=shop.now())
    if not isinstance(check, Usable):
        return "not_usable"
    fresh = quoting.with_method(quote, check)
    with shop.store.write():
        offer_instances.mark_requoted(
            shop.store,
            instance.id,
            old_hash=instance.quote_hash,
            quote_json=freeze(fresh),
            quote_hash=quote_hash(fresh),
            moved_from_json=None,
            no_method_reason=None,
            chosen_method_id=check.method.payment_method_id,
        )
    return "chosen"


def _read_methods(shop: Shop, instance: OfferInstance) -> list[SavedMethod] | None:
    """Return the customer's methods, at most a minute old; None if the provider gives no answer."""
    kept = quoting.recent_methods(shop, instance.customer_id)
    if kept is not None:
        return kept
    if not budgets.take(shop, "status"):
        return None
    try:
        return quoting.read_methods(shop, instance.customer_id, budget=shop.dodo.budget(_READ_S))
    except ProviderError as error:
        budgets.heed(shop, error)
        return None


def _choice(shop: Shop, instance: OfferInstance, quote: Quote, method: SavedMethod) -> CardChoice:
    check = pre_check(method, currency=quote.currency, now=shop.now())
    return CardChoice(
        name=accounts.method_name(shop, instance.customer_id, method),
        method=method.as_quoted(),
        reason=None if isinstance(check, Usable) else check.reason,
        is_chosen=quote.method is not None and quote.method.payment_method_id == method.payment_method_id,
    )
