"""Looking stored objects up: what each condition finds, and that none of the documented lists reads past its page."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.lookup import Doc, select
from sandbox.core.store import Store
from tests.sandbox_process import SandboxProcess

STATUSES, CURRENCIES = ("succeeded", "failed", "processing"), ("USD", "EUR")
CUSTOMERS, PRODUCTS, SUBSCRIPTIONS = (
    [f"{prefix}_{number}" for number in range(count)] for prefix, count in (("cus", 4), ("pdt", 3), ("sub", 3))
)
FILTERS = {
    "status": STATUSES,
    "currency": CURRENCIES,
    "customer_id": CUSTOMERS,
    "product_id": PRODUCTS,
    "subscription_id": SUBSCRIPTIONS,
    "method": ("card", "wallet"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "sandbox.sqlite3")
    yield store
    store.close()


def payment(number: int, dice: random.Random) -> Doc:
    return {
        "id": f"pay_{number}",
        # Several in one millisecond: the order of storing then decides.
        "created_at": number // 3,
        "customer_id": dice.choice(CUSTOMERS),
        "status": dice.choice(STATUSES),
        "currency": dice.choice(CURRENCIES),
        "method": dice.choice(FILTERS["method"]),
        "subscription_ids": dice.sample(SUBSCRIPTIONS, dice.randint(0, 2)),
        "lines": [{"product_id": dice.choice(PRODUCTS)} for _ in range(dice.randint(1, 3))],
    }


def fits(doc: Doc, where: Doc) -> bool:
    shown = {
        **{name: [doc[name]] for name in ("status", "currency", "customer_id", "method")},
        "product_id": [line["product_id"] for line in doc["lines"]],
        "subscription_id": doc["subscription_ids"],
    }
    return all(value in shown[name] for name, value in where.items())


@pytest.mark.parametrize("seed", range(3))
def test_every_set_of_conditions_finds_what_fits_and_nothing_else(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    docs = [payment(number, dice) for number in range(300)]
    with store.write():
        for doc in docs:
            # As a payment does, each begins in one state and goes on to another.
            store.put("payments", {**doc, "status": "requires_payment_method"})
            store.put("refunds", doc)
            store.put("payments", doc)

    for names in itertools.chain.from_iterable(itertools.combinations(FILTERS, count) for count in range(4)):
        where = {name: dice.choice(FILTERS[name]) for name in names}
        since, until = sorted(dice.choices(range(100), k=2))
        wanted = [doc for doc in docs if fits(doc, where) and since <= doc["created_at"] <= until]

        found = store.find("payments", where=where, since=since, until=until, oldest_first=True)
        page = store.find("payments", where=where, since=since, until=until, limit=5, offset=2)

        assert found == wanted, where
        assert page == wanted[::-1][2:7], where


LISTS = [
    ("payments", ("status", "currency", "customer_id", "product_id", "subscription_id")),
    ("refunds", ("status", "customer_id", "subscription_id")),
    ("subscriptions", ("status", "customer_id", "product_id")),
    ("disputes", ("status", "customer_id")),
    ("customers", ("email_key",)),
    ("discounts", ("code_key",)),
    ("license_keys", ("key",)),
]


CASES = [(kind, pair) for kind, names in LISTS for count in (0, 1, 2) for pair in itertools.combinations(names, count)]


def narrowest(names: tuple[str, ...]) -> list[str]:
    """What the rows of a list must be looked up by, besides their kind and time."""
    if {"subscription_id", "email_key", "code_key", "key"} & set(names):
        return ["target=?"]
    if "customer_id" in names:
        return ["customer_id=?"]
    return ["target=?"] if "product_id" in names else [f"{name}=?" for name in names]


@pytest.mark.parametrize(("kind", "names"), CASES)
def test_documented_lists_are_read_along_their_narrowest_condition(
    store: Store, kind: str, names: tuple[str, ...]
) -> None:
    sql, values = select(kind, dict.fromkeys(names, "x"), since=1, until=2, oldest_first=False)

    plan = [row["detail"] for row in store.rows(f"EXPLAIN QUERY PLAN {sql}", **values, limit=10, offset=0)]

    first = next(step for step in plan if step.startswith(("SCAN t", "SEARCH t")))
    assert all(part in first for part in [*narrowest(names), "created_at>? AND created_at<?"]), plan
    # One sort: that of the page itself.
    assert sum("TEMP B-TREE" in step for step in plan) <= 1, plan


def test_changed_address_is_found_anew_and_no_more_under_the_old_one(sandbox: SandboxProcess) -> None:
    customer = sandbox.post("/customers", {"email": "lan@example.com", "name": "Lan"})

    changed = sandbox.call("PATCH", f"/customers/{customer['customer_id']}", {"email": "New@example.com"})

    assert changed.status_code == 200
    assert sandbox.get("/customers", email="lan@example.com")["items"] == []
    assert [one["email"] for one in sandbox.get("/customers", email="new@EXAMPLE.com")["items"]] == ["New@example.com"]


def test_file_of_an_older_version_keeps_its_objects(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.sqlite3")
    store.put("customers", {"id": "cus_1", "created_at": 5, "email_key": "a@b.c"})
    for change in ("DROP TABLE links", "ALTER TABLE objects RENAME COLUMN currency TO coin", "PRAGMA user_version = 2"):
        store.run(change)
    store.close()

    store = Store(tmp_path / "sandbox.sqlite3")
    found = store.find("customers", where={"email_key": "a@b.c"})
    store.close()

    assert [doc["id"] for doc in found] == ["cus_1"]
