"""Cookies ignore ports: on one machine the sandbox is sent the shop's. It must not read, keep, show or set any."""

from pathlib import Path

from encore.ids import random_ref
from tests.sandbox_process import COURSE, start_sandbox

PATHS = ("/", "/_sandbox/requests", "/_sandbox/state", "/products", "/checkouts/cks_none", "/session/none", "/nothing")


def test_shop_cookies_leave_no_trace_in_the_sandbox(tmp_path: Path) -> None:
    """I16: on its pages, on the wire and in control; looked for in its answers, its log of requests and its file."""
    value = random_ref()
    sent = {"Cookie": f"encore_buyer={value}; encore_session={value}.x.y; other={value}"}
    cart = {"product_cart": [{"product_id": COURSE, "quantity": 1}]}

    with start_sandbox(tmp_path) as sandbox:
        session = sandbox.post("/checkouts", {**cart, "return_url": "http://127.0.0.1:5000/r/x"})["session_id"]
        answers = [sandbox.call("GET", path, headers=sent) for path in (*PATHS, f"/session/{session}")]
        answers += [sandbox.call("POST", "/checkouts", cart, headers=sent)]
        form = {"email": "a@example.com", "name": "A", "country": "US", "zipcode": "10001", "cvc": "123"}
        form |= {"card_number": "4242424242424242", "expiry": "06/32"}
        answers += [sandbox.call("POST", f"/session/{session}", data=form, headers=sent)]
        log = str(sandbox.control("requests")) + str(sandbox.control("state"))
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert answers[-1].status_code == 303
    assert value not in log, "I16: a cookie of the shop is in the sandbox's log"
    assert value.encode() not in kept, "I16: a cookie of the shop is in the sandbox's file"
    for answer in answers:
        assert value not in answer.text + str(answer.headers), "I16: a cookie of the shop is shown"
        assert "Set-Cookie" not in answer.headers, "I16: the sandbox sets a cookie that the shop would be sent"
