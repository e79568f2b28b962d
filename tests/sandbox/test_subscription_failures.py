"""Renewals that fail: on hold, dues, grace periods and dunning."""

from itertools import pairwise

from tests.sandbox.subscriptions import (
    DAY_S,
    amounts,
    at,
    change,
    events,
    fail_renewal,
    payments_of,
    read,
    stand_at,
    subscribe,
)
from tests.sandbox_process import PRO, SandboxProcess

HOUR_S = 3600


def test_failed_renewal_goes_on_hold(sandbox: SandboxProcess, subscription_id: str) -> None:
    seen = len(events(sandbox))

    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 7, 1))

    assert read(sandbox, subscription_id)["status"] == "on_hold"
    assert amounts(sandbox, subscription_id)[1:] == [("renewal", "failed", 3000)]
    assert events(sandbox, seen) == ["payment.failed", "subscription.on_hold", "subscription.updated"]


def test_card_that_fails_later_fails_at_the_renewal(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, card="4000000000000341", expiry="12/34")

    stand_at(sandbox, at(2027, 5, 1))

    assert read(sandbox, subscription_id)["status"] == "on_hold"


def test_saved_card_pays_the_dues(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 5, 4))
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]
    seen = len(events(sandbox))

    made = sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    after = read(sandbox, subscription_id)
    assert sandbox.get(f"/payments/{made['payment_id']}")["retry_attempt"] == 1
    assert (after["status"], after["next_billing_date"][:10]) == ("active", "2027-06-01")
    assert amounts(sandbox, subscription_id)[-1] == ("renewal", "succeeded", 3000)
    assert events(sandbox, seen) == [
        "subscription.update_payment_method", "subscription.updated", "payment.succeeded", "subscription.active",
        "subscription.renewed", "subscription.updated",
    ]  # fmt: skip


def test_saved_card_that_asks_the_bank_is_answered_with_its_page(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 5, 4))
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]
    sandbox.next_payment("requires_customer_action")

    made = sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    payment = sandbox.get(f"/payments/{made['payment_id']}")
    assert (payment["status"], payment["payment_link"]) == ("requires_customer_action", made["payment_link"])
    assert made["client_secret"]
    assert made["expires_on"] is None
    assert read(sandbox, subscription_id)["status"] == "on_hold"


def test_dues_paid_after_the_period_begin_a_new_one(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 8, 20))
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]

    sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-09-20"
    assert len(payments_of(sandbox, subscription_id)) == 3


def test_dues_of_an_applied_change_are_the_change(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    change(sandbox, subscription_id, PRO, "difference_immediately", on_payment_failure="apply_change")
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]
    seen = len(events(sandbox))

    sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    after = read(sandbox, subscription_id)
    assert (after["status"], after["product_id"]) == ("active", PRO)
    assert amounts(sandbox, subscription_id)[-1] == ("plan_change", "succeeded", 5000)
    assert events(sandbox, seen)[2:] == ["payment.succeeded", "subscription.active", "subscription.updated"]


def test_grace_period_counts_as_active_and_ends_on_hold(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(grace_period_days=3)
    seen = len(events(sandbox))
    fail_renewal(sandbox)
    in_grace = read(sandbox, subscription_id)["status"]

    stand_at(sandbox, at(2027, 5, 4))

    assert (in_grace, read(sandbox, subscription_id)["status"]) == ("past_due", "on_hold")
    assert events(sandbox, seen) == [
        "payment.failed", "subscription.past_due", "subscription.updated", "subscription.on_hold",
        "subscription.updated",
    ]  # fmt: skip


def test_grace_period_can_end_in_cancellation(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(grace_period_days=3, grace_end="cancelled")
    fail_renewal(sandbox)

    stand_at(sandbox, at(2027, 5, 4))

    assert read(sandbox, subscription_id)["status"] == "cancelled"


def test_dunning_tries_by_the_documented_table(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True, dunning_window_days=30)
    seen = len(events(sandbox))
    fail_renewal(sandbox, times=100)

    sandbox.clock(60 * DAY_S)

    tries = [payment for payment in payments_of(sandbox, subscription_id) if payment["charge_type"] == "renewal"]
    stored = {item["id"]: item["created_at"] for item in sandbox.payments()}
    moments = [stored[payment["payment_id"]] for payment in tries]
    waits = [(b - a) / 3_600_000 for a, b in pairwise(moments)]
    assert waits == [12, 24, 48, 72, 96, 120, 168, 168]
    assert [payment["retry_attempt"] for payment in tries] == list(range(9))
    assert read(sandbox, subscription_id)["status"] == "on_hold"
    assert events(sandbox, seen).count("dunning.started") == 1


def test_dunning_stops_at_the_end_of_its_window(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True)
    fail_renewal(sandbox, times=100)

    sandbox.clock(60 * DAY_S)

    # 12 + 24 + 48 + 72 + 96 hours are 10.5 days; the next try would be on day 15.5 of 13.
    assert len(payments_of(sandbox, subscription_id)) == 1 + 6


def test_dunning_recovers(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True)
    seen = len(events(sandbox))
    fail_renewal(sandbox)

    sandbox.clock(12 * HOUR_S)

    after = read(sandbox, subscription_id)
    assert (after["status"], after["next_billing_date"][:10]) == ("active", "2027-06-01")
    assert events(sandbox, seen)[3:] == [
        "dunning.started", "payment.succeeded", "subscription.active", "subscription.renewed", "subscription.updated",
        "dunning.recovered",
    ]  # fmt: skip


def test_hard_decline_is_not_tried_again(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True)
    fail_renewal(sandbox, "STOLEN_CARD")

    sandbox.clock(60 * DAY_S)

    assert len(payments_of(sandbox, subscription_id)) == 2


def test_renewal_that_is_long_in_processing_renews_when_it_is_paid(
    sandbox: SandboxProcess, subscription_id: str
) -> None:
    then = {"outcome": "succeeded", "after_s": 2 * DAY_S}
    sandbox.next_payment("processing", then=then)
    stand_at(sandbox, at(2027, 5, 1))
    waiting = read(sandbox, subscription_id)

    sandbox.clock(2 * DAY_S)

    assert (waiting["status"], waiting["next_billing_date"][:10]) == ("active", "2027-05-01")
    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-06-01"
