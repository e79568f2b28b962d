"""What the benchmark measures of accounts and plans: own time while the provider is slow, and long lists of orders."""

from dataclasses import replace
from statistics import median

from encore.ids import new_id
from encore.store import orders
from tests.installation import Buyer, Installation, read_form
from tests.tools import load
from tests.tools.bench_rows import Row, own_row, slow_provider
from tests.tools.bench_shop import write_request

_ENDPOINTS = (
    "GET /subscriptions/{id}",
    "POST /subscriptions/{id}/change-plan/preview",
    "GET /customers/{id}/payment-methods",
)
_MANY_ORDERS = 1000


def measure_plans(shop: Installation, *, buyers: int) -> list[Row]:
    """Own time of the plan page and of the preview in it, while every answer of the provider takes 100 ms more."""
    subscribers = [_subscriber(shop, f"plan{number}@example.com") for number in range(buyers)]
    addresses = [_plan_address(buyer) for buyer in subscribers]
    pages = [write_request(buyer, "GET", path) for buyer, path in zip(subscribers, addresses, strict=True)]
    # A form's hidden fields are good for as many posts as its page is open: every preview asks the provider anew.
    previews = [_preview(buyer, path) for buyer, path in zip(subscribers, addresses, strict=True)]
    with slow_provider(shop, 0.1, _ENDPOINTS):
        shown = load.run(shop.port, pages, connections=2, total=4 * buyers)
        asked = load.run(shop.port, previews, connections=2, total=4 * buyers)
    return [
        own_row("plan page, provider 100 ms: own time", shown, good=200),
        own_row("preview of a change, provider 100 ms: own time", asked, good=200),
    ]


def _subscriber(shop: Installation, email: str) -> Buyer:
    buyer = Buyer(shop, email)
    buyer.buy("basic-plan")
    buyer.sign_in()
    return buyer


def _plan_address(buyer: Buyer) -> str:
    row = buyer.shop.wait_row(
        "SELECT subscriptions.id FROM subscriptions JOIN customers ON customers.id = subscriptions.customer_id"
        " WHERE customers.email = :email",
        email=buyer.email,
    )
    return f"/account/subscriptions/{row['id']}"


def _preview(buyer: Buyer, address: str) -> str:
    action, fields = read_form(buyer.get(address), "choose-plan")
    return write_request(buyer, "POST", action, fields, "HX-Request: true", "HX-Request-Type: partial")


def measure_many_orders(shop: Installation) -> list[Row]:
    """The first and the last page of a customer's 1,000 orders beside the page of a customer with a single one."""
    few, many = Buyer(shop, "one-order@example.com"), Buyer(shop, "many-orders@example.com")
    for buyer in (few, many):
        buyer.buy()
        buyer.sign_in()
    _copy_order(shop, email=many.email, copies=_MANY_ORDERS - 1)
    numbers = [row["number"] for row in shop.store.rows("SELECT number FROM orders ORDER BY number DESC LIMIT 1000")]
    paths = {
        "one order": (few, "/account/orders"),
        "first of 1,000": (many, "/account/orders"),
        "last of 1,000": (many, f"/account/orders/before/{numbers[-10]}"),
    }
    wall = {name: _median_ms(shop, write_request(buyer, "GET", path)) for name, (buyer, path) in paths.items()}
    words = ", ".join(f"{name} {ms:.1f} ms" for name, ms in wall.items())
    # A page of twenty rows beside one of a single row: what the list behind it costs would show as a multiple.
    return [Row("orders of an account", words, "<= 3 times", max(wall.values()) <= 3 * wall["one order"])]


def _median_ms(shop: Installation, request: str) -> float:
    found = load.run(shop.port, [request], connections=1, total=60)
    assert found.count(200) == len(found.answers), found.answers[0]
    return median(answer.wall_ms for answer in found.answers)


def _copy_order(shop: Installation, *, email: str, copies: int) -> None:
    """Store an order again and again, as if it had been bought that often: its checkout is copied with it."""
    store = shop.store
    customer = store.row("SELECT id FROM customers WHERE email = :email", email=email)
    assert customer is not None
    found = store.row("SELECT id FROM orders WHERE customer_id = :id", id=customer["id"])
    first = orders.get_order(store, found["id"]) if found else None
    assert first is not None
    names = "buyer_key, product_id, quantity, language, state, customer_id, created_at, authority_until"
    with store.write():
        for _ in range(copies):
            checkout_id = new_id("chk")
            store.run(
                f"INSERT INTO checkouts (id, ref, {names}) SELECT :id, :id, {names} FROM checkouts WHERE id = :copied",
                id=checkout_id,
                copied=first.checkout_id,
            )
            number = orders.next_number(store)
            copy = replace(first, id=new_id("ord"), number=number, checkout_id=checkout_id, payment_id=None)
            orders.insert_order(store, copy)
