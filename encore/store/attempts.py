"""Attempts: each try to charge a yes. Every change names the states it may leave; zero rows means: read again."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try to charge; times are epoch milliseconds, `quiet_ms` is time watched without a trace."""

    id: str
    acceptance_id: str
    kind: str
    state: str
    subscription_id: str | None = None
    post_count: int = 0
    sender_id: str | None = None
    claimed_at: int | None = None
    socket_closed_at: int | None = None
    reason: str | None = None
    decline_code: str | None = None
    provider_session_id: str | None = None
    provider_payment_id: str | None = None
    checkout_url: str | None = None
    looks: int = 0
    clean_misses: int = 0
    quiet_ms: int = 0
    webhook_named_at: int | None = None
    next_check_at: int | None = None
    lease_until: int | None = None
    created_at: int
    changed_at: int


_COLUMNS = columns(Attempt)


def insert_attempt(store: Store, attempt: Attempt) -> bool:
    """Store an attempt; False if the acceptance has a live one, or had its one charging request, already."""
    return bool(
        store.rows(
            f"INSERT INTO attempts ({_COLUMNS}) VALUES ({placeholders(Attempt)}) ON CONFLICT DO NOTHING RETURNING id",
            **values(attempt),
        )
    )


def get_attempt(store: Store, attempt_id: str) -> Attempt | None:
    """Return an attempt by id."""
    return one(Attempt, store.row(f"SELECT {_COLUMNS} FROM attempts WHERE id = :id", id=attempt_id))


def get_by_session(store: Store, session_id: str) -> Attempt | None:
    """Return the attempt whose hosted session this is."""
    return one(Attempt, store.row(f"SELECT {_COLUMNS} FROM attempts WHERE provider_session_id = :s", s=session_id))


def get_by_payment(store: Store, payment_id: str) -> Attempt | None:
    """Return the attempt that holds a payment id."""
    return one(Attempt, store.row(f"SELECT {_COLUMNS} FROM attempts WHERE provider_payment_id = :p", p=payment_id))


@dataclass(frozen=True, kw_only=True)
class Holders:
    """Who holds a payment and a session of the provider: attempts by their ids, and our own row of the payment."""

    payment_holder: str | None
    session_holder: str | None
    payment_attempt: str | None
    payment_status: str | None
    payment_disposition: str | None


def get_holders(store: Store, *, payment_id: str, session_id: str | None) -> Holders:
    """Return who holds what an answer names, before the attempt that was answered takes it."""
    # One statement: everybody else's write waits meanwhile.
    found = store.rows(
        "SELECT (SELECT id FROM attempts WHERE provider_payment_id = :payment_id) AS payment_holder,"
        " (SELECT id FROM attempts WHERE provider_session_id = :session_id) AS session_holder,"
        " payments.attempt_id AS payment_attempt, payments.status AS payment_status,"
        " payments.disposition AS payment_disposition"
        " FROM (SELECT 1 AS one) AS answer LEFT JOIN payments ON payments.id = :payment_id",
        payment_id=payment_id,
        session_id=session_id,
    )
    return many(Holders, found)[0]


def list_of_acceptance(store: Store, acceptance_id: str) -> list[Attempt]:
    """Return every try of a yes, oldest first."""
    return many(
        Attempt,
        store.rows(
            f"SELECT {_COLUMNS} FROM attempts WHERE acceptance_id = :id ORDER BY created_at, id",
            id=acceptance_id,
        ),
    )


def get_live_of_subscription(store: Store, provider_subscription_id: str) -> Attempt | None:
    """Return the one charge of a subscription that is under way."""
    return one(
        Attempt,
        store.row(
            f"SELECT {_COLUMNS} FROM attempts WHERE subscription_id = :id"
            " AND state IN ('queued','sending','unknown','pending','action_required')",
            id=provider_subscription_id,
        ),
    )


