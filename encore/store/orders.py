"""Orders and the entitlements they grant: one order a paid checkout or a charged yes."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was paid. An offer's order names the first order; `number` is the one people read."""

    id: str
    number: int
    checkout_id: str | None
    acceptance_id: str | None
    attempt_id: str | None
    payment_id: str | None
    first_order_id: str | None
    customer_id: str
    buyer_key: str
    product_id: str
    product_name: str
    quantity: int
    amount: int
    currency: str
    language: str
    country: str | None
    created_at: int
    state: str


_COLUMNS = columns(Order)
_FIRST_NUMBER = 1001  # so that a first order does not look like one


def insert_order(store: Store, order: Order) -> None:
    """Store an order; raises Conflict if the checkout, yes, attempt or payment has one."""
    store.run(f"INSERT INTO orders ({_COLUMNS}) VALUES ({placeholders(Order)})", **values(order))


def next_number(store: Store) -> int:
    """Return the number the next order takes; call it in the transaction that stores the order."""
    found = store.row("SELECT max(number) AS highest FROM orders")
    highest = None if found is None else found["highest"]
    return _FIRST_NUMBER if highest is None else int(highest) + 1


def get_order(store: Store, order_id: str) -> Order | None:
    """Return an order by id."""
    return one(Order, store.row(f"SELECT {_COLUMNS} FROM orders WHERE id = :id", id=order_id))


def get_of_checkout(store: Store, checkout_id: str) -> Order | None:
    """Return the order of a checkout."""
    return one(Order, store.row(f"SELECT {_COLUMNS} FROM orders WHERE checkout_id = :id", id=checkout_id))


def get_of_payment(store: Store, payment_id: str) -> Order | None:
    """Return the order a payment paid."""
    return one(Order, store.row(f"SELECT {_COLUMNS} FROM orders WHERE payment_id = :id", id=payment_id))


def list_of_first(store: Store, first_order_id: str, *, with_account: bool = False) -> list[Order]:
    """Return the orders filed under a first order: what the offers shown after it added, or everything `with_account`.

    The browser that paid the first order has proven no address: what the account bought later, or paid for its plan,
    is not its business.
    """
    return many(
        Order,
        store.rows(
            f"SELECT {_COLUMNS} FROM orders WHERE first_order_id = :id AND (:with_account = 1 OR EXISTS ("
            "SELECT 1 FROM acceptances JOIN offer_instances AS shown ON shown.id = acceptances.offer_instance_id"
            # The second try of a plan change follows the first.
            " WHERE acceptances.id = orders.acceptance_id AND (shown.source_ref = :id OR shown.source_ref IN ("
            "SELECT firsts.id FROM offer_instances AS firsts WHERE firsts.source_ref = :id))))"
            " ORDER BY created_at, id",
            id=first_order_id,
            with_account=int(with_account),
        ),
    )


def get_latest_standing(store: Store, customer_id: str) -> Order | None:
    """Return a customer's latest order that stands and goes back to a checkout of the shop: paid, or begun as a trial.

    A change of a plan that charged nothing has neither card nor address, so it is passed over.
    """
    return one(
        Order,
        store.row(
            f"SELECT {_COLUMNS} FROM orders WHERE customer_id = :id AND state = 'granted'"
            " AND (payment_id IS NOT NULL OR checkout_id IS NOT NULL)"
            " AND EXISTS (SELECT 1 FROM orders AS firsts WHERE firsts.checkout_id IS NOT NULL"
            " AND firsts.id = coalesce(orders.first_order_id, orders.id)) ORDER BY number DESC LIMIT 1",
            id=customer_id,
        ),
    )


def list_since(store: Store, customer_id: str, *, since: int) -> list[Order]:
    """Return a customer's orders from a time on (epoch milliseconds)."""
    return many(
        Order,
        store.rows(
            f"SELECT {_COLUMNS} FROM orders WHERE customer_id = :id AND created_at >= :since ORDER BY number",
            id=customer_id,
            since=since,
        ),
    )


def list_page(store: Store, customer_id: str, *, before: int, limit: int) -> list[Order]:
    """Return a customer's newest orders with a number under `before`, those of offers included."""
    return many(
        Order,
        store.rows(
            f"SELECT {_COLUMNS} FROM orders WHERE customer_id = :id AND number < :before"
            " ORDER BY number DESC LIMIT :limit",
            id=customer_id,
            before=before,
            limit=limit,
        ),
    )


