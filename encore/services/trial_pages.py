"""Trial pages: what the pages of orders and plans say of a subscription that begins with a trial."""

from encore.rules.money import Money
from encore.rules.trials import is_in_trial, trial_end
from encore.services.pages import OrderedTrial
from encore.services.shop import Shop
from encore.store import catalogue, checkouts, subscriptions
from encore.store.orders import Order
from encore.store.subscriptions import Subscription


def is_running(shop: Shop, row: Subscription) -> bool:
    """Tell whether a subscription is in its trial."""
    return is_in_trial(
        begun_at=row.created_at, days=row.trial_days, next_billing_at=row.next_billing_at, now=shop.now()
    )


def of_order(shop: Shop, order: Order) -> OrderedTrial | None:
    """Return the trial that a first order began; None for every other order."""
    checkout = checkouts.get_checkout(shop.store, order.checkout_id) if order.checkout_id else None
    if checkout is None or checkout.subscription_id is None or order.state != "granted":
        return None
    row = subscriptions.get_by_provider_id(shop.store, checkout.subscription_id)
    return _of_row(shop, row) if row is not None else _of_product(shop, order)


def _of_row(shop: Shop, row: Subscription) -> OrderedTrial | None:
    if not row.trial_days or row.created_at is None:
        return None
    is_going_on = row.status in ("active", "past_due") and is_running(shop, row)
    price = Money(row.amount, row.currency) if row.amount is not None else None
    return OrderedTrial(
        state="over" if not is_going_on else "ending" if row.cancels_at_period_end else "running",
        ends_at=trial_end(row.created_at, row.trial_days),
        price=price,
        interval_count=row.interval_count,
        interval_unit=row.interval_unit,
    )


def _of_product(shop: Shop, order: Order) -> OrderedTrial | None:
    """Tell of a trial whose subscription was not read yet what its product says."""
    product = catalogue.get_product(shop.store, order.product_id)
    if product is None or not product.trial_days:
        return None
    return OrderedTrial(
        state="running",
        ends_at=trial_end(order.created_at, product.trial_days),
        price=Money(product.price_minor, product.currency) if order.quantity == 1 else None,
        interval_count=product.interval_count,
        interval_unit=product.interval_unit,
    )
