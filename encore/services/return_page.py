"""The return page and the order page: what a checkout came to, and what the funnel shows next."""

from dataclasses import replace

from encore.rules.card_declines import read_card_decline
from encore.services import accounts, budgets, catalogue, checkout, grants, offer_pages, offers, order_pages
from encore.services.pages import OfferPage, ProductCard, ReturnPage
from encore.services.shop import Shop
from encore.services.sign_ins import Account
from encore.store import checkouts, offer_instances, orders
from encore.store.checkouts import Checkout
from encore.store.orders import Order

# Five looks two seconds apart; then the page stops asking and promises an e-mail (R28).
MOST_CHECKS = 5
# An offer that ended in a payment, kept or given back: told above whatever comes next.
_SETTLED = frozenset({"receipt", "returned", "changed", "scheduled"})


def status(shop: Shop, ref: str, *, buyer_key: str | None, language: str, check: int = 0) -> ReturnPage:
    """Return the page behind a return reference; `check` is how often the waiting page has asked already.

    For any other browser than the one that began the checkout it holds nothing of the order.
    """
    found = checkout.bound_checkout(shop, ref, buyer_key=buyer_key)
    if found is None:
        return ReturnPage(state="other_browser", ref=ref)
    # "You left the checkout" is said only after its session told that; without call budget it was not asked.
    is_known = False
    if found.state != "paid" and budgets.take(shop, "status"):
        is_known = checkout.look(shop, found)
        found = checkouts.get_checkout(shop.store, found.id) or found
    order = orders.get_of_checkout(shop.store, found.id)
    if order is None:
        return _unpaid(shop, found, is_known=is_known, check=check)
    if check < MOST_CHECKS and (offers.awaits_method(shop, order) or offers.awaits_subscription(shop, order)):
        product = catalogue.get_by_id(shop, order.product_id)
        return ReturnPage(state="waiting", ref=ref, product=product, checks_left=MOST_CHECKS - check)
    with shop.store.look():
        page = _paid(shop, order, ref=ref, language=language)
    return _with_grants(shop, page, order) if page.state == "thanks" else page


def _unpaid(shop: Shop, found: Checkout, *, is_known: bool, check: int) -> ReturnPage:
    product = catalogue.get_by_id(shop, found.product_id)
    sighting = checkout.sight_of(found)
    if sighting == "failed":
        reason = read_card_decline(found.decline_code).words
        return ReturnPage(state="payment_failed", ref=found.ref, product=product, reason=reason)
    if sighting is None and is_known:
        return ReturnPage(state="cancelled", ref=found.ref, product=product)
    page = ReturnPage(state="still_processing", ref=found.ref, product=product, is_unseen=sighting is None)
    return replace(page, state="waiting", checks_left=MOST_CHECKS - check) if check < MOST_CHECKS else page


def _paid(shop: Shop, order: Order, *, ref: str, language: str) -> ReturnPage:
    summary = order_pages.summarise(shop, order)
    page = _next_page(shop, order, language=language)
    if page is not None and page.state in _SETTLED:
        # Looking settled it just now: what follows is shown, as it is when a webhook was quicker than the buyer.
        page = _next_page(shop, order, language=language)
    settled = _last_settled(shop, order, language=language)
    if page is not None:
        return ReturnPage(state="offer", ref=ref, order=summary, offer=page, settled=settled)
    lines = order_pages.list_payments(shop, order)
    return ReturnPage(
        state="thanks",
        ref=ref,
        order=summary,
        settled=settled,
        payments=lines,
        today=order_pages.sum_today(lines),
        declined=_declined(shop, order),
    )


def _with_grants(shop: Shop, page: ReturnPage, order: Order, *, with_account: bool = False) -> ReturnPage:
    grants.read_for_page(shop, (order.customer_id,))
    return replace(page, grants=grants.of_order(shop, order, with_account=with_account))


def _next_page(shop: Shop, order: Order, *, language: str) -> OfferPage | None:
    instance = offers.next_step(shop, order, language=language)
    if instance is None:
        return None
    return offers.refreshed_page(shop, instance, buyer_key=order.buyer_key, language=language)


def _last_settled(shop: Shop, order: Order, *, language: str) -> OfferPage | None:
    """Return the newest offer that was paid: a buyer back from the bank or the checkout reads what it came to."""
    for instance in reversed(offer_instances.list_of_order(shop.store, order.id)):
        page = offer_pages.render_instance(shop, instance, language=language)
        if page.state in _SETTLED:
            return page
    return None


def _declined(shop: Shop, order: Order) -> tuple[ProductCard, ...]:
    declined = [i for i in offer_instances.list_of_order(shop.store, order.id) if i.state == "declined"]
    cards = [catalogue.get_by_id(shop, instance.product_id) for instance in declined]
    return tuple(card for card in cards if card is not None and not card.is_archived)


def order_page(
    shop: Shop,
    ref: str,
    *,
    buyer_key: str | None,
    language: str,
    account: Account | None = None,
    with_grants: bool = False,
) -> ReturnPage:
    """Return an order with all its payments, for the browser that paid it or the account it belongs to.

    Nothing of it for anybody else, or before it is paid. `with_grants`: also what the provider gave for it, which may
    have to be asked for.
    """
    found = checkout.bound_checkout(shop, ref, buyer_key=buyer_key)
    of_account = accounts.get_order(shop, account, ref)
    order = orders.get_of_checkout(shop.store, found.id) if found else of_account
    if order is None:
        return ReturnPage(state="other_browser", ref=ref)
    lines = order_pages.list_payments(shop, order, with_account=of_account is not None)
    page = ReturnPage(
        state="thanks",
        ref=ref,
        order=order_pages.summarise(shop, order),
        payments=lines,
        today=order_pages.sum_today(lines),
        declined=_declined(shop, order),
    )
    return _with_grants(shop, page, order, with_account=of_account is not None) if with_grants else page
