"""Payments: the provider's, as last observed, and what we made of each."""

from collections.abc import Collection
from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment as last observed. `refunded` is the sum of done refunds, `refund_reserved` of our own ones begun."""

    id: str
    attempt_id: str | None
    acceptance_id: str | None
    checkout_id: str | None
    customer_id: str
    charge_type: str | None
    provider_session_id: str | None
    status: str
    amount: int
    currency: str
    tax: int | None
    decline_code: str | None
    payment_link: str | None
    method_json: str | None
    billing_json: str | None
    created_at: int
    observed_at: int
    refund_reserved: int = 0
    refunded: int = 0
    disputed_at: int | None = None
    dispute_status: str | None = None
    disposition: str = "seen"
    subscription_id: str | None = None


_COLUMNS = columns(Payment)


def upsert_observed(store: Store, payment: Payment) -> None:
    """Store what was observed. A success never falls back: an answer read earlier may arrive later."""
    store.run(
        f"INSERT INTO payments ({_COLUMNS}) VALUES ({placeholders(Payment)})"
        " ON CONFLICT (id) DO UPDATE SET status = excluded.status, amount = excluded.amount, tax = excluded.tax,"
        " decline_code = excluded.decline_code, payment_link = excluded.payment_link,"
        " method_json = excluded.method_json, billing_json = excluded.billing_json,"
        " charge_type = excluded.charge_type, subscription_id = excluded.subscription_id,"
        " observed_at = excluded.observed_at"
        " WHERE payments.status <> 'succeeded' OR excluded.status = 'succeeded'",
        **values(payment),
    )


def get_payment(store: Store, payment_id: str) -> Payment | None:
    """Return a payment by the provider's id."""
    return one(Payment, store.row(f"SELECT {_COLUMNS} FROM payments WHERE id = :id", id=payment_id))


def get_kept(store: Store, acceptance_id: str) -> Payment | None:
    """Return the one payment that stands for a yes."""
    return one(
        Payment,
        store.row(
            f"SELECT {_COLUMNS} FROM payments WHERE acceptance_id = :id AND disposition = 'kept'",
            id=acceptance_id,
        ),
    )


def list_of_acceptance(store: Store, acceptance_id: str) -> list[Payment]:
    """Return every payment observed for a yes, oldest first."""
    return many(
        Payment,
        store.rows(
            f"SELECT {_COLUMNS} FROM payments WHERE acceptance_id = :id ORDER BY created_at, id",
            id=acceptance_id,
        ),
    )


def list_of_subscription(store: Store, provider_subscription_id: str, *, since: int) -> list[Payment]:
    """Return every payment observed for a subscription that was made at `since` (epoch ms) or later, oldest first."""
    return many(
        Payment,
        store.rows(
            f"SELECT {_COLUMNS} FROM payments WHERE subscription_id = :id AND created_at >= :since"
            " ORDER BY created_at, id",
            id=provider_subscription_id,
            since=since,
        ),
    )


def get_latest_of_customer(store: Store, customer_id: str, *, but_of: str) -> Payment | None:
    """Return a customer's newest payment that is not the attempt's `but_of`."""
    return one(
        Payment,
        store.row(
            f"SELECT {_COLUMNS} FROM payments WHERE customer_id = :customer_id"
            " AND (attempt_id IS NULL OR attempt_id <> :but_of) ORDER BY created_at DESC, id LIMIT 1",
            customer_id=customer_id,
            but_of=but_of,
        ),
    )


def list_unfinished(store: Store, *, open_disputes: Collection[str], limit: int) -> list[str]:
    """Return the ids of payments with a dispute or a refund begun elsewhere that is not over, longest unread first."""
    names = {f"open_{index}": word for index, word in enumerate(sorted(open_disputes))}
    found = store.rows(
        f"SELECT id, observed_at FROM payments WHERE dispute_status IN ({', '.join(f':{name}' for name in names)})"
        " UNION SELECT payments.id, payments.observed_at FROM payments JOIN refunds ON refunds.payment_id = payments.id"
        " WHERE refunds.reason = 'external' AND refunds.state = 'pending' ORDER BY observed_at LIMIT :limit",
        limit=limit,
        **names,
    )
    return [str(row["id"]) for row in found]


def mark_disposition(store: Store, payment_id: str, *, disposition: str, leaving: tuple[str, ...]) -> bool:
    """Decide what becomes of a payment, once; raises Conflict if another payment of the yes is kept already."""
    names = {f"leaving_{index}": name for index, name in enumerate(leaving)}
    return bool(
        store.rows(
            "UPDATE payments SET disposition = :disposition WHERE id = :id"
            f" AND disposition IN ({', '.join(':' + name for name in names)}) RETURNING id",
            id=payment_id,
            disposition=disposition,
            **names,
        )
    )


def mark_owner(store: Store, payment_id: str, *, attempt_id: str, acceptance_id: str, leaving: str) -> bool:
    """Book a payment that belongs to nobody yet to an attempt, and let it be settled; `leaving`: its disposition."""
    return bool(
        store.rows(
            "UPDATE payments SET attempt_id = :attempt_id, acceptance_id = :acceptance_id, disposition = 'seen'"
            " WHERE id = :id AND attempt_id IS NULL AND checkout_id IS NULL AND disposition = :leaving RETURNING id",
            id=payment_id,
            attempt_id=attempt_id,
            acceptance_id=acceptance_id,
            leaving=leaving,
        )
    )


def mark_refunded(store: Store, payment_id: str, *, refunded: int) -> None:
    """Note the sum of the payment's done refunds."""
    store.run("UPDATE payments SET refunded = :refunded WHERE id = :id", id=payment_id, refunded=refunded)


def mark_reserved(store: Store, payment_id: str, *, amount: int) -> None:
    """Reserve the amount of a refund of ours; the table refuses more than the payment."""
    store.run(
        "UPDATE payments SET refund_reserved = refund_reserved + :amount WHERE id = :id",
        id=payment_id,
        amount=amount,
    )


def mark_disputed(store: Store, payment_id: str, *, status: str, now: int) -> None:
    """Note a dispute's newest status."""
    store.run(
        "UPDATE payments SET dispute_status = :status, disputed_at = coalesce(disputed_at, :now) WHERE id = :id",
        id=payment_id,
        status=status,
        now=now,
    )
