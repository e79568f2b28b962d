"""Every answer fits the schema derived from the official SDK, in each state that changes its shape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.contract.schema import assert_answer, document, webhook_examples
from tests.sandbox.subscriptions import body_of, make_plan
from tests.sandbox_process import ATLAS, BASIC, SACH, TEMPLATES, SandboxProcess

ONE_TIME_PRICE = {"type": "one_time_price", "currency": "USD", "price": 900, "discount": 0,
                  "purchasing_power_parity": False}  # fmt: skip


def paid(sandbox: SandboxProcess) -> Any:
    return sandbox.buy()


def declined(sandbox: SandboxProcess) -> Any:
    return sandbox.buy(card="4000000000000002")


def authenticating(sandbox: SandboxProcess) -> Any:
    return sandbox.buy(card="4000002500003155")


def processing(sandbox: SandboxProcess) -> Any:
    return sandbox.buy(card="4000000000000077")


def in_dong(sandbox: SandboxProcess) -> Any:
    return sandbox.buy(SACH, country="VN", zipcode="700000")


def tax_inclusive(sandbox: SandboxProcess) -> Any:
    return sandbox.buy(ATLAS, country="DE", zipcode="10115")


def subscribed(sandbox: SandboxProcess) -> Any:
    return sandbox.buy(BASIC)


def refunded(sandbox: SandboxProcess) -> Any:
    payment = sandbox.buy()
    sandbox.post("/refunds", {"payment_id": payment["payment_id"]})
    return payment


def disputed(sandbox: SandboxProcess) -> Any:
    payment = sandbox.buy()
    sandbox.control("disputes", {"payment_id": payment["payment_id"]})
    return payment


def discounted(sandbox: SandboxProcess) -> Any:
    sandbox.post("/discounts", {"type": "percentage", "amount": 2500, "code": "QUARTER"})
    return sandbox.buy(discount_codes=["QUARTER"])


STATES = [paid, declined, authenticating, processing, in_dong, tax_inclusive, subscribed, refunded, disputed,
          discounted]  # fmt: skip


@pytest.mark.parametrize("make", STATES, ids=lambda make: make.__name__)
def test_payment_fits_in_every_state(sandbox: SandboxProcess, make: Callable[[SandboxProcess], Any]) -> None:
    payment_id = make(sandbox)["payment_id"]

    assert_answer("GET /payments/{id}", sandbox.get(f"/payments/{payment_id}"))
    assert_answer("GET /payments", sandbox.get("/payments"))
    assert_answer("GET /payments/{id}/line-items", sandbox.get(f"/payments/{payment_id}/line-items"))


def test_checkout_answers_fit(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    customer_id = first["customer"]["customer_id"]
    cart = [{"product_id": TEMPLATES, "quantity": 2}]
    hosted = sandbox.post("/checkouts", {"product_cart": cart})
    confirmed = sandbox.post(
        "/checkouts",
        {
            "product_cart": cart,
            "confirm": True,
            "customer": {"customer_id": customer_id},
            "payment_method_id": sandbox.methods(customer_id)[0]["payment_method_id"],
            "billing_address": {"country": "US", "zipcode": "10001"},
            "minimal_address": True,
        },
    )

    assert_answer("POST /checkouts", hosted)
    assert_answer("POST /checkouts", confirmed)
    assert_answer("GET /checkouts/{id}", sandbox.get(f"/checkouts/{hosted['session_id']}"))
    assert_answer("GET /checkouts/{id}", sandbox.get(f"/checkouts/{confirmed['session_id']}"))


def test_preview_fits_for_one_time_and_recurring(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": TEMPLATES, "quantity": 1}, {"product_id": BASIC, "quantity": 1}]

    preview = sandbox.post("/checkouts/preview", {"product_cart": cart, "billing_address": {"country": "DE"}})

    assert_answer("POST /checkouts/preview", preview)


def test_customer_answers_fit(sandbox: SandboxProcess) -> None:
    customer_id = sandbox.buy()["customer"]["customer_id"]

    assert_answer("POST /customers", sandbox.post("/customers", {"email": "a@example.com", "name": "A"}))
    assert_answer("GET /customers", sandbox.get("/customers"))
    assert_answer("GET /customers/{id}", sandbox.get(f"/customers/{customer_id}"))
    assert_answer("GET /customers/{id}/payment-methods", sandbox.get(f"/customers/{customer_id}/payment-methods"))


def test_product_answers_fit(sandbox: SandboxProcess) -> None:
    made = sandbox.post("/products", {"name": "Poster", "tax_category": "digital_products", "price": ONE_TIME_PRICE})

    assert_answer("POST /products", made)
    assert_answer("GET /products", sandbox.get("/products", page_size=100))
    for item in sandbox.get("/products", page_size=100)["items"]:
        assert_answer("GET /products/{id}", sandbox.get(f"/products/{item['product_id']}"))


def test_refund_dispute_and_subscription_answers_fit(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BASIC)
    dispute = sandbox.control("disputes", {"payment_id": payment["payment_id"], "amount": 100})
    refund = sandbox.post("/refunds", {"payment_id": payment["payment_id"], "reason": "asked"})

    assert_answer("POST /refunds", refund)
    assert_answer("GET /refunds", sandbox.get("/refunds"))
    assert_answer("GET /refunds/{id}", sandbox.get(f"/refunds/{refund['refund_id']}"))
    assert_answer("GET /disputes", sandbox.get("/disputes"))
    assert_answer("GET /disputes/{id}", sandbox.get(f"/disputes/{dispute['dispute_id']}"))
    assert_answer("GET /subscriptions", sandbox.get("/subscriptions"))
    assert_answer("GET /subscriptions/{id}", sandbox.get(f"/subscriptions/{payment['subscription_id']}"))


def test_subscription_answers_fit_in_every_state(sandbox: SandboxProcess) -> None:
    seat = sandbox.post("/addons", {"name": "Seat", "price": 1000, "currency": "USD", "tax_category": "saas"})["id"]
    sandbox.post("/discounts", {"type": "percentage", "amount": 2500, "code": "QUARTER", "subscription_cycles": 2})
    team = make_plan(sandbox, 9900, addons=[seat], trial_period_days=7, trial_amount=500)
    cart = [{"product_id": team, "quantity": 1, "addons": [{"addon_id": seat, "quantity": 2}]}]
    assert_answer("POST /checkouts/preview", sandbox.post("/checkouts/preview", {"product_cart": cart}))
    made = sandbox.post(
        "/subscriptions",
        {"billing": {"country": "US"}, "customer": {"email": "a@example.com"}, "product_id": team, "quantity": 1,
         "addons": cart[0]["addons"], "discount_codes": ["QUARTER"], "payment_link": True},
    )  # fmt: skip
    assert_answer("POST /subscriptions", made)
    path = f"/subscriptions/{made['subscription_id']}"

    def fits() -> None:
        assert_answer("GET /subscriptions", sandbox.get("/subscriptions"))
        assert_answer("GET /subscriptions/{id}", sandbox.get(path))
        for payment in sandbox.get("/payments")["items"]:
            assert_answer("GET /payments/{id}", sandbox.get(f"/payments/{payment['payment_id']}"))

    fits()
    sandbox.pay(made["payment_link"].rsplit("/", 1)[1])
    fits()
    for mode, addons in (("prorated_immediately", []), ("full_immediately", cart[0]["addons"])):
        plan = body_of(team, mode, quantity=3, addons=addons)
        preview = sandbox.post(f"{path}/change-plan/preview", plan)
        assert_answer("POST /subscriptions/{id}/change-plan/preview", preview)
        assert_answer("POST /subscriptions/{id}/change-plan", sandbox.post(f"{path}/change-plan", plan))
        fits()
    sandbox.post(f"{path}/change-plan", body_of(team, "full_immediately", effective_at="next_billing_date"))
    fits()
    sandbox.switch(grace_period_days=3)
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS", times=2)
    sandbox.clock(40 * 86_400)
    fits()
    new = sandbox.post(f"{path}/update-payment-method", {"type": "new", "return_url": "https://shop.test/"})
    assert_answer("POST /subscriptions/{id}/update-payment-method", new)
    fits()
    for change in ({"cancel_at_next_billing_date": True}, {"status": "cancelled", "cancellation_feedback": "other"}):
        assert_answer("PATCH /subscriptions/{id}", sandbox.call("PATCH", path, change).json())
    assert_answer("GET /subscriptions/{id}/usage-history", sandbox.get(f"{path}/usage-history"))
    assert_answer("GET /subscriptions/{id}/credit-usage", sandbox.get(f"{path}/credit-usage"))


def test_on_demand_answers_fit(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BASIC, subscription_data={"on_demand": {"mandate_only": True}})
    path = f"/subscriptions/{payment['subscription_id']}"

    charged = sandbox.post(f"{path}/charge", {"product_price": 700})

    assert_answer("POST /subscriptions/{id}/charge", charged)
    assert_answer("GET /subscriptions/{id}", sandbox.get(path))
    assert_answer("GET /payments/{id}", sandbox.get(f"/payments/{charged['payment_id']}"))


def test_discount_and_country_answers_fit(sandbox: SandboxProcess) -> None:
    order = {"type": "flat", "amount": 0, "currency_options": [{"currency": "USD", "max_amount_possible": 500}]}
    made = sandbox.post("/discounts", order)

    assert_answer("POST /discounts", made)
    assert_answer("GET /discounts", sandbox.get("/discounts"))
    assert_answer("GET /discounts/{id}", sandbox.get(f"/discounts/{made['discount_id']}"))
    assert_answer("GET /discounts/code/{code}", sandbox.get(f"/discounts/code/{made['code']}"))
    assert_answer("GET /checkout/supported_countries", sandbox.get("/checkout/supported_countries"))


def test_a_wrong_answer_would_be_noticed(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()

    with pytest.raises(AssertionError, match="total_amount"):
        assert_answer("GET /payments/{id}", {**payment, "total_amount": "49.00"})


def test_key_that_neither_document_knows_would_be_noticed(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    refund = {**sandbox.post("/refunds", {"payment_id": payment["payment_id"]}), "amuont": 1}

    with pytest.raises(AssertionError, match=r"\$\.amuont"):
        assert_answer("POST /refunds", refund)
    with pytest.raises(AssertionError, match=r"\$\.refunds\[\]\.amuont"):
        assert_answer("GET /payments/{id}", {**payment, "refunds": [refund]})
    with pytest.raises(AssertionError, match=r"\$\.items\[\]\.refunds"):
        assert_answer("GET /refunds", {"items": [{**refund, "refunds": []}]})


def test_older_document_judges_what_the_newer_one_lets_pass(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()

    with pytest.raises(AssertionError, match=r"1\.113\.0: .*status"):
        assert_answer("GET /payments/{id}", {**payment, "status": "paid"})


def test_published_files_are_whole() -> None:
    assert len(document()["paths"]) == 120
    assert len(webhook_examples()) == 47
    official = json.loads((Path(__file__).parent / "openapi-1.113.0.json").read_text())
    assert official["info"]["version"] == "1.113.0"
    assert "TERMS AND CONDITIONS FOR USE" in (Path(__file__).parent / "LICENSE-APACHE").read_text()
    Draft202012Validator.check_schema(document()["components"]["schemas"]["Product"])
