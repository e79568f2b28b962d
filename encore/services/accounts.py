"""Accounts: what a signed-in buyer sees of all the customers that have the proven address.

Orders and access come from our own rows; saved methods and subscriptions from the provider, kept for a minute.
"""

import heapq
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

import structlog

from encore import tokens
from encore.dodo import Budget
from encore.errors import NotExecuted, ProviderError
from encore.rules.methods import ExpiryState, SavedMethod, expiry_state
from encore.rules.money import Money
from encore.rules.quotes import QUOTE_FRESH_MS, QuotedMethod
from encore.services import bookkeeping, budgets, catalogue, grants, order_pages, quoting, trial_pages
from encore.services.pages import GrantLine, PaymentLine, ProductCard
from encore.services.shop import Shop
from encore.services.sign_ins import Account
from encore.services.subscriptions import settle_subscription
from encore.store import checkouts, customers, orders, subscriptions
from encore.store.orders import Order
from encore.store.subscriptions import Subscription

T = TypeVar("T")

log = structlog.get_logger("encore.accounts")

# Orders on a page of them, and of the newest on the account's first page.
ORDERS_A_PAGE, NEWEST_ORDERS = 20, 5
_PROVIDER_S = 6.0
# Whoever has one of these has a plan; the others are over, or never began.
_CURRENT = ("active", "past_due", "on_hold", "paused")
_ABOVE_ALL_NUMBERS = 2**62


@dataclass(frozen=True, kw_only=True)
class OrderRow:
    """One order in a list: its number, the page it is told on (None: no page), and its payment.

    `first_number` is that of the order whose offer it came from, None for a first order.
    """

    number: int
    ref: str | None
    first_number: int | None
    line: PaymentLine


@dataclass(frozen=True, kw_only=True)
class OrderList:
    """A page of orders, newest first; `older_than` is where the next page begins, None after the last."""

    rows: tuple[OrderRow, ...]
    older_than: int | None


