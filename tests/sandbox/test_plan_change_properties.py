"""Three hundred generated plan changes over HTTP: with the clock frozen each charges exactly what its preview said."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.money.proration import RULES
from tests.sandbox.subscriptions import at, body_of, make_plan, read, stand_at, subscribe
from tests.sandbox_process import BASIC, SandboxProcess
from tests.scale import proves, rounds

CASES = 300
MODES = ("prorated_immediately", "full_immediately", "difference_immediately", "do_not_bill",
         "prorated_immediately_keep_cycle")  # fmt: skip
DAY_S = 86_400


@dataclass
class Shop:
    """A sandbox with plans in both intervals, seats for each, and one subscription that is changed again and again."""

    sandbox: SandboxProcess
    plans: list[str]
    seat: str
    subscription_id: str


@pytest.fixture
def shop(sandbox: SandboxProcess) -> Shop:
    seat = sandbox.post("/addons", {"name": "Seat", "price": 733, "currency": "USD", "tax_category": "saas"})["id"]
    plans = [
        make_plan(sandbox, price, interval=interval, addons=[seat], tax_inclusive=inclusive)
        for price, interval, inclusive in (
            (1999, "Month", False), (2003, "Month", True), (7997, "Month", False), (24_901, "Year", False),
            (101, "Month", False),
        )
    ]  # fmt: skip
    stand_at(sandbox, at(2027, 4, 1))
    return Shop(sandbox, plans, seat, subscribe(sandbox, BASIC, country="VN"))


def generated(chance: random.Random, shop: Shop) -> dict[str, Any]:
    scheduled = chance.random() < 0.1
    seats = [{"addon_id": shop.seat, "quantity": chance.randint(1, 9)}] if chance.random() < 0.4 else []
    return body_of(
        chance.choice(shop.plans),
        "full_immediately" if scheduled else chance.choice(MODES),
        quantity=chance.randint(1, 4),
        addons=seats,
        effective_at="next_billing_date" if scheduled else "immediately",
        cancel_scheduled_change_plan=True,
    )


@proves(CASES, "plan changes over HTTP, charged as quoted by the sandbox")
@pytest.mark.parametrize("round_number", rounds(1, proof=34))
def test_charged_is_what_was_quoted(shop: Shop, round_number: int) -> None:
    sandbox, path = shop.sandbox, f"/subscriptions/{shop.subscription_id}/change-plan"
    done = spent = added = refused = 0
    for number in range(round_number * CASES, (round_number + 1) * CASES):
        chance = random.Random(number)
        sandbox.switch(**{name: chance.choice(values) for name, values in RULES.items()})
        sandbox.clock(chance.choice([1, 601, 7 * DAY_S, 12 * DAY_S]))
        body, held, last = generated(chance, shop), credit_of(sandbox), newest_payment(shop)

        quoted = sandbox.call("POST", f"{path}/preview", body)
        answer = sandbox.call("POST", path, body)

        assert answer.status_code == quoted.status_code, number
        if answer.status_code != 200:
            assert answer.json() == quoted.json(), number
            refused += 1
            continue
        done += 1
        summary = quoted.json()["immediate_charge"]["summary"]
        if body["effective_at"] == "immediately":
            check_charge(shop, number, summary, held, last)
            spent += summary["customer_credits"] < 0
            added += summary["customer_credits"] > 0
    # Were nearly all refused, or credit never touched, this would show little.
    assert (done > 200, spent > 20, added > 20, refused > 5) == (True, True, True, True)


def newest_payment(shop: Shop) -> Any:
    return shop.sandbox.get("/payments", subscription_id=shop.subscription_id, page_size=1)["items"][0]


def check_charge(shop: Shop, number: int, summary: dict[str, Any], held: int, last: Any) -> None:
    """The payment made after the `last` one, if any, is the quote's; the balance moves by its credits."""
    sandbox, newest = shop.sandbox, newest_payment(shop)
    made = newest["payment_id"] != last["payment_id"]
    assert (newest["total_amount"] if made else 0) == summary["settlement_amount"], number
    assert credit_of(sandbox) == held + summary["customer_credits"] >= 0, number
    if made:
        payment = sandbox.get(f"/payments/{newest['payment_id']}")
        items = sandbox.get(f"/payments/{newest['payment_id']}/line-items")["items"]
        assert payment["tax"] == summary["settlement_tax"] == sum(item["tax"] for item in items), number
        assert payment["total_amount"] == sum(item["amount"] for item in items), number


def credit_of(sandbox: SandboxProcess) -> int:
    return sum(item["amount"] for item in sandbox.control("objects/credit_entries")["items"])


def test_with_a_running_clock_nothing_but_a_prorated_line_may_move(shop: Shop) -> None:
    """A second between quote and charge: what does not depend on the clock is equal, a line moves by a cent at most."""
    sandbox, path = shop.sandbox, f"/subscriptions/{shop.subscription_id}/change-plan"
    for number, mode in enumerate(MODES * 4):
        body = body_of(shop.plans[number % 3], mode, quantity=1 + number % 3)
        sandbox.clock(3 * DAY_S)

        quoted = sandbox.post(f"{path}/preview", body)["immediate_charge"]
        sandbox.clock(1)
        later = sandbox.post(f"{path}/preview", body)["immediate_charge"]

        moved = later["summary"]["settlement_amount"] - quoted["summary"]["settlement_amount"]
        assert abs(moved) <= (len(quoted["line_items"]) if mode.startswith("prorated") else 0), (number, mode)
        sandbox.post(path, body)
    assert read(sandbox, shop.subscription_id)["status"] == "active"
