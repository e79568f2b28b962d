"""Acceptances, declines and consents beside what came of them (I6, I7, I8, I12)."""

from dataclasses import dataclass

from encore.store.audit.parts import DIRECT, LIVE, Objects, objects_of
from encore.store.engine import Row, Store
from encore.store.records import many


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
            f" count(CASE WHEN attempts.kind <> 'hosted' AND attempts.state IN {DIRECT} THEN 1 END) AS direct,"
            f" count(CASE WHEN attempts.kind = 'hosted' AND attempts.state IN {LIVE} THEN 1 END) AS hosted,"
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
    return objects_of(
        store,
        "SELECT payments.id, acceptances.id AS acceptance_id FROM payments"
        " JOIN acceptances ON acceptances.id = payments.acceptance_id"
        " JOIN attempts ON attempts.id = payments.attempt_id WHERE payments.disposition = 'kept'"
        # A charge of a subscription is honoured however late: the provider has acted on it, and refunds no proration.
        " AND acceptances.closed_at IS NOT NULL AND attempts.kind NOT IN ('plan_change','dues')"
        " AND (attempts.kind <> 'hosted' OR payments.created_at <= acceptances.closed_at)",
    )


def list_double_yeses(store: Store) -> list[Objects]:
    """Return (customer, product) pairs with more than one open yes."""
    return objects_of(
        store,
        "SELECT customer_id, product_id FROM acceptances WHERE outcome IN ('open','needs_checkout')"
        " GROUP BY customer_id, product_id HAVING count(*) > 1",
    )


def list_doubly_live(store: Store) -> list[Objects]:
    """Return acceptances with more than one live attempt."""
    return objects_of(
        store,
        f"SELECT acceptance_id FROM attempts WHERE state IN {LIVE} GROUP BY acceptance_id HAVING count(*) > 1",
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
        " WHERE later.offer_id NOT IN ('@plan_change','@dues') AND (later.created_at > suppressions.created_at"
        " OR (later.state = 'accepted' AND later.answered_at > suppressions.created_at)) ORDER BY later.id"
    )


def list_declined_with_yes(store: Store) -> list[Objects]:
    """Return declined instances that have an acceptance all the same."""
    return objects_of(
        store,
        "SELECT offer_instances.id, acceptances.id AS acceptance_id FROM offer_instances"
        " JOIN acceptances ON acceptances.offer_instance_id = offer_instances.id"
        " WHERE offer_instances.state = 'declined'",
    )


def list_declined_instances(store: Store) -> list[Row]:
    """Return `id`, `source_ref` and `offer_id` of every declined instance: what a charge's metadata would name."""
    return store.rows("SELECT id, source_ref, offer_id FROM offer_instances WHERE state = 'declined'")


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
    given_back: int
    kind: str | None


def list_consents(store: Store) -> list[BookedConsent]:
    """Return every acceptance with its quote and its kept payment."""
    return many(
        BookedConsent,
        store.rows(
            "SELECT acceptances.id, acceptances.consent_json, offer_instances.quote_json, acceptances.amount,"
            " acceptances.currency, acceptances.outcome, payments.id AS payment_id, payments.amount AS paid_amount,"
            " payments.currency AS paid_currency, attempts.kind,"
            # What is back, whoever gave it, and what we owe; left to a person it is neither.
            " coalesce((SELECT sum(refunds.amount) FROM refunds WHERE refunds.payment_id = payments.id"
            " AND (refunds.state = 'done' OR (refunds.reason <> 'external'"
            " AND refunds.state IN ('due','sending','unknown','pending')))), 0) AS given_back FROM acceptances"
            " JOIN offer_instances ON offer_instances.id = acceptances.offer_instance_id"
            " LEFT JOIN payments ON payments.acceptance_id = acceptances.id AND payments.disposition = 'kept'"
            " LEFT JOIN attempts ON attempts.id = payments.attempt_id ORDER BY acceptances.id"
        ),
    )
