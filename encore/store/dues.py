"""Tries to pay what a subscription on hold owes: the offer instances and attempts of the kind `dues`."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import many

# What they are booked under; no offer of the merchant can be called so.
OWN_DUES = "@dues"


@dataclass(frozen=True, kw_only=True)
class DuesTry:
    """One attempt to pay dues, and what it was agreed to pay; times are epoch milliseconds."""

    attempt_id: str
    instance_id: str
    state: str
    claimed_at: int | None
    changed_at: int
    provider_payment_id: str | None
    customer_id: str
    outcome: str
    quote_json: str


def list_tries(store: Store, provider_subscription_id: str, *, limit: int) -> list[DuesTry]:
    """Return the newest attempts to pay what a subscription owed, newest first."""
    return many(
        DuesTry,
        store.rows(
            "SELECT attempts.id AS attempt_id, offer_instances.id AS instance_id, attempts.state, attempts.claimed_at,"
            " attempts.changed_at, attempts.provider_payment_id, acceptances.customer_id, acceptances.outcome,"
            " offer_instances.quote_json"
            " FROM attempts JOIN acceptances ON acceptances.id = attempts.acceptance_id"
            " JOIN offer_instances ON offer_instances.id = acceptances.offer_instance_id"
            " WHERE attempts.subscription_id = :id AND attempts.kind = 'dues'"
            " ORDER BY attempts.created_at DESC, attempts.id DESC LIMIT :limit",
            id=provider_subscription_id,
            limit=limit,
        ),
    )


def count_answered(store: Store, billing: str, *, now: int) -> int:
    """Return how many tries to pay one failed billing are over or under way: not those that are only shown."""
    found = store.row(
        # A range, not LIKE: ids hold underscores, and the index of the pair can serve it.
        "SELECT count(*) AS n FROM offer_instances WHERE source_ref > :first AND source_ref < :last"
        " AND offer_id = :own AND (state <> 'shown' OR expires_at <= :now)",
        first=f"{billing}/",
        last=f"{billing}0",
        own=OWN_DUES,
        now=now,
    )
    return 0 if found is None else int(found["n"])


def get_id_of_try(store: Store, source_ref: str) -> str | None:
    """Return the id of the instance that is one try to pay one failed billing."""
    found = store.row(
        "SELECT id FROM offer_instances WHERE source_ref = :ref AND offer_id = :own", ref=source_ref, own=OWN_DUES
    )
    return None if found is None else str(found["id"])
