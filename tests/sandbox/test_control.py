"""The control routes: the contract's literals, and bodies that name their bad field."""

import socket
from typing import Any

import pytest

from tests.sandbox_process import COURSE, SandboxProcess, wait_for

BAD_BODIES = [
    ("faults", {}, "endpoint"),
    ("faults", {"endpoint": "POST /nowhere", "fault": "reset"}, "endpoint"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "explode"}, "fault"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "status"}, "fault"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "status:99"}, "fault"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "slow:soon"}, "fault"),
    ("faults", {"endpoint": "GET /payments", "fault": "lag"}, "fault"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "redirect:200"}, "fault"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "effect": "maybe"}, "effect"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "effect": "late:x"}, "effect"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "times": 0}, "times"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "times": True}, "times"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "match": 1}, "match"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "match": {"card": "x"}}, "match.card"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "how": 1}, "how"),
    ("faults", {"endpoint": "POST /checkouts", "fault": "reset", "retry_after": "a\nb"}, "retry_after"),
    ("payments", {}, "outcome"),
    ("payments", {"outcome": "exploded"}, "outcome"),
    ("payments", {"outcome": "failed", "error_code": "NOPE"}, "error_code"),
    ("payments", {"outcome": "processing", "then": {"outcome": "x"}}, "then.outcome"),
    ("clock", {}, "advance_s"),
    ("clock", {"advance_s": "1d"}, "advance_s"),
    ("clock", {"freeze": "yes"}, "freeze"),
    ("clock", {"to": "tomorrow"}, "to"),
    ("switches", {"no_such": 1}, "no_such"),
    ("switches", {"saved_card_decline": "perhaps"}, "saved_card_decline"),
    ("switches", {"saved_method_delay": -1}, "saved_method_delay"),
    ("rate", {"rate": "fast"}, "rate"),
    ("lists", {"lag_s": -1}, "lag_s"),
    ("lists", {"outage": "yes"}, "outage"),
    ("listen", {}, "accept"),
    ("webhooks", {"url": "ftp://x"}, "url"),
    ("webhooks", {"secret": "abc"}, "secret"),
    ("webhooks", {"secret": "whsec_***"}, "secret"),
    ("webhooks", {"order": "random"}, "order"),
    ("webhooks", {"again": "msg_no"}, "again"),
    ("webhooks", {"send": {"type": "payment.failed"}}, "send"),
    ("webhooks", {"drop": -1}, "drop"),
    ("refunds", {}, "payment_id"),
    ("disputes", {"payment_id": "pay_no"}, "payment_id"),
    ("settle", {"payment_id": "pay_no", "status": "done"}, "status"),
]


