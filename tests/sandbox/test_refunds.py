"""Refunds, full and partial, and every documented refusal."""

from typing import Any

import pytest
import requests

from tests.sandbox.subscriptions import change, payments_of, subscribe
from tests.sandbox_process import BUNDLE, COURSE, PRO, SandboxProcess


def buy_two(sandbox: SandboxProcess) -> Any:
    cart = [{"product_id": COURSE, "quantity": 1}, {"product_id": BUNDLE, "quantity": 1}]
    session_id = sandbox.post("/checkouts", {"product_cart": cart})["session_id"]
    sandbox.pay(session_id)
    return sandbox.get(f"/payments/{sandbox.get(f'/checkouts/{session_id}')['payment_id']}")


def refund(sandbox: SandboxProcess, payment: Any, **body: Any) -> Any:
    return sandbox.call("POST", "/refunds", {"payment_id": payment["payment_id"], **body})


def test_no_items_is_a_full_refund(sandbox: SandboxProcess) -> None:
    payment = buy_two(sandbox)

    made = refund(sandbox, payment, reason="undo").json()

    assert (made["amount"], made["is_partial"], made["status"]) == (payment["total_amount"], False, "succeeded")
    assert sandbox.get(f"/payments/{payment['payment_id']}")["refund_status"] == "full"


def test_one_line_is_a_partial_refund(sandbox: SandboxProcess) -> None:
    payment = buy_two(sandbox)

    made = refund(sandbox, payment, items=[{"item_id": COURSE}]).json()

    lines = sandbox.get(f"/payments/{payment['payment_id']}/line-items")["items"]
    assert made["is_partial"]
    assert made["amount"] == lines[0]["amount"]
    assert [line["refundable_amount"] for line in lines] == [0, lines[1]["amount"]]
    assert sandbox.get(f"/payments/{payment['payment_id']}")["refund_status"] == "partial"


def test_rest_can_be_refunded_after_a_part(sandbox: SandboxProcess) -> None:
    payment = buy_two(sandbox)
    first = refund(sandbox, payment, items=[{"item_id": BUNDLE, "amount": 1000}]).json()

    rest = refund(sandbox, payment).json()

    assert first["amount"] + rest["amount"] == payment["total_amount"]


