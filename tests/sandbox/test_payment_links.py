"""What a subscriber pays on a page or by a call of the business: new cards, changes by link, charges on demand."""

from typing import Any

import pytest

from tests.sandbox.subscriptions import (
    DAY_S,
    amounts,
    at,
    change,
    events,
    fail_renewal,
    patch,
    read,
    refused,
    stand_at,
    subscribe,
)
from tests.sandbox_process import BASIC, PRO, SandboxProcess

# Payment links.


def pay_link(sandbox: SandboxProcess, link: str, card: str = "5555555555554444") -> int:
    form = {"card_number": card, "expiry": "06/32", "cvc": "123"}
    return sandbox.call("POST", link.removeprefix(sandbox.url), None, data=form).status_code


def ask_for_card(sandbox: SandboxProcess, subscription_id: str) -> Any:
    return sandbox.post(f"/subscriptions/{subscription_id}/update-payment-method", {"type": "new"})


def ask_by_link(sandbox: SandboxProcess, subscription_id: str, **more: Any) -> Any:
    return change(sandbox, subscription_id, PRO, "difference_immediately", collect_via_payment_link=True, **more)


def test_new_card_is_kept_and_pays_the_dues(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    made = ask_for_card(sandbox, subscription_id)

    pay_link(sandbox, made["payment_link"])

    after = read(sandbox, subscription_id)
    methods = sandbox.methods(after["customer"]["customer_id"])
    kept = next(m for m in methods if m["payment_method_id"] == after["payment_method_id"])
    assert (after["status"], kept["card"]["last4_digits"]) == ("active", "4444")
    assert sandbox.get(f"/payments/{made['payment_id']}")["total_amount"] == 3000


@pytest.mark.parametrize(("card", "last4"), [("5555555555554444", "4444"), ("4000000000000002", "4242")])
def test_new_card_costs_nothing_where_nothing_is_owed(
    sandbox: SandboxProcess, subscription_id: str, card: str, last4: str
) -> None:
    made = ask_for_card(sandbox, subscription_id)

    pay_link(sandbox, made["payment_link"], card)

    after, payment = read(sandbox, subscription_id), sandbox.get(f"/payments/{made['payment_id']}")
    stored = {item["id"]: item["last4"] for item in sandbox.control("objects/payment_methods")["items"]}
    assert (stored[after["payment_method_id"]], after["status"]) == (last4, "active")
    assert (payment["total_amount"], payment["is_update_payment_method"]) == (0, True)


def test_new_card_does_not_end_a_pause(sandbox: SandboxProcess, subscription_id: str) -> None:
    patch(sandbox, subscription_id, status="paused")

    pay_link(sandbox, ask_for_card(sandbox, subscription_id)["payment_link"])

    assert read(sandbox, subscription_id)["status"] == "paused"


def test_dues_paid_one_way_cannot_be_paid_another(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    first, second = ask_for_card(sandbox, subscription_id), ask_for_card(sandbox, subscription_id)
    pay_link(sandbox, second["payment_link"])

    sandbox.clock(1)
    assert pay_link(sandbox, first["payment_link"]) == 410
    sandbox.clock(2 * DAY_S)

    assert sandbox.get(f"/payments/{first['payment_id']}")["status"] == "cancelled"
    assert read(sandbox, subscription_id)["status"] == "active"
    assert [p for p in amounts(sandbox, subscription_id) if p[1] == "succeeded"] == [
        ("new", "succeeded", 3000), ("renewal", "succeeded", 3000)
    ]  # fmt: skip


def test_change_by_link_waits_for_the_buyer(sandbox: SandboxProcess, subscription_id: str) -> None:
    made = ask_by_link(sandbox, subscription_id)
    waiting = read(sandbox, subscription_id)["product_id"]

    pay_link(sandbox, made["payment_link"])

    assert None not in made.values()
    assert (waiting, read(sandbox, subscription_id)["product_id"]) == (BASIC, PRO)
    assert amounts(sandbox, subscription_id)[-1] == ("plan_change", "succeeded", 5000)


def test_unpaid_link_of_a_change_ends_and_frees_the_plan(sandbox: SandboxProcess, subscription_id: str) -> None:
    made = ask_by_link(sandbox, subscription_id)

    sandbox.clock(DAY_S)

    assert sandbox.get(f"/payments/{made['payment_id']}")["status"] == "cancelled"
    change(sandbox, subscription_id, PRO, "difference_immediately")
    assert read(sandbox, subscription_id)["product_id"] == PRO


def test_older_link_of_a_change_is_replaced_only_if_asked(sandbox: SandboxProcess, subscription_id: str) -> None:
    older = ask_by_link(sandbox, subscription_id)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately"}

    found = refused(sandbox, "POST", f"/subscriptions/{subscription_id}/change-plan", body)
    newer = ask_by_link(sandbox, subscription_id, cancel_older_payment_link=True)

    assert found == (409, "PENDING_PLAN_CHANGE_EXISTS")
    assert sandbox.get(f"/payments/{older['payment_id']}")["status"] == "cancelled"
    assert sandbox.get(f"/payments/{newer['payment_id']}")["status"] == "requires_payment_method"


def test_business_may_not_collect_changes_by_link(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(plan_change_links=False)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately",
            "on_payment_failure": "prevent_change", "collect_via_payment_link": True}  # fmt: skip

    assert refused(sandbox, "POST", f"/subscriptions/{subscription_id}/change-plan", body) == (
        422,
        "UNSUPPORTED_ACTION",
    )


# On demand.


@pytest.fixture
def on_demand(sandbox: SandboxProcess) -> str:
    stand_at(sandbox, at(2027, 4, 1))
    return subscribe(sandbox, subscription_data={"on_demand": {"mandate_only": True}})


def test_mandate_is_charged_on_demand_only(sandbox: SandboxProcess, on_demand: str) -> None:
    stand_at(sandbox, at(2027, 7, 1))

    made = sandbox.post(
        f"/subscriptions/{on_demand}/charge",
        {"product_price": 1234, "product_description": "March", "metadata": {"n": 1}},
    )

    payment = sandbox.get(f"/payments/{made['payment_id']}")
    items = sandbox.get(f"/payments/{made['payment_id']}/line-items")["items"]
    assert amounts(sandbox, on_demand) == [("new", "succeeded", 0), ("on_demand", "succeeded", 1234)]
    assert (payment["metadata"], items[0]["name"]) == ({"n": 1}, "March")


def test_failed_charge_on_demand_goes_on_hold(sandbox: SandboxProcess, on_demand: str) -> None:
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    seen = len(events(sandbox))

    sandbox.post(f"/subscriptions/{on_demand}/charge", {"product_price": 1234})

    path = f"/subscriptions/{on_demand}/charge"
    assert read(sandbox, on_demand)["status"] == "on_hold"
    assert events(sandbox, seen) == ["payment.failed", "subscription.on_hold", "subscription.updated"]
    assert refused(sandbox, "POST", path, {"product_price": 1234}) == (422, "SUBSCRIPTION_INACTIVE")


def test_second_charge_waits_for_the_first(sandbox: SandboxProcess, on_demand: str) -> None:
    sandbox.next_payment("processing")
    sandbox.post(f"/subscriptions/{on_demand}/charge", {"product_price": 1234})

    found = refused(sandbox, "POST", f"/subscriptions/{on_demand}/charge", {"product_price": 1234})

    assert found == (409, "PREVIOUS_PAYMENT_PENDING")


def test_on_demand_has_its_own_refusals(sandbox: SandboxProcess, on_demand: str) -> None:
    normal = subscribe(sandbox)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately"}

    assert refused(sandbox, "POST", f"/subscriptions/{on_demand}/change-plan", body) == (
        422, "ON_DEMAND_PLAN_CHANGE_NOT_SUPPORTED"
    )  # fmt: skip
    assert refused(sandbox, "POST", f"/subscriptions/{normal}/charge", {"product_price": 1}) == (
        422, "SUBSCRIPTION_NOT_ON_DEMAND"
    )  # fmt: skip
    for bad in ({}, {"product_price": 0}, {"product_price": "1"}):
        found = refused(sandbox, "POST", f"/subscriptions/{on_demand}/charge", bad)
        assert found == (422, "INVALID_REQUEST_BODY")
    patch(sandbox, on_demand, cancel_at_next_billing_date=True)
    assert refused(sandbox, "POST", f"/subscriptions/{on_demand}/charge", {"product_price": 1}) == (
        422, "CHARGE_NOT_ALLOWED_FOR_SCHEDULED_CANCELLATION"
    )  # fmt: skip


def test_on_demand_can_become_periodic(sandbox: SandboxProcess, on_demand: str) -> None:
    after = patch(sandbox, on_demand, disable_on_demand={"next_billing_date": "2027-04-10T00:00:00Z"})

    stand_at(sandbox, at(2027, 4, 10))

    assert (after["on_demand"], after["next_billing_date"][:10]) == (False, "2027-04-10")
    assert amounts(sandbox, on_demand)[1:] == [("renewal", "succeeded", 3000)]
