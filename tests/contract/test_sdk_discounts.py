"""Discounts through the official SDK: who may use which code for what, and what it takes off."""

from typing import Any

import dodopayments
import pytest
from dodopayments import DodoPayments

from tests.contract.schema import assert_answer
from tests.sandbox.subscriptions import subscribe
from tests.sandbox_process import COURSE, PRO, SACH, TEMPLATES, SandboxProcess

CART: Any = [{"product_id": COURSE, "quantity": 1}, {"product_id": TEMPLATES, "quantity": 1}]
FLAT: Any = {"type": "flat", "amount": 0, "currency_options": [{"currency": "USD", "max_amount_possible": 500}]}
TEN: Any = {"type": "percentage", "amount": 1000, "code": "TEN"}


def off(client: DodoPayments, code: str, cart: Any = CART, **more: Any) -> int:
    preview = client.checkout_sessions.preview(
        product_cart=cart, billing_address={"country": "US"}, discount_codes=[code], **more
    )
    return preview.current_breakup.discount


def refused(client: DodoPayments, code: str, **more: Any) -> str:
    with pytest.raises(dodopayments.UnprocessableEntityError) as error:
        off(client, code, **more)
    body: Any = error.value.body
    return str(body["code"])


def test_percentage_and_flat_sum_come_off_the_whole_cart(client: DodoPayments) -> None:
    client.discounts.create(**TEN)
    flat = client.discounts.create(**FLAT)

    assert off(client, "ten") == 490 + 200
    assert off(client, flat.code) == 500


def test_percentage_is_capped_in_the_currency(client: DodoPayments) -> None:
    client.discounts.create(**TEN, currency_options=[{"currency": "USD", "max_amount_possible": 300}])

    assert off(client, "TEN") == 300


def test_default_option_is_converted(client: DodoPayments) -> None:
    flat = client.discounts.create(**FLAT)

    assert off(client, flat.code, cart=[{"product_id": SACH, "quantity": 1}]) == 127_000


def test_code_is_for_its_products_only(client: DodoPayments) -> None:
    client.discounts.create(**TEN, restricted_to=[TEMPLATES])

    assert off(client, "TEN") == 200
    assert refused(client, "TEN", cart=CART[:1]) == "DISCOUNT_NOT_AVAILABLE_FOR_PRODUCT"


def test_code_needs_its_minimum_subtotal(client: DodoPayments) -> None:
    option: Any = {"currency": "USD", "max_amount_possible": 500, "minimum_subtotal": 5000}
    client.discounts.create(**{**FLAT, "code": "FIVE", "currency_options": [option]})

    assert off(client, "FIVE") == 500
    assert refused(client, "FIVE", cart=CART[:1]) == "DISCOUNT_MINIMUM_SUBTOTAL_NOT_MET"


def test_code_has_a_beginning_and_an_end(client: DodoPayments) -> None:
    made = client.discounts.create(**TEN, starts_at="2090-01-01T00:00:00Z", expires_at="2091-01-01T00:00:00Z")

    early = refused(client, "TEN")
    client.discounts.update(made.discount_id, starts_at=None)
    amount = off(client, "TEN")
    client.discounts.update(made.discount_id, expires_at="2026-01-02T00:00:00Z")
    late = refused(client, "TEN")

    assert (early, amount, late) == ("DISCOUNT_NOT_YET_ACTIVE", 690, "DISCOUNT_CODE_EXPIRED")


def buy_with(sandbox: SandboxProcess, code: str, **more: Any) -> str:
    return str(sandbox.buy(COURSE, discount_codes=[code], **more)["customer"]["customer_id"])


