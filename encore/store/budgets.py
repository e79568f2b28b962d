"""Budgets that fail closed: calls to the provider, and one-click charges a customer and day."""

from encore.store.engine import Store

MILLI = 1000
_DAY_MS = 86_400_000


def take_call(store: Store, *, now: int, per_minute: int, burst: int, leave: float) -> bool:
    """Take one provider call from the bucket both processes share; False if less than `leave` of it would stay.

    The bucket holds `burst` calls and refills at `per_minute`. `leave` is the share kept for calls that matter more.
    """
    store.run(
        "INSERT INTO rate_budget (id, tokens_milli, refilled_at, blocked_until) VALUES (1, :full, :now, 0)"
        " ON CONFLICT (id) DO NOTHING",
        full=burst * MILLI,
        now=now,
    )
    # Refill first, counting only time that passed: a clock set back must not make the bucket negative.
    store.run(
        "UPDATE rate_budget SET refilled_at = :now, tokens_milli = CASE"
        " WHEN tokens_milli + (:now - refilled_at) * :per_minute / 60 > :full THEN :full"
        " WHEN :now < refilled_at THEN tokens_milli"
        " ELSE tokens_milli + (:now - refilled_at) * :per_minute / 60 END WHERE id = 1 AND :now <> refilled_at",
        now=now,
        per_minute=per_minute,
        full=burst * MILLI,
    )
    return bool(
        store.rows(
            "UPDATE rate_budget SET tokens_milli = tokens_milli - :one WHERE id = 1 AND blocked_until <= :now"
            " AND tokens_milli - :one >= :floor RETURNING id",
            one=MILLI,
            now=now,
            floor=int(burst * MILLI * leave),
        )
    )


def get_blocked_until(store: Store) -> int:
    """Return until when the provider takes no calls (epoch milliseconds); 0 if it never asked for patience."""
    found = store.row("SELECT blocked_until FROM rate_budget WHERE id = 1")
    return 0 if found is None else int(found["blocked_until"])


def block_calls(store: Store, *, until: int) -> None:
    """Stop calls until the provider takes them again (epoch milliseconds)."""
    store.run(
        "INSERT INTO rate_budget (id, tokens_milli, refilled_at, blocked_until) VALUES (1, 0, :until, :until)"
        " ON CONFLICT (id) DO UPDATE SET blocked_until = :until WHERE rate_budget.blocked_until < :until",
        until=until,
    )


def take_spend(
    store: Store,
    *,
    customer_id: str,
    currency: str,
    amount: int,
    now: int,
    most_charges: int,
    most_amount: int,
) -> bool:
    """Count a one-click charge against the customer's day; False if that would pass either cap."""
    # One conditional upsert, so that ten tabs at once cannot each see room for one more.
    return bool(
        store.rows(
            "INSERT INTO spend (customer_id, day, currency, charges, amount)"
            " SELECT :customer_id, :day, :currency, 1, :amount WHERE :amount <= :most_amount AND :most_charges >= 1"
            " ON CONFLICT (customer_id, day, currency) DO UPDATE SET charges = spend.charges + 1,"
            " amount = spend.amount + excluded.amount WHERE spend.charges + 1 <= :most_charges"
            " AND spend.amount + excluded.amount <= :most_amount RETURNING charges",
            customer_id=customer_id,
            day=now // _DAY_MS,
            currency=currency,
            amount=amount,
            most_charges=most_charges,
            most_amount=most_amount,
        )
    )
