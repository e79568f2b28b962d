"""Preview, charge and lines always agree; tax and discounts round half up."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox_process import ATLAS, COURSE, SACH, TEMPLATES, SandboxProcess

COUNTRIES = ["US", "VN", "DE", "GB", "MX", "CH", "FI", "HK", "IN"]
PRICES = st.integers(min_value=50, max_value=9_999_999)


def make_product(sandbox: SandboxProcess, *, price: int, currency: str = "USD", inclusive: bool = False) -> str:
    body = {
        "name": "Thing",
        "tax_category": "digital_products",
        "price": {
            "type": "one_time_price",
            "currency": currency,
            "price": price,
            "discount": 0,
            "purchasing_power_parity": False,
            "tax_inclusive": inclusive,
        },
    }
    return str(sandbox.post("/products", body)["product_id"])


def preview(sandbox: SandboxProcess, cart: Any, **body: Any) -> Any:
    return sandbox.post("/checkouts/preview", {"product_cart": cart, **body})


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    # Each example makes its own products, so the shared process is no shared state.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(st.tuples(PRICES, st.integers(1, 5), st.booleans()), min_size=1, max_size=3),
    country=st.sampled_from(COUNTRIES),
    zipcode=st.sampled_from(["10001", "94107", "00501", "700000"]),
    discount_bps=st.sampled_from([1, 333, 1000, 2500, 9999]),
)
def test_preview_equals_charge_equals_sum_of_lines(
    sandbox: SandboxProcess,
    lines: list[tuple[int, int, bool]],
    country: str,
    zipcode: str,
    discount_bps: int,
) -> None:
    cart = [
        {"product_id": make_product(sandbox, price=price, inclusive=inclusive), "quantity": quantity}
        for price, quantity, inclusive in lines
    ]
    made = sandbox.post("/discounts", {"type": "percentage", "amount": discount_bps})
    order = {"product_cart": cart, "discount_codes": [made["code"]]}
    if sum(price * quantity for price, quantity, _ in lines) * (10_000 - discount_bps) < 50 * 10_000 * 2:
        return
    shown = preview(
        sandbox, cart, billing_address={"country": country, "zipcode": zipcode}, discount_codes=[made["code"]]
    )

    session_id = sandbox.post("/checkouts", order)["session_id"]
    sandbox.pay(session_id, country=country, zipcode=zipcode)
    payment = sandbox.get(f"/payments/{sandbox.get(f'/checkouts/{session_id}')['payment_id']}")
    items = sandbox.get(f"/payments/{payment['payment_id']}/line-items")["items"]

    breakup = shown["current_breakup"]
    assert breakup["total_amount"] == payment["total_amount"] == sum(item["amount"] for item in items)
    assert breakup["tax"] == payment["tax"] == sum(item["tax"] for item in items)
    assert breakup["subtotal"] - breakup["discount"] + breakup["tax"] == breakup["total_amount"]


def test_tax_is_added_to_an_exclusive_price(sandbox: SandboxProcess) -> None:
    shown = preview(sandbox, [{"product_id": TEMPLATES, "quantity": 1}], billing_address={"country": "MX"})

    assert (shown["total_tax"], shown["total_price"]) == (320, 2320)


def test_tax_is_contained_in_an_inclusive_price(sandbox: SandboxProcess) -> None:
    shown = preview(sandbox, [{"product_id": ATLAS, "quantity": 1}], billing_address={"country": "DE"})

    # 24.00 / 1.19 = 20.168.. net, so 3.83 tax.
    assert (shown["total_tax"], shown["total_price"]) == (383, 2400)
    assert shown["current_breakup"]["subtotal"] == 2017


def test_dong_has_no_decimals(sandbox: SandboxProcess) -> None:
    shown = preview(sandbox, [{"product_id": SACH, "quantity": 1}], billing_address={"country": "VN"})

    assert (shown["currency"], shown["total_price"]) == ("VND", 218_900)


@pytest.mark.parametrize(("price", "tax"), [(1050, 84), (1056, 84), (1057, 85), (1068, 85), (1069, 86)])
def test_tax_rounds_half_up(sandbox: SandboxProcess, price: int, tax: int) -> None:
    # 8 % of 10.56 is 84.48 cents, of 10.57 84.56; of 10.68 85.44, of 10.69 85.52.
    product_id = make_product(sandbox, price=price)

    shown = preview(
        sandbox,
        [{"product_id": product_id, "quantity": 1}],
        billing_address={"country": "US", "zipcode": "10001"},
    )

    assert shown["total_tax"] == tax


def test_half_a_cent_goes_up(sandbox: SandboxProcess) -> None:
    # 10 % of 10.05 is exactly 100.5 cents.
    product_id = make_product(sandbox, price=1005)

    shown = preview(sandbox, [{"product_id": product_id, "quantity": 1}], billing_address={"country": "VN"})

    assert shown["total_tax"] == 101


def test_flat_discount_comes_off_before_tax(sandbox: SandboxProcess) -> None:
    option = {"currency": "USD", "max_amount_possible": 500, "minimum_subtotal": 0}
    made = sandbox.post("/discounts", {"type": "flat", "amount": 0, "currency_options": [option]})

    shown = preview(
        sandbox,
        [{"product_id": TEMPLATES, "quantity": 1}],
        billing_address={"country": "MX"},
        discount_codes=[made["code"]],
    )

    assert (shown["current_breakup"]["discount"], shown["total_price"]) == (500, 1740)


def test_code_used_up_is_refused(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 1000, "code": "ONCE", "usage_limit": 1})
    sandbox.buy(discount_codes=["ONCE"])

    cart = [{"product_id": COURSE, "quantity": 1}]
    answer = sandbox.call("POST", "/checkouts", {"product_cart": cart, "discount_codes": ["ONCE"]})

    assert answer.json()["code"] == "DISCOUNT_CODE_USAGE_LIMIT_EXCEEDED"


def test_whole_discount_pays_nothing_and_needs_no_card(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 10_000, "code": "FREE"})

    payment = sandbox.buy(discount_codes=["FREE"], card="")

    assert (payment["status"], payment["total_amount"]) == ("succeeded", 0)


def test_too_small_a_charge_is_refused(sandbox: SandboxProcess) -> None:
    product_id = make_product(sandbox, price=49)

    cart = [{"product_id": product_id, "quantity": 1}]
    answer = sandbox.call("POST", "/checkouts/preview", {"product_cart": cart})

    assert answer.json()["code"] == "TOTAL_PAYMENT_AMOUNT_BELOW_MINIMUM_AMOUNT"


def test_two_currencies_in_one_cart_are_refused(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": COURSE, "quantity": 1}, {"product_id": SACH, "quantity": 1}]

    answer = sandbox.call("POST", "/checkouts/preview", {"product_cart": cart})

    assert (answer.status_code, answer.json()["code"]) == (422, "UNSUPPORTED_CURRENCY")
