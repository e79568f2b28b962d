"""Acceptances: the buyer's yes, what it came to, and what they agreed to."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A yes. `amount` and `currency` are what was agreed; `closed_at` is when a no, an undo or time ended it."""

    id: str
    consent_json: str
    offer_instance_id: str
    customer_id: str
    product_id: str
    quantity: int
    amount: int | None
    currency: str | None
    undo_at: int | None
    created_at: int
    closed_at: int | None
    close_reason: str | None
    outcome: str


_COLUMNS = columns(Acceptance)


def insert_acceptance(store: Store, acceptance: Acceptance) -> bool:
    """Store a yes; False if this customer already has an open yes to the product, or the instance one at all."""
    return bool(
        store.rows(
            f"INSERT INTO acceptances ({_COLUMNS}) VALUES ({placeholders(Acceptance)})"
            " ON CONFLICT DO NOTHING RETURNING id",
            **values(acceptance),
        )
    )


def get_acceptance(store: Store, acceptance_id: str) -> Acceptance | None:
    """Return a yes by id."""
    return one(Acceptance, store.row(f"SELECT {_COLUMNS} FROM acceptances WHERE id = :id", id=acceptance_id))


def get_of_instance(store: Store, instance_id: str) -> Acceptance | None:
    """Return the yes to an offer instance."""
    return one(
        Acceptance,
        store.row(f"SELECT {_COLUMNS} FROM acceptances WHERE offer_instance_id = :id", id=instance_id),
    )


def get_open_yes(store: Store, *, customer_id: str, product_id: str) -> Acceptance | None:
    """Return the customer's open yes to a product, on whatever page it was given."""
    return one(
        Acceptance,
        store.row(
            f"SELECT {_COLUMNS} FROM acceptances WHERE customer_id = :customer_id AND product_id = :product_id"
            " AND outcome IN ('open','needs_checkout')",
            customer_id=customer_id,
            product_id=product_id,
        ),
    )


def list_open(store: Store, customer_id: str) -> list[Acceptance]:
    """Return a customer's open yeses, the oldest first."""
    return many(
        Acceptance,
        store.rows(
            f"SELECT {_COLUMNS} FROM acceptances WHERE customer_id = :id AND outcome IN ('open','needs_checkout')"
            " ORDER BY created_at, id",
            id=customer_id,
        ),
    )


def list_open_products(store: Store, customer_id: str) -> frozenset[str]:
    """Return the products a customer has an open yes to."""
    found = store.rows(
        "SELECT product_id FROM acceptances WHERE customer_id = :id AND outcome IN ('open','needs_checkout')",
        id=customer_id,
    )
    return frozenset(row["product_id"] for row in found)


def mark_outcome(
    store: Store,
    acceptance_id: str,
    *,
    outcome: str,
    leaving: tuple[str, ...],
    now: int,
    reason: str | None = None,
) -> bool:
    """Move a yes from one of the `leaving` outcomes; False if it has none of them any more."""
    names = {f"leaving_{index}": name for index, name in enumerate(leaving)}
    return bool(
        store.rows(
            "UPDATE acceptances SET outcome = :outcome,"
            " closed_at = CASE WHEN :outcome = 'closed' THEN :now ELSE closed_at END,"
            " close_reason = CASE WHEN :outcome = 'closed' THEN :reason ELSE close_reason END"
            f" WHERE id = :id AND outcome IN ({', '.join(':' + name for name in names)}) RETURNING id",
            id=acceptance_id,
            outcome=outcome,
            now=now,
            reason=reason,
            **names,
        )
    )


def mark_left(store: Store, acceptance_id: str) -> bool:
    """Note that the buyer has gone on from a yes that was closed because its charge came to nothing."""
    return bool(
        store.rows(
            "UPDATE acceptances SET close_reason = 'buyer_declined'"
            " WHERE id = :id AND outcome = 'closed' AND close_reason <> 'buyer_declined' RETURNING id",
            id=acceptance_id,
        )
    )


def mark_agreed(store: Store, acceptance_id: str, *, amount: int, currency: str, consent_json: str) -> None:
    """Record the amount the provider's own page showed, for a yes paid there."""
    store.run(
        "UPDATE acceptances SET amount = :amount, currency = :currency, consent_json = :consent_json WHERE id = :id",
        id=acceptance_id,
        amount=amount,
        currency=currency,
        consent_json=consent_json,
    )


def list_overdue(store: Store, *, before: int, limit: int) -> list[Acceptance]:
    """Return yeses waiting for the standard checkout since before `before` (epoch milliseconds)."""
    return many(
        Acceptance,
        store.rows(
            f"SELECT {_COLUMNS} FROM acceptances WHERE outcome = 'needs_checkout' AND created_at <= :before"
            " ORDER BY created_at LIMIT :limit",
            before=before,
            limit=limit,
        ),
    )
