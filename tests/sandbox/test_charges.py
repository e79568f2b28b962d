"""What a card does, what a script orders, and what the sandbox deliberately does not do."""

from typing import Any

import pytest

from tests.sandbox_process import BASIC, COURSE, PRO, TEMPLATES, SandboxProcess, wait_for

ADDRESS = {"country": "US", "zipcode": "10001"}


def one_click(sandbox: SandboxProcess, first: Any, **changes: Any) -> Any:
    """Return the order that charges the method of an earlier payment."""
    customer_id = first["customer"]["customer_id"]
    return {
        "product_cart": [{"product_id": TEMPLATES, "quantity": 1}],
        "confirm": True,
        "customer": {"customer_id": customer_id},
        "payment_method_id": sandbox.methods(customer_id)[0]["payment_method_id"],
        "billing_address": ADDRESS,
        "minimal_address": True,
        "metadata": {"attempt_id": "att_1"},
        "return_url": "http://127.0.0.1:9/r/abc?x=1",
        **changes,
    }


def charge(sandbox: SandboxProcess, first: Any, **changes: Any) -> Any:
    """Charge in one click and return the payment."""
    session = sandbox.post("/checkouts", one_click(sandbox, first, **changes))
    return sandbox.get(f"/payments/{session['payment_id']}")


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("4000000000000002", "GENERIC_DECLINE"),
        ("4000000000009995", "INSUFFICIENT_FUNDS"),
        ("4706131211212123", "GENERIC_DECLINE"),
        ("5105105105105100", "GENERIC_DECLINE"),
        ("4000000000009979", "STOLEN_CARD"),
    ],
)
def test_declining_cards_decline_with_their_code(sandbox: SandboxProcess, card: str, code: str) -> None:
    payment = sandbox.buy(card=card)

    assert (payment["status"], payment["error_code"]) == ("failed", code)
    assert sandbox.methods(payment["customer"]["customer_id"]) == []


@pytest.mark.parametrize(
    ("card", "network"),
    [
        ("4242424242424242", "visa"),
        ("5555555555554444", "mastercard"),
        ("4576238912771450", "visa"),
        ("5409162669381034", "mastercard"),
    ],
)
def test_good_cards_pay_and_are_saved(sandbox: SandboxProcess, card: str, network: str) -> None:
    payment = sandbox.buy(card=card)

    assert payment["status"] == "succeeded"
    method = sandbox.methods(payment["customer"]["customer_id"])[0]["card"]
    assert (method["card_network"], method["last4_digits"]) == (network, card[-4:])
    assert (method["expiry_month"], method["expiry_year"]) == ("06", "2032")
    assert (payment["card_exp_month"], payment["card_exp_year"]) == ("06", "2032")


