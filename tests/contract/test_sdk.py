"""The official SDK, strict about every field, is at home with the sandbox."""

from typing import Any

import dodopayments
import pytest
from dodopayments import DodoPayments
from dodopayments.types import CheckoutSessionResponse, Payment

from tests.sandbox_process import BASIC, COURSE, TEMPLATES, SandboxProcess

ADDRESS: Any = {"country": "US", "zipcode": "10001"}


def cart(product_id: str = COURSE, quantity: int = 1) -> Any:
    return [{"product_id": product_id, "quantity": quantity}]


def buy(sandbox: SandboxProcess, client: DodoPayments, product_id: str = COURSE) -> Payment:
    return client.payments.retrieve(sandbox.buy(product_id)["payment_id"])


def one_click(sandbox: SandboxProcess, client: DodoPayments, first: Payment) -> CheckoutSessionResponse:
    methods = client.customers.retrieve_payment_methods(first.customer.customer_id)
    return client.checkout_sessions.create(
        product_cart=cart(TEMPLATES),
        customer={"customer_id": first.customer.customer_id},
        payment_method_id=methods.items[0].payment_method_id,
        billing_address=ADDRESS,
        minimal_address=True,
        confirm=True,
        metadata={"attempt_id": "att_1"},
    )


def test_hosted_checkout_is_created_read_and_paid(sandbox: SandboxProcess, client: DodoPayments) -> None:
    created = client.checkout_sessions.create(product_cart=cart(), metadata={"order": "1"})
    before = client.checkout_sessions.retrieve(created.session_id)

    sandbox.pay(created.session_id)
    after = client.checkout_sessions.retrieve(created.session_id)

    assert created.checkout_url == f"{sandbox.url}/session/{created.session_id}"
    assert (before.payment_id, before.payment_status) == (None, None)
    assert after.payment_status == "succeeded"
    assert after.customer_email == "lan@example.com"
    assert client.payments.retrieve(str(after.payment_id)).metadata == {"order": "1"}


def test_one_click_answer_names_payment_but_no_page(sandbox: SandboxProcess, client: DodoPayments) -> None:
    first = buy(sandbox, client)

    session = one_click(sandbox, client, first)

    assert session.checkout_url is None
    payment = client.payments.retrieve(str(session.payment_id))
    assert payment.status == "succeeded"
    assert payment.payment_method_id is not None
    assert payment.checkout_session_id == session.session_id


def test_preview_total_is_what_one_click_charges(sandbox: SandboxProcess, client: DodoPayments) -> None:
    first = buy(sandbox, client)

    preview = client.checkout_sessions.preview(product_cart=cart(TEMPLATES), billing_address=ADDRESS)
    session = one_click(sandbox, client, first)

    payment = client.payments.retrieve(str(session.payment_id))
    assert preview.current_breakup.total_amount == preview.total_price == payment.total_amount
    assert preview.total_tax == payment.tax


def test_payments_are_listed_from_page_zero(sandbox: SandboxProcess, client: DodoPayments) -> None:
    bought = [buy(sandbox, client) for _ in range(3)]

    first = client.payments.list(page_size=2, page_number=0)
    second = client.payments.list(page_size=2, page_number=1)

    listed = [payment.payment_id for payment in [*first.items, *second.items]]
    assert listed == [payment.payment_id for payment in reversed(bought)]


def test_line_items_add_up_to_the_total(sandbox: SandboxProcess, client: DodoPayments) -> None:
    payment = buy(sandbox, client)

    lines = client.payments.retrieve_line_items(payment.payment_id)

    assert sum(line.amount for line in lines.items) == payment.total_amount
    assert lines.partial_refund_allowed


def test_products_can_be_made_changed_and_archived(client: DodoPayments) -> None:
    product = client.products.create(
        name="Poster",
        tax_category="digital_products",
        price={"type": "one_time_price", "currency": "EUR", "price": 1500, "discount": 0,
               "purchasing_power_parity": False},
    )  # fmt: skip
    client.products.update(product.product_id, name="Big poster")
    client.products.archive(product.product_id)

    archived = [item.product_id for item in client.products.list(archived=True).items]
    client.products.unarchive(product.product_id)

    assert archived == [product.product_id]
    assert client.products.retrieve(product.product_id).name == "Big poster"
    assert client.products.list().items[0].product_id == COURSE


