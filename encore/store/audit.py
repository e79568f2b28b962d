"""Audit: reads that look for rows which cannot all be true. Nothing here changes a row.

Each `list_..` returns what is wrong, as tuples of ids, so an empty list is the good answer.
"""

from dataclasses import dataclass

from encore.store.engine import Row, Store
from encore.store.records import many

Objects = tuple[str, ...]

_DIRECT = "('queued','sending','unknown','pending','action_required')"
_LIVE = "('queued','sending','unknown','pending','action_required','opening','hosted_open')"
# The whole payment is back, or we owe it. A refund left to a person, or that failed, gave nothing back, and one begun
# elsewhere counts when it is done.
_GIVEN_BACK = (
    "((payments.amount > 0 AND payments.refunded = payments.amount)"
    " OR coalesce(payments.dispute_status, '') IN ('dispute_lost','dispute_accepted')"
    " OR EXISTS (SELECT refunds.id FROM refunds WHERE refunds.payment_id = payments.id AND refunds.is_full = 1"
    " AND refunds.reason <> 'external' AND refunds.state IN ('due','sending','unknown','pending','done')))"
)

# A plan change that charged nothing, or nothing yet: its order has no payment.
_COST_NOTHING = (
    "(orders.payment_id IS NULL AND orders.amount = 0 AND EXISTS (SELECT changes.id FROM attempts AS changes"
    " WHERE changes.id = orders.attempt_id AND changes.kind = 'plan_change'))"
)
# An order that a subscription's access hangs on, or one of a plan change, gives what the subscription gives.
_OF_SUBSCRIPTION = (
    "(EXISTS (SELECT subscriptions.id FROM subscriptions WHERE subscriptions.order_id = orders.id)"
    " OR EXISTS (SELECT changes.id FROM attempts AS changes"
    " WHERE changes.id = orders.attempt_id AND changes.kind = 'plan_change'))"
)


def _found(store: Store, sql: str, /, **params: object) -> list[Objects]:
    return [tuple(str(value) for value in row.values() if value is not None) for row in store.rows(sql, **params)]


# ---- Payments (I1, I2) ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BookedPayment:
    """A payment of ours beside the attempt it is booked to; flags are 0 or 1, times epoch milliseconds."""

    id: str
    attempt_id: str | None
    acceptance_id: str | None
    checkout_id: str | None
    customer_id: str
    status: str
    amount: int
    currency: str
    refunded: int
    disposition: str
    created_at: int
    kind: str | None
    attempt_session_id: str | None
    checkout_session_id: str | None
    consent_customer_id: str | None
    product_id: str | None
    quantity: int | None
    is_owner_live: int
    is_given_back: int

    @property
    def owner_id(self) -> str | None:
        """The acceptance or checkout that the payment pays."""
        return self.acceptance_id or self.checkout_id

    @property
    def is_standing(self) -> bool:
        """Whether the money is with us and we do not owe it; a zero-amount success left to a person moved none."""
        is_nothing = self.disposition == "renewal" or (self.disposition == "manual" and self.amount == 0)
        return self.status == "succeeded" and not self.is_given_back and not is_nothing

    @property
    def is_refunded(self) -> bool:
        """Whether the rows say that all of it went back."""
        return self.amount > 0 and self.refunded >= self.amount


def list_booked_payments(store: Store) -> list[BookedPayment]:
    """Return every payment with what it should agree with."""
    return many(
        BookedPayment,
        store.rows(
            "SELECT payments.id, payments.attempt_id, payments.acceptance_id, payments.checkout_id,"
            " payments.customer_id, payments.status, payments.amount, payments.currency, payments.refunded,"
            " payments.disposition, payments.created_at, attempts.kind,"
            " attempts.provider_session_id AS attempt_session_id,"
            " checkouts.provider_session_id AS checkout_session_id, acceptances.customer_id AS consent_customer_id,"
            " coalesce(acceptances.product_id, checkouts.product_id) AS product_id,"
            " coalesce(acceptances.quantity, checkouts.quantity) AS quantity,"
            f" (CASE WHEN attempts.state IN {_LIVE} OR checkouts.state IN ('opening','open') THEN 1 ELSE 0 END)"
            " AS is_owner_live,"
            f" (CASE WHEN {_GIVEN_BACK} THEN 1 ELSE 0 END) AS is_given_back"
            " FROM payments LEFT JOIN attempts ON attempts.id = payments.attempt_id"
            " LEFT JOIN acceptances ON acceptances.id = payments.acceptance_id"
            " LEFT JOIN checkouts ON checkouts.id = payments.checkout_id ORDER BY payments.created_at, payments.id"
        ),
    )