def test_one_click_charges_the_saved_card(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()

    payment = charge(sandbox, first)

    assert payment["status"] == "succeeded"
    assert payment["metadata"] == {"attempt_id": "att_1"}
    assert payment["billing"]["zipcode"] == "10001"
    assert payment["card_last_four"] == "4242"


def test_card_that_saves_but_fails_later(sandbox: SandboxProcess) -> None:
    first = sandbox.buy(card="4000000000000341", expiry="12/34")

    payment = charge(sandbox, first)

    assert first["status"] == "succeeded"
    assert (payment["status"], payment["error_code"]) == ("failed", "GENERIC_DECLINE")


def test_declined_saved_card_may_be_a_refusal_instead(sandbox: SandboxProcess) -> None:
    first = sandbox.buy(card="4000000000000341", expiry="12/34")
    sandbox.switch(saved_card_decline="http_422")

    answer = sandbox.call("POST", "/checkouts", one_click(sandbox, first))

    assert (answer.status_code, answer.json()["code"]) == (422, "GENERIC_DECLINE")
    assert len(sandbox.payments()) == 1


def test_refused_charge_has_used_up_what_was_ordered_for_it(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    sandbox.switch(saved_card_decline="http_422")
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    refused = sandbox.call("POST", "/checkouts", one_click(sandbox, first))

    assert refused.json()["code"] == "INSUFFICIENT_FUNDS"
    assert charge(sandbox, first)["status"] == "succeeded"


def test_refusal_takes_back_what_its_request_had_written(sandbox: SandboxProcess) -> None:
    order = {"product_cart": [{"product_id": COURSE, "quantity": 1}], "confirm": True,
             "customer": {"email": "new@example.com", "name": "New"}}  # fmt: skip

    refused = sandbox.call("POST", "/checkouts", order)

    assert refused.status_code == 422
    assert sandbox.get("/customers")["items"] == []


def test_saved_card_declines_once_it_has_expired(sandbox: SandboxProcess) -> None:
    first = sandbox.buy(expiry="12/27")
    sandbox.clock(800 * 86_400)

    assert charge(sandbox, first)["error_code"] == "EXPIRED_CARD"


def test_two_requests_are_two_charges(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    order = one_click(sandbox, first)

    sandbox.call("POST", "/checkouts", order, headers={"idempotency-key": "same"})
    sandbox.call("POST", "/checkouts", order, headers={"idempotency-key": "same"})

    assert len(sandbox.payments()) == 3


@pytest.mark.parametrize(("result", "status"), [("approve", "succeeded"), ("fail", "failed")])
def test_later_authentication_leads_back_to_the_shop(sandbox: SandboxProcess, result: str, status: str) -> None:
    first = sandbox.buy(card="4000002760003184")
    payment = charge(sandbox, first)
    link = payment["payment_link"].removeprefix(sandbox.url)

    answer = sandbox.call("POST", link, data={"result": result})

    assert first["status"] == "succeeded"
    assert payment["status"] == "requires_customer_action"
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"http://127.0.0.1:9/r/abc?x=1&payment_id={payment['payment_id']}")
    assert f"status={status}" in answer.headers["location"]
    assert sandbox.get(f"/payments/{payment['payment_id']}")["status"] == status


def test_authentication_may_come_without_a_link(sandbox: SandboxProcess) -> None:
    first = sandbox.buy(card="4000002760003184")
    sandbox.switch(action_link=False)

    assert charge(sandbox, first)["payment_link"] is None


def test_authentication_is_answered_once(sandbox: SandboxProcess) -> None:
    payment = charge(sandbox, sandbox.buy(card="4000002760003184"))
    page = f"/authenticate/{payment['payment_id']}"
    sandbox.call("POST", page, data={"result": "fail"})

    again = sandbox.call("POST", page, data={"result": "approve"})

    assert again.status_code == 409
    assert sandbox.get(f"/payments/{payment['payment_id']}")["status"] == "failed"


def test_scripted_outcome_is_for_the_next_charge_only(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    sandbox.next_payment("failed", "DO_NOT_HONOR")

    scripted, after = charge(sandbox, first), charge(sandbox, first)

    assert (scripted["status"], scripted["error_code"]) == ("failed", "DO_NOT_HONOR")
    assert after["status"] == "succeeded"


@pytest.mark.parametrize(
    "status",
    ["cancelled", "processing", "requires_merchant_action", "requires_payment_method", "requires_confirmation",
     "requires_capture", "partially_captured", "partially_captured_and_capturable"],
)  # fmt: skip
def test_every_status_can_be_scripted(sandbox: SandboxProcess, status: str) -> None:
    first = sandbox.buy()
    sandbox.next_payment(status)

    assert charge(sandbox, first)["status"] == status


def test_scripted_outcome_can_flip_later_on_the_clock(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    sandbox.next_payment("processing", then={"outcome": "failed", "error_code": "LOST_CARD", "after_s": 3600})
    payment_id = charge(sandbox, first)["payment_id"]

    sandbox.clock(3601)

    payment = wait_for(lambda: settled(sandbox, payment_id), what="the flip")
    assert (payment["status"], payment["error_code"]) == ("failed", "LOST_CARD")


def settled(sandbox: SandboxProcess, payment_id: str) -> Any:
    payment = sandbox.get(f"/payments/{payment_id}")
    return payment if payment["status"] != "processing" else None


def test_script_can_be_for_one_attempt(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    sandbox.next_payment("failed", match={"metadata": {"attempt_id": "att_2"}})

    other, matching = charge(sandbox, first), charge(sandbox, first, metadata={"attempt_id": "att_2"})

    assert (other["status"], matching["status"]) == ("succeeded", "failed")


def test_settle_finishes_a_processing_payment(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.buy(card="4000000000000077")["payment_id"]

    sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})

    payment = sandbox.get(f"/payments/{payment_id}")
    assert payment["status"] == "succeeded"
    assert len(sandbox.methods(payment["customer"]["customer_id"])) == 1


# Customers and methods.


def test_typed_address_finds_the_existing_customer(sandbox: SandboxProcess) -> None:
    first, second = sandbox.buy(), sandbox.buy(card="5555555555554444", email="LAN@example.com")

    assert first["customer"]["customer_id"] == second["customer"]["customer_id"]
    assert len(sandbox.methods(first["customer"]["customer_id"])) == 2


def test_always_create_new_customer_makes_another(sandbox: SandboxProcess) -> None:
    first, second = sandbox.buy(), sandbox.buy(feature_flags={"always_create_new_customer": True})

    assert first["customer"]["customer_id"] != second["customer"]["customer_id"]


def test_same_card_of_one_customer_is_one_method(sandbox: SandboxProcess) -> None:
    customer_id = sandbox.buy()["customer"]["customer_id"]
    sandbox.buy()

    assert len(sandbox.methods(customer_id)) == 1


def test_first_payment_names_its_method_only_by_switch(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.buy()["payment_id"]
    unnamed = sandbox.get(f"/payments/{payment_id}")["payment_method_id"]

    sandbox.switch(payment_names_method=True)

    named = sandbox.get(f"/payments/{payment_id}")
    assert unnamed is None
    assert named["payment_method_id"] == sandbox.methods(named["customer"]["customer_id"])[0]["payment_method_id"]


def test_saved_method_may_be_listed_late(sandbox: SandboxProcess) -> None:
    sandbox.switch(saved_method_delay=30)
    customer_id = sandbox.buy()["customer"]["customer_id"]
    before = sandbox.methods(customer_id)

    sandbox.clock(31)

    assert (before, len(sandbox.methods(customer_id))) == ([], 1)


def test_card_may_not_be_saved_at_all(sandbox: SandboxProcess) -> None:
    sandbox.switch(saves_cards=False)

    assert sandbox.methods(sandbox.buy()["customer"]["customer_id"]) == []


def test_method_of_an_active_plan_cannot_be_removed(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(PRO)
    customer_id = payment["customer"]["customer_id"]
    method_id = sandbox.methods(customer_id)[0]["payment_method_id"]

    answer = sandbox.call("DELETE", f"/customers/{customer_id}/payment-methods/{method_id}")

    assert answer.status_code == 409


# Refusals of a one-click order.


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"payment_method_id": "pm_nobody"}, 422, "NO_ELIGIBLE_PAYMENT_METHODS"),
        ({"customer": {"customer_id": "cus_nobody"}}, 404, "NOT_FOUND"),
        ({"customer": {"email": "a@example.com"}}, 422, "INVALID_REQUEST_BODY"),
        ({"confirm": False}, 422, "INVALID_REQUEST_BODY"),
        ({"billing_address": None}, 422, "INVALID_REQUEST_BODY"),
        ({"billing_address": {"country": "US"}}, 422, "INVALID_REQUEST_BODY"),
        ({"minimal_address": False}, 422, "INVALID_REQUEST_BODY"),
        ({"billing_address": {"country": "KP", "zipcode": "1"}}, 422, "UNSUPPORTED_COUNTRY"),
        ({"product_cart": []}, 422, "PRODUCT_CART_EMTPY"),
        ({"product_cart": [{"product_id": COURSE, "quantity": 1}] * 21}, 422, "INVALID_REQUEST_BODY"),
        ({"product_cart": [{"product_id": "pdt_no", "quantity": 1}]}, 422, "MISSING_PRODUCT_INFORMATION"),
        ({"product_cart": [{"product_id": COURSE, "quantity": 0}]}, 422, "INVALID_REQUEST_BODY"),
        ({"product_cart": [{"product_id": COURSE, "quantity": True}]}, 422, "INVALID_REQUEST_BODY"),
        ({"discount_codes": ["NOPE"]}, 422, "INVALID_DISCOUNT_CODE"),
        ({"discount_codes": ["A"], "discount_code": "A"}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, 422, "MAXIMUM_KEYS_REACHED"),
        ({"metadata": {"k" * 41: "v"}}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {"k": "v" * 501}}, 422, "INVALID_REQUEST_BODY"),
        ({"metadata": {"k": {"nested": 1}}}, 422, "INVALID_REQUEST_BODY"),
        ({"return_url": "javascript:alert(1)"}, 422, "INVALID_REQUEST_BODY"),
    ],
)
def test_bad_order_is_refused_and_charges_nothing(
    sandbox: SandboxProcess, changes: Any, status: int, code: str
) -> None:
    first = sandbox.buy()

    answer = sandbox.call("POST", "/checkouts", one_click(sandbox, first, **changes))

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(sandbox.payments()) == 1


def test_stored_address_serves_when_the_switch_says_so(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    sandbox.switch(billing_address_omitted="stored")

    assert charge(sandbox, first, billing_address=None)["billing"] == first["billing"]


def test_archived_product_is_refused(sandbox: SandboxProcess) -> None:
    first = sandbox.buy()
    sandbox.call("DELETE", f"/products/{TEMPLATES}")

    answer = sandbox.call("POST", "/checkouts", one_click(sandbox, first))

    assert (answer.status_code, answer.json()["code"]) == (422, "PRODUCT_IS_DELETED")


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"\xff\xfe"])
def test_body_that_is_no_object_is_refused(sandbox: SandboxProcess, body: bytes) -> None:
    answer = sandbox.call("POST", "/checkouts", data=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST_BODY")


# Plans.


def test_failed_first_payment_ends_the_subscription(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(BASIC, card="4000000000000002")

    assert sandbox.get(f"/subscriptions/{payment['subscription_id']}")["status"] == "failed"


def test_renewal_inherits_the_metadata(sandbox: SandboxProcess) -> None:
    first = sandbox.buy(BASIC, metadata={"attempt_id": "att_9"})

    renewal = sandbox.control("renewals", {"subscription_id": first["subscription_id"]})

    assert renewal["metadata"] == {"attempt_id": "att_9"}
    assert (renewal["charge_type"], renewal["checkout_session_id"]) == ("renewal", None)
    assert renewal["total_amount"] == first["total_amount"]
