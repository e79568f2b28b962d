"""Whatever stands in a body of control: it is taken, or refused with its field named, and then nothing has changed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.schema import assert_exchange
from tests.contract.test_bad_input import RAW, WRONG
from tests.sandbox_process import BASIC, SandboxProcess, start_sandbox

MATCH = {"customer_id": "cus_x", "card": "4242", "metadata": {"a": "b"}}
# Route -> bodies that make sense, with an object's id where the name of its kind stands.
BODIES: dict[str, list[dict[str, Any]]] = {
    "faults": [
        {"endpoint": "POST /meters", "fault": "none", "effect": "none", "times": 1, "match": MATCH, "retry_after": "1"}
    ],
    "payments": [
        {
            "outcome": "failed", "error_code": "GENERIC_DECLINE", "times": 1, "match": MATCH, "payment_link": True,
            "then": {"outcome": "failed", "error_code": "GENERIC_DECLINE", "after_s": 1},
        }
    ],
    "clock": [{"advance_s": 0, "freeze": True, "skew_s": 0, "to": "next_renewal"}],
    "switches": [{"grace_period_days": 1, "webhook_tries": 8, "saved_method_delay": 1, "refund_outcome": "pending"}],
    "rate": [{"rate": "off"}],
    "lists": [{"lag_s": 0, "missing_page": 1, "outage": False}],
    "listen": [{"accept": True, "for_s": 1}],
    "webhooks": [
        {
            "url": None, "secret": "", "rotate": "", "release": False, "order": "fifo", "again": "", "hold": True,
            "drop": 0, "repeat": 1, "newer_body": 0, "bad_signature": 0, "old_timestamp": 0, "old_timestamp_s": 1,
            "delay_s": 0, "parallel": 1, "types": None, "kill": None,
        },
        {"send": {"type": "payment.failed", "payment_id": "payments"}},
    ],
    "triggers": [{"type": "payment.failed", "set": {"error_code": "LOST_CARD", "customer.name": "Lan", "quantity": 2}}],
    "endpoints": [{"url": "http://127.0.0.1:9/", "description": "x", "filter_types": []}],
    "refunds": [{"payment_id": "payments", "amount": 1, "reason": "x"}],
    "disputes": [
        {"payment_id": "payments", "amount": 1, "reason": "x"},
        {"dispute_id": "disputes", "outcome": "won"},
    ],
    "settle": [
        {"payment_id": "payments", "status": "failed", "error_code": "LOST_CARD"},
        {"refund_id": "refunds", "status": "failed"},
    ],
    "renewals": [{"subscription_id": "subscriptions"}],
    "scenarios": [{"name": "nobody"}],
    "snapshots": [{"name": "../x"}, {"restore": "nothing"}],
}  # fmt: skip
SHOWN = ("payments", "subscriptions", "refunds", "disputes", "customers", "products", "webhooks")


@pytest.fixture(scope="module")
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox apart: endpoints that control adds stay where they are at a reset."""
    with start_sandbox(tmp_path_factory.mktemp("control")) as sandbox:
        sandbox.judge = assert_exchange
        yield sandbox


def spoilt(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the body with each wrong value alone and in each field, those of objects included."""
    for name, field in body.items():
        for value in WRONG:
            yield {name: value}
            yield {**body, name: value}
        if isinstance(field, dict):
            yield from ({**body, name: inner} for inner in spoilt(field))


def known(body: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """Return the body with the ids of objects that are there."""
    return {
        name: known(value, ids)
        if isinstance(value, dict)
        else ids.get(value, value)
        if isinstance(value, str)
        else value
        for name, value in body.items()
    }


@pytest.mark.parametrize("route", BODIES)
def test_no_field_breaks_control(own_sandbox: SandboxProcess, route: str) -> None:
    sandbox = own_sandbox
    sandbox.reset()
    sandbox.control("clock", {"freeze": True})
    payment = sandbox.buy(BASIC)
    sandbox.switch(refund_outcome="pending")
    refund = sandbox.post("/refunds", {"payment_id": payment["payment_id"]})
    dispute = sandbox.control("disputes", {"payment_id": payment["payment_id"]})
    ids = {
        "payments": payment["payment_id"],
        "refunds": refund["refund_id"],
        "disputes": dispute["dispute_id"],
        "subscriptions": payment["subscription_id"],
    }
    bodies = [json.dumps(one).encode() for body in BODIES[route] for one in spoilt(known(body, ids))] + RAW
    broken, changed = [], []

    before = sandbox.control("state")
    for body in bodies:
        answer = sandbox.call("POST", f"/_sandbox/{route}", data=body)
        after = sandbox.control("state")
        if answer.status_code >= 500:
            broken.append((answer.status_code, body[:200]))
        if answer.status_code >= 400 and {**after, "clock": before["clock"]} != before:
            changed.append((answer.status_code, body[:200]))
        before = after

    assert (broken, changed) == ([], [])
    # What was taken can all be shown.
    sandbox.lists(outage=False)
    for noun in SHOWN:
        sandbox.get(f"/{noun}")
    assert sandbox.call("GET", "/").status_code == 200


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("webhooks", {"types": ["payment.suceeded"]}, "types"),
        ("webhooks", {"repeat": 1_000_000}, "repeat"),
        ("webhooks", {"send": {"type": "nonsense", "payment_id": "payments"}}, "send.type"),
        ("webhooks", {"send": {"type": "refund.succeeded", "payment_id": "payments"}}, "send.type"),
        ("triggers", {"type": "payment.failed", "set": {"error_code": "NOPE"}}, "error_code"),
        ("refunds", {"payment_id": "payments", "reason": ["x"]}, "reason"),
        ("payments", {"outcome": "failed", "match": {"customer_id": 4242}}, "customer_id"),
        ("switches", {"grace_period_days": 1e300}, "grace_period_days"),
        ("switches", {"refund_window_days": 3651}, "refund_window_days"),
        ("switches", {"webhook_tries": 86_401}, "webhook_tries"),
    ],
)
def test_what_cannot_be_meant_is_refused(sandbox: SandboxProcess, route: str, body: Any, field: str) -> None:
    body = known(body, {"payments": sandbox.buy()["payment_id"]})

    answer = sandbox.call("POST", f"/_sandbox/{route}", body)

    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (422, field)


def test_number_of_a_button_that_is_far_too_long_is_refused(sandbox: SandboxProcess) -> None:
    answer = sandbox.call("POST", "/", data={"action": "modes", "drop": "9" * 5000, "repeat": "1"})

    assert answer.status_code == 422