def list_expected_payments(store: Store) -> dict[str, int]:
    """Return how many payments must stand (0 or 1) for each acceptance, and each checkout with an order."""
    found = store.rows(
        # A plan change that charges nothing has an order and no payment.
        "SELECT acceptances.id, (CASE WHEN acceptances.outcome = 'charged' AND NOT EXISTS (SELECT orders.id FROM orders"
        f" WHERE orders.acceptance_id = acceptances.id AND {_COST_NOTHING}) THEN 1 ELSE 0 END) AS n"
        " FROM acceptances UNION ALL"
        " SELECT checkout_id AS id, (CASE WHEN state = 'granted' THEN 1 ELSE 0 END) AS n FROM orders"
        " WHERE checkout_id IS NOT NULL"
    )
    return {row["id"]: int(row["n"]) for row in found}


def list_kept_without_paid_attempt(store: Store) -> list[Objects]:
    """Return kept payments that no paid attempt, and no shop checkout, accounts for."""
    return _found(
        store,
        "SELECT payments.id FROM payments LEFT JOIN attempts ON attempts.id = payments.attempt_id"
        " AND attempts.acceptance_id = payments.acceptance_id AND attempts.state = 'paid'"
        " WHERE payments.disposition = 'kept' AND payments.checkout_id IS NULL AND attempts.id IS NULL",
    )


def list_paid_attempts_without_payment(store: Store) -> list[Objects]:
    """Return paid attempts without a kept payment."""
    return _found(
        store,
        "SELECT attempts.id FROM attempts LEFT JOIN payments ON payments.attempt_id = attempts.id"
        " AND payments.disposition = 'kept' LEFT JOIN orders ON orders.attempt_id = attempts.id"
        f" WHERE attempts.state = 'paid' AND payments.id IS NULL AND (orders.id IS NULL OR NOT {_COST_NOTHING})",
    )


def list_charges_unlike_consent(store: Store) -> list[Objects]:
    """Return charged acceptances, with the payment, whose customer, product or currency is not the one agreed to."""
    # A hosted page may be paid in another currency, and its session stands in for the customer.
    return _found(
        store,
        "SELECT acceptances.id, payments.id AS payment_id FROM acceptances"
        " JOIN payments ON payments.acceptance_id = acceptances.id AND payments.disposition = 'kept'"
        " JOIN attempts ON attempts.id = payments.attempt_id"
        " LEFT JOIN orders ON orders.acceptance_id = acceptances.id WHERE acceptances.outcome = 'charged'"
        " AND (orders.product_id <> acceptances.product_id OR orders.quantity <> acceptances.quantity"
        " OR orders.customer_id <> acceptances.customer_id OR (attempts.kind <> 'hosted'"
        " AND (payments.customer_id <> acceptances.customer_id OR payments.currency <> acceptances.currency)))",
    )


# ---- Orders and entitlements (I3) ----------------------------------------------------------------------------


def list_charged_without_order(store: Store) -> list[Objects]:
    """Return charged acceptances without a granted order for their paid attempt and kept payment."""
    return _found(
        store,
        "SELECT acceptances.id FROM acceptances LEFT JOIN orders ON orders.acceptance_id = acceptances.id"
        " AND orders.state = 'granted' LEFT JOIN attempts ON attempts.id = orders.attempt_id"
        " AND attempts.acceptance_id = acceptances.id AND attempts.state = 'paid'"
        " LEFT JOIN payments ON payments.id = orders.payment_id AND payments.acceptance_id = acceptances.id"
        " AND payments.disposition = 'kept' WHERE acceptances.outcome = 'charged'"
        f" AND (orders.id IS NULL OR attempts.id IS NULL OR (payments.id IS NULL AND NOT {_COST_NOTHING}))",
    )


def list_orders_without_charge(store: Store) -> list[Objects]:
    """Return granted orders whose acceptance is not charged."""
    return _found(
        store,
        "SELECT orders.id, acceptances.id AS acceptance_id FROM orders"
        " JOIN acceptances ON acceptances.id = orders.acceptance_id"
        " WHERE orders.state = 'granted' AND acceptances.outcome <> 'charged'",
    )


