"""Checkouts: one hosted session of the shop each, found by our own return reference."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A checkout. `authority_until` ends what the buyer's browser may do with it (epoch milliseconds).

    `begun_..` are of a trial that began without a payment, whose status then is `payment_status`.
    """

    id: str
    ref: str
    buyer_key: str
    product_id: str
    quantity: int
    language: str
    state: str
    provider_session_id: str | None = None
    checkout_url: str | None = None
    subscription_id: str | None = None
    customer_id: str | None = None
    payment_id: str | None = None
    payment_status: str | None = None
    decline_code: str | None = None
    begun_method_id: str | None = None
    begun_billing_json: str | None = None
    created_at: int
    authority_until: int
    looked_at: int | None = None
    next_check_at: int | None = None


_COLUMNS = columns(Checkout)


def insert_checkout(store: Store, checkout: Checkout) -> None:
    """Store a new checkout."""
    store.run(f"INSERT INTO checkouts ({_COLUMNS}) VALUES ({placeholders(Checkout)})", **values(checkout))


def get_checkout(store: Store, checkout_id: str) -> Checkout | None:
    """Return a checkout by id."""
    return one(Checkout, store.row(f"SELECT {_COLUMNS} FROM checkouts WHERE id = :id", id=checkout_id))


def get_by_ref(store: Store, ref: str) -> Checkout | None:
    """Return a checkout by its return reference."""
    return one(Checkout, store.row(f"SELECT {_COLUMNS} FROM checkouts WHERE ref = :ref", ref=ref))


def get_by_session(store: Store, session_id: str) -> Checkout | None:
    """Return a checkout by the provider's session."""
    return one(Checkout, store.row(f"SELECT {_COLUMNS} FROM checkouts WHERE provider_session_id = :s", s=session_id))


def get_by_subscription(store: Store, provider_subscription_id: str) -> Checkout | None:
    """Return the checkout that sold a subscription."""
    return one(
        Checkout,
        store.row(f"SELECT {_COLUMNS} FROM checkouts WHERE subscription_id = :id", id=provider_subscription_id),
    )


def get_payable(
    store: Store, *, buyer_key: str, product_id: str, quantity: int, language: str, since: int, is_plan: bool
) -> Checkout | None:
    """Return this browser's open checkout of the same purchase made after `since`: it is reused, not doubled.

    `is_plan`: also one whose payment was declined or is under way, and one that speaks another language.
    """
    return one(
        Checkout,
        store.row(
            f"SELECT {_COLUMNS} FROM checkouts WHERE buyer_key = :buyer_key AND product_id = :product_id"
            " AND quantity = :quantity AND state = 'open'"
            " AND (:is_plan = 1 OR (language = :language AND payment_id IS NULL))"
            " AND created_at > :since ORDER BY created_at DESC LIMIT 1",
            buyer_key=buyer_key,
            product_id=product_id,
            quantity=quantity,
            language=language,
            since=since,
            is_plan=int(is_plan),
        ),
    )


def mark_open(store: Store, checkout_id: str, *, session_id: str, url: str, next_check_at: int) -> bool:
    """Store the session the provider made; False if another request stored one first."""
    return bool(
        store.rows(
            "UPDATE checkouts SET state = 'open', provider_session_id = :session_id, checkout_url = :url,"
            " next_check_at = :next_check_at WHERE id = :id AND state = 'opening' RETURNING id",
            id=checkout_id,
            session_id=session_id,
            url=url,
            next_check_at=next_check_at,
        )
    )


def mark_observed(
    store: Store,
    checkout_id: str,
    *,
    customer_id: str,
    payment_id: str,
    status: str,
    decline_code: str | None,
) -> None:
    """Note the latest payment of a checkout that is not paid."""
    store.run(
        "UPDATE checkouts SET customer_id = :customer_id, payment_id = :payment_id, payment_status = :status,"
        " decline_code = :decline_code WHERE id = :id AND state <> 'paid'",
        id=checkout_id,
        customer_id=customer_id,
        payment_id=payment_id,
        status=status,
        decline_code=decline_code,
    )


