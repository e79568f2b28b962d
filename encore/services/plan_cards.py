"""The method that pays for a plan that owes nothing: another saved one, or a new one on the provider's own page.

It charges nothing and may be asked for again, so it is no attempt. On hold the same request charges what is owed: that
is `dues`. What one charges that was sent a moment too late is `card_charges`'.
"""

from dataclasses import dataclass
from typing import Literal

from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.urls import is_checkout_url
from encore.errors import NotExecuted, ProviderError
from encore.rules.methods import SavedMethod, Usable, pre_check
from encore.services import accounts, budgets, card_charges, observe, quoting, subscriptions
from encore.services.pages import CardChoice
from encore.services.shop import Shop
from encore.store import subscriptions as rows
from encore.store.subscriptions import Subscription

_CALL_S = 8.0

UseResult = Literal["used", "not_usable", "not_now", "provider_down"]


@dataclass(frozen=True, kw_only=True)
class CardsPage:
    """The methods that a plan can be paid with, the one that pays it chosen; None: they could not be read."""

    subscription_id: str
    product_name: str
    cards: tuple[CardChoice, ...] | None


def cards_page(shop: Shop, row: Subscription) -> CardsPage:
    """Return the methods to choose from, at most a minute old."""
    methods = _methods(shop, row)
    return CardsPage(
        subscription_id=row.id,
        product_name=accounts.product_name(shop, row.product_id),
        cards=None if methods is None else choices(shop, row, methods, chosen=row.payment_method_id),
    )


def choices(shop: Shop, row: Subscription, methods: list[SavedMethod], *, chosen: str | None) -> tuple[CardChoice, ...]:
    """Return the customer's methods as a form shows them, `chosen` (the provider's id) marked if it can pay."""
    found = []
    for method in methods:
        check = pre_check(method, currency=row.currency, now=shop.now())
        found.append(
            CardChoice(
                name=accounts.method_name(shop, row.customer_id, method),
                method=method.as_quoted(),
                reason=None if isinstance(check, Usable) else check.reason,
                is_chosen=isinstance(check, Usable) and method.payment_method_id == chosen,
            )
        )
    return tuple(found)


def usable(shop: Shop, row: Subscription, methods: list[SavedMethod], *, name: str) -> SavedMethod | None:
    """Return the method that a form calls `name`; None if it is not there (any more) or cannot pay."""
    meant = next((m for m in methods if accounts.method_name(shop, row.customer_id, m) == name), None)
    check = pre_check(meant, currency=row.currency, now=shop.now())
    return check.method if isinstance(check, Usable) else None


def use(shop: Shop, row: Subscription, *, name: str) -> UseResult:
    """Let the method with this name (as `cards_page` gave it) pay for a plan from now on.

    The subscription is read again first: `not_now` if it owes something by now, or a charge of it is under way. What
    comes to be owed between that and the request is paid by it, which the page says beforehand and afterwards.
    """
    budget = shop.dodo.budget(_CALL_S)
    provider_id = row.provider_subscription_id
    if not budgets.take_soon(shop, "status") or not subscriptions.try_subscription(shop, provider_id, budget=budget):
        return "provider_down"
    current = rows.get_by_provider_id(shop.store, provider_id) or row
    if not card_charges.may_change(shop, current):
        return "not_now"
    methods = quoting.methods_or_none(shop, current.customer_id, budget=budget)
    if methods is None or not budgets.take_soon(shop, "checkout"):
        return "provider_down"
    method = usable(shop, current, methods, name=name)
    if method is None:
        return "not_usable"
    change_id = card_charges.begin(shop, current)
    if change_id is None:
        return "not_now"
    result, payment_id = _send(shop, provider_id, method, budget=budget)
    crash_point("card.sent")
    card_charges.note_answer(shop, change_id, payment_id=payment_id)
    if payment_id is not None:
        observe.try_payment(shop, payment_id, budget=budget)
    # Last, so that what was charged is in what the page says then.
    subscriptions.try_subscription(shop, provider_id, budget=budget)
    return result


def _send(shop: Shop, provider_id: str, method: SavedMethod, *, budget: Budget) -> tuple[UseResult, str | None]:
    try:
        answer = shop.dodo.subscriptions.use_method(provider_id, method.payment_method_id, budget=budget)
    except ProviderError as error:
        budgets.heed(shop, error)
        # What the provider refuses is refused for good; without an answer it may be asked for again.
        is_refused = isinstance(error, NotExecuted) and error.status in (404, 422)
        return ("not_usable" if is_refused else "provider_down"), None
    return "used", answer.payment_id


def _methods(shop: Shop, row: Subscription) -> list[SavedMethod] | None:
    kept = quoting.recent_methods(shop, row.customer_id)
    if kept is not None:
        return kept
    if not budgets.take_soon(shop, "status"):
        return None
    return quoting.methods_or_none(shop, row.customer_id, budget=shop.dodo.budget(_CALL_S))


def change_url(shop: Shop, row: Subscription, *, return_url: str) -> str | None:
    """Return the provider's page on which the buyer gives a subscription another card; None if there is none now.

    It charges nothing, but what the page itself says is due. The buyer comes back to `return_url`; quotes from before
    are of another card then, and void.
    """
    budget = shop.dodo.budget(_CALL_S)
    if not budgets.take_soon(shop, "status"):
        return None
    # The row may be minutes old: on hold by now, the provider's page would ask for what is owed.
    if not subscriptions.try_subscription(shop, row.provider_subscription_id, budget=budget):
        return None
    change_id = card_charges.begin(shop, row) if budgets.take_soon(shop, "checkout") else None
    if change_id is None:
        return None
    asked = None
    try:
        asked = shop.dodo.subscriptions.ask_for_method(
            row.provider_subscription_id,
            return_url=return_url,
            budget=budget,
        )
    except ProviderError as error:
        budgets.heed(shop, error)
    card_charges.note_answer(shop, change_id, payment_id=asked.payment_id if asked else None)
    link = asked.payment_link if asked else None
    return link if link and is_checkout_url(link, shop.settings.checkout_hosts) else None