def list_checkouts_unlike_order(store: Store) -> list[Objects]:
    """Return paid checkouts without their order, and checkouts with an order that are not paid by its payment."""
    return _found(
        store,
        "SELECT checkouts.id, orders.id AS order_id FROM checkouts"
        " LEFT JOIN orders ON orders.checkout_id = checkouts.id"
        " WHERE (checkouts.state = 'paid' AND orders.id IS NULL) OR (orders.id IS NOT NULL"
        " AND (checkouts.state <> 'paid' OR orders.payment_id IS NULL OR checkouts.payment_id IS NULL"
        " OR orders.payment_id <> checkouts.payment_id))",
    )


def list_orders_unlike_refund(store: Store) -> list[Objects]:
    """Return orders that are granted though their payment is back, or reversed though it is not."""
    return _found(
        store,
        "SELECT orders.id, payments.id AS payment_id FROM orders JOIN payments ON payments.id = orders.payment_id"
        f" WHERE (orders.state = 'reversed' AND NOT {_GIVEN_BACK}) OR (orders.state = 'granted'"
        " AND payments.amount > 0 AND payments.refunded = payments.amount)",
    )


def list_orders_without_entitlement(store: Store) -> list[Objects]:
    """Return granted orders that do not give their customer the product."""
    return _found(
        store,
        "SELECT orders.id FROM orders LEFT JOIN entitlements ON entitlements.order_id = orders.id"
        " AND entitlements.product_id = orders.product_id AND entitlements.customer_id = orders.customer_id"
        " AND entitlements.revoked_at IS NULL WHERE orders.state = 'granted' AND entitlements.order_id IS NULL"
        f" AND NOT {_OF_SUBSCRIPTION}",
    )


