"""Grants: what the provider itself has given a customer, read again from it, kept, and shown to that customer.

Events, the poll and the pages all end in the same reading of everything a customer was given. It replaces what was
known, so order, repetition and loss of events change nothing, and what is no longer there is no longer shown.
"""

from collections.abc import Iterable, Sequence

from encore.dodo import Budget
from encore.dodo.models import EntitlementGrant, LicenseKey, epoch_ms
from encore.errors import ProviderError, Unavailable
from encore.services import budgets, catalogue, quoting
from encore.services.pages import GrantLine
from encore.services.shop import Shop
from encore.store import checkouts, customers, orders
from encore.store import grants as rows
from encore.store.grants import Grant
from encore.store.orders import Order

KEY_KIND = "license_key"
# A page asks when what is known is older than this, and does not wait longer than that for it.
_FRESH_MS = 60_000
_PAGE_S = 2.0


def observe_grants(shop: Shop, customer_id: str, *, budget: Budget) -> bool:
    """Read all that the provider gave a customer and keep it; False if the customer is nobody we know.

    Raises NotExecuted or Unavailable when the provider gives no answer, or none that is surely whole.
    """
    if customers.get_customer(shop.store, customer_id) is None:
        return False
    asked_at = shop.now()
    keys = quoting.aside(shop, lambda: shop.dodo.grants.list_keys(customer_id=customer_id, budget=budget))
    granted = shop.dodo.grants.list_of_customer(customer_id, budget=budget)
    held = keys.result()
    for fault in (granted.fault, held.fault):
        if fault is not None:
            raise fault
    if not (granted.is_clean and held.is_clean):
        raise Unavailable("list_moved")
    found = [*(_of_grant(one) for one in granted.items), *(_of_key(one) for one in held.items)]
    with shop.store.write():
        if rows.mark_read(shop.store, customer_id, asked_at=asked_at):
            # The provider's filter is not believed: each row stands under its own customer or nowhere.
            rows.replace_grants(shop.store, customer_id, [one for one in found if one.customer_id == customer_id])
    return True


def may_ask(shop: Shop, purpose: budgets.Purpose) -> bool:
    """Take the two calls of a reading from the shared budget; False if it must wait."""
    return budgets.take(shop, purpose) and budgets.take(shop, purpose)


def read_for_page(shop: Shop, customer_ids: Iterable[str]) -> None:
    """Read again what is not known or not fresh; without an answer the page shows what was known last."""
    for customer_id in customer_ids:
        read_at = rows.get_read_at(shop.store, customer_id)
        if read_at is not None and 0 <= shop.now() - read_at <= _FRESH_MS:
            continue
        if not may_ask(shop, "status"):
            return
        try:
            observe_grants(shop, customer_id, budget=shop.dodo.budget(_PAGE_S))
        except ProviderError as error:
            budgets.heed(shop, error)


def is_key_news(shop: Shop, key: LicenseKey) -> bool:
    """Tell whether a listed licence key of a customer of ours differs from what is kept of it."""
    if customers.get_customer(shop.store, key.customer_id) is None:
        return False
    return _of_key(key) not in rows.list_of_customer(shop.store, key.customer_id)


def _of_grant(found: EntitlementGrant) -> Grant:
    key = found.license_key
    return Grant(
        id=found.id,
        customer_id=found.customer_id,
        payment_id=found.payment_id,
        subscription_id=found.subscription_id,
        product_id=None,
        kind=found.integration_type.lower(),
        # The provider spells it with a capital in one place and without in another.
        status=found.status.lower(),
        reason=found.error_code or found.revocation_reason,
        license_key=key.key if key else None,
        activations=key.activations_used if key else None,
        activations_limit=key.activations_limit if key else None,
        expires_at=epoch_ms(key.expires) if key and key.expires else None,
        created_at=found.created_at,
        changed_at=found.changed_at,
    )


def _of_key(found: LicenseKey) -> Grant:
    return Grant(
        id=found.id,
        customer_id=found.customer_id,
        payment_id=found.payment_id,
        subscription_id=found.subscription_id,
        product_id=found.product_id,
        kind=KEY_KIND,
        status=found.status.lower(),
        reason=None,
        license_key=found.key,
        activations=found.instances_count,
        activations_limit=found.activations_limit,
        expires_at=epoch_ms(found.expires) if found.expires else None,
        created_at=found.created_at,
        changed_at=found.created_at,
    )


# ---- On pages --------------------------------------------------------------------------------------------------


def of_order(shop: Shop, order: Order, *, with_account: bool = False) -> tuple[GrantLine, ...]:
    """Return what was given for a first order and for the offers taken after it, keys in full.

    The caller has checked that the browser is the order's own, or (`with_account`) signed in to its account: that one
    is shown what was given for later payments of the account and of the subscription, too.
    """
    bought = (order, *orders.list_of_first(shop.store, order.id, with_account=with_account))
    payment_ids = {one.payment_id for one in bought} - {None}
    checkout = checkouts.get_checkout(shop.store, order.checkout_id) if order.checkout_id else None
    subscription_id = checkout.subscription_id if checkout else None
    found = [
        grant
        for grant in rows.list_of_customer(shop.store, order.customer_id)
        if grant.payment_id in payment_ids
        or (
            grant.subscription_id is not None
            and grant.subscription_id == subscription_id
            and (with_account or grant.payment_id is None)
        )
    ]
    return tuple(_line(shop, grant, is_whole=True) for grant in _each_key_once(found))


def of_customers(shop: Shop, customer_ids: Iterable[str]) -> tuple[GrantLine, ...]:
    """Return all that the customers of an account were given, keys masked: the order's page shows them."""
    found = [grant for customer_id in customer_ids for grant in rows.list_of_customer(shop.store, customer_id)]
    return tuple(_line(shop, grant, is_whole=False) for grant in _each_key_once(found))


def _each_key_once(found: Sequence[Grant]) -> list[Grant]:
    """Leave out a key that a grant holds too: the grant alone knows that it was revoked."""
    granted = {grant.license_key for grant in found if grant.product_id is None} - {None}
    return [grant for grant in found if grant.product_id is None or grant.license_key not in granted]


def _line(shop: Shop, grant: Grant, *, is_whole: bool) -> GrantLine:
    order = _order_of(shop, grant)
    product = catalogue.get_by_id(shop, grant.product_id) if grant.product_id else None
    first = orders.get_order(shop.store, order.first_order_id) if order and order.first_order_id else order
    source = checkouts.get_checkout(shop.store, first.checkout_id) if first and first.checkout_id else None
    key = grant.license_key
    return GrantLine(
        kind=grant.kind,
        status=grant.status,
        product_name=product.name if product else order.product_name if order else None,
        license_key=key if key is None or is_whole else mask_key(key),
        activations=grant.activations,
        activations_limit=grant.activations_limit,
        expires_at=grant.expires_at,
        at=grant.changed_at,
        ref=source.ref if source else None,
    )


def _order_of(shop: Shop, grant: Grant) -> Order | None:
    order = orders.get_of_payment(shop.store, grant.payment_id) if grant.payment_id else None
    if order is None and grant.subscription_id is not None:
        checkout = checkouts.get_by_subscription(shop.store, grant.subscription_id)
        order = orders.get_of_checkout(shop.store, checkout.id) if checkout else None
    return order if order is not None and order.customer_id == grant.customer_id else None


def mask_key(key: str) -> str:
    """Return a licence key nobody can use: its last four characters, none of one that is short."""
    return f"•••• {key[-4:]}" if len(key) >= 12 else "••••"
