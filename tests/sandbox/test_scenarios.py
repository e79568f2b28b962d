"""Scenarios: each name loads the situation it promises, with ids a script can name."""

from typing import Any

import pytest

from sandbox.control.scenarios import SCENARIOS
from tests.sandbox_process import BASIC, COURSE, TEMPLATES, SandboxProcess, start_sandbox

DAY_S = 86_400
CUSTOMER = "cus_Scenario0000000000001"


def load(sandbox: SandboxProcess, name: str) -> Any:
    return sandbox.control("scenarios", {"name": name})


def charge(sandbox: SandboxProcess, method_id: str) -> Any:
    """Charge a saved method of the scenario's customer for another product."""
    order = {
        "product_cart": [{"product_id": TEMPLATES, "quantity": 1}],
        "confirm": True,
        "customer": {"customer_id": CUSTOMER},
        "payment_method_id": method_id,
        "billing_address": {"country": "US", "zipcode": "10001"},
        "minimal_address": True,
    }
    return sandbox.get(f"/payments/{sandbox.post('/checkouts', order)['payment_id']}")


def test_list_names_and_describes_each(sandbox: SandboxProcess) -> None:
    items = sandbox.control("scenarios")["items"]

    assert [item["name"] for item in items] == [
        "new-buyer",
        "three-saved-cards",
        "subscriber-mid-cycle",
        "subscriber-on-hold",
        "trial",
        "legacy-currency",
        "10000-customers",
    ]
    assert all(item["sentence"].endswith(".") for item in items)


@pytest.mark.parametrize("name", SCENARIOS)
def test_loading_starts_over_and_twice_makes_the_same_ids(sandbox: SandboxProcess, name: str) -> None:
    sandbox.buy(email="before@example.com")
    sandbox.fault("*", "status:500")

    first, second = load(sandbox, name), load(sandbox, name)

    assert first["customer_id"] == second["customer_id"] == CUSTOMER
    assert first.get("payment_method_ids") == second.get("payment_method_ids")
    assert first.get("subscription_id") == second.get("subscription_id")
    assert sandbox.get("/customers", email="before@example.com")["items"] == []


def test_new_buyer_can_pay_at_once(sandbox: SandboxProcess) -> None:
    made = load(sandbox, "new-buyer")

    sandbox.pay(made["session_id"])

    assert sandbox.get(f"/checkouts/{made['session_id']}")["payment_status"] == "succeeded"
    assert sandbox.get("/payments", customer_id=CUSTOMER)["items"][0]["total_amount"] > 0


def test_of_three_saved_cards_one_has_expired(sandbox: SandboxProcess) -> None:
    made = load(sandbox, "three-saved-cards")

    visa, mastercard, expired = made["payment_method_ids"]

    assert [method["payment_method_id"] for method in sandbox.methods(CUSTOMER)] == [visa, mastercard, expired]
    assert charge(sandbox, expired)["error_code"] == "EXPIRED_CARD"
    assert charge(sandbox, mastercard)["status"] == charge(sandbox, visa)["status"] == "succeeded"


def test_subscriber_mid_cycle_renews_in_the_middle_of_the_month_to_come(sandbox: SandboxProcess) -> None:
    made = load(sandbox, "subscriber-mid-cycle")
    subscription = sandbox.get(f"/subscriptions/{made['subscription_id']}")
    assert (subscription["status"], subscription["product_id"]) == ("active", BASIC)

    sandbox.control("clock", {"to": "next_renewal"})

    payments = sandbox.get("/payments", subscription_id=made["subscription_id"])["items"]
    assert [payment["status"] for payment in payments] == ["succeeded", "succeeded"]
    assert 12 * DAY_S * 1000 < sandbox.control("clock")["offset_ms"] < 17 * DAY_S * 1000


def test_subscriber_on_hold_owes_a_renewal(sandbox: SandboxProcess) -> None:
    made = load(sandbox, "subscriber-on-hold")

    assert sandbox.get(f"/subscriptions/{made['subscription_id']}")["status"] == "on_hold"
    payments = sandbox.get("/payments", subscription_id=made["subscription_id"])["items"]
    assert [payment["status"] for payment in payments] == ["failed", "succeeded"]


def test_trial_ends_in_ten_days_with_a_first_charge(sandbox: SandboxProcess) -> None:
    made = load(sandbox, "trial")
    subscription = sandbox.get(f"/subscriptions/{made['subscription_id']}")
    assert (subscription["status"], subscription["trial_period_days"]) == ("active", 14)

    sandbox.clock(10 * DAY_S)

    payments = sandbox.get("/payments", subscription_id=made["subscription_id"])["items"]
    assert [payment["total_amount"] > 0 for payment in payments] == [True, False]


def test_legacy_subscriber_keeps_a_currency_the_plan_has_left(sandbox: SandboxProcess) -> None:
    made = load(sandbox, "legacy-currency")
    subscription = sandbox.get(f"/subscriptions/{made['subscription_id']}")

    assert subscription["currency"] == "EUR"
    assert sandbox.get(f"/products/{subscription['product_id']}")["price"]["currency"] == "USD"
    renewals = sandbox.get("/payments", subscription_id=made["subscription_id"])["items"]
    assert [payment["currency"] for payment in renewals] == ["EUR", "EUR"]


def test_ten_thousand_customers_are_there_with_their_payments(sandbox: SandboxProcess) -> None:
    load(sandbox, "10000-customers")

    counts = sandbox.control("state")["counts"]
    assert (counts["customers"], counts["payments"]) == (10_000, 10_000)
    last = sandbox.get("/payments", page_size=1, page_number=9_999)["items"]
    assert len(last) == 1
    oldest = sandbox.get(f"/payments/{last[0]['payment_id']}")
    assert oldest["customer"]["email"].startswith("customer")
    assert sandbox.get("/payments", customer_id=oldest["customer"]["customer_id"])["items"] == last


def test_scenarios_stand_on_the_demo_catalogue(tmp_path: Any) -> None:
    with start_sandbox(tmp_path, no_demo=True) as sandbox:
        load(sandbox, "new-buyer")

        assert sandbox.get(f"/products/{COURSE}")["name"] == "Starter course"


def test_unknown_scenario_changes_nothing(sandbox: SandboxProcess) -> None:
    sandbox.buy()

    refused = sandbox.call("POST", "/_sandbox/scenarios", {"name": "old-buyer"})

    assert refused.json()["message"].startswith("name: must be one of new-buyer, ")
    assert len(sandbox.payments()) == 1