def get_quote_of_newest_change(store: Store, provider_subscription_id: str, *, since: int) -> str | None:
    """Return the quote (JSON) of the newest change of a subscription that was paid, None if none was since `since`."""
    newest = store.row(
        "SELECT offer_instances.quote_json, attempts.changed_at FROM attempts"
        " JOIN acceptances ON acceptances.id = attempts.acceptance_id"
        " JOIN offer_instances ON offer_instances.id = acceptances.offer_instance_id"
        " WHERE attempts.subscription_id = :id AND attempts.kind = 'plan_change' AND attempts.state = 'paid'"
        " ORDER BY attempts.claimed_at DESC, attempts.id DESC LIMIT 1",
        id=provider_subscription_id,
    )
    return str(newest["quote_json"]) if newest and newest["changed_at"] > since else None


def has_change_to(store: Store, provider_subscription_id: str, *, product_id: str, since: int) -> bool:
    """Tell whether a change of a subscription to this product was claimed since `since`, and may have gone through."""
    return (
        store.row(
            "SELECT attempts.id FROM attempts JOIN acceptances ON acceptances.id = attempts.acceptance_id"
            " WHERE attempts.subscription_id = :id AND attempts.kind = 'plan_change' AND attempts.claimed_at >= :since"
            " AND acceptances.product_id = :product_id AND acceptances.outcome IN ('open','charged')",
            id=provider_subscription_id,
            product_id=product_id,
            since=since,
        )
        is not None
    )


def list_attempts(store: Store, *, state: str | None, limit: int) -> list[Attempt]:
    """Return the newest attempts, of one state if given."""
    return many(
        Attempt,
        store.rows(
            f"SELECT {_COLUMNS} FROM attempts WHERE (:state IS NULL OR state = :state)"
            " ORDER BY created_at DESC, id DESC LIMIT :limit",
            state=state,
            limit=limit,
        ),
    )


def list_queued(store: Store, *, limit: int) -> list[Attempt]:
    """Return queued attempts, oldest first."""
    return many(
        Attempt,
        store.rows(
            f"SELECT {_COLUMNS} FROM attempts WHERE state = 'queued' ORDER BY created_at, id LIMIT :limit",
            limit=limit,
        ),
    )


def list_dues(store: Store) -> list[Attempt]:
    """Return every attempt to pay dues, oldest first."""
    return many(Attempt, store.rows(f"SELECT {_COLUMNS} FROM attempts WHERE kind = 'dues' ORDER BY created_at, id"))


def list_due(store: Store, *, now: int, limit: int) -> list[Attempt]:
    """Return attempts whose next look is due and not leased, oldest first."""
    return many(
        Attempt,
        store.rows(
            f"SELECT {_COLUMNS} FROM attempts WHERE next_check_at <= :now"
            " AND (lease_until IS NULL OR lease_until <= :now) ORDER BY next_check_at LIMIT :limit",
            now=now,
            limit=limit,
        ),
    )


def list_sending(store: Store) -> list[Attempt]:
    """Return attempts whose sender is not known to have ended."""
    return many(
        Attempt,
        store.rows(
            f"SELECT {_COLUMNS} FROM attempts WHERE state IN ('sending','unknown') AND kind <> 'hosted'"
            " AND socket_closed_at IS NULL"
        ),
    )


def claim_queued(
    store: Store, attempt_id: str, *, created_after: int, sender_id: str, now: int, next_check_at: int
) -> bool:
    """Take a queued attempt for sending: the one request it may make is counted here, before it is made."""
    return bool(
        store.rows(
            "UPDATE attempts SET state = 'sending', post_count = post_count + 1, sender_id = :sender_id,"
            " claimed_at = :now, changed_at = :now, next_check_at = :next_check_at"
            " WHERE id = :id AND state = 'queued' AND created_at > :created_after RETURNING id",
            id=attempt_id,
            created_after=created_after,
            sender_id=sender_id,
            now=now,
            next_check_at=next_check_at,
        )
    )