def test_code_is_used_up_by_payments_that_succeed(sandbox: SandboxProcess, client: DodoPayments) -> None:
    client.discounts.create(**TEN, usage_limit=1)
    sandbox.buy(COURSE, discount_codes=["TEN"], card="4000000000000002")
    unused = client.discounts.list().items[0].times_used

    buy_with(sandbox, "TEN")

    assert unused == 0
    assert client.discounts.list().items[0].times_used == 1
    assert refused(client, "TEN") == "DISCOUNT_CODE_USAGE_LIMIT_EXCEEDED"


def test_each_customer_has_a_limit(sandbox: SandboxProcess, client: DodoPayments) -> None:
    client.discounts.create(**TEN, per_customer_usage_limit=1)
    used, other = buy_with(sandbox, "TEN"), client.customers.create(email="minh@example.com", name="Minh").customer_id

    again = refused(client, "TEN", customer={"customer_id": used})

    assert again == "DISCOUNT_PER_CUSTOMER_USAGE_LIMIT_EXCEEDED"
    assert off(client, "TEN", customer={"customer_id": other}) == 690


def test_limit_holds_for_a_buyer_who_types_an_address(sandbox: SandboxProcess, client: DodoPayments) -> None:
    client.discounts.create(**TEN, per_customer_usage_limit=1)
    buy_with(sandbox, "TEN")
    session = sandbox.post("/checkouts", {"product_cart": CART, "discount_codes": ["TEN"]})

    answer = sandbox.pay(session["session_id"])

    assert answer.status_code == 422
    assert "as often as allowed" in answer.text
    assert len(client.payments.list().items) == 1


@pytest.mark.parametrize(
    ("eligibility", "newcomer", "regular"),
    [("any", True, True), ("first_time", True, False), ("existing", False, True), ("specific", False, False)],
)
def test_code_is_for_some_customers(
    sandbox: SandboxProcess, client: DodoPayments, eligibility: Any, newcomer: bool, regular: bool
) -> None:
    client.discounts.create(**TEN, customer_eligibility=eligibility)
    known = sandbox.buy()["customer"]["customer_id"]
    new = client.customers.create(email="minh@example.com", name="Minh").customer_id

    def usable(customer_id: str) -> bool:
        try:
            off(client, "TEN", customer={"customer_id": customer_id})
        except dodopayments.UnprocessableEntityError as error:
            body: Any = error.body
            assert body["code"] == "DISCOUNT_CUSTOMER_NOT_ELIGIBLE"
            return False
        return True

    assert (usable(new), usable(known)) == (newcomer, regular)


def test_code_for_specific_customers_knows_them(sandbox: SandboxProcess, client: DodoPayments) -> None:
    made = client.discounts.create(**TEN, customer_eligibility="specific")
    customer_id = client.customers.create(email="minh@example.com", name="Minh").customer_id
    route = f"/discounts/{made.discount_id}/customers"

    added = [sandbox.post(route, {"customer_ids": [customer_id]}) for _ in range(2)]
    amount, listed = off(client, "TEN", customer={"customer_id": customer_id}), sandbox.get(route)
    removed = [sandbox.call("DELETE", f"{route}/{customer_id}").status_code for _ in range(2)]
    unknown = sandbox.call("POST", route, {"customer_ids": [customer_id, "cus_nobody"]})

    assert added == [{"items": [{"customer_id": customer_id}]}] * 2
    assert (amount, listed) == (690, added[0])
    assert removed == [204, 404]
    assert (unknown.status_code, sandbox.get(route)) == (422, {"items": []})


def test_discount_is_changed_and_its_limits_cleared(sandbox: SandboxProcess, client: DodoPayments) -> None:
    made = client.discounts.create(**TEN, usage_limit=5, per_customer_usage_limit=2, restricted_to=[COURSE])

    changed = client.discounts.update(
        made.discount_id, code="twenty", amount=2000, usage_limit=None, restricted_to=[], name="Spring"
    )

    assert (changed.code, changed.amount, changed.name) == ("TWENTY", 2000, "Spring")
    assert (changed.usage_limit, changed.per_customer_usage_limit, changed.restricted_to) == (None, 2, [])
    assert client.discounts.retrieve_by_code("Twenty") == changed
    assert_answer("PATCH /discounts/{id}", sandbox.get(f"/discounts/{made.discount_id}"))


