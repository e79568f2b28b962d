"""Refunds beside their payments, and the sums of both (I11, I13)."""

from encore.store.audit.parts import Objects, objects_of
from encore.store.engine import Store


def list_overrefunded(store: Store) -> list[Objects]:
    """Return payments of which the provider's refunds, done and under way, are more than was paid."""
    # A row of ours without the provider's id moved no money: another refund was there first.
    return objects_of(
        store,
        "SELECT payments.id FROM payments JOIN refunds ON refunds.payment_id = payments.id"
        " AND refunds.state IN ('done','pending') AND refunds.provider_refund_id IS NOT NULL"
        " GROUP BY payments.id, payments.amount HAVING sum(refunds.amount) > payments.amount",
    )


def list_full_refunds_twice(store: Store) -> list[Objects]:
    """Return payments with two full refunds of ours."""
    return objects_of(
        store,
        "SELECT payment_id FROM refunds WHERE is_full = 1 AND reason <> 'external'"
        " GROUP BY payment_id HAVING count(*) > 1",
    )


def list_returned_without_refund(store: Store) -> list[Objects]:
    """Return returned payments that have no full refund, whoever began it."""
    return objects_of(
        store,
        "SELECT payments.id FROM payments LEFT JOIN refunds ON refunds.payment_id = payments.id"
        " AND refunds.is_full = 1 WHERE payments.disposition = 'returned' AND refunds.id IS NULL"
        " AND (payments.amount = 0 OR payments.refunded < payments.amount)",
    )


def list_returned_renewals(store: Store) -> list[Objects]:
    """Return renewals that were taken for duplicates."""
    return objects_of(
        store,
        "SELECT payments.id FROM payments WHERE (charge_type IN ('renewal','on_demand') AND disposition = 'returned')"
        " OR (disposition = 'renewal' AND EXISTS (SELECT refunds.id FROM refunds"
        " WHERE refunds.payment_id = payments.id AND refunds.reason <> 'external'))",
    )


def list_misstated_refunds(store: Store) -> list[Objects]:
    """Return payments whose refunded sum is not that of their done refunds, up to the whole payment."""
    return objects_of(
        store,
        "SELECT payments.id FROM payments LEFT JOIN refunds ON refunds.payment_id = payments.id"
        " AND refunds.state = 'done' GROUP BY payments.id, payments.refunded, payments.amount"
        " HAVING payments.refunded <> (CASE WHEN coalesce(sum(refunds.amount), 0) > payments.amount"
        " THEN payments.amount ELSE coalesce(sum(refunds.amount), 0) END)",
    )


def list_order_amounts(store: Store) -> dict[str, tuple[int, str]]:
    """Return amount and currency of every order by id."""
    return {
        row["id"]: (int(row["amount"]), row["currency"])
        for row in store.rows("SELECT id, amount, currency FROM orders")
    }


def list_refunded_amounts(store: Store) -> dict[str, tuple[int, str]]:
    """Return the refunded amount and its currency, by payment id, of every payment with any."""
    found = store.rows("SELECT id, refunded, currency FROM payments WHERE refunded <> 0")
    return {row["id"]: (int(row["refunded"]), row["currency"]) for row in found}