def mark_state(
    store: Store,
    attempt_id: str,
    *,
    state: str,
    leaving: tuple[str, ...],
    now: int,
    reason: str | None = None,
    decline_code: str | None = None,
    next_check_at: int | None = None,
) -> bool:
    """Move an attempt from one of the `leaving` states; False if it is in none of them any more."""
    names = {f"leaving_{index}": name for index, name in enumerate(leaving)}
    return bool(
        store.rows(
            "UPDATE attempts SET state = :state, reason = coalesce(:reason, reason),"
            " decline_code = coalesce(:decline_code, decline_code), next_check_at = :next_check_at, changed_at = :now"
            f" WHERE id = :id AND state IN ({', '.join(':' + name for name in names)}) RETURNING id",
            id=attempt_id,
            state=state,
            now=now,
            reason=reason,
            decline_code=decline_code,
            next_check_at=next_check_at,
            **names,
        )
    )


def mark_ids(
    store: Store,
    attempt_id: str,
    *,
    payment_id: str | None = None,
    session_id: str | None = None,
    checkout_url: str | None = None,
) -> None:
    """Add the provider's ids to an attempt, never replacing one it has; raises Conflict if another holds them."""
    store.run(
        "UPDATE attempts SET provider_payment_id = coalesce(provider_payment_id, :payment_id),"
        " provider_session_id = coalesce(provider_session_id, :session_id),"
        " checkout_url = coalesce(checkout_url, :checkout_url) WHERE id = :id",
        id=attempt_id,
        payment_id=payment_id,
        session_id=session_id,
        checkout_url=checkout_url,
    )


def mark_payment_disproved(store: Store, attempt_id: str) -> None:
    """Take a payment's id from an attempt again: the payment has proven to be another's."""
    store.run("UPDATE attempts SET provider_payment_id = NULL WHERE id = :id", id=attempt_id)


def mark_hosted_payment(store: Store, attempt_id: str, *, payment_id: str) -> None:
    """Note the latest payment of a hosted session: the buyer may have tried several cards there."""
    store.run(
        "UPDATE attempts SET provider_payment_id = :payment_id WHERE id = :id AND kind = 'hosted'",
        id=attempt_id,
        payment_id=payment_id,
    )


def mark_sender_ended(store: Store, attempt_id: str, *, now: int) -> None:
    """Note that no byte of this attempt can leave any more; the first time stands."""
    store.run(
        "UPDATE attempts SET socket_closed_at = coalesce(socket_closed_at, :now) WHERE id = :id",
        id=attempt_id,
        now=now,
    )


def mark_webhook_named(store: Store, attempt_id: str, *, now: int) -> None:
    """Note that a verified webhook names this attempt: it can no longer be called absent."""
    store.run(
        "UPDATE attempts SET webhook_named_at = coalesce(webhook_named_at, :now) WHERE id = :id",
        id=attempt_id,
        now=now,
    )


def claim_lease(store: Store, attempt_id: str, *, now: int, until: int) -> bool:
    """Take the right to look at an attempt until `until`; False if another has it."""
    return bool(
        store.rows(
            "UPDATE attempts SET lease_until = :until WHERE id = :id"
            " AND (lease_until IS NULL OR lease_until <= :now) RETURNING id",
            id=attempt_id,
            now=now,
            until=until,
        )
    )


def mark_looked(store: Store, attempt_id: str, *, clean_misses: int, quiet_ms: int, next_check_at: int | None) -> None:
    """Note a look that settled nothing: `clean_misses` and `quiet_ms` are added; gives the lease back."""
    store.run(
        "UPDATE attempts SET looks = looks + 1, clean_misses = clean_misses + :clean_misses,"
        " quiet_ms = quiet_ms + :quiet_ms, next_check_at = :next_check_at, lease_until = NULL WHERE id = :id",
        id=attempt_id,
        clean_misses=clean_misses,
        quiet_ms=quiet_ms,
        next_check_at=next_check_at,
    )


def count_recent_unknowns(store: Store, *, since: int, latest: int) -> int:
    """Return how many of the `latest` one-click sends since `since` (epoch milliseconds) are unknown."""
    row = store.row(
        "SELECT count(*) AS n FROM (SELECT state FROM attempts WHERE kind = 'one_click' AND claimed_at >= :since"
        " AND post_count = 1 ORDER BY claimed_at DESC LIMIT :latest) AS sends WHERE state = 'unknown'",
        since=since,
        latest=latest,
    )
    return int(row["n"]) if row else 0
