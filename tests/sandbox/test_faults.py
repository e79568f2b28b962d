"""Every fault word does on the socket what its name says."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from tests.sandbox_process import BASIC, COURSE, TEMPLATES, SandboxProcess, wait_for

ENDPOINT = "POST /checkouts"
QUICK_S = 0.3


@pytest.fixture
def order(sandbox: SandboxProcess) -> Any:
    """The body of a one-click charge."""
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


def charged(sandbox: SandboxProcess) -> int:
    return sum(bool(payment["metadata"].get("attempt_id")) for payment in sandbox.payments())


@contextmanager
def raw(sandbox: SandboxProcess, order: Any) -> Iterator[socket.socket]:
    """Send the charge on a bare socket."""
    body = json.dumps(order).encode()
    head = f"POST /checkouts HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@pytest.mark.parametrize("word", ["reset", "reset_before_read", "reset_mid_read"])
def test_reset_drops_the_connection_without_an_answer(sandbox: SandboxProcess, order: Any, word: str) -> None:
    sandbox.fault(ENDPOINT, word)

    with raw(sandbox, order) as connection, pytest.raises(ConnectionResetError):
        read_all(connection)

    assert charged(sandbox) == 0
    assert [(r["status"], r["fault"]) for r in sandbox.requests("POST", "/checkouts")][-1] == (None, word)


@pytest.mark.parametrize("word", ["reset", "reset_before_read", "reset_mid_read"])
def test_reset_after_the_charge_leaves_one_payment(sandbox: SandboxProcess, order: Any, word: str) -> None:
    sandbox.fault(ENDPOINT, word, effect="before")

    with pytest.raises(requests.ConnectionError):
        sandbox.call("POST", "/checkouts", order)

    assert charged(sandbox) == 1


def test_timeout_never_answers_and_holds_until_the_client_goes(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "timeout", effect="before")

    with pytest.raises(requests.ReadTimeout):
        sandbox.call("POST", "/checkouts", order, timeout=QUICK_S)

    assert charged(sandbox) == 1


def test_slow_answers_truly_after_the_wait(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, f"slow:{QUICK_S}", effect="before")

    started = time.monotonic()
    answer = sandbox.call("POST", "/checkouts", order)

    assert time.monotonic() - started >= QUICK_S
    assert sandbox.get(f"/payments/{answer.json()['payment_id']}")["status"] == "succeeded"


def test_drip_sends_one_byte_a_second(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "drip")

    with raw(sandbox, order) as connection:
        first = connection.recv(65536)
        started = time.monotonic()
        second = connection.recv(65536)

    assert (first, second) == (b"H", b"T")
    assert 0.9 < time.monotonic() - started < 2


def test_stall_sends_headers_and_no_body(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "stall_after_headers", effect="before")

    with raw(sandbox, order) as connection:
        received = connection.recv(65536)
        connection.settimeout(QUICK_S)
        with pytest.raises(TimeoutError):
            connection.recv(65536)

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\n")


def test_empty_is_200_without_a_body(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "empty", effect="before")

    answer = sandbox.call("POST", "/checkouts", order)

    assert (answer.status_code, answer.content) == (200, b"")
    assert charged(sandbox) == 1


def test_truncated_is_half_a_body_with_a_true_length(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "truncated", effect="before")

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.text.startswith('{"session_id"')
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


def test_html_is_200_with_a_page(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "html")

    answer = sandbox.call("POST", "/checkouts", order)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert answer.text.startswith("<!doctype html>")


def test_wrong_type_makes_the_id_a_number(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "wrong_type", effect="before")

    assert sandbox.call("POST", "/checkouts", order).json()["payment_id"] == 12345


def test_wrong_type_spoils_a_payments_amount_and_status(sandbox: SandboxProcess) -> None:
    payment_id = sandbox.buy()["payment_id"]
    sandbox.fault("GET /payments/{id}", "wrong_type", effect="before")

    payment = sandbox.call("GET", f"/payments/{payment_id}").json()

    assert (payment["total_amount"], payment["status"]) == ("many", [17])


def test_missing_null_and_other_id(sandbox: SandboxProcess, order: Any) -> None:
    for word in ("missing_id", "null_id", "other_id"):
        sandbox.fault(ENDPOINT, word, effect="before")

    missing, null, other = (sandbox.call("POST", "/checkouts", order).json() for _ in range(3))

    payments = {payment["id"]: payment["session_id"] for payment in sandbox.payments()}
    assert "payment_id" not in missing
    assert null["payment_id"] is None
    assert payments[other["payment_id"]] != other["session_id"]


def test_unknown_fields_are_added(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "unknown_fields", effect="before")

    body = sandbox.call("POST", "/checkouts", order).json()

    assert body["zz_flag"] is True
    assert body["payment_id"].startswith("pay_")


@pytest.mark.parametrize(("word", "literal"), [("nan", b"NaN"), ("1e400", b"1e400")])
def test_numbers_no_json_reader_should_trust(sandbox: SandboxProcess, order: Any, word: str, literal: bytes) -> None:
    sandbox.fault(ENDPOINT, word, effect="before")

    assert b'"total_amount": ' + literal in sandbox.call("POST", "/checkouts", order).content


def test_repeated_keys_name_two_payments(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "repeated_keys", effect="before")

    pairs = json.loads(sandbox.call("POST", "/checkouts", order).text, object_pairs_hook=list)

    values = [value for name, value in pairs if name == "payment_id"]
    assert len(values) == len(set(values)) == 2


def test_huge_sends_fifty_megabytes(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "huge")

    answer = sandbox.call("POST", "/checkouts", order, stream=True)

    assert sum(len(chunk) for chunk in answer.iter_content(1_048_576)) == 50 * 1024 * 1024


def test_wrong_length_promises_more_than_it_sends(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "wrong_length", effect="before")

    with raw(sandbox, order) as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")

    assert f"Content-Length: {len(body) + 100}".encode() in head


@pytest.mark.parametrize(("word", "status"), [("redirect", 302), ("redirect:301", 301), ("redirect:307", 307)])
def test_redirect_points_to_another_host_that_is_watched(
    sandbox: SandboxProcess, order: Any, word: str, status: int
) -> None:
    sandbox.fault(ENDPOINT, word)

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.status_code == status
    assert answer.headers["location"] == f"http://localhost:{sandbox.port}/checkouts"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 500, 502, 503, 504])
def test_status_is_well_formed(sandbox: SandboxProcess, order: Any, status: int) -> None:
    sandbox.fault(ENDPOINT, f"status:{status}")

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.status_code == status
    assert answer.json().keys() == {"code", "message"}
    assert charged(sandbox) == 0


@pytest.mark.parametrize("status", [201, 202])
def test_other_success_status_keeps_the_true_body(sandbox: SandboxProcess, order: Any, status: int) -> None:
    sandbox.fault(ENDPOINT, f"status:{status}", effect="before")

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.status_code == status
    assert sandbox.get(f"/payments/{answer.json()['payment_id']}")["status"] == "succeeded"


def test_status_204_has_no_body(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "status:204", effect="before")

    answer = sandbox.call("POST", "/checkouts", order)

    assert (answer.status_code, answer.content) == (204, b"")


def test_status_may_name_its_code(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "status:409:PREVIOUS_PAYMENT_PENDING")

    assert sandbox.call("POST", "/checkouts", order).json()["code"] == "PREVIOUS_PAYMENT_PENDING"


@pytest.mark.parametrize("value", [None, "1", "86400", "-1", "Wed, 25 Nov 2026 10:00:00 GMT", "soon"])
def test_429_carries_the_retry_after_ordered(sandbox: SandboxProcess, order: Any, value: str | None) -> None:
    sandbox.fault(ENDPOINT, "status:429", retry_after=value)

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == value


# Effects.


def test_effect_none_answers_as_if_but_nothing_happened(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "status:201")

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.json()["payment_id"].startswith("pay_")
    assert charged(sandbox) == 0


def test_effect_late_happens_after_the_answer(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "status:503", effect="late:0.2")

    answer = sandbox.call("POST", "/checkouts", order)

    assert (answer.status_code, charged(sandbox)) == (503, 0)
    wait_for(lambda: charged(sandbox) == 1, what="the late charge")
    assert len(sandbox.charges(attempt_id="att_1")) == 1


def test_effect_twice_makes_two_payments_of_one_request(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "none", effect="twice")

    answer = sandbox.call("POST", "/checkouts", order)

    assert answer.status_code == 200
    assert charged(sandbox) == 2
    assert len(sandbox.charges(attempt_id="att_1")) == 1


def test_a_fault_is_used_up(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "status:503", times=2)

    statuses = [sandbox.call("POST", "/checkouts", order).status_code for _ in range(3)]

    assert statuses == [503, 503, 200]
    assert sandbox.control("faults")["items"][0]["hits"] == 2


@pytest.mark.parametrize(
    "match",
    [{"metadata": {"attempt_id": "att_1"}}, {"card": "4242"}, {"card": "4242424242424242"}],
    ids=["metadata", "last4", "number"],
)
def test_match_narrows_a_fault(sandbox: SandboxProcess, order: Any, match: Any) -> None:
    sandbox.fault(ENDPOINT, "status:503", match=match)

    other = sandbox.call("POST", "/checkouts", {"product_cart": [{"product_id": COURSE, "quantity": 1}]})
    matching = sandbox.call("POST", "/checkouts", order)

    assert (other.status_code, matching.status_code) == (200, 503)


def test_match_knows_the_customer_behind_a_path(sandbox: SandboxProcess) -> None:
    mine, other = sandbox.buy(), sandbox.buy(email="minh@example.com")
    match = {"customer_id": mine["customer"]["customer_id"]}
    sandbox.fault("GET /payments/{payment_id}", "status:500", match=match)

    assert sandbox.call("GET", f"/payments/{other['payment_id']}").status_code == 200
    assert sandbox.call("GET", f"/payments/{mine['payment_id']}").status_code == 500


@pytest.mark.parametrize("noun", ["subscriptions", "refunds", "disputes"])
def test_match_knows_the_customer_behind_other_objects(sandbox: SandboxProcess, noun: str) -> None:
    mine, other = sandbox.buy(BASIC), sandbox.buy(BASIC, email="minh@example.com")

    def path(payment: Any) -> str:
        if noun == "refunds":
            return f"/refunds/{sandbox.control('refunds', {'payment_id': payment['payment_id']})['refund_id']}"
        if noun == "disputes":
            return f"/disputes/{sandbox.control('disputes', {'payment_id': payment['payment_id']})['dispute_id']}"
        return f"/subscriptions/{payment['subscription_id']}"

    match = {"customer_id": mine["customer"]["customer_id"]}
    sandbox.fault(f"GET /{noun}/{{id}}", "status:500", match=match)

    assert sandbox.call("GET", path(other)).status_code == 200
    assert sandbox.call("GET", path(mine)).status_code == 500


def test_match_knows_the_card_behind_a_refund(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(card="5555555555554444")
    sandbox.fault("POST /refunds", "status:503", match={"card": "4444"})

    assert sandbox.call("POST", "/refunds", {"payment_id": payment["payment_id"]}).status_code == 503


def test_star_is_whatever_route_comes_next(sandbox: SandboxProcess) -> None:
    sandbox.fault("*", "status:503", times=2)

    statuses = [sandbox.call("GET", path).status_code for path in ("/nowhere", "/products", "/payments", "/products")]

    assert statuses == [404, 503, 503, 200]


def test_one_fault_can_be_taken_back(sandbox: SandboxProcess) -> None:
    first, second = (sandbox.fault("GET /products", f"status:{status}") for status in (500, 503))

    sandbox.control(f"faults/{first['id']}", method="DELETE")

    assert sandbox.control("faults")["items"] == [second]
    assert sandbox.call("DELETE", f"/_sandbox/faults/{first['id']}").status_code == 404


def test_garbage_is_no_http(sandbox: SandboxProcess, order: Any) -> None:
    sandbox.fault(ENDPOINT, "garbage", effect="before")

    with raw(sandbox, order) as connection:
        received = read_all(connection)

    assert not received.startswith(b"HTTP")
    assert charged(sandbox) == 1


@pytest.mark.parametrize(("word", "left"), [("no_rows", []), ("first_row_missing", ["older"])])
def test_list_can_come_without_rows_that_are_there(sandbox: SandboxProcess, word: str, left: list[str]) -> None:
    for name in ("older", "newer"):
        sandbox.post("/customers", {"email": f"{name}@example.com", "name": name})
    sandbox.fault("GET /customers", word)

    shown = [customer["name"] for customer in sandbox.get("/customers")["items"]]

    assert shown == left
    assert len(sandbox.get("/customers")["items"]) == 2


def test_any_list_can_lag_for_one_customer(sandbox: SandboxProcess) -> None:
    mine, other = sandbox.buy(BASIC), sandbox.buy(BASIC, email="minh@example.com")
    sandbox.clock(60)
    sandbox.buy(BASIC)
    customer_id = mine["customer"]["customer_id"]
    sandbox.fault("GET /subscriptions", "lag:30", match={"customer_id": customer_id})

    others = sandbox.get("/subscriptions", customer_id=other["customer"]["customer_id"])["items"]
    lagging = sandbox.get("/subscriptions", customer_id=customer_id)["items"]
    later = sandbox.get("/subscriptions", customer_id=customer_id)["items"]

    assert len(others) == 1
    assert [item["subscription_id"] for item in lagging] == [mine["subscription_id"]]
    assert len(later) == 2


def test_connections_are_refused_and_accepted_again(sandbox: SandboxProcess) -> None:
    sandbox.control("listen", {"accept": False, "for_s": 60})
    with pytest.raises(requests.ConnectionError, match="refused"):
        sandbox.call("GET", "/products")

    # The connection that gave the order stays open, to take it back.
    sandbox.control("listen", {"accept": True})

    assert sandbox.call("GET", "/products").status_code == 200


def test_refusing_ends_by_itself(sandbox: SandboxProcess) -> None:
    sandbox.control("listen", {"accept": False, "for_s": 0.2})

    def reachable() -> bool:
        try:
            return sandbox.call("GET", "/products").status_code == 200
        except requests.ConnectionError:
            return False

    assert not reachable()
    wait_for(reachable, what="the port")