def test_customers_can_be_made_found_and_changed(client: DodoPayments) -> None:
    customer = client.customers.create(email="minh@example.com", name="Minh", metadata={"vip": "yes"})
    client.customers.update(customer.customer_id, name="Minh Tran")

    found = client.customers.list(email="minh@example.com").items

    assert [item.name for item in found] == ["Minh Tran"]
    assert client.customers.retrieve(customer.customer_id).metadata == {"vip": "yes"}


def test_a_saved_method_can_be_removed(sandbox: SandboxProcess, client: DodoPayments) -> None:
    customer_id = buy(sandbox, client).customer.customer_id
    method = client.customers.retrieve_payment_methods(customer_id).items[0]

    client.customers.delete_payment_method(method.payment_method_id, customer_id=customer_id)
    client.customers.delete_payment_method(method.payment_method_id, customer_id=customer_id)

    assert client.customers.retrieve_payment_methods(customer_id).items == []


def test_a_refund_is_made_read_and_listed(sandbox: SandboxProcess, client: DodoPayments) -> None:
    payment = buy(sandbox, client)

    refund = client.refunds.create(payment_id=payment.payment_id, reason="undo")

    assert refund.amount == payment.total_amount
    assert client.refunds.retrieve(refund.refund_id).status == "succeeded"
    assert [item.refund_id for item in client.refunds.list().items] == [refund.refund_id]
    again = client.payments.retrieve(payment.payment_id)
    assert again.refund_status == "full"
    assert again.refunds[0].refund_id == refund.refund_id


def test_a_plan_bought_becomes_an_active_subscription(sandbox: SandboxProcess, client: DodoPayments) -> None:
    payment = buy(sandbox, client, BASIC)

    subscription = client.subscriptions.retrieve(str(payment.subscription_id))

    assert subscription.status == "active"
    assert subscription.product_id == BASIC
    assert payment.product_cart is None
    assert payment.charge_type == "new"
    assert [item.subscription_id for item in client.subscriptions.list().items] == [subscription.subscription_id]


def test_discounts_are_made_found_and_removed(client: DodoPayments) -> None:
    discount = client.discounts.create(type="percentage", amount=1000, code="TEN")

    by_code = client.discounts.retrieve_by_code("ten")
    listed = client.discounts.list().items
    preview = client.checkout_sessions.preview(product_cart=cart(), billing_address=ADDRESS, discount_codes=["TEN"])
    client.discounts.delete(discount.discount_id)

    assert by_code.discount_id == discount.discount_id == listed[0].discount_id
    assert preview.current_breakup.discount == 490
    with pytest.raises(dodopayments.NotFoundError):
        client.discounts.retrieve(discount.discount_id)


def test_a_dispute_is_read_and_listed(sandbox: SandboxProcess, client: DodoPayments) -> None:
    payment = buy(sandbox, client)

    opened = sandbox.control("disputes", {"payment_id": payment.payment_id})

    assert client.disputes.retrieve(opened["dispute_id"]).dispute_status == "dispute_opened"
    assert client.disputes.list().items[0].dispute_id == opened["dispute_id"]
    assert client.payments.retrieve(payment.payment_id).disputes[0].amount == str(payment.total_amount)


def test_supported_countries_are_listed(client: DodoPayments) -> None:
    countries = client.misc.list_supported_countries()

    assert {"US", "VN", "DE"} <= set(countries)
    assert "KP" not in countries


def test_refusals_carry_code_and_message(client: DodoPayments) -> None:
    with pytest.raises(dodopayments.UnprocessableEntityError) as refused:
        client.checkout_sessions.create(product_cart=[])

    assert refused.value.body == {"code": "PRODUCT_CART_EMTPY", "message": "product_cart is empty"}


def test_a_bad_key_is_refused(sandbox: SandboxProcess) -> None:
    client = DodoPayments(bearer_token="bad key", base_url=sandbox.url, max_retries=0)
    with client, pytest.raises(dodopayments.AuthenticationError):
        client.products.list()