def test_amount_without_tax_takes_its_tax_along(sandbox: SandboxProcess) -> None:
    payment = buy_two(sandbox)

    made = refund(sandbox, payment, items=[{"item_id": COURSE, "amount": 1000, "tax_inclusive": False}]).json()

    assert made["amount"] == 1080


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([{"item_id": "pdt_other"}], "LINE_ITEM_NOT_FOUND"),
        ([{"item_id": COURSE, "amount": 999_999}], "LINE_ITEM_REFUND_AMOUNT_TOO_HIGH"),
        ([{"item_id": COURSE, "amount": 0}], "LINE_ITEM_REFUND_AMOUNT_TOO_LOW"),
        ([{"item_id": COURSE, "amount": "many"}], "INVALID_REQUEST_BODY"),
        ("all", "INVALID_REQUEST_BODY"),
    ],
)
def test_bad_lines_are_refused(sandbox: SandboxProcess, items: Any, code: str) -> None:
    answer = refund(sandbox, buy_two(sandbox), items=items)

    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_second_full_refund_is_refused(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    refund(sandbox, payment)

    assert refund(sandbox, payment).json()["code"] == "PAYMENT_ALREADY_REFUNDED"


def test_failed_payment_cannot_be_refunded(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(card="4000000000000002")

    assert refund(sandbox, payment).json()["code"] == "PAYMENT_NOT_SUCCEEDED"


def test_window_closes_after_thirty_days(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    sandbox.clock(31 * 86_400)

    assert refund(sandbox, payment).json()["code"] == "REFUND_WINDOW_EXPIRED"


def test_pending_refund_blocks_another_until_settled(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    sandbox.switch(refund_outcome="pending")
    pending = refund(sandbox, payment).json()
    blocked = refund(sandbox, payment).json()

    sandbox.control("settle", {"refund_id": pending["refund_id"], "status": "failed"})

    assert blocked["code"] == "EXISTING_REFUND_REQUEST_PROCESSING"
    assert sandbox.get(f"/payments/{payment['payment_id']}")["refund_status"] is None
    assert refund(sandbox, payment).status_code == 200


def settle(sandbox: SandboxProcess, **body: Any) -> requests.Response:
    return sandbox.call("POST", "/_sandbox/settle", body)


@pytest.mark.parametrize("first", ["failed", "succeeded"])
@pytest.mark.parametrize("later", ["succeeded", "failed", "pending", "review"])
def test_finished_refund_is_settled_no_more(sandbox: SandboxProcess, first: str, later: str) -> None:
    payment = sandbox.buy()
    sandbox.switch(refund_outcome=first)
    finished = refund(sandbox, payment).json()
    sandbox.switch(refund_outcome="succeeded")
    refund(sandbox, payment)
    before = sandbox.get("/refunds")

    assert settle(sandbox, refund_id=finished["refund_id"], status=later).status_code == 409

    assert sandbox.get("/refunds") == before
    given = [one["amount"] for one in before["items"] if one["status"] == "succeeded"]
    assert given == [payment["total_amount"]]


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_refund_under_review_can_be_settled(sandbox: SandboxProcess, status: str) -> None:
    sandbox.switch(refund_outcome="pending")
    pending = refund(sandbox, sandbox.buy()).json()
    settle(sandbox, refund_id=pending["refund_id"], status="review")

    assert settle(sandbox, refund_id=pending["refund_id"], status=status).json()["status"] == status


def test_refunded_payment_cannot_fail_afterwards(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    refund(sandbox, payment)
    before = sandbox.get(f"/payments/{payment['payment_id']}")

    assert settle(sandbox, payment_id=payment["payment_id"], status="failed").status_code == 409

    assert sandbox.get(f"/payments/{payment['payment_id']}") == before


def test_partial_refunds_can_be_switched_off(sandbox: SandboxProcess) -> None:
    sandbox.switch(partial_refunds=False)

    answer = refund(sandbox, sandbox.buy(), items=[{"item_id": COURSE, "amount": 100}])

    assert answer.json()["code"] == "PARTIAL_REFUND_NOT_ALLOWED"


def test_refund_begun_elsewhere_shows_on_the_payment(sandbox: SandboxProcess) -> None:
    payment = buy_two(sandbox)

    sandbox.control("refunds", {"payment_id": payment["payment_id"], "amount": 6000})

    after = sandbox.get(f"/payments/{payment['payment_id']}")
    assert (after["refund_status"], after["refunds"][0]["amount"]) == ("partial", 6000)


def test_dispute_is_opened_and_lost(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.buy()["payment_id"]

    opened = sandbox.control("disputes", {"payment_id": payment_id})
    sandbox.control("disputes", {"dispute_id": opened["dispute_id"], "outcome": "lost"})

    disputes = sandbox.get(f"/payments/{payment_id}")["disputes"]
    assert [dispute["dispute_status"] for dispute in disputes] == ["dispute_lost"]


def test_a_line_is_named_once(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    line = sandbox.get(f"/payments/{payment['payment_id']}/line-items")["items"][0]["items_id"]

    answer = sandbox.call(
        "POST",
        "/refunds",
        {"payment_id": payment["payment_id"], "items": [{"item_id": line, "amount": 10}, {"item_id": COURSE}]},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "DUPLICATE_LINE_ITEMS_IN_REQUEST")


def test_payment_of_nothing_has_nothing_to_give_back(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 10_000, "code": "GIFT"})
    payment = sandbox.buy(discount_codes=["GIFT"])

    assert refund(sandbox, payment).json()["code"] == "ZERO_AMOUNT_PAYMENT_REFUND_NOT_ALLOWED"


def test_a_line_is_given_back_once(sandbox: SandboxProcess) -> None:
    payment, whole_course = buy_two(sandbox), [{"item_id": COURSE}]
    refund(sandbox, payment, items=whole_course)

    assert refund(sandbox, payment, items=whole_course).json()["code"] == "LINE_ITEM_FULLY_REFUNDED"


def test_prorated_lines_cannot_be_given_back(sandbox: SandboxProcess) -> None:
    subscription_id = subscribe(sandbox)
    change(sandbox, subscription_id, PRO, "prorated_immediately")
    payment = payments_of(sandbox, subscription_id)[-1]
    line = sandbox.get(f"/payments/{payment['payment_id']}/line-items")["items"][0]

    assert refund(sandbox, payment, items=[{"item_id": line["items_id"]}]).json()["code"] == "LINE_ITEM_PRORATED"


def test_refund_from_elsewhere_stays_within_what_was_paid(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    url = f"{sandbox.url}/_sandbox/refunds"
    answer = requests.post(url, json={"payment_id": payment["payment_id"], "amount": 999_999}, timeout=5)

    assert (answer.status_code, answer.json()["code"]) == (422, "REFUND_AMOUNT_EXCEEDS_PAID_AMOUNT")


def test_refunds_are_filtered(sandbox: SandboxProcess) -> None:
    subscription_id = subscribe(sandbox)
    bought, other = sandbox.buy(), sandbox.buy(email="minh@example.com")
    renewal = payments_of(sandbox, subscription_id)[0]
    made = [
        sandbox.post("/refunds", {"payment_id": payment["payment_id"]})["refund_id"]
        for payment in (bought, other, renewal)
    ]

    def listed(**query: Any) -> list[str]:
        return [refund["refund_id"] for refund in sandbox.get("/refunds", **query)["items"]]

    assert listed(page_size=1, page_number=1) == [made[1]]
    assert listed(customer_id=other["customer"]["customer_id"]) == [made[1]]
    assert listed(subscription_id=subscription_id) == [made[2]]
    assert listed(status="failed") == listed(created_at_gte="2090-01-01T00:00:00Z") == []
    assert listed(status="succeeded", created_at_lte="2090-01-01T00:00:00Z") == made[::-1]
