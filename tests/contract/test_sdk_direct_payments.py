"""`POST /payments`, and prices that buyers choose, through the official SDK."""

from typing import Any

import dodopayments
import pytest
from dodopayments import DodoPayments

from tests.contract.schema import assert_answer
from tests.sandbox_process import BASIC, COURSE, SandboxProcess

# The SDK marks payments.create as deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
CART: Any = [{"product_id": COURSE, "quantity": 1}]
NEWCOMER: Any = {"email": "minh@example.com", "name": "Minh"}


def create(client: DodoPayments, **changes: Any) -> Any:
    given: Any = {"product_cart": CART, "customer": NEWCOMER, "billing": {"country": "US"}, **changes}
    return client.payments.create(**given)


def code_of(error: pytest.ExceptionInfo[dodopayments.APIStatusError]) -> str:
    body: Any = error.value.body
    return str(body["code"])


def test_saved_method_is_charged_at_once(sandbox: SandboxProcess, client: DodoPayments) -> None:
    customer_id = sandbox.buy()["customer"]["customer_id"]
    method_id = sandbox.methods(customer_id)[0]["payment_method_id"]

    made = create(client, customer={"customer_id": customer_id}, payment_method_id=method_id, metadata={"order": "2"})

    payment = client.payments.retrieve(made.payment_id)
    assert (payment.status, payment.total_amount, payment.metadata) == ("succeeded", made.total_amount, {"order": "2"})
    assert (payment.checkout_session_id, payment.payment_method_id) == (None, method_id)
    assert (made.payment_link, made.expires_on) == (None, None)


def test_payment_link_leads_to_the_same_payment(sandbox: SandboxProcess, client: DodoPayments) -> None:
    made = create(client, payment_link=True, return_url="https://shop.example/thanks", redirect_immediately=True)
    before = client.payments.retrieve(made.payment_id)

    answer = sandbox.pay(str(made.payment_link).rsplit("/", 1)[1])

    after = client.payments.retrieve(made.payment_id)
    assert (before.status, before.payment_link) == ("requires_payment_method", made.payment_link)
    assert (after.status, after.checkout_session_id, after.payment_link) == ("succeeded", None, made.payment_link)
    assert f"payment_id={made.payment_id}" in answer.headers["location"]
    assert made.expires_on is not None


def test_answers_fit_with_and_without_a_link(sandbox: SandboxProcess) -> None:
    body = {"product_cart": CART, "customer": NEWCOMER, "billing": {"country": "DE"}}

    for more in ({}, {"payment_link": True}):
        assert_answer("POST /payments", sandbox.post("/payments", body | more))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"product_cart": [{"product_id": BASIC, "quantity": 1}]}, "INVALID_REQUEST_BODY"),
        ({"product_cart": []}, "PRODUCT_CART_EMTPY"),
        ({"product_cart": CART * 101}, "INVALID_REQUEST_BODY"),
        ({"billing": {"country": "KP"}}, "UNSUPPORTED_COUNTRY"),
        ({"payment_method_id": "pm_x"}, "INVALID_REQUEST_BODY"),
        ({"billing": None}, "INVALID_REQUEST_BODY"),
    ],
    ids=["subscription", "empty", "101-lines", "country", "method-without-customer", "no-address"],
)
def test_wrong_payments_are_refused(client: DodoPayments, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        create(client, **changes)

    assert code_of(refused) == code
    assert client.payments.list().items == []


def chosen(client: DodoPayments, **price: Any) -> str:
    given: Any = {"type": "one_time_price", "currency": "USD", "price": 500, "pay_what_you_want": True, **price}
    return client.products.create(name="Songs", tax_category="digital_products", price=given).product_id


def test_buyer_pays_what_the_buyer_chose(sandbox: SandboxProcess, client: DodoPayments) -> None:
    product_id = chosen(client)

    made = create(client, product_cart=[{"product_id": product_id, "quantity": 2, "amount": 1200}])

    assert made.total_amount == 2400
    assert made.product_cart[0].amount == 1200


def test_amount_of_a_fixed_price_is_ignored(client: DodoPayments) -> None:
    made = create(client, product_cart=[{"product_id": COURSE, "quantity": 1, "amount": 1}])

    assert made.total_amount == 4900


def test_chosen_amount_is_required_and_has_a_minimum(client: DodoPayments) -> None:
    product_id = chosen(client)

    with pytest.raises(dodopayments.UnprocessableEntityError) as missing:
        create(client, product_cart=[{"product_id": product_id, "quantity": 1}])
    with pytest.raises(dodopayments.UnprocessableEntityError) as low:
        create(client, product_cart=[{"product_id": product_id, "quantity": 1, "amount": 499}])

    assert (code_of(missing), code_of(low)) == ("PAY_AS_YOU_WANT_AMOUNT_REQUIRED", "REQUEST_AMOUNT_BELOW_MINIMUM")


def test_preview_suggests_until_an_amount_is_chosen(client: DodoPayments) -> None:
    def total(**item: Any) -> int:
        cart: Any = [{"product_id": product_id, "quantity": 1, **item}]
        return client.checkout_sessions.preview(product_cart=cart, billing_address={"country": "US"}).total_price

    product_id = chosen(client, suggested_price=900)

    assert (total(), total(amount=700)) == (900, 700)