def test_codes_are_made_up_and_listed_by_a_part(client: DodoPayments) -> None:
    made_up = client.discounts.create(type="percentage", amount=1000)
    client.discounts.create(**{**TEN, "code": "SPRING26"})
    client.discounts.create(**{**FLAT, "code": "SPRING27", "starts_at": "2090-01-01T00:00:00Z"})

    def codes(**query: Any) -> list[str]:
        return [discount.code for discount in client.discounts.list(**query).items]

    assert len(made_up.code) == 16
    assert codes(code="ring") == ["SPRING27", "SPRING26"]
    assert codes(active=False) == codes(discount_type="flat") == ["SPRING27"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": "TEN"}, "DISCOUNT_CODE_ALREADY_EXISTS"),
        ({"code": "AB"}, "INVALID_REQUEST_BODY"),
        ({"amount": 10_001}, "INVALID_PERCENTAGE"),
        ({"amount": 0}, "INVALID_REQUEST_BODY"),
        ({"type": "flat"}, "INVALID_REQUEST_BODY"),
        ({"usage_limit": 1, "per_customer_usage_limit": 2}, "INVALID_REQUEST_BODY"),
        ({"starts_at": "2027-01-02T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z"}, "INVALID_REQUEST_BODY"),
        ({"customer_eligibility": "friends"}, "INVALID_REQUEST_BODY"),
        ({"currency_options": [{"currency": "USD"}, {"currency": "EUR"}]}, "INVALID_REQUEST_BODY"),
    ],
    ids=["taken", "short", "over-100", "nothing", "flat-without-sum", "limits", "ends-first", "whom", "no-default"],
)
def test_discounts_that_make_no_sense_are_refused(client: DodoPayments, changes: dict[str, Any], code: str) -> None:
    client.discounts.create(**TEN)

    with pytest.raises(dodopayments.UnprocessableEntityError) as error:
        client.discounts.create(**{"type": "percentage", "amount": 1000, **changes})

    body: Any = error.value.body
    assert body["code"] == code


def test_limit_cannot_go_below_what_was_used(sandbox: SandboxProcess, client: DodoPayments) -> None:
    made = client.discounts.create(**TEN, usage_limit=5)
    buy_with(sandbox, "TEN")
    buy_with(sandbox, "TEN", email="minh@example.com")

    with pytest.raises(dodopayments.UnprocessableEntityError):
        client.discounts.update(made.discount_id, usage_limit=1)

    assert client.discounts.retrieve(made.discount_id).usage_limit == 5


def test_a_subscription_takes_a_code_once(sandbox: SandboxProcess, client: DodoPayments) -> None:
    client.discounts.create(**TEN)
    subscription_id = subscribe(sandbox, discount_codes=["TEN"])

    with pytest.raises(dodopayments.UnprocessableEntityError) as error:
        client.subscriptions.change_plan(
            subscription_id,
            product_id=PRO,
            quantity=1,
            proration_billing_mode="full_immediately",
            discount_codes=["TEN"],
        )

    assert "DISCOUNT_ALREADY_USED_ON_SUBSCRIPTION" in str(error.value.body)


def test_concurrent_redemption_can_be_ordered(sandbox: SandboxProcess, client: DodoPayments) -> None:
    client.discounts.create(**TEN)
    sandbox.fault("POST /checkouts", "status:503:DISCOUNT_CONCURRENT_REDEMPTION")

    with pytest.raises(dodopayments.InternalServerError) as error:
        client.checkout_sessions.create(product_cart=CART, discount_codes=["TEN"])

    assert error.value.status_code == 503
    assert "DISCOUNT_CONCURRENT_REDEMPTION" in str(error.value.body)