def mark_paid(store: Store, checkout_id: str, *, customer_id: str, payment_id: str) -> bool:
    """Mark a checkout paid, once; False if it already was."""
    return bool(
        store.rows(
            "UPDATE checkouts SET state = 'paid', customer_id = :customer_id, payment_id = :payment_id,"
            " payment_status = 'succeeded', decline_code = NULL, next_check_at = NULL"
            " WHERE id = :id AND state <> 'paid' RETURNING id",
            id=checkout_id,
            customer_id=customer_id,
            payment_id=payment_id,
        )
    )


def mark_begun(
    store: Store,
    checkout_id: str,
    *,
    customer_id: str,
    subscription_id: str,
    method_id: str | None,
    billing_json: str | None,
) -> bool:
    """Mark a checkout paid by a trial that has no payment, once; False if it already was, or is another's."""
    return bool(
        store.rows(
            "UPDATE checkouts SET state = 'paid', customer_id = :customer_id, subscription_id = :subscription_id,"
            " payment_id = NULL, payment_status = 'succeeded', decline_code = NULL, next_check_at = NULL,"
            " begun_method_id = :method_id, begun_billing_json = :billing_json"
            " WHERE id = :id AND state <> 'paid' RETURNING id",
            id=checkout_id,
            customer_id=customer_id,
            subscription_id=subscription_id,
            method_id=method_id,
            billing_json=billing_json,
        )
    )


def mark_payment_of_nothing(store: Store, checkout_id: str, *, payment_id: str) -> bool:
    """Name the payment of zero of a trial that was seen before it; False if the checkout was paid in another way."""
    return bool(
        store.rows(
            "UPDATE checkouts SET payment_id = :payment_id"
            " WHERE id = :id AND state = 'paid' AND payment_id IS NULL RETURNING id",
            id=checkout_id,
            payment_id=payment_id,
        )
    )


def mark_trial_seen(store: Store, checkout_id: str, *, customer_id: str, subscription_id: str, status: str) -> None:
    """Note a trial that has not begun, in the words of a payment: processing or failed."""
    store.run(
        "UPDATE checkouts SET customer_id = :customer_id, subscription_id = :subscription_id,"
        " payment_status = :status WHERE id = :id AND state <> 'paid' AND payment_id IS NULL",
        id=checkout_id,
        customer_id=customer_id,
        subscription_id=subscription_id,
        status=status,
    )


def mark_subscription(store: Store, checkout_id: str, *, subscription_id: str) -> None:
    """Note the subscription a recurring checkout made; a declined card leaves one behind that the next try replaces."""
    store.run(
        "UPDATE checkouts SET subscription_id = :subscription_id WHERE id = :id AND state <> 'paid'",
        id=checkout_id,
        subscription_id=subscription_id,
    )


def mark_looked(store: Store, checkout_id: str, *, now: int, next_check_at: int | None) -> None:
    """Note that the provider was asked, and when to ask again (None: no more)."""
    store.run(
        "UPDATE checkouts SET looked_at = :now, next_check_at = :next_check_at"
        " WHERE id = :id AND state IN ('opening','open')",
        id=checkout_id,
        now=now,
        next_check_at=next_check_at,
    )


def mark_closed(store: Store, checkout_id: str) -> None:
    """Stop watching a checkout whose session has ended unpaid; a late payment still pays it."""
    store.run(
        "UPDATE checkouts SET state = 'closed', next_check_at = NULL WHERE id = :id AND state IN ('opening','open')",
        id=checkout_id,
    )


def list_due(store: Store, *, now: int, limit: int) -> list[Checkout]:
    """Return checkouts whose next look is due, oldest first."""
    return many(
        Checkout,
        store.rows(
            f"SELECT {_COLUMNS} FROM checkouts WHERE next_check_at <= :now ORDER BY next_check_at LIMIT :limit",
            now=now,
            limit=limit,
        ),
    )
