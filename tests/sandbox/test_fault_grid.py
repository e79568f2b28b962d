"""The fault grid: every fault after a connection, with every effect, and how many payments it makes.

What each word does to the answer is in test_faults.py; here it is that what happens does not depend on it.
"""

import json
import socket
from typing import Any

import pytest

from sandbox.http.faults import STATUS_CODES, WORDS
from tests.sandbox_process import BASIC, TEMPLATES, SandboxProcess, wait_for

# `kill` says itself what has happened: test_kill.py.
PLAIN = [word for word in WORDS if word not in ("slow", "redirect", "status", "kill", "lag")]
SUCCESSES = [f"status:{status}" for status in (201, 202, 204)]
ERRORS = [f"status:{status}" for status in (*STATUS_CODES, 500, 502, 503, 504)]
REDIRECTS = [f"redirect:{status}" for status in (301, 302, 307)]
FAULTS = [*PLAIN, "slow:0.02", "lag:5", *SUCCESSES, *ERRORS, *REDIRECTS]
LATE_S = 0.05
# Nobody waits for the end of an answer that never ends.
PATIENCE_S = 0.03
PAYMENTS_AFTER = {"none": 0, "before": 1, f"late:{LATE_S}": 1, "twice": 2}


@pytest.fixture(scope="module")
def one_click(running_sandbox: SandboxProcess) -> Any:
    """The body of a charge of a saved card; the sandbox is not started over between the cells."""
    running_sandbox.webhooks(url=None)
    running_sandbox.reset()
    customer_id = running_sandbox.buy()["customer"]["customer_id"]
    return {
        "product_cart": [{"product_id": TEMPLATES, "quantity": 1}],
        "confirm": True,
        "customer": {"customer_id": customer_id},
        "payment_method_id": running_sandbox.methods(customer_id)[0]["payment_method_id"],
        "billing_address": {"country": "US", "zipcode": "10001"},
        "minimal_address": True,
    }


@pytest.fixture(scope="module")
def mandate(running_sandbox: SandboxProcess, one_click: Any) -> str:
    """The path that charges an on-demand subscription."""
    mandate = {"on_demand": {"mandate_only": True}}
    payment = running_sandbox.buy(BASIC, email="mandate@example.com", subscription_data=mandate)
    return f"/subscriptions/{payment['subscription_id']}/charge"


def send(sandbox: SandboxProcess, request: str, order: Any = None) -> None:
    """Send a request, `POST /checkouts`, and go after the first bytes of an answer, or when there is none."""
    body = b"" if order is None else json.dumps(order).encode()
    head = f"{request} HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE_S) as connection:
        connection.settimeout(PATIENCE_S)
        try:
            connection.sendall(head.encode() + body)
            connection.recv(65536)
        except (TimeoutError, ConnectionError):
            pass


@pytest.mark.parametrize("effect", PAYMENTS_AFTER)
@pytest.mark.parametrize("fault", FAULTS)
def test_cell(running_sandbox: SandboxProcess, one_click: Any, fault: str, effect: str) -> None:
    sandbox, attempt = running_sandbox, f"{fault}/{effect}"
    order = {**one_click, "metadata": {"attempt": attempt}}
    sandbox.clear_faults()
    sandbox.fault("POST /checkouts", fault, effect=effect)

    send(sandbox, "POST /checkouts", order)

    wait_for(lambda: hits(sandbox) == 1, what="the fault")
    wanted = PAYMENTS_AFTER[effect]
    wait_for(lambda: charged(sandbox, attempt) == wanted, what=f"{wanted} payments")
    # The fault is used up, and one more request finds the sandbox as it was.
    answer = sandbox.call("POST", "/checkouts", order)
    assert answer.status_code == 200
    assert charged(sandbox, attempt) == wanted + 1


@pytest.mark.parametrize("fault", FAULTS)
def test_charge_of_a_mandate_is_made_before_the_fault(
    running_sandbox: SandboxProcess, mandate: str, fault: str
) -> None:
    sandbox, attempt = running_sandbox, f"{fault}/mandate"
    sandbox.clear_faults()
    sandbox.fault("POST /subscriptions/{id}/charge", fault, effect="before")

    send(sandbox, f"POST {mandate}", {"product_price": 500, "metadata": {"attempt": attempt}})

    wait_for(lambda: hits(sandbox) == 1, what="the fault")
    wait_for(lambda: charged(sandbox, attempt) == 1, what="the payment")


@pytest.mark.parametrize(
    "endpoint", ["GET /payments", "GET /customers/{id}/payment-methods", "POST /checkouts/preview"]
)
@pytest.mark.parametrize("fault", FAULTS)
def test_request_that_charges_nothing_is_spoiled_once(
    running_sandbox: SandboxProcess, one_click: Any, endpoint: str, fault: str
) -> None:
    sandbox = running_sandbox
    request = endpoint.replace("{id}", one_click["customer"]["customer_id"])
    method, path = request.split(" ")
    body = {"product_cart": one_click["product_cart"]} if method == "POST" else None
    sandbox.clear_faults()
    before = sandbox.call(method, path, body).json()
    sandbox.fault(endpoint, fault)

    send(sandbox, request, body)

    wait_for(lambda: hits(sandbox) == 1, what="the fault")
    assert sandbox.call(method, path, body).json() == before


def hits(sandbox: SandboxProcess) -> int:
    """Return how often the one fault ordered has struck."""
    return int(sandbox.control("faults")["items"][0]["hits"])


def charged(sandbox: SandboxProcess, attempt: str) -> int:
    """Return how many of the newest payments bear a mark."""
    newest = sandbox.control("objects/payments?limit=3")["items"]
    return sum(payment["metadata"].get("attempt") == attempt for payment in newest)
