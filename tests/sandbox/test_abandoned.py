"""Abandoned checkouts: detected an hour after the try that failed, recovered by a later purchase."""

from typing import Any

import pytest

from tests.sandbox_process import BASIC, COURSE, TEMPLATES, SandboxProcess, wait_for

DECLINED = "4000000000000002"
HOUR_S = 3600


def announced(sandbox: SandboxProcess) -> list[Any]:
    events = sandbox.control("deliveries")["events"]
    return [event["type"] for event in events if event["kind"] == "abandoned_checkouts"]


def wait_past_timers(sandbox: SandboxProcess, advance_s: float) -> None:
    """Move the clock, and wait until a change planned for that very moment has been done."""
    sandbox.next_payment("processing", then={"outcome": "succeeded", "after_s": advance_s})
    marker = sandbox.buy(email="marker@example.com")["payment_id"]
    sandbox.clock(advance_s)
    wait_for(lambda: sandbox.get(f"/payments/{marker}")["status"] == "succeeded", what="the timers")


def test_failed_payment_is_an_abandoned_checkout_after_an_hour(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(card=DECLINED)

    wait_past_timers(sandbox, HOUR_S - 60)
    assert announced(sandbox) == []
    sandbox.clock(60)
    wait_for(lambda: announced(sandbox) == ["abandoned_checkout.detected"], what="the event")

    abandoned = sandbox.control("objects/abandoned_checkouts")["items"][0]
    assert (abandoned["payment_id"], abandoned["reason"]) == (payment["payment_id"], "payment_failed")


def test_unfinished_authentication_is_an_incomplete_checkout(sandbox: SandboxProcess) -> None:
    sandbox.buy(card="4000002500003155")

    sandbox.clock(HOUR_S)
    wait_for(lambda: announced(sandbox), what="the event")

    assert sandbox.control("objects/abandoned_checkouts")["items"][0]["reason"] == "checkout_incomplete"


def test_confirmed_checkout_that_nobody_paid_is_incomplete(sandbox: SandboxProcess) -> None:
    order = {
        "product_cart": [{"product_id": COURSE, "quantity": 1}],
        "customer": {"email": "lan@example.com", "name": "Lan"},
        "billing_address": {"country": "US", "zipcode": "10001"},
        "minimal_address": True,
        "confirm": True,
    }
    payment_id = sandbox.post("/checkouts", order)["payment_id"]

    sandbox.clock(HOUR_S)
    wait_for(lambda: announced(sandbox), what="the event")

    abandoned = sandbox.control("objects/abandoned_checkouts")["items"][0]
    assert (abandoned["payment_id"], abandoned["reason"]) == (payment_id, "checkout_incomplete")


def test_checkout_paid_at_the_second_try_was_not_abandoned(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": COURSE, "quantity": 1}]
    session_id = sandbox.post("/checkouts", {"product_cart": cart})["session_id"]
    sandbox.pay(session_id, card=DECLINED)
    sandbox.pay(session_id)

    wait_past_timers(sandbox, HOUR_S)

    assert announced(sandbox) == []


def test_processing_payment_and_renewal_are_not_abandoned(sandbox: SandboxProcess) -> None:
    sandbox.buy(card="4000000000000077")
    sandbox.buy(BASIC)

    wait_past_timers(sandbox, HOUR_S)

    assert announced(sandbox) == []


def test_two_tries_of_one_checkout_are_abandoned_once(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": COURSE, "quantity": 1}]
    session_id = sandbox.post("/checkouts", {"product_cart": cart})["session_id"]
    sandbox.pay(session_id, card=DECLINED)
    sandbox.pay(session_id, card=DECLINED)

    wait_past_timers(sandbox, HOUR_S)

    assert announced(sandbox) == ["abandoned_checkout.detected"]


@pytest.mark.parametrize(("product_id", "recovered"), [(COURSE, True), (TEMPLATES, False)], ids=["same", "other"])
def test_later_purchase_recovers_what_it_pays_for(sandbox: SandboxProcess, product_id: str, recovered: bool) -> None:
    sandbox.buy(card=DECLINED)
    sandbox.clock(HOUR_S)
    wait_for(lambda: announced(sandbox), what="the event")

    paid = sandbox.buy(product_id)

    abandoned = sandbox.control("objects/abandoned_checkouts")["items"][0]
    assert abandoned["recovered_payment_id"] == (paid["payment_id"] if recovered else None)
    assert ("abandoned_checkout.recovered" in announced(sandbox)) is recovered


def test_switch_turns_them_off(sandbox: SandboxProcess) -> None:
    sandbox.switch(abandoned_checkouts=False)
    sandbox.buy(card=DECLINED)

    wait_past_timers(sandbox, HOUR_S)

    assert announced(sandbox) == []
