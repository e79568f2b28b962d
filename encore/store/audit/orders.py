"""Orders and entitlements beside what was paid (I3)."""

from encore.store.audit.parts import COST_NOTHING, GIVEN_BACK, OF_SUBSCRIPTION, Objects, objects_of
from encore.store.engine import Store


def list_charged_without_order(store: Store) -> list[Objects]:
    """Return charged acceptances without a granted order for their paid attempt and kept payment."""
    return objects_of(
        store,
        "SELECT acceptances.id FROM acceptances LEFT JOIN orders ON orders.acceptance_id = acceptances.id"
        " AND orders.state = 'granted' LEFT JOIN attempts ON attempts.id = orders.attempt_id"
        " AND attempts.acceptance_id = acceptances.id AND attempts.state = 'paid'"
        " LEFT JOIN payments ON payments.id = orders.payment_id AND payments.acceptance_id = acceptances.id"
        " AND payments.disposition = 'kept' WHERE acceptances.outcome = 'charged'"
        f" AND (orders.id IS NULL OR attempts.id IS NULL OR (payments.id IS NULL AND NOT {COST_NOTHING}))",
    )


def list_orders_without_charge(store: Store) -> list[Objects]:
    """Return granted orders whose acceptance is not charged."""
    return objects_of(
        store,
        "SELECT orders.id, acceptances.id AS acceptance_id FROM orders"
        " JOIN acceptances ON acceptances.id = orders.acceptance_id"
        " WHERE orders.state = 'granted' AND acceptances.outcome <> 'charged'",
    )


def list_checkouts_unlike_order(store: Store) -> list[Objects]:
    """Return paid checkouts without their order, and checkouts with an order that are not paid by its payment."""
    return objects_of(
        store,
        "SELECT checkouts.id, orders.id AS order_id FROM checkouts"
        " LEFT JOIN orders ON orders.checkout_id = checkouts.id"
        " WHERE (checkouts.state = 'paid' AND orders.id IS NULL) OR (orders.id IS NOT NULL"
        " AND (checkouts.state <> 'paid' OR ((orders.payment_id IS NULL OR checkouts.payment_id IS NULL"
        f" OR orders.payment_id <> checkouts.payment_id) AND NOT {COST_NOTHING})))",
    )


def list_orders_unlike_refund(store: Store) -> list[Objects]:
    """Return orders that are granted though their payment is back, or reversed though it is not."""
    return objects_of(
        store,
        "SELECT orders.id, payments.id AS payment_id FROM orders JOIN payments ON payments.id = orders.payment_id"
        f" WHERE (orders.state = 'reversed' AND NOT {GIVEN_BACK}) OR (orders.state = 'granted'"
        " AND payments.amount > 0 AND payments.refunded = payments.amount)",
    )


def list_orders_without_entitlement(store: Store) -> list[Objects]:
    """Return granted orders that do not give their customer the product."""
    return objects_of(
        store,
        "SELECT orders.id FROM orders LEFT JOIN entitlements ON entitlements.order_id = orders.id"
        " AND entitlements.product_id = orders.product_id AND entitlements.customer_id = orders.customer_id"
        " AND entitlements.revoked_at IS NULL WHERE orders.state = 'granted' AND entitlements.order_id IS NULL"
        f" AND NOT {OF_SUBSCRIPTION}",
    )


def list_stray_entitlements(store: Store) -> list[Objects]:
    """Return standing entitlements that their order does not give: reversed, another product, another customer."""
    return objects_of(
        store,
        "SELECT entitlements.order_id, entitlements.product_id FROM entitlements"
        " JOIN orders ON orders.id = entitlements.order_id WHERE entitlements.revoked_at IS NULL"
        f" AND (orders.state = 'reversed' OR (orders.product_id <> entitlements.product_id AND NOT {OF_SUBSCRIPTION})"
        " OR orders.customer_id <> entitlements.customer_id)",
    )


def list_access_unlike_subscription(store: Store, *, statuses: tuple[str, ...]) -> list[Objects]:
    """Return subscriptions whose order gives other access than its own product, in the `statuses` that give any."""
    names = {f"status_{number}": status for number, status in enumerate(statuses)}
    gives = f"subscriptions.status IN ({', '.join(':' + name for name in names)})"
    standing = (
        "SELECT entitlements.order_id FROM entitlements WHERE entitlements.order_id = subscriptions.order_id"
        " AND entitlements.revoked_at IS NULL AND entitlements.product_id"
    )
    return objects_of(
        store,
        "SELECT subscriptions.id FROM subscriptions JOIN orders ON orders.id = subscriptions.order_id"
        f" WHERE orders.state = 'granted' AND (({gives} AND NOT EXISTS ({standing} = subscriptions.product_id))"
        f" OR (NOT {gives} AND EXISTS ({standing} = subscriptions.product_id))"
        f" OR EXISTS ({standing} <> subscriptions.product_id))",
        **names,
    )
