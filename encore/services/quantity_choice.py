"""Choosing the quantity: a step of its own in a recommendation, which asks the price anew and stores a new quote."""

from dataclasses import replace
from typing import Literal

from encore.errors import ProviderError
from encore.rules.quotes import freeze, quote_hash, thaw
from encore.services import budgets, funnels, offers, quoting
from encore.services.pages import OfferPage
from encore.services.shop import Shop
from encore.store import offer_instances, orders
from encore.store.offer_instances import OfferInstance

_READ_S = 4.0
# What may still be chosen for: an offer nobody has answered. In any other state the page says what became of it.
_OPEN = frozenset({"offer", "quote_changed", "no_method", "owned"})

ChooseResult = Literal["chosen", "bad_quantity", "no_price", "closed"]


def page(shop: Shop, instance_id: str, *, buyer_key: str | None, language: str) -> OfferPage | None:
    """Return an offer's page with its quantity to choose, in state `choose_quantity`; None for another browser.

    In any other state there is nothing to choose: the offer was answered, or is of one piece.
    """
    found = offers.page(shop, instance_id, buyer_key=buyer_key, language=language)
    if found is None or found.state not in _OPEN or found.max_quantity == 1:
        return found
    return replace(found, state="choose_quantity")


def choose(shop: Shop, instance_id: str, *, buyer_key: str | None, text: str, language: str) -> ChooseResult:
    """Store a new quote for as many as a form says, paid by the same method; nothing is kept of a wish refused."""
    found = page(shop, instance_id, buyer_key=buyer_key, language=language)
    instance = offer_instances.get_instance(shop.store, instance_id)
    if found is None or instance is None or found.state != "choose_quantity":
        return "closed"
    quantity = _read_quantity(text, most=found.max_quantity)
    if quantity is None:
        return "bad_quantity"
    return _requote(shop, instance, quantity)


def _read_quantity(text: str, *, most: int) -> int | None:
    """Read a number from 1 to `most` in plain digits; None for anything else."""
    # int() takes signs, underscores and other alphabets' digits, and a number without end takes it long.
    is_plain = text.isascii() and text.isdigit() and len(text) <= 6
    return int(text) if is_plain and 1 <= int(text) <= most else None


def _requote(shop: Shop, instance: OfferInstance, quantity: int) -> ChooseResult:
    order = orders.get_order(shop.store, instance.follows)
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    if order is None or offer is None:
        raise ValueError(f"{instance.id} names rows that are gone")
    if not budgets.take(shop, "status"):
        return "no_price"
    budget = shop.dodo.budget(_READ_S)
    try:
        fresh = quoting.preview(shop, offer, order, quantity=quantity, budget=budget)
    except ProviderError as error:
        # The price is the provider's or there is none: the old quote stands.
        budgets.heed(shop, error)
        return "no_price"
    quote = replace(fresh, method=thaw(instance.quote_json).method)
    with shop.store.write():
        # Only over the quote that was read: a yes, or another tab's choice, may have come first.
        is_stored = offer_instances.mark_requoted(
            shop.store,
            instance.id,
            old_hash=instance.quote_hash,
            quote_json=freeze(quote),
            quote_hash=quote_hash(quote),
            moved_from_json=None,
            no_method_reason=instance.no_method_reason,
            chosen_method_id=instance.chosen_method_id,
        )
    return "chosen" if is_stored else "closed"