def list_stray_entitlements(store: Store) -> list[Objects]:
    """Return standing entitlements that their order does not give: reversed, another product, another customer."""
    return _found(
        store,
        "SELECT entitlements.order_id, entitlements.product_id FROM entitlements"
        " JOIN orders ON orders.id = entitlements.order_id WHERE entitlements.revoked_at IS NULL"
        f" AND (orders.state = 'reversed' OR (orders.product_id <> entitlements.product_id AND NOT {_OF_SUBSCRIPTION})"
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
    return _found(
        store,
        "SELECT subscriptions.id FROM subscriptions JOIN orders ON orders.id = subscriptions.order_id"
        f" WHERE orders.state = 'granted' AND (({gives} AND NOT EXISTS ({standing} = subscriptions.product_id))"
        f" OR (NOT {gives} AND EXISTS ({standing} = subscriptions.product_id))"
        f" OR EXISTS ({standing} <> subscriptions.product_id))",
        **names,
    )


# ---- What is overdue (I5) ------------------------------------------------------------------------------------


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
        f" AND state NOT IN {_LIVE} AND changed_at < :now - 300000"
        " UNION ALL SELECT provider_subscription_id AS id, 'end to put back' AS what FROM ends_to_put_back"
        " WHERE noted_at < :now - 300000 AND NOT EXISTS (SELECT attempts.id FROM attempts"
        " WHERE attempts.subscription_id = ends_to_put_back.provider_subscription_id"
        f" AND attempts.state IN {_LIVE})"
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


# ---- Outcomes (I6, I7, I8) -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many attempts of an acceptance are live and direct, live and hosted, and paid."""

    id: str
    outcome: str
    direct: int
    hosted: int
    paid: int


def list_unfit_outcomes(store: Store) -> list[Tally]:
    """Return acceptances whose outcome does not follow from their attempts."""
    return many(
        Tally,
        store.rows(
            "SELECT id, outcome, direct, hosted, paid FROM (SELECT acceptances.id, acceptances.outcome,"
            f" count(CASE WHEN attempts.kind <> 'hosted' AND attempts.state IN {_DIRECT} THEN 1 END) AS direct,"
            f" count(CASE WHEN attempts.kind = 'hosted' AND attempts.state IN {_LIVE} THEN 1 END) AS hosted,"
            " count(CASE WHEN attempts.state = 'paid' THEN 1 END) AS paid FROM acceptances"
            " LEFT JOIN attempts ON attempts.acceptance_id = acceptances.id"
            " GROUP BY acceptances.id, acceptances.outcome) AS tallies WHERE NOT ("
            "(outcome = 'open' AND direct = 1 AND hosted = 0 AND paid = 0)"
            " OR (outcome = 'needs_checkout' AND direct = 0 AND hosted <= 1 AND paid = 0)"
            " OR (outcome IN ('charged','refunded') AND direct = 0 AND hosted = 0 AND paid = 1)"
            " OR (outcome = 'closed' AND direct = 0 AND hosted = 0 AND paid = 0))"
        ),
    )


def list_kept_after_no(store: Store) -> list[Objects]:
    """Return payments kept although the buyer's no came first: direct ones, and hosted ones begun before it."""
    return _found(
        store,
        "SELECT payments.id, acceptances.id AS acceptance_id FROM payments"
        " JOIN acceptances ON acceptances.id = payments.acceptance_id"
        " JOIN attempts ON attempts.id = payments.attempt_id WHERE payments.disposition = 'kept'"
        # A plan change is honoured however late: the provider has made it, and refunds no proration.
        " AND acceptances.closed_at IS NOT NULL AND attempts.kind <> 'plan_change'"
        " AND (attempts.kind <> 'hosted' OR payments.created_at <= acceptances.closed_at)",
    )


def list_double_yeses(store: Store) -> list[Objects]:
    """Return (customer, product) pairs with more than one open yes."""
    return _found(
        store,
        "SELECT customer_id, product_id FROM acceptances WHERE outcome IN ('open','needs_checkout')"
        " GROUP BY customer_id, product_id HAVING count(*) > 1",
    )


def list_doubly_live(store: Store) -> list[Objects]:
    """Return acceptances with more than one live attempt."""
    return _found(
        store,
        f"SELECT acceptance_id FROM attempts WHERE state IN {_LIVE} GROUP BY acceptance_id HAVING count(*) > 1",
    )


def list_offers_after_no(store: Store) -> list[Row]:
    """Return instances of a declined product that were shown or accepted after the no, beside the declined one.

    Keys: `id`, `quote_json`, `declined_id`, `declined_quote_json`, `is_same_funnel` (0 or 1: same order and funnel).
    """
    return store.rows(
        "SELECT later.id, later.quote_json, declined.id AS declined_id, declined.quote_json AS declined_quote_json,"
        " (CASE WHEN later.created_at > suppressions.created_at AND later.source_ref = declined.source_ref"
        " AND later.funnel_id = declined.funnel_id THEN 1 ELSE 0 END) AS is_same_funnel"
        " FROM suppressions JOIN offer_instances AS declined ON declined.id = suppressions.offer_instance_id"
        " JOIN offer_instances AS later ON later.customer_id = suppressions.customer_id"
        " AND later.product_id = suppressions.product_id AND later.id <> declined.id"
        # What a buyer asks for on their own account is no offer of ours.
        " WHERE later.offer_id <> '@plan_change' AND (later.created_at > suppressions.created_at"
        " OR (later.state = 'accepted' AND later.answered_at > suppressions.created_at)) ORDER BY later.id"
    )


def list_declined_with_yes(store: Store) -> list[Objects]:
    """Return declined instances that have an acceptance all the same."""
    return _found(
        store,
        "SELECT offer_instances.id, acceptances.id AS acceptance_id FROM offer_instances"
        " JOIN acceptances ON acceptances.offer_instance_id = offer_instances.id"
        " WHERE offer_instances.state = 'declined'",
    )


def list_declined_instances(store: Store) -> list[Row]:
    """Return `id`, `source_ref` and `offer_id` of every declined instance: what a charge's metadata would name."""
    return store.rows("SELECT id, source_ref, offer_id FROM offer_instances WHERE state = 'declined'")


# ---- Refunds and consents (I11, I12) -------------------------------------------------------------------------


def list_overrefunded(store: Store) -> list[Objects]:
    """Return payments of which the provider's refunds, done and under way, are more than was paid."""
    # A row of ours without the provider's id moved no money: another refund was there first.
    return _found(
        store,
        "SELECT payments.id FROM payments JOIN refunds ON refunds.payment_id = payments.id"
        " AND refunds.state IN ('done','pending') AND refunds.provider_refund_id IS NOT NULL"
        " GROUP BY payments.id, payments.amount HAVING sum(refunds.amount) > payments.amount",
    )


def list_full_refunds_twice(store: Store) -> list[Objects]:
    """Return payments with two full refunds of ours."""
    return _found(
        store,
        "SELECT payment_id FROM refunds WHERE is_full = 1 AND reason <> 'external'"
        " GROUP BY payment_id HAVING count(*) > 1",
    )


def list_returned_without_refund(store: Store) -> list[Objects]:
    """Return returned payments that have no full refund, whoever began it."""
    return _found(
        store,
        "SELECT payments.id FROM payments LEFT JOIN refunds ON refunds.payment_id = payments.id"
        " AND refunds.is_full = 1 WHERE payments.disposition = 'returned' AND refunds.id IS NULL"
        " AND (payments.amount = 0 OR payments.refunded < payments.amount)",
    )


def list_returned_renewals(store: Store) -> list[Objects]:
    """Return renewals that were taken for duplicates."""
    return _found(
        store,
        "SELECT payments.id FROM payments WHERE (charge_type IN ('renewal','on_demand') AND disposition = 'returned')"
        " OR (disposition = 'renewal' AND EXISTS (SELECT refunds.id FROM refunds"
        " WHERE refunds.payment_id = payments.id AND refunds.reason <> 'external'))",
    )


def list_misstated_refunds(store: Store) -> list[Objects]:
    """Return payments whose refunded sum is not that of their done refunds, up to the whole payment."""
    return _found(
        store,
        "SELECT payments.id FROM payments LEFT JOIN refunds ON refunds.payment_id = payments.id"
        " AND refunds.state = 'done' GROUP BY payments.id, payments.refunded, payments.amount"
        " HAVING payments.refunded <> (CASE WHEN coalesce(sum(refunds.amount), 0) > payments.amount"
        " THEN payments.amount ELSE coalesce(sum(refunds.amount), 0) END)",
    )


@dataclass(frozen=True, kw_only=True)
class BookedConsent:
    """An acceptance beside what its offer showed and what was kept for it; no kept payment: those are None."""

    id: str
    consent_json: str
    quote_json: str
    amount: int | None
    currency: str | None
    outcome: str
    payment_id: str | None
    paid_amount: int | None
    paid_currency: str | None
    kind: str | None


def list_consents(store: Store) -> list[BookedConsent]:
    """Return every acceptance with its quote and its kept payment."""
    return many(
        BookedConsent,
        store.rows(
            "SELECT acceptances.id, acceptances.consent_json, offer_instances.quote_json, acceptances.amount,"
            " acceptances.currency, acceptances.outcome, payments.id AS payment_id, payments.amount AS paid_amount,"
            " payments.currency AS paid_currency, attempts.kind FROM acceptances"
            " JOIN offer_instances ON offer_instances.id = acceptances.offer_instance_id"
            " LEFT JOIN payments ON payments.acceptance_id = acceptances.id AND payments.disposition = 'kept'"
            " LEFT JOIN attempts ON attempts.id = payments.attempt_id ORDER BY acceptances.id"
        ),
    )


# ---- Sums (I13) ----------------------------------------------------------------------------------------------


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


# ---- Messages (I14) ------------------------------------------------------------------------------------------


def list_stuck_messages(store: Store) -> list[Objects]:
    """Return messages that nobody will ever send: waiting, with no next try."""
    return _found(store, "SELECT id FROM outbox WHERE state = 'ready' AND next_try_at IS NULL")


def list_repeated_messages(store: Store) -> list[Objects]:
    """Return messages sent more often than an interruption explains."""
    return _found(store, "SELECT id FROM outbox WHERE sends > 1 + interrupted")


def list_orders_without_receipt(store: Store) -> list[Objects]:
    """Return orders whose customer has an address but was sent no receipt."""
    return _found(
        store,
        "SELECT orders.id FROM orders JOIN customers ON customers.id = orders.customer_id"
        " LEFT JOIN outbox ON outbox.dedup_key IN"
        " ('receipt:' || orders.id, 'plan_changed:' || orders.id, 'plan_scheduled:' || orders.id)"
        " WHERE coalesce(customers.email, '') <> '' AND outbox.id IS NULL",
    )


def list_returns_without_message(store: Store) -> list[Objects]:
    """Return payments sent back, or refunded in full, of which their customer was not told."""
    return _found(
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
    return _found(
        store,
        "SELECT alarms.kind, alarms.object FROM alarms LEFT JOIN outbox"
        " ON outbox.dedup_key = 'alarm:' || alarms.kind || ':' || alarms.object || ':' || cast(raised_at AS text)"
        " WHERE alarms.cleared_at IS NULL AND outbox.id IS NULL",
    )
