"""A provider that dies in the middle of a request: what its file still knows when it is started again."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.listener import SECRET, Listener
from tests.sandbox_process import COURSE, TEMPLATES, SandboxProcess, start_sandbox, wait_for

KILLED_STATUS = 70


def order(sandbox: SandboxProcess) -> Any:
    customer_id = sandbox.buy()["customer"]["customer_id"]
    return {
        "product_cart": [{"product_id": TEMPLATES, "quantity": 1}],
        "confirm": True,
        "customer": {"customer_id": customer_id},
        "payment_method_id": sandbox.methods(customer_id)[0]["payment_method_id"],
        "billing_address": {"country": "US", "zipcode": "10001"},
        "minimal_address": True,
        "metadata": {"attempt_id": "att_1"},
    }


def kept(sandbox: SandboxProcess) -> tuple[int, list[str], Any]:
    """Return (charges of the attempt, their events, the status logged for the request)."""
    charged = [payment["id"] for payment in sandbox.payments() if payment["metadata"].get("attempt_id")]
    events = [e["type"] for e in sandbox.control("deliveries")["events"] if e["object_id"] in charged]
    return len(charged), events, sandbox.charges(attempt_id="att_1")[0]["status"]


@pytest.mark.parametrize(
    ("fault", "effect", "expected"),
    [
        ("kill:before_effect", "none", (0, [], None)),
        ("kill:in_effect", "none", (0, [], None)),
        ("kill:after_effect", "none", (1, ["payment.succeeded"], None)),
        ("kill:before_answer", "none", (1, ["payment.succeeded"], 200)),
        ("kill", "none", (0, [], None)),
        ("kill", "before", (1, ["payment.succeeded"], 200)),
    ],
)
def test_killed_provider_keeps_what_it_had_stored(tmp_path: Path, fault: str, effect: str, expected: Any) -> None:
    with start_sandbox(tmp_path) as sandbox:
        charge = order(sandbox)
        sandbox.fault("POST /checkouts", fault, effect=effect)
        with pytest.raises(requests.ConnectionError):
            sandbox.call("POST", "/checkouts", charge)
        assert sandbox.process.wait(timeout=10) == KILLED_STATUS

    with start_sandbox(tmp_path) as sandbox:
        assert kept(sandbox) == expected
        assert sandbox.call("POST", "/checkouts", charge).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"fault": "kill:at_lunch"},
        {"fault": "kill", "effect": "twice"},
        {"fault": "kill", "effect": "late:1"},
        {"fault": "kill:after_effect", "effect": "before"},
    ],
)
def test_kill_that_makes_no_sense_is_refused(sandbox: SandboxProcess, body: Any) -> None:
    refused = sandbox.call("POST", "/_sandbox/faults", {"endpoint": "POST /checkouts", **body})

    assert refused.json()["code"] == "INVALID_REQUEST_BODY"
    assert sandbox.control("faults")["items"] == []


@pytest.mark.parametrize(("point", "arrivals"), [("before_send", 1), ("after_send", 2)])
def test_delivery_that_was_not_noted_comes_again(tmp_path: Path, point: str, arrivals: int) -> None:
    with Listener() as listener:
        with start_sandbox(tmp_path, webhook_url=listener.url, webhook_secret=SECRET) as sandbox:
            sandbox.webhooks(kill=point)
            cart = [{"product_id": COURSE, "quantity": 1}]
            session_id = sandbox.post("/checkouts", {"product_cart": cart})["session_id"]
            with contextlib.suppress(requests.ConnectionError):
                sandbox.pay(session_id)
            assert sandbox.process.wait(timeout=10) == KILLED_STATUS
        assert len(listener.arrivals) == arrivals - 1

        with start_sandbox(tmp_path, webhook_url=listener.url, webhook_secret=SECRET) as sandbox:
            wait_for(lambda: len(listener.arrivals) == arrivals, what="the delivery")
            assert len({arrival.headers["webhook-id"] for arrival in listener.arrivals}) == 1
            assert sandbox.control("webhooks")["kill"] is None
