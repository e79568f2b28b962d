"""Generated plan changes without a server: each charges what its preview said."""

import random
from pathlib import Path
from typing import Any

from sandbox.control.insider import buy, post
from sandbox.core.clock import Clock
from sandbox.core.ids import Ids
from sandbox.core.store import Store
from sandbox.core.twin import Options, Twin
from sandbox.http.call import WireError
from sandbox.money.proration import RULES
from sandbox.routes import create_router
from tests.sandbox.subscriptions import body_of
from tests.scale import proves, scaled

CASES = scaled(1_000, proof=10_000)
# A customer is changed so often, then comes the next one, in another currency.
CHANGES_EACH = 20
DAY_S = 86_400
PRICES = {"USD": 1999, "EUR": 2401, "JPY": 1501, "VND": 199_000, "INR": 99_900}
CARDS = ("4242424242424242", "4242424242424242", "4000000000000341")
MODES = ("prorated_immediately", "full_immediately", "difference_immediately", "do_not_bill",
         "prorated_immediately_keep_cycle")  # fmt: skip


def plan(twin: Twin, chance: random.Random, currency: str) -> str:
    price = {"type": "recurring_price", "currency": currency,
             "price": PRICES[currency] * chance.randint(1, 9) // 2 + 51, "discount": 0,
             "purchasing_power_parity": False, "tax_inclusive": chance.random() < 0.4, "payment_frequency_count": 1,
             "payment_frequency_interval": chance.choice(["Week", "Month", "Year"]),
             "subscription_period_count": 20, "subscription_period_interval": "Year"}  # fmt: skip
    return str(post(twin, "/products", {"name": "Plan", "tax_category": "saas", "price": price})["product_id"])


def subscriber(twin: Twin, chance: random.Random, number: int) -> tuple[str, list[str]]:
    """Return a new customer's subscription, and the plans it may change to."""
    plans = [plan(twin, chance, chance.choice(list(PRICES)) if number % 3 == 2 else list(PRICES)[number % 5])]
    currency = (twin.store.get("products", plans[0]) or {})["price"]["currency"]
    plans += [plan(twin, chance, currency) for _ in range(3)]
    bought = buy(twin, plans[0], card=chance.choice(CARDS), expiry="12/99", email=f"buyer{number}@example.com",
                 country=chance.choice(["US", "VN", "DE", "HK", "IN"]))  # fmt: skip
    return bought["subscription_ids"][0], plans


def credit_of(twin: Twin) -> int:
    return sum(entry["amount"] for entry in twin.store.find("credit_entries"))


def tried(twin: Twin, path: str, body: Any) -> tuple[Any, str | None]:
    try:
        return post(twin, path, body), None
    except WireError as error:
        return None, error.code


@proves(CASES, "plan changes in five currencies, with discounts and declined cards, charged as quoted by the sandbox")
def test_charged_is_what_was_quoted_at_scale(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.sqlite3")
    twin = Twin(store=store, clock=Clock(store), ids=Ids(1), options=Options(public_url="http://sandbox.test"))
    create_router(twin)
    twin.clock.freeze()
    seen = {"done": 0, "failed": 0, "refused": 0, "discounted": 0}
    for number in range(CASES):
        chance = random.Random(number)
        if number % CHANGES_EACH == 0:
            subscription_id, plans = subscriber(twin, chance, number // CHANGES_EACH)
        for name, values in RULES.items():
            twin.set_switch(name, chance.choice(values))
        twin.clock.advance(chance.choice([1, 601, 2 * DAY_S, 6 * DAY_S]) * 1000)
        body = body_of(chance.choice(plans), chance.choice(MODES), quantity=chance.randint(1, 4),
                       on_payment_failure=chance.choice(["prevent_change", "apply_change"]))  # fmt: skip
        if chance.random() < 0.3:
            body["discount_codes"] = [post(twin, "/discounts", {"type": "percentage", "amount": 1500})["code"]]
        path, held = f"/subscriptions/{subscription_id}/change-plan", credit_of(twin)

        quoted, refusal = tried(twin, f"{path}/preview", body)
        before = store.count("payments")
        _, code = tried(twin, path, body)

        made = store.find("payments", limit=1)[0] if store.count("payments") > before else None
        if quoted is None or (made is None and code is not None):
            assert (code, made) == (refusal, None), number
            seen["refused"] += 1
            continue
        summary = quoted["immediate_charge"]["summary"]
        assert (made["total"] if made else 0) == summary["settlement_amount"], number
        if made:
            assert made["tax"] == summary["settlement_tax"] == sum(line["tax"] for line in made["lines"]), number
            assert made["total"] == sum(line["total"] for line in made["lines"]), number
        is_paid = made is None or made["status"] == "succeeded"
        if is_paid:
            assert credit_of(twin) == held + summary["customer_credits"] >= 0, number
        seen["done" if is_paid else "failed"] += 1
        seen["discounted"] += "discount_codes" in body
    store.close()
    # Were nearly all refused, this would show little.
    assert seen["done"] > CASES // 3, seen
    assert min(seen.values()) > CASES // 100, seen
