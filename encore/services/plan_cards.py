"""The card of a plan: another one is given on the provider's own page, never here."""

from encore.dodo.urls import is_checkout_url
from encore.errors import ProviderError
from encore.services import budgets, fulfilment
from encore.services.shop import Shop
from encore.store import attempts
from encore.store.subscriptions import Subscription

_CALL_S = 8.0
# In any other state the provider charges what is owed as soon as it has a card.
_OWES_NOTHING = ("active",)


def can_change_card(shop: Shop, row: Subscription) -> bool:
    """Tell whether a subscription may be given another card: it owes nothing, and no charge of it is under way."""
    is_free = attempts.get_live_of_subscription(shop.store, row.provider_subscription_id) is None
    return row.status in _OWES_NOTHING and is_free


def change_url(shop: Shop, row: Subscription) -> str | None:
    """Return the provider's page on which the buyer gives a subscription another card; None if there is none now.

    It charges nothing. The buyer comes back to the page of the plan, whose quotes are then of another card, and void.
    """
    if not can_change_card(shop, row) or not budgets.take_soon(shop, "checkout"):
        return None
    try:
        asked = shop.dodo.subscriptions.ask_for_method(
            row.provider_subscription_id,
            return_url=fulfilment.subscription_url(shop, row.id),
            budget=shop.dodo.budget(_CALL_S),
        )
    except ProviderError as error:
        budgets.heed(shop, error)
        return None
    link = asked.payment_link
    return link if link and is_checkout_url(link, shop.settings.checkout_hosts) else None
