"""What the hosted page says of plans and prices, and what of the cart it lets the buyer choose."""

from typing import Any

import pytest

from tests.sandbox.pages import Page, open_session, page
from tests.sandbox.subscriptions import make_plan
from tests.sandbox_process import ATLAS, BASIC, COURSE, SandboxProcess

BACK = "http://127.0.0.1:9/r/abc"


def total_of(shown: Page) -> tuple[Any, Any]:
    figure = shown.by_testid("checkout-total")
    assert figure is not None
    return figure["data-minor"], figure["data-currency"]


def addon(sandbox: SandboxProcess, name: str, price: int) -> str:
    body = {"name": name, "currency": "USD", "price": price, "tax_category": "saas"}
    return str(sandbox.post("/addons", body)["id"])


def gift(sandbox: SandboxProcess) -> str:
    """Create a product whose price the buyer names, from 3 dollars on, with 10 suggested."""
    price = {"type": "one_time_price", "currency": "USD", "price": 300, "discount": 0,
             "purchasing_power_parity": False, "pay_what_you_want": True, "suggested_price": 1000}  # fmt: skip
    return str(sandbox.post("/products", {"name": "Gift", "tax_category": "e_book", "price": price})["product_id"])


@pytest.mark.parametrize(
    ("trial_amount", "words", "due"),
    [(0, "14 days free, every month", "0"), (100, "trial of 14 days, every month", "100")],
    ids=["free", "paid"],
)
def test_trial_says_what_is_due_now_and_later(sandbox: SandboxProcess, trial_amount: int, words: str, due: str) -> None:
    plan = make_plan(sandbox, 2500, trial_period_days=14, trial_amount=trial_amount or None)
    session_id = open_session(sandbox, plan, billing_address={"country": "HK"})

    shown = page(sandbox, f"/session/{session_id}")
    sandbox.pay(session_id, country="HK")

    assert words in shown.text
    assert total_of(shown) == (due, "USD")
    assert "Then $25.00 every month, from" in shown.text
    payment = sandbox.get(f"/payments/{sandbox.get(f'/checkouts/{session_id}')['payment_id']}")
    assert payment["total_amount"] == trial_amount
    assert payment["card_last_four"] == "4242"


def test_trial_needs_a_card_unless_the_product_says_not(sandbox: SandboxProcess) -> None:
    needs = open_session(sandbox, make_plan(sandbox, 2500, trial_period_days=14))
    free = open_session(sandbox, make_plan(sandbox, 2500, trial_period_days=14, trial_payment_method_optional=True))

    refused = sandbox.pay(needs, card="", cvc="")
    sandbox.pay(free, card="", cvc="")

    assert refused.status_code == 422
    assert sandbox.get(f"/checkouts/{free}")["payment_status"] == "succeeded"


def test_on_demand_mandate_is_told_and_promises_no_period(sandbox: SandboxProcess) -> None:
    data = {"on_demand": {"mandate_only": True}}

    shown = page(sandbox, f"/session/{open_session(sandbox, BASIC, subscription_data=data)}")

    assert "charged on demand" in shown.text
    assert shown.by_testid("due-later") is None
    assert total_of(shown) == ("0", "USD")


def test_addons_stand_under_their_plan_and_may_be_edited(sandbox: SandboxProcess) -> None:
    seat, help_line = addon(sandbox, "Seat", 500), addon(sandbox, "Help", 900)
    plan = make_plan(sandbox, 2500, addons=[seat, help_line])
    cart = [{"product_id": plan, "quantity": 1, "addons": [{"addon_id": seat, "quantity": 2}]}]
    order: dict[str, Any] = {"product_cart": cart, "billing_address": {"country": "HK"}}
    fixed = sandbox.post("/checkouts", order)["session_id"]
    edited = sandbox.post("/checkouts", {**order, "feature_flags": {"allow_editing_addons": True}})["session_id"]

    first = page(sandbox, f"/session/{fixed}")
    second = page(sandbox, f"/session/{edited}/total?country=HK&addon_0_0=1&addon_0_1=1")
    sandbox.pay(fixed, country="HK", addon_0_0="0")
    sandbox.pay(edited, country="HK", addon_0_0="0", addon_0_1="3")

    assert "Seat × 2" in first.text
    assert "addon_0_0" not in first.fields()
    assert total_of(first) == ("3500", "USD")
    assert total_of(second) == ("3900", "USD")
    held = [sandbox.get(f"/subscriptions/{payment['subscription_ids'][0]}") for payment in sandbox.payments()]
    assert [[(part["addon_id"], part["quantity"]) for part in one["addons"]] for one in held] == [
        [(seat, 2)],
        [(help_line, 3)],
    ]


def test_buyer_names_the_price(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox, gift(sandbox), billing_address={"country": "HK"})

    shown = page(sandbox, f"/session/{session_id}")
    low = sandbox.pay(session_id, country="HK", amount_0="2.99")
    odd = sandbox.pay(session_id, country="HK", amount_0="much")
    sandbox.pay(session_id, country="HK", amount_0="12,50")

    assert shown.field("amount_0")["value"] == "10.00"
    for refused in (low, odd):
        assert refused.status_code == 422
        assert 'href="#amount_0"' in refused.text
    assert [payment["total"] for payment in sandbox.payments()] == [1250]


def test_price_that_the_shop_named_is_not_asked_for(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": gift(sandbox), "quantity": 1, "amount": 700}]
    session_id = sandbox.post("/checkouts", {"product_cart": cart})["session_id"]

    shown = page(sandbox, f"/session/{session_id}")
    sandbox.pay(session_id, country="HK", amount_0="3.00")

    assert "amount_0" not in shown.fields()
    assert sandbox.payments()[0]["total"] == 700


def test_buyer_chooses_the_currency_only_where_it_may_differ(sandbox: SandboxProcess) -> None:
    off = page(sandbox, f"/session/{open_session(sandbox, billing_address={'country': 'DE'})}")
    sandbox.switch(adaptive_currency=True, adaptive_fees="included")
    session_id = open_session(sandbox, COURSE, billing_address={"country": "DE"})
    closed = open_session(
        sandbox, COURSE, billing_address={"country": "DE"}, feature_flags={"allow_currency_selection": False}
    )

    shown = page(sandbox, f"/session/{session_id}")
    sandbox.pay(session_id, country="DE", currency="USD")
    sandbox.pay(closed, country="DE", currency="USD")

    assert "currency" not in off.fields()
    assert total_of(shown)[1] == "EUR"
    assert "$49.00" in shown.text
    assert [payment["currency"] for payment in sandbox.payments()] == ["USD", "EUR"]


def test_line_prices_add_up_to_the_subtotal_when_tax_is_included(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": ATLAS, "quantity": 2}]
    order = {"product_cart": cart, "billing_address": {"country": "DE"}, "discount_codes": []}

    shown = page(sandbox, f"/session/{sandbox.post('/checkouts', order)['session_id']}")

    assert "Tax, included" in shown.text
    assert "€48.00" in shown.text
    assert total_of(shown) == ("4800", "EUR")