@dataclass(frozen=True, kw_only=True)
class SubscriptionRow:
    """A subscription as last read from the provider; `id` is ours, `price` is one period's before tax."""

    id: str
    product_name: str
    quantity: int
    status: str
    price: Money | None
    interval_count: int
    interval_unit: str | None
    next_billing_at: int | None
    cancels_at_period_end: bool
    trial_ends_at: int | None


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """A saved method; `name` is ours and means nothing elsewhere. `pays_for` are the plans it pays."""

    name: str
    method: QuotedMethod
    expiry: ExpiryState
    pays_for: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MethodList:
    """The saved methods, or why there are none to show."""

    state: Literal["list", "empty", "provider_down"]
    rows: tuple[MethodRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccountPage:
    """The account's first page. `is_stale`: the provider gave no answer, so its part is as it was last read."""

    masked_address: str
    orders: OrderList
    owned: tuple[ProductCard, ...]
    subscriptions: tuple[SubscriptionRow, ...]
    is_stale: bool
    methods: MethodList
    grants: tuple[GrantLine, ...]


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What became of the wish to remove a method; `plans` are what a method in use pays for, as far as we know."""

    result: Literal["removed", "in_use", "gone", "provider_down"]
    plans: tuple[str, ...] = ()


# ---- Orders ----------------------------------------------------------------------------------------------------


def overview(shop: Shop, account: Account) -> AccountPage:
    """Return the account's first page."""
    methods = list_methods(shop, account)
    grants.read_for_page(shop, account.customer_ids)
    owned = {
        product for customer in account.customer_ids for product in orders.list_owned_products(shop.store, customer)
    }
    cards = [catalogue.get_by_id(shop, product_id) for product_id in sorted(owned)]
    return AccountPage(
        masked_address=account.masked_address,
        orders=list_orders(shop, account, limit=NEWEST_ORDERS),
        owned=tuple(sorted((card for card in cards if card is not None), key=lambda card: card.name)),
        subscriptions=_list_subscriptions(shop, account),
        is_stale=not all(_is_fresh(shop, customer) for customer in account.customer_ids),
        methods=methods,
        grants=grants.of_customers(shop, account.customer_ids),
    )


def list_orders(shop: Shop, account: Account, *, before: int | None = None, limit: int = ORDERS_A_PAGE) -> OrderList:
    """Return the newest orders with a number under `before`; however many there are, only a page of them is read."""
    edge = _ABOVE_ALL_NUMBERS if before is None else before
    pages = [orders.list_page(shop.store, c, before=edge, limit=limit + 1) for c in account.customer_ids]
    newest = list(islice(heapq.merge(*pages, key=lambda order: -order.number), limit + 1))
    shown = newest[:limit]
    return OrderList(
        rows=tuple(_order_row(shop, order) for order in shown),
        older_than=shown[-1].number if len(newest) > limit else None,
    )


def _order_row(shop: Shop, order: Order) -> OrderRow:
    first = orders.get_order(shop.store, order.first_order_id) if order.first_order_id else None
    return OrderRow(
        number=order.number,
        # A change of a plan that was bought elsewhere follows no order of ours.
        ref=bookkeeping.ref_of(shop, first or order) if (first or order).checkout_id else None,
        first_number=first.number if first else None,
        line=order_pages.payment_line(shop, order),
    )


def get_order(shop: Shop, account: Account | None, ref: str) -> Order | None:
    """Return the first order behind a reference if it is of this account."""
    checkout = checkouts.get_by_ref(shop.store, ref) if account else None
    order = orders.get_of_checkout(shop.store, checkout.id) if checkout else None
    return order if account and order and order.customer_id in account.customer_ids else None


def read_invoice(shop: Shop, account: Account, ref: str, number: int) -> bytes | None:
    """Return the provider's invoice for the n-th payment on an order's page as a PDF; None if there is no such one.

    Only for the account: an invoice names its customer, whom somebody who typed their address must not learn.
    Raises NotExecuted or Unavailable.
    """
    order = get_order(shop, account, ref)
    lines = order_pages.list_payments(shop, order, with_account=True) if order else ()
    if not 1 <= number <= len(lines):
        return None
    line = lines[number - 1]
    if line.payment_id is None or not line.has_invoice or not budgets.take(shop, "status"):
        return None
    try:
        return shop.dodo.invoices.of_payment(line.payment_id, budget=shop.dodo.budget(_PROVIDER_S))
    except NotExecuted as refusal:
        if refusal.status == 404:
            return None
        raise


# ---- What the provider keeps -----------------------------------------------------------------------------------


def list_methods(shop: Shop, account: Account) -> MethodList:
    """Return the saved methods, with the plans they pay for; both are read side by side unless they are fresh."""
    budget = shop.dodo.budget(_PROVIDER_S)
    reads = [_aside(shop, customer, budget=budget, read=_read_subscriptions) for customer in account.customer_ids]
    found = _methods(shop, account, budget=budget, read=_recent_methods)
    for read in reads:
        read.result()
    if found is None:
        return MethodList(state="provider_down")
    paid = _plans_by_method(shop, account)
    rows = tuple(
        MethodRow(
            name=method_name(shop, customer, method),
            method=method.as_quoted(),
            expiry=expiry_state(method, now=shop.now()),
            pays_for=paid.get(method.payment_method_id, ()),
        )
        for customer, method in found
    )
    return MethodList(state="list" if rows else "empty", rows=rows)


def remove_method(shop: Shop, account: Account, name: str) -> Removal:
    """Remove a saved method of this account; the provider decides whether it may go.

    `gone` is a method that is not there any more, and one that never was the account's. The caller has checked that the
    sign-in is recent.
    """
    budget = shop.dodo.budget(_PROVIDER_S)
    found = _methods(shop, account, budget=budget, read=_fresh_methods)
    if found is None:
        return Removal(result="provider_down")
    meant = next((pair for pair in found if method_name(shop, *pair) == name), None)
    if meant is None:
        return Removal(result="gone")
    customer_id, method = meant
    try:
        result = shop.dodo.customers.remove_payment_method(customer_id, method.payment_method_id, budget=budget)
    except ProviderError as error:
        log.warning("method.not_removed", error=str(error))
        return Removal(result="provider_down")
    finally:
        # Whatever came of it, the next page asks.
        with shop.store.write():
            customers.forget_saved_methods(shop.store, customer_id)
    if result == "in_use":
        _ask_subscriptions(shop, customer_id, budget)
        return Removal(result=result, plans=_plans_by_method(shop, account).get(method.payment_method_id, ()))
    return Removal(result=result)


def _aside(shop: Shop, customer_id: str, *, budget: Budget, read: Callable[[Shop, str, Budget], T]) -> "Future[T]":
    return quoting.aside(shop, lambda: read(shop, customer_id, budget))


def _methods(
    shop: Shop,
    account: Account,
    *,
    budget: Budget,
    read: Callable[[Shop, str, Budget], list[SavedMethod] | None],
) -> list[tuple[str, SavedMethod]] | None:
    """Return (customer, method) of every saved method; None if one of the lists could not be read."""
    reads = [(customer, _aside(shop, customer, budget=budget, read=read)) for customer in account.customer_ids]
    lists = [(customer, future.result()) for customer, future in reads]
    if any(methods is None for _, methods in lists):
        return None
    return [(customer, method) for customer, methods in lists for method in methods or ()]


def _recent_methods(shop: Shop, customer_id: str, budget: Budget) -> list[SavedMethod] | None:
    kept = quoting.recent_methods(shop, customer_id)
    return kept if kept is not None else _fresh_methods(shop, customer_id, budget)


def _fresh_methods(shop: Shop, customer_id: str, budget: Budget) -> list[SavedMethod] | None:
    if not budgets.take(shop, "status"):
        return None
    try:
        return quoting.read_methods(shop, customer_id, budget=budget)
    except ProviderError as error:
        budgets.heed(shop, error)
        # A customer that the provider does not know has none; any other fault says nothing.
        return [] if isinstance(error, NotExecuted) and error.status == 404 else None


def method_name(shop: Shop, customer_id: str, method: SavedMethod) -> str:
    """Return what a form calls a saved method: a name of ours, which only this shop can make and only for this list."""
    return tokens.name_in_secret(shop.settings.secret_keys, "method", customer_id, method.payment_method_id)


def _is_fresh(shop: Shop, customer_id: str) -> bool:
    read_at = subscriptions.get_read_at(shop.store, customer_id)
    return read_at is not None and 0 <= shop.now() - read_at <= QUOTE_FRESH_MS


def _read_subscriptions(shop: Shop, customer_id: str, budget: Budget) -> None:
    if not _is_fresh(shop, customer_id):
        _ask_subscriptions(shop, customer_id, budget)


def _ask_subscriptions(shop: Shop, customer_id: str, budget: Budget) -> None:
    """Read a customer's subscriptions from the provider; without an answer the old rows stand."""
    if not budgets.take(shop, "status"):
        return
    now = shop.now()
    look = shop.dodo.subscriptions.list_all(customer_id=customer_id, budget=budget)
    if look.fault is not None:
        budgets.heed(shop, look.fault)
    with shop.store.write():
        for found in look.items:
            # Each is stored under its own customer, whatever the provider's filter let through.
            settle_subscription(shop, found, asked_at=now)
        if look.is_clean:
            subscriptions.mark_read(shop.store, customer_id, now=now)


def _current_subscriptions(shop: Shop, account: Account) -> list[Subscription]:
    found = [row for customer in account.customer_ids for row in subscriptions.list_of_customer(shop.store, customer)]
    return [row for row in found if row.status in _CURRENT]


def _list_subscriptions(shop: Shop, account: Account) -> tuple[SubscriptionRow, ...]:
    return tuple(
        SubscriptionRow(
            id=row.id,
            product_name=product_name(shop, row.product_id),
            quantity=row.quantity,
            status=row.status,
            price=Money(row.amount, row.currency) if row.amount is not None else None,
            interval_count=row.interval_count or 1,
            interval_unit=row.interval_unit,
            next_billing_at=row.next_billing_at,
            cancels_at_period_end=bool(row.cancels_at_period_end),
            trial_ends_at=row.next_billing_at if trial_pages.is_running(shop, row) else None,
        )
        for row in _current_subscriptions(shop, account)
    )


def _plans_by_method(shop: Shop, account: Account) -> dict[str, tuple[str, ...]]:
    plans: dict[str, tuple[str, ...]] = {}
    for row in _current_subscriptions(shop, account):
        # On hold its card has failed and pays for nothing; the provider lets it go, and the dues are paid with another.
        if row.payment_method_id and row.status != "on_hold":
            names = plans.get(row.payment_method_id, ())
            plans[row.payment_method_id] = (*names, product_name(shop, row.product_id))
    return plans


def product_name(shop: Shop, product_id: str) -> str:
    """Return what a product is called, or its id if it never was in the catalogue."""
    product = catalogue.get_by_id(shop, product_id)
    return product.name if product else product_id