def count_of_customer(store: Store, customer_id: str) -> int:
    """Return how many first orders a customer has."""
    found = store.row(
        "SELECT count(*) AS n FROM orders WHERE customer_id = :id AND checkout_id IS NOT NULL", id=customer_id
    )
    return 0 if found is None else int(found["n"])


def mark_payment(store: Store, *, attempt_id: str, payment_id: str) -> None:
    """Name the payment of an order that was written before it was seen, unless it has one."""
    store.run(
        "UPDATE orders SET payment_id = coalesce(payment_id, :payment_id) WHERE attempt_id = :attempt_id",
        attempt_id=attempt_id,
        payment_id=payment_id,
    )


def mark_payment_of_nothing(store: Store, order_id: str, *, payment_id: str) -> None:
    """Name the payment of zero of a trial whose order was written before it was seen."""
    store.run(
        "UPDATE orders SET payment_id = :payment_id WHERE id = :id AND payment_id IS NULL",
        id=order_id,
        payment_id=payment_id,
    )


def count_by_product(store: Store, product_ids: list[str], *, since: int) -> dict[str, int]:
    """Return how often each of these products was ordered since `since` (epoch milliseconds), granted orders only."""
    names = {f"product_{number}": product_id for number, product_id in enumerate(product_ids)}
    found = store.rows(
        "SELECT product_id, count(*) AS n FROM orders WHERE state = 'granted' AND created_at >= :since"
        # Paying what a plan owes is no choice of it.
        " AND NOT EXISTS (SELECT attempts.id FROM attempts WHERE attempts.id = orders.attempt_id"
        " AND attempts.kind = 'dues')"
        f" AND product_id IN ({', '.join(':' + name for name in names)}) GROUP BY product_id",
        since=since,
        **names,
    )
    return {row["product_id"]: int(row["n"]) for row in found}


def mark_reversed(store: Store, order_id: str) -> bool:
    """Reverse an order, once."""
    return bool(
        store.rows(
            "UPDATE orders SET state = 'reversed' WHERE id = :id AND state = 'granted' RETURNING id",
            id=order_id,
        )
    )


def insert_entitlement(store: Store, *, order_id: str, product_id: str, customer_id: str, now: int) -> None:
    """Grant a product through an order."""
    store.run(
        "INSERT INTO entitlements (order_id, product_id, customer_id, granted_at)"
        " VALUES (:order_id, :product_id, :customer_id, :now)",
        order_id=order_id,
        product_id=product_id,
        customer_id=customer_id,
        now=now,
    )


def mark_revoked(store: Store, order_id: str, *, now: int) -> None:
    """Revoke what an order granted; the first time stands."""
    store.run(
        "UPDATE entitlements SET revoked_at = :now WHERE order_id = :order_id AND revoked_at IS NULL",
        order_id=order_id,
        now=now,
    )


def list_access(store: Store, order_id: str) -> dict[str, int | None]:
    """Return the products an order gives or gave access to, each with when it was revoked, None if it stands."""
    found = store.rows("SELECT product_id, revoked_at FROM entitlements WHERE order_id = :id", id=order_id)
    return {row["product_id"]: row["revoked_at"] for row in found}


def mark_access(store: Store, order_id: str, *, customer_id: str, product_id: str, now: int, gives: bool) -> None:
    """Give or take one product's access through an order; a product it never gave is added."""
    store.run(
        "INSERT INTO entitlements (order_id, product_id, customer_id, granted_at, revoked_at)"
        " VALUES (:order_id, :product_id, :customer_id, :now, :revoked_at)"
        " ON CONFLICT (order_id, product_id) DO UPDATE SET revoked_at = excluded.revoked_at",
        order_id=order_id,
        product_id=product_id,
        customer_id=customer_id,
        now=now,
        revoked_at=None if gives else now,
    )


def list_owned_products(store: Store, customer_id: str) -> frozenset[str]:
    """Return the products a customer has access to."""
    found = store.rows(
        "SELECT DISTINCT product_id FROM entitlements WHERE customer_id = :id AND revoked_at IS NULL", id=customer_id
    )
    return frozenset(row["product_id"] for row in found)


def is_owned_by_browser(store: Store, *, buyer_key: str, product_id: str) -> bool:
    """Tell whether an order made in this browser grants the product."""
    return (
        store.row(
            "SELECT orders.id FROM orders JOIN entitlements ON entitlements.order_id = orders.id"
            " WHERE orders.buyer_key = :buyer_key AND entitlements.product_id = :product_id"
            " AND entitlements.revoked_at IS NULL LIMIT 1",
            buyer_key=buyer_key,
            product_id=product_id,
        )
        is not None
    )
