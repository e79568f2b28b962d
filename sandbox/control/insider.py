"""A shop and its customers inside the sandbox, for triggers and scenarios.

What they do goes through the routes like everything else, so that there is one way of making each object; only the
log, the key and the faults of the gateway are passed by.
"""

import html
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError, found
from ..http.server import Connection, Request
from .demo import COURSE

EMAIL = "lan@example.com"
NAME = "Lan Nguyen"
PAID_CARD = "4242424242424242"
# What the hosted page's list of errors says (templates/_fields.html), with its tags.
PAGE_ERRORS = re.compile(r'id="errors">.*?<ul>(.*?)</ul>', re.DOTALL)


def post(twin: Twin, path: str, body: Any) -> Doc:
    """Send a POST to one of the routes and return its JSON answer; raises WireError with what it refused."""
    return _send(twin, "POST", path, json.dumps(body).encode())


def patch(twin: Twin, path: str, body: Any) -> Doc:
    """Send a PATCH, likewise."""
    return _send(twin, "PATCH", path, json.dumps(body).encode())


def buy(
    twin: Twin,
    product_id: str = COURSE,
    *,
    quantity: int = 1,
    card: str = PAID_CARD,
    expiry: str = "06/32",
    email: str = EMAIL,
    name: str = NAME,
    country: str = "US",
    metadata: Doc | None = None,
) -> Doc:
    """Buy on the hosted page and return the stored payment, whatever became of it."""
    cart = [{"product_id": product_id, "quantity": quantity}]
    session_id = post(twin, "/checkouts", {"product_cart": cart, "metadata": metadata or {}})["session_id"]
    form = {"email": email, "name": name, "country": country, "zipcode": "10001", "card_number": card,
            "expiry": expiry, "cvc": "123"}  # fmt: skip
    _send(twin, "POST", f"/session/{session_id}", urlencode(form).encode())
    session = found(twin.store.get("sessions", session_id), "Checkout session")
    return found(twin.store.get("payments", session["payment_id"]), "Payment")


@contextmanager
def next_charge(twin: Twin, outcome: str, error_code: str | None = None) -> Iterator[None]:
    """Let the charges of the block end so, whatever is ordered for the charges after it."""
    ordered = twin.store.setting("next_charges", [])
    rule = {"outcome": outcome, "error_code": error_code, "times": 1, "match": None, "then": None, "payment_link": None}
    twin.store.set_setting("next_charges", [rule])
    try:
        yield
    finally:
        twin.store.set_setting("next_charges", ordered)


@contextmanager
def switched(twin: Twin, name: str, value: Any) -> Iterator[None]:
    """Do the block with a switch set, then set it back."""
    usual = twin.switch(name)
    twin.set_switch(name, value)
    try:
        yield
    finally:
        twin.set_switch(name, usual)


def _send(twin: Twin, method: str, path: str, body: bytes) -> Doc:
    request = Request(method, path, "", {}, "127.0.0.1", keep_alive=False, body=body)
    with socket.socket() as nobody:
        answer = twin.respond(request, Connection(nobody, request.peer))
    try:
        made: Doc = json.loads(answer.body) if answer.body.startswith(b"{") else {}
    except ValueError:
        made = {}
    if answer.status >= 400:
        message = made.get("message") or _page_errors(answer.body.decode()) or path
        raise WireError(answer.status, made.get("code", "INVALID_REQUEST_BODY"), message)
    return made


def _page_errors(page: str) -> str:
    listed = PAGE_ERRORS.search(page)
    items = re.findall(r"<li>(.*?)</li>", listed[1], re.DOTALL) if listed else []
    return "; ".join(html.unescape(re.sub(r"<[^>]*>", "", item)) for item in items)