@pytest.mark.parametrize(("route", "body", "field"), BAD_BODIES)
def test_bad_body_names_its_field(sandbox: SandboxProcess, route: str, body: Any, field: str) -> None:
    before = sandbox.control("state")

    answer = sandbox.call("POST", f"/_sandbox/{route}", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST_BODY")
    assert answer.json()["message"].startswith(f"{field}:")
    after = sandbox.control("state")
    assert after.pop("clock")["offset_ms"] == before.pop("clock")["offset_ms"]
    assert after == before


def test_requests_are_logged_oldest_first(sandbox: SandboxProcess) -> None:
    body = {"product_cart": [{"product_id": COURSE, "quantity": 1}]}
    sandbox.call("POST", "/checkouts", body)
    sandbox.call("GET", "/products?page_size=1")
    sandbox.call("GET", "/nowhere")

    log = sandbox.control("requests")
    items = log["items"]

    assert log["dropped"] == 0
    assert [(i["method"], i["path"], i["body"], i["status"], i["fault"]) for i in items] == [
        ("POST", "/checkouts", body, 200, None),
        ("GET", "/products", None, 200, None),
        ("GET", "/nowhere", None, 404, None),
    ]
    assert items[0]["at"] <= items[1]["at"] <= items[2]["at"]
    assert "authorization" not in items[0]["headers"]


def test_request_in_the_air_is_logged_already(sandbox: SandboxProcess) -> None:
    sandbox.fault("GET /products", "timeout")

    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(b"GET /products HTTP/1.1\r\nAuthorization: Bearer k\r\n\r\n")
        logged = wait_for(lambda: sandbox.requests("GET", "/products"), what="the request")

    assert [(item["status"], item["fault"]) for item in logged] == [(None, "timeout")]


def test_reset_starts_over_but_keeps_the_catalogue(sandbox: SandboxProcess) -> None:
    sandbox.buy()
    sandbox.fault("POST /checkouts", "reset")
    sandbox.next_payment("failed")
    sandbox.clock(86_400)
    sandbox.switch(payment_names_method=True)
    sandbox.control("rate", {"rate": "1"})
    sandbox.control("lists", {"outage": True})

    sandbox.reset()

    state = sandbox.control("state")
    assert state["counts"]["payments"] == state["counts"]["customers"] == 0
    assert state["counts"]["products"] == 8
    assert (state["faults"], state["next_charges"], state["rate"]) == ([], [], "off")
    assert state["clock"]["offset_ms"] == 0
    assert state["switches"]["payment_names_method"] is False
    assert state["lists"]["outage"] is False
    assert sandbox.requests() == []


def test_clock_can_be_frozen(sandbox: SandboxProcess) -> None:
    frozen = sandbox.control("clock", {"freeze": True})["now"]
    assert sandbox.control("clock")["now"] == frozen

    assert sandbox.clock(60)["now"] == frozen + 60_000
    running = sandbox.control("clock", {"freeze": False})
    assert running["now"] >= frozen + 60_000
    assert not running["frozen"]


@pytest.mark.parametrize("step_s", [10 * 365 * 86_400, -10 * 365 * 86_400])
def test_clock_is_not_pushed_where_nothing_can_be_answered(sandbox: SandboxProcess, step_s: int) -> None:
    refused = None
    for _ in range(50):
        before = sandbox.control("clock", {"freeze": True})
        answer = sandbox.call("POST", "/_sandbox/clock", {"advance_s": step_s})
        if answer.status_code != 200:
            refused = answer
            break

    assert refused is not None
    assert (refused.status_code, refused.json()["message"][:10]) == (422, "advance_s:")
    assert sandbox.control("clock") | {"wall": 0} == before | {"wall": 0}
    assert sandbox.call("GET", "/").status_code == 200
    body = {"product_cart": [{"product_id": COURSE, "quantity": 1}]}
    assert sandbox.call("POST", "/checkouts", body).status_code == 200


def test_unknown_route_and_method_answer_in_the_wires_shape(sandbox: SandboxProcess) -> None:
    nowhere, wrong = sandbox.call("GET", "/nowhere"), sandbox.call("PUT", "/checkouts")

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "NOT_FOUND")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("key", ["", "Bearer ", "Bearer bad_key", "Basic abc"])
def test_missing_or_bad_key_is_401(sandbox: SandboxProcess, key: str) -> None:
    answer = sandbox.call("GET", "/products", headers={"authorization": key})

    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "path", ["/payments/x", "/customers/x", "/products/x", "/refunds/x", "/subscriptions/x", "/checkouts/x"]
)
def test_unknown_id_is_404(sandbox: SandboxProcess, path: str) -> None:
    assert sandbox.call("GET", path).json()["code"] == "NOT_FOUND"


def test_control_is_closed_to_pages_of_other_sites(sandbox: SandboxProcess) -> None:
    headers = {"sec-fetch-site": "cross-site"}

    assert sandbox.call("POST", "/_sandbox/reset", {}, headers=headers).status_code == 403
    assert sandbox.call("POST", "/", data={"action": "reset"}, headers=headers).status_code == 403


def test_one_object_is_read_by_its_id(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.buy()["payment_id"]

    assert sandbox.control(f"objects/payments/{payment_id}") == sandbox.payments()[0]
    assert sandbox.call("GET", "/_sandbox/objects/payments/pay_no").status_code == 404
    assert sandbox.call("GET", "/_sandbox/objects/wishes/pay_no").status_code == 404


def test_limited_objects_are_the_newest_and_requests_go_on(sandbox: SandboxProcess) -> None:
    sandbox.buy()
    newest = sandbox.buy()["payment_id"]
    (shown,) = sandbox.control("objects/payments?limit=1")["items"]
    numbers = [row["id"] for row in sandbox.requests()]

    after = sandbox.control(f"requests?after={numbers[0]}&limit=2")["items"]

    assert shown["id"] == newest
    assert [row["id"] for row in after] == numbers[1:3]


def test_the_first_product_is_the_starter_course(sandbox: SandboxProcess) -> None:
    items = sandbox.get("/products")["items"]

    assert [(item["name"], item["price"], item["currency"]) for item in items[:3]] == [
        ("Starter course", 4900, "USD"),
        ("Complete bundle", 9900, "USD"),
        ("Design templates", 2000, "USD"),
    ]
    assert all(sandbox.call("GET", item["image"].removeprefix(sandbox.url)).ok for item in items)


def test_what_no_route_knows_is_remembered(sandbox: SandboxProcess) -> None:
    sandbox.call("GET", "/meters")
    sandbox.call("POST", "/meters", {})
    sandbox.call("GET", "/meters")
    sandbox.call("GET", "/payments/pay_nowhere")

    items = sandbox.control("not-implemented")["items"]

    assert [(item["method"], item["path"], item["times"]) for item in items] == [
        ("GET", "/meters", 2),
        ("POST", "/meters", 1),
    ]
    assert items[0]["last_at"] >= items[1]["last_at"]
