"""What the audit's reads share: conditions with a name, and rows as tuples of ids."""

from encore.store.engine import Store

Objects = tuple[str, ...]

DIRECT = "('queued','sending','unknown','pending','action_required')"
LIVE = "('queued','sending','unknown','pending','action_required','opening','hosted_open')"
# The whole payment is back, or we owe it. A refund left to a person, or that failed, gave nothing back, and one begun
# elsewhere counts when it is done.
GIVEN_BACK = (
    "((payments.amount > 0 AND payments.refunded = payments.amount)"
    " OR coalesce(payments.dispute_status, '') IN ('dispute_lost','dispute_accepted')"
    " OR EXISTS (SELECT refunds.id FROM refunds WHERE refunds.payment_id = payments.id AND refunds.is_full = 1"
    " AND refunds.reason <> 'external' AND refunds.state IN ('due','sending','unknown','pending','done')))"
)

# A plan change or dues that charged nothing, or nothing yet: its order has no payment. Nor has that of a free trial.
COST_NOTHING = (
    "(orders.payment_id IS NULL AND orders.amount = 0 AND (EXISTS (SELECT changes.id FROM attempts AS changes"
    " WHERE changes.id = orders.attempt_id AND changes.kind IN ('plan_change','dues'))"
    " OR EXISTS (SELECT begun.id FROM checkouts AS begun WHERE begun.id = orders.checkout_id"
    " AND begun.payment_id IS NULL AND begun.subscription_id IS NOT NULL)))"
)
# An order that a subscription's access hangs on, or one of a plan change or dues, gives what the subscription gives.
OF_SUBSCRIPTION = (
    "(EXISTS (SELECT subscriptions.id FROM subscriptions WHERE subscriptions.order_id = orders.id)"
    " OR EXISTS (SELECT changes.id FROM attempts AS changes"
    " WHERE changes.id = orders.attempt_id AND changes.kind IN ('plan_change','dues')))"
)


def objects_of(store: Store, sql: str, /, **params: object) -> list[Objects]:
    """Return the rows of a query, each as its values that are not NULL."""
    return [tuple(str(value) for value in row.values() if value is not None) for row in store.rows(sql, **params)]
