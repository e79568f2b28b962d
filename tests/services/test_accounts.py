"""What an account shows: orders page by page, access, subscriptions and saved methods; and how a method is removed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from encore.services import accounts
from encore.services.accounts import Removal
from encore.services.shop import Shop
from encore.services.sign_ins import Account
from encore.store import Store, customers
from encore.store.customers import Customer
from tests.factories import add_catalogue, add_order, make_shop, order_again
from tests.sandbox_process import SandboxProcess
from tests.services.world import LAN, MINH, MovableClock, World

METHODS = "GET /customers/{id}/payment-methods"


def account_of(world: World, email: str = "lan@example.com") -> Account:
    """The account of an address as a sign-in gives it."""
    found = customers.list_of_address(world.shop.store, email)
    return Account(address=email, customer_ids=tuple(customer.id for customer in found), is_recent=True)


def bought(world: World, **form: str) -> Account:
    """The account of a buyer who has paid and come back."""
    key = form.get("key", LAN)
    world.come_back(world.buy(**form), key=key)
    return account_of(world, form.get("email", "lan@example.com"))


def subscribed(world: World) -> Account:
    """The account of a buyer of the Pro plan."""
    return bought(world, slug="pro-plan")


def removals(sandbox: SandboxProcess) -> list[Any]:
    return [request for request in sandbox.requests() if request["method"] == "DELETE"]


# ---- Orders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path, clock: MovableClock) -> Iterator[Shop]:
    """A shop whose one customer has ordered once; nothing answers at the provider."""
    shop = make_shop(tmp_path / "busy", clock=clock)
    add_catalogue(shop)
    add_order(shop)
    yield shop
    shop.close()


LAN_ACCOUNT = Account(address="lan@example.com", customer_ids=("cus_lan",), is_recent=True)


def ref_of(shop: Shop) -> str:
    """The reference of the customer's first order."""
    row = shop.store.row("SELECT ref FROM checkouts ORDER BY created_at LIMIT 1")
    assert row is not None
    return str(row["ref"])


def statements(store: Store, act: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Every statement that an act runs, with its values."""
    seen: list[tuple[str, Any]] = []
    run = store._execute
    with monkeypatch.context() as patch:
        patch.setattr(store, "_execute", lambda c, sql, params: (seen.append((sql, params)), run(c, sql, params))[1])
        act()
    return seen


def test_thousand_orders_cost_a_page_what_thirty_do(busy: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many statements, and the one that finds the orders steps through an index for as many rows as it shows."""
    account, ref = LAN_ACCOUNT, ref_of(busy)
    order_again(busy.store, ref, times=30)
    few = statements(busy.store, lambda: accounts.list_orders(busy, account), monkeypatch)
    order_again(busy.store, ref, times=970)

    first = statements(busy.store, lambda: accounts.list_orders(busy, account), monkeypatch)
    deep = statements(busy.store, lambda: accounts.list_orders(busy, account, before=1200), monkeypatch)

    assert len(few) == len(first) == len(deep)
    sql, values = deep[0]
    assert len(busy.store.rows(sql, **values)) == accounts.ORDERS_A_PAGE + 1
    with busy.store.write():
        plan = [row["detail"] for row in busy.store.rows(f"EXPLAIN QUERY PLAN {sql}", **values)]
    assert plan == ["SEARCH orders USING INDEX orders_of_customer_by_number (customer_id=? AND number<?)"]


def test_pages_follow_each_other_without_gap_or_repeat(busy: Shop) -> None:
    account, ref = LAN_ACCOUNT, ref_of(busy)
    order_again(busy.store, ref, times=46)

    pages, before = [], None
    while True:
        page = accounts.list_orders(busy, account, before=before)
        pages.append([row.number for row in page.rows])
        before = page.older_than
        if before is None:
            break

    assert pages == [[*range(1047, 1027, -1)], [*range(1027, 1007, -1)], [*range(1007, 1000, -1)]]


def test_orders_of_two_customers_with_one_address_are_one_list(busy: Shop) -> None:
    account, ref = LAN_ACCOUNT, ref_of(busy)
    for customer_id in ("cus_lan", "cus_lan2") * 29:
        order_again(busy.store, ref, times=1, customer_id=customer_id)
    both = replace(account, customer_ids=("cus_lan", "cus_lan2"))

    first = accounts.list_orders(busy, both)
    second = accounts.list_orders(busy, both, before=first.older_than)

    assert [row.number for row in (*first.rows, *second.rows)] == [*range(1059, 1019, -1)]


def test_offer_stands_in_the_list_with_its_first_order(world: World) -> None:
    page = world.offer()
    world.accept(page)

    rows = accounts.list_orders(world.shop, account_of(world)).rows

    assert [(row.number, row.first_number, row.line.product_name) for row in rows] == [
        (1002, 1001, "Complete bundle"),
        (1001, None, "Starter course"),
    ]
    assert rows[0].ref == rows[1].ref == page.order.ref


def test_account_without_anything_is_empty(world: World) -> None:
    account = Account(address="new@example.com", customer_ids=(), is_recent=True)

    page = accounts.overview(world.shop, account)

    assert (page.orders.rows, page.owned, page.subscriptions) == ((), (), ())
    assert page.methods.state == "empty"
    assert not page.is_stale


# ---- Subscriptions -------------------------------------------------------------------------------------------------


def test_subscription_is_shown_as_the_provider_has_it(world: World) -> None:
    account = subscribed(world)
    kept = world.sandbox.get("/subscriptions", customer_id=account.customer_ids[0])["items"][0]

    page = accounts.overview(world.shop, account)

    (row,) = page.subscriptions
    assert (row.product_name, row.status, row.quantity) == ("Pro plan", "active", 1)
    assert row.price is not None
    assert (row.price.minor, row.price.currency) == (kept["recurring_pre_tax_amount"], kept["currency"])
    assert row.next_billing_at is not None
    assert row.next_billing_at > world.shop.now() + 27 * 24 * 3_600_000
    assert page.methods.rows[0].pays_for == ("Pro plan",)
    assert not page.is_stale


def test_provider_away_shows_what_was_known_and_says_so(world: World) -> None:
    account = subscribed(world)
    accounts.overview(world.shop, account)
    world.advance(61)
    for endpoint in (METHODS, "GET /subscriptions"):
        world.sandbox.fault(endpoint, "status:500", times=50)

    page = accounts.overview(world.shop, account)

    assert [row.product_name for row in page.subscriptions] == ["Pro plan"]
    assert page.is_stale
    assert page.methods.state == "provider_down"
    assert len(page.orders.rows) == 1


def test_account_asks_the_provider_once_a_minute(world: World) -> None:
    account = subscribed(world)
    accounts.overview(world.shop, account)
    asked = len(world.sandbox.requests())

    accounts.overview(world.shop, account)
    again = len(world.sandbox.requests())
    world.advance(61)
    accounts.overview(world.shop, account)

    assert again == asked
    # Methods and subscriptions, and the two lists of what Dodo gave.
    assert len(world.sandbox.requests()) == asked + 4


# ---- Methods -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expiry", "state"), [("12/34", "valid"), ("now", "soon"), ("next", "soon"), ("after next", "valid")]
)
def test_card_that_expires_soon_says_so(world: World, expiry: str, state: str) -> None:
    if "/" not in expiry:
        today = datetime.fromtimestamp(world.shop.now() / 1000, UTC)
        later = today.year * 12 + today.month - 1 + ("now", "next", "after next").index(expiry)
        expiry = f"{later % 12 + 1:02d}/{later // 12 % 100:02d}"

    account = bought(world, expiry=expiry)

    assert [row.expiry for row in accounts.list_methods(world.shop, account).rows] == [state]


