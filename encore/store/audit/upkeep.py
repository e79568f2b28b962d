"""What is overdue, and messages that were not sent or sent twice (I5, I14)."""

from encore.store.audit.parts import LIVE, Objects, objects_of
from encore.store.engine import Store


def list_overdue(store: Store, *, now: int, quarantine_ms: int) -> list[tuple[str, str]]:
    """Return (id, what it is still waiting as) for everything that should have moved on by `now`.

    The limits are charging.md's (I5): `quarantine_ms` is Q. What is retried counts from its next try.
    """
    found = store.rows(
        "SELECT id, state AS what FROM attempts WHERE"
        " (state = 'sending' AND coalesce(claimed_at, created_at) < :now - 30000)"
        " OR (state = 'queued' AND created_at < :now - 35000)"
        " OR (state = 'unknown' AND changed_at < :now - :quarantine_ms - 120000)"
        " OR (state IN ('opening','hosted_open') AND created_at < :now - :day_ms)"
        " OR (state = 'action_required' AND changed_at < :now - :day_ms)"
        " UNION ALL SELECT id, 'restore_cancel' AS what FROM attempts WHERE restore_cancel = 1"
        f" AND state NOT IN {LIVE} AND changed_at < :now - 300000"
        " UNION ALL SELECT provider_subscription_id AS id, 'end to put back' AS what FROM ends_to_put_back"
        " WHERE noted_at < :now - 300000 AND NOT EXISTS (SELECT attempts.id FROM attempts"
        " WHERE attempts.subscription_id = ends_to_put_back.provider_subscription_id"
        f" AND attempts.state IN {LIVE})"
        # A payment under way at the hosted checkout is waited for, however long it takes.
        " UNION ALL SELECT id, outcome AS what FROM acceptances WHERE outcome = 'needs_checkout'"
        " AND created_at < :now - :day_ms AND NOT EXISTS (SELECT attempts.id FROM attempts"
        " WHERE attempts.acceptance_id = acceptances.id AND attempts.state = 'pending')"
        " UNION ALL SELECT webhook_id AS id, 'inbox' AS what FROM webhook_events WHERE state = 'received'"
        " AND coalesce(next_try_at, received_at) < :now - 60000"
        " UNION ALL SELECT id, 'refund ' || state AS what FROM refunds WHERE reason <> 'external'"
        " AND state IN ('due','sending','unknown','pending') AND coalesce(next_try_at, changed_at) < :now - 300000"
        " UNION ALL SELECT id, 'message ' || state AS what FROM outbox WHERE"
        " (state = 'ready' AND coalesce(next_try_at, created_at) < :now - 300000)"
        " OR (state = 'sending' AND coalesce(lease_until, created_at) < :now - 300000)",
        now=now,
        quarantine_ms=quarantine_ms,
        day_ms=24 * 3_600_000 + 300_000,
    )
    return [(row["id"], row["what"]) for row in found]


def list_stuck_messages(store: Store) -> list[Objects]:
    """Return messages that nobody will ever send: waiting, with no next try."""
    return objects_of(store, "SELECT id FROM outbox WHERE state = 'ready' AND next_try_at IS NULL")


def list_repeated_messages(store: Store) -> list[Objects]:
    """Return messages sent more often than an interruption explains."""
    return objects_of(store, "SELECT id FROM outbox WHERE sends > 1 + interrupted")


def list_orders_without_receipt(store: Store) -> list[Objects]:
    """Return orders whose customer has an address but was sent no receipt."""
    return objects_of(
        store,
        "SELECT orders.id FROM orders JOIN customers ON customers.id = orders.customer_id"
        " LEFT JOIN outbox ON outbox.dedup_key IN"
        " ('receipt:' || orders.id, 'trial_started:' || orders.id, 'plan_changed:' || orders.id,"
        " 'plan_scheduled:' || orders.id, 'dues_paid:' || orders.id)"
        " WHERE coalesce(customers.email, '') <> '' AND outbox.id IS NULL",
    )


def list_returns_without_message(store: Store) -> list[Objects]:
    """Return payments sent back, or refunded in full, of which their customer was not told."""
    return objects_of(
        store,
        "SELECT payments.id FROM payments JOIN customers ON customers.id = payments.customer_id"
        " LEFT JOIN outbox ON outbox.dedup_key = (CASE WHEN payments.refunded = payments.amount THEN 'refund_done:'"
        " ELSE 'outcome_returned:' END) || payments.id"
        " WHERE coalesce(customers.email, '') <> '' AND outbox.id IS NULL AND payments.amount > 0"
        " AND (payments.refunded = payments.amount"
        " OR (payments.disposition = 'returned' AND payments.acceptance_id IS NOT NULL))",
    )


def list_silent_alarms(store: Store) -> list[Objects]:
    """Return standing alarms of which the owner was sent no message."""
    return objects_of(
        store,
        "SELECT alarms.kind, alarms.object FROM alarms LEFT JOIN outbox"
        " ON outbox.dedup_key = 'alarm:' || alarms.kind || ':' || alarms.object || ':' || cast(raised_at AS text)"
        " WHERE alarms.cleared_at IS NULL AND outbox.id IS NULL",
    )
