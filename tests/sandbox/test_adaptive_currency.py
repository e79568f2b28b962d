"""Adaptive currency: the buyer pays in the currency of the billing country, with the provider's fee or without."""

from typing import Any

import pytest

from tests.sandbox.subscriptions import at, change, make_plan, payments_of, preview, read, refused, stand_at, subscribe
from tests.sandbox_process import BASIC, BUNDLE, COURSE, PRO, SACH, TEMPLATES, SandboxProcess


@pytest.fixture
def adaptive(sandbox: SandboxProcess) -> SandboxProcess:
    sandbox.switch(adaptive_currency=True)
    return sandbox


def preview_of(sandbox: SandboxProcess, product_id: str, country: str, **more: Any) -> Any:
    cart = [{"product_id": product_id, "quantity": 1}]
    return sandbox.post("/checkouts/preview", {"product_cart": cart, "billing_address": {"country": country}, **more})


# 20.00 dollars are 1,680.00 rupees at 84, and 4 % more with the fee; 18 % tax.
@pytest.mark.parametrize(("fees", "price", "tax"), [("added", 174_720, 31_450), ("included", 168_000, 30_240)])
def test_fee_is_added_or_included(adaptive: SandboxProcess, fees: str, price: int, tax: int) -> None:
    adaptive.switch(adaptive_fees=fees)

    shown = preview_of(adaptive, TEMPLATES, "IN")

    (line,) = shown["product_cart"]
    assert (shown["currency"], line["discounted_price"], shown["total_tax"]) == ("INR", price, tax)
    assert (line["og_currency"], line["og_price"]) == ("USD", 2000)


def test_order_can_say_who_pays_the_fee(adaptive: SandboxProcess) -> None:
    shown = preview_of(adaptive, COURSE, "IN", adaptive_currency_fees_inclusive=True)

    assert shown["product_cart"][0]["discounted_price"] == 411_600


def test_charge_is_in_the_currency_shown(adaptive: SandboxProcess) -> None:
    shown = preview_of(adaptive, BUNDLE, "JP")

    payment = adaptive.buy(BUNDLE, country="JP", zipcode="100-0001")

    assert (payment["currency"], payment["total_amount"]) == ("JPY", shown["total_price"])
    # 99.00 dollars are 14,850 yen, the fee 594; 10 % tax.
    assert payment["total_amount"] == 15_444 + 1544


def test_own_currency_and_unknown_countries_pay_as_listed(adaptive: SandboxProcess) -> None:
    assert preview_of(adaptive, COURSE, "US", billing_currency=None)["total_price"] == 4900
    assert preview_of(adaptive, COURSE, "BM")["currency"] == "USD"


def test_billing_currency_counts_only_with_adaptive_currency(sandbox: SandboxProcess) -> None:
    off = preview_of(sandbox, COURSE, "HK", billing_currency="EUR")
    sandbox.switch(adaptive_currency=True, adaptive_fees="included")
    on = preview_of(sandbox, COURSE, "HK", billing_currency="EUR")

    assert (off["currency"], off["total_price"]) == ("USD", 4900)
    assert (on["currency"], on["total_price"]) == ("EUR", 4508)


@pytest.mark.parametrize(
    ("currency", "code"),
    [("XXX", "INVALID_REQUEST_BODY"), ("KWD", "UNSUPPORTED_BILLING_CURRENCY"), ("FJD", "EXCHANGE_RATE_NOT_FOUND")],
)
def test_currencies_that_cannot_be_paid_in(adaptive: SandboxProcess, currency: str, code: str) -> None:
    body = {"product_cart": [{"product_id": COURSE, "quantity": 1}], "billing_currency": currency}

    assert refused(adaptive, "POST", "/checkouts", body) == (422, code)


def test_prices_in_two_currencies_make_one_cart(adaptive: SandboxProcess) -> None:
    adaptive.switch(adaptive_fees="included")
    cart = [{"product_id": COURSE, "quantity": 1}, {"product_id": SACH, "quantity": 1}]

    shown = adaptive.post("/checkouts/preview", {"product_cart": cart, "billing_address": {"country": "VN"}})

    assert [line["discounted_price"] for line in shown["product_cart"]] == [1_244_600, 199_000]
    assert shown["currency"] == "VND"


def test_subscription_lives_in_the_buyers_currency(adaptive: SandboxProcess) -> None:
    adaptive.switch(adaptive_fees="included")
    seat = adaptive.post("/addons", {"name": "Seat", "price": 1000, "currency": "USD", "tax_category": "saas"})["id"]
    team = make_plan(adaptive, 9000, addons=[seat])
    stand_at(adaptive, at(2027, 4, 1))
    subscription_id = subscribe(adaptive, BASIC, country="SG")
    stand_at(adaptive, at(2027, 4, 16))

    seats = [{"addon_id": seat, "quantity": 1}]
    shown = preview(adaptive, subscription_id, team, "difference_immediately", addons=seats)["immediate_charge"][
        "summary"
    ]
    change(adaptive, subscription_id, team, "difference_immediately", addons=seats)
    stand_at(adaptive, at(2027, 5, 16))

    # At 1.34: 40.20 a month becomes 120.60 and 13.40 for the seat; 9 % tax is 3.62, 10.85 and 1.21.
    amounts = [(payment["currency"], payment["total_amount"]) for payment in payments_of(adaptive, subscription_id)]
    assert (shown["settlement_currency"], shown["settlement_amount"]) == ("SGD", 10_224)
    assert amounts == [("SGD", 4382), ("SGD", 10_224), ("SGD", 14_606)]
    assert read(adaptive, subscription_id)["currency"] == "SGD"


def test_plan_in_another_currency_needs_adaptive_currency(adaptive: SandboxProcess) -> None:
    subscription_id = subscribe(adaptive, BASIC, country="SG")
    adaptive.switch(adaptive_currency=False)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately"}

    found = refused(adaptive, "POST", f"/subscriptions/{subscription_id}/change-plan", body)

    assert found == (422, "UNSUPPORTED_CURRENCY")