def test_card_is_removed_at_the_provider(world: World) -> None:
    account = bought(world)
    (row,) = accounts.list_methods(world.shop, account).rows

    removal = accounts.remove_method(world.shop, account, row.name)

    assert removal == Removal(result="removed")
    assert world.sandbox.methods(account.customer_ids[0]) == []
    assert accounts.list_methods(world.shop, account).state == "empty"
    assert accounts.remove_method(world.shop, account, row.name) == Removal(result="gone")
    assert len(removals(world.sandbox)) == 1


def test_card_of_a_subscription_stays_and_its_plan_is_named(world: World) -> None:
    account = bought(world)
    (row,) = accounts.list_methods(world.shop, account).rows
    assert row.pays_for == ()
    # Bought in another window since this page was shown.
    subscribed(world)

    removal = accounts.remove_method(world.shop, account, row.name)

    assert removal == Removal(result="in_use", plans=("Pro plan",))
    assert len(world.sandbox.methods(account.customer_ids[0])) == 1


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        ("status:404", "gone"),
        ("status:409:PAYMENT_METHOD_IN_USE", "in_use"),
        ("status:409", "in_use"),
        ("status:403", "provider_down"),
        ("status:429", "provider_down"),
        ("status:500", "provider_down"),
        ("status:503", "provider_down"),
        ("reset", "provider_down"),
    ],
)
def test_providers_answer_to_a_removal_is_respected(world: World, fault: str, result: str) -> None:
    account = bought(world)
    (row,) = accounts.list_methods(world.shop, account).rows
    world.sandbox.fault("DELETE /customers/{id}/payment-methods/{id}", fault)

    removal = accounts.remove_method(world.shop, account, row.name)

    assert removal.result == result
    assert len(removals(world.sandbox)) == 1


def test_nothing_is_removed_when_the_list_cannot_be_read(world: World) -> None:
    account = bought(world)
    (row,) = accounts.list_methods(world.shop, account).rows
    world.sandbox.fault(METHODS, "status:502", times=9)

    assert accounts.remove_method(world.shop, account, row.name) == Removal(result="provider_down")
    assert removals(world.sandbox) == []


def test_name_of_a_card_belongs_to_one_customer(world: World) -> None:
    """The same card of two customers has two names, and another's name removes nothing."""
    lan = bought(world)
    minh = bought(world, email="minh@example.com", key=MINH)
    names = [accounts.list_methods(world.shop, account).rows[0].name for account in (lan, minh)]

    removal = accounts.remove_method(world.shop, minh, names[0])

    assert names[0] != names[1]
    assert removal == Removal(result="gone")
    assert removals(world.sandbox) == []


def test_customer_the_provider_has_forgotten_has_no_methods(world: World) -> None:
    with world.shop.store.write():
        customers.upsert_customer(
            world.shop.store,
            Customer(id="cus_gone", email="gone@example.com", name=None, language=None, first_seen_at=1),
        )

    assert accounts.list_methods(world.shop, account_of(world, "gone@example.com")).state == "empty"
