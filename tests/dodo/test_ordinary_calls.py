"""Calls that move no money: what they read, what they raise, and what is tried again."""

import json
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest
import requests

from encore.clock import Clock
from encore.dodo import Budget, Dodo, Timeouts
from encore.dodo import client as client_module
from encore.dodo.answers import NotSent, RefundAccepted, Refused, UnknownAnswer
from encore.dodo.client import CallTimer, Client, path_of, time_calls
from encore.dodo.connection import Wire
from encore.dodo.models import Payment
from encore.errors import NotExecuted, RateLimited, Unavailable
from tests.dodo.broken_conversations import drip, reset_after_read, reset_before_read, silence, stall_after_headers
from tests.dodo.fixed_clock import FixedClock
from tests.dodo.raw_server import Behaviour, Peer, RawServer, answering, answering_once, http

MakeDodo = Callable[..., Dodo]

PAYMENT = {
    "payment_id": "pay_1",
    "total_amount": 2900,
    "currency": "USD",
    "status": "succeeded",
    "created_at": "2025-08-04T05:36:41.609359Z",
    "customer": {"customer_id": "cus_1", "email": "a@example.com", "name": None},
    "product_cart": [{"product_id": "pdt_1", "quantity": 1}],
    "metadata": {"attempt_id": "att_1", "n": 5},
}
NOT_FOUND = http(404, b'{"code":"NOT_FOUND","message":"Item not found"}')


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every wait between tries, none of which is waited for."""
    waited: list[float] = []
    monkeypatch.setattr(client_module, "sleep", waited.append)
    return waited


def test_a_payment_is_read_with_what_we_need(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        payment = dodo.payments.get("pay_1", budget=dodo.budget())

    assert (payment.total_amount, payment.currency, payment.status) == (2900, "USD", "succeeded")
    assert payment.product_ids == ("pdt_1",)
    assert payment.created_at == 1_754_285_801_609
    assert payment.mark("attempt_id") == "att_1"
    assert payment.mark("n") is payment.mark("other") is None


def test_filters_and_pages_reach_the_provider(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, b'{"items":[]}'))) as server:
        dodo = make_dodo(server.url)
        dodo.payments.list(
            customer_id="cus_1",
            created_at_gte=1_754_285_801_609,
            page_number=0,
            page_size=10,
            budget=dodo.budget(),
        )

    assert server.requests[0].path == (
        "/payments?customer_id=cus_1&created_at_gte=2025-08-04T05%3A36%3A41.609Z&page_number=0&page_size=10"
    )


def test_connections_are_kept_for_ordinary_calls(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        for _ in range(3):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert len(server.requests) == 3
    assert server.connections == 1


def drip_from_the_second(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.send(http(200, as_json(PAYMENT)))
    drip(server, peer)


def test_a_kept_connection_that_drips_is_cut_in_time(make_dodo: MakeDodo) -> None:
    with RawServer(drip_from_the_second) as server:
        dodo = make_dodo(server.url)
        dodo.payments.get("pay_1", budget=dodo.budget())
        began = Clock().monotonic()
        with pytest.raises(Unavailable, match="deadline"):
            dodo.payments.get("pay_1", budget=dodo.budget(0.2))

    assert server.connections == 1
    assert Clock().monotonic() - began < 4.0


def test_a_kept_connection_that_the_provider_has_closed_is_not_used_again(make_dodo: MakeDodo) -> None:
    closed = threading.Event()

    def answer_and_hang_up(server: RawServer, peer: Peer) -> None:
        server.take(peer)
        peer.send(http(200, as_json(PAYMENT)))
        peer.sock.close()
        closed.set()

    with RawServer(answer_and_hang_up) as server:
        client = make_dodo(server.url).client
        for _ in range(2):
            # A POST: it is sent once, so nothing else would save it.
            client.post("/checkouts/preview", {}, Payment, budget=Budget(Clock(), 3.0))
            assert closed.wait(5)
            closed.clear()

    assert server.connections == server.posts == 2


def test_threads_do_not_share_a_connection(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        for _ in range(2):
            thread = threading.Thread(target=lambda: dodo.payments.get("pay_1", budget=dodo.budget()))
            thread.start()
            thread.join()

    assert server.connections == 2


REFUSALS = [(status, NotExecuted) for status in (400, 401, 403, 404, 405, 410, 413, 415, 422)]


@pytest.mark.parametrize(("status", "kind"), [*REFUSALS, (429, RateLimited)])
@pytest.mark.usefixtures("waits")
def test_a_well_formed_refusal_is_not_executed(make_dodo: MakeDodo, status: int, kind: type[NotExecuted]) -> None:
    with RawServer(answering(http(status, b'{"code":"WHY","message":"Because."}'))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(kind) as raised:
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert (raised.value.code, raised.value.status, raised.value.message) == ("WHY", status, "Because.")


UNAVAILABLE: dict[str, Behaviour] = {
    **{f"status_{s}": answering(http(s, b'{"code":"X"}')) for s in (201, 202, 302, 307, 408, 409, 500, 503)},
    "html_404": answering(http(404, b"<html>")),
    "empty": answering(http(200, b"")),
    "html": answering(http(200, b"<html>")),
    "cut": answering_once(http(200, as_json(PAYMENT)[:-9])),
    "too_short": answering_once(http(200, as_json(PAYMENT), length=9999)),
    "list": answering(http(200, b"[]")),
    "wrong_type": answering(http(200, as_json({**PAYMENT, "total_amount": "2900"}))),
    "float_amount": answering(http(200, as_json({**PAYMENT, "total_amount": 2900.0}))),
    "amount_beyond_64_bits": answering(http(200, as_json({**PAYMENT, "total_amount": 2**63}))),
    "negative": answering(http(200, as_json({**PAYMENT, "total_amount": -1}))),
    "null_amount": answering(http(200, as_json({**PAYMENT, "total_amount": None}))),
    "repeated_key": answering(http(200, as_json(PAYMENT)[:-1] + b',"status":"failed"}')),
    "nan": answering(http(200, as_json({**PAYMENT, "metadata": {"x": float("nan")}}))),
    "lone_surrogate": answering(http(200, as_json({**PAYMENT, "error_code": "\ud800"}))),
    "over_1_mib": answering(http(200, as_json({**PAYMENT, "pad": "x" * (1 << 20)}))),
    "reset_before_read": reset_before_read,
    "reset_after_read": reset_after_read,
    "silence": silence,
    "drip": drip,
    "stall_after_headers": stall_after_headers,
}


@pytest.mark.parametrize("behaviour", UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
@pytest.mark.usefixtures("waits")
def test_anything_else_is_unavailable_within_the_budget(make_dodo: MakeDodo, behaviour: Behaviour) -> None:
    quick = Timeouts(connect_s=0.1, read_s=0.1, charge_s=1.0, total_s=0.8)
    began = Clock().monotonic()
    with RawServer(behaviour) as server:
        dodo = make_dodo(server.url, timeouts=quick)
        with pytest.raises(Unavailable):
            dodo.payments.get("pay_1", budget=dodo.budget())

        assert Clock().monotonic() - began < 4.0
        assert len(server.requests) <= 4


@pytest.mark.parametrize("behaviour", UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
def test_an_unconfirmed_post_is_not_tried_again(make_dodo: MakeDodo, behaviour: Behaviour) -> None:
    quick = Timeouts(connect_s=0.1, read_s=0.1, charge_s=1.0, total_s=0.8)
    with RawServer(behaviour) as server:
        dodo = make_dodo(server.url, timeouts=quick)
        with pytest.raises(Unavailable):
            dodo.checkouts.preview({"product_cart": []}, budget=dodo.budget())
        with pytest.raises(Unavailable):
            dodo.checkouts.create({"product_cart": []}, budget=dodo.budget())

        assert server.posts <= 2
        assert server.connections <= 2


def test_a_get_recovers_from_a_short_outage(make_dodo: MakeDodo, waits: list[float]) -> None:
    busy, fine = http(503, b"busy"), http(200, as_json(PAYMENT))
    with RawServer(answering(busy, busy, fine)) as server:
        dodo = make_dodo(server.url)
        payment = dodo.payments.get("pay_1", budget=dodo.budget())

    assert payment.payment_id == "pay_1"
    assert len(server.requests) == 3
    assert waits == [0.2, 0.4]


def test_a_get_gives_up_after_four_tries(make_dodo: MakeDodo, waits: list[float]) -> None:
    with RawServer(answering(http(502, b""))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable, match="status_502"):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert len(server.requests) == 4
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("header", "tries"),
    [("Retry-After: 86400", 1), ("Retry-After: 1", 4), ("Retry-After: -1", 4), ("Retry-After: soon", 4)],
)
def test_a_wait_beyond_the_budget_ends_the_call(
    make_dodo: MakeDodo, waits: list[float], header: str, tries: int
) -> None:
    with RawServer(answering(http(429, b'{"code":"TOO_MANY_REQUESTS"}', header))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(RateLimited):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert len(server.requests) == tries
    assert all(wait <= 1.0 for wait in waits)


def test_a_spent_budget_makes_no_call() -> None:
    clock = FixedClock()
    with RawServer(silence) as server:
        dodo = Dodo(base_url=server.url, api_key="k", clock=clock, timeouts=Timeouts(), forbid=lambda: None)
        budget = dodo.budget()
        clock.advance(19.0)
        with pytest.raises(Unavailable, match="no_time_left"):
            dodo.payments.get("pay_1", budget=budget)

    assert server.connections == 0


def test_a_budget_is_shared_and_never_negative() -> None:
    clock = FixedClock()
    budget = Budget(clock, 19.0)

    clock.advance(16.5)
    assert budget.remaining() == budget.cap(4.0) == 2.5
    assert budget.cap(1.0) == 1.0

    clock.advance(10.0)
    assert budget.remaining() == budget.cap(4.0) == 0.0


def check_redirect(make_dodo: MakeDodo, status: int) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as other:
        moved = http(status, b"", f"Location: {other.url}/payments/pay_1")
        with RawServer(answering(moved)) as server:
            dodo = make_dodo(server.url)
            with pytest.raises(Unavailable):
                dodo.payments.get("pay_1", budget=dodo.budget())
            dodo.checkouts.confirm({"confirm": True}, before_first_byte=lambda: True)
            assert len(server.requests) == 2

    assert other.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_reaches_no_other_host(make_dodo: MakeDodo, status: int) -> None:
    check_redirect(make_dodo, status)


class WithCookies(requests.PreparedRequest):
    """As requests prepares one itself; without cookies it would fail over a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.prepare_cookies({})


def look_at_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = requests.Session.get_redirect_target
    monkeypatch.setattr(client_module._Session, "get_redirect_target", plain)
    monkeypatch.setattr(requests, "PreparedRequest", WithCookies)


def follow_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = requests.Session.send

    def following(self: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
        return plain(self, *args, **{**kwargs, "allow_redirects": True})

    monkeypatch.setattr(client_module._Session, "send", following)


@pytest.mark.parametrize("build", [look_at_redirects, follow_redirects])
def test_one_of_two_guards_keeps_redirects_unfollowed(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch, build: Callable[[pytest.MonkeyPatch], None]
) -> None:
    build(monkeypatch)

    check_redirect(make_dodo, 307)


def test_guards_off_a_followed_redirect_is_caught(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at_redirects(monkeypatch)
    follow_redirects(monkeypatch)
    monkeypatch.setattr(Wire, "begin", lambda self: None)  # the third guard: one request a wire

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_redirect(make_dodo, 307)


def test_cookies_of_the_provider_are_not_sent_back(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT), "Set-Cookie: a=b; Path=/"))) as server:
        dodo = make_dodo(server.url)
        for _ in range(2):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert "cookie" not in server.requests[1].headers


def test_the_environment_cannot_replace_our_key(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login thief password thief")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)
        dodo.payments.get("pay_1", budget=dodo.budget())

    assert server.requests[0].headers["authorization"] == "Bearer key"


@pytest.mark.parametrize("object_id", ["", ".", "..", "../customers", "a/b", "a?b", "a#b", "a%2fb", "a b", "é"])
def test_an_id_that_would_change_the_path_is_not_found(object_id: str) -> None:
    with pytest.raises(NotExecuted) as raised:
        path_of("/payments/{}", object_id)

    assert raised.value.status == 404


# Each resource asks the address it stands for.


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda d, b: d.checkouts.get("cks_1", budget=b), "/checkouts/cks_1"),
        (lambda d, b: d.payments.get("pay_1", budget=b), "/payments/pay_1"),
        (lambda d, b: d.customers.get("cus_1", budget=b), "/customers/cus_1"),
        (lambda d, b: d.customers.payment_methods("cus_1", budget=b), "/customers/cus_1/payment-methods"),
        (lambda d, b: d.addons.list_all(budget=b), "/addons?page_number=0&page_size=100"),
        (lambda d, b: d.products.get("pdt_1", budget=b), "/products/pdt_1"),
        (lambda d, b: d.products.list_all(budget=b), "/products?page_number=0&page_size=100"),
        (lambda d, b: d.refunds.get("ref_1", budget=b), "/refunds/ref_1"),
        (lambda d, b: d.subscriptions.get("sub_1", budget=b), "/subscriptions/sub_1"),
    ],
)
def test_a_missing_object_is_a_404_for_every_resource(
    make_dodo: MakeDodo, call: Callable[[Dodo, Budget], object], path: str
) -> None:
    with RawServer(answering(NOT_FOUND)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(NotExecuted) as raised:
            call(dodo, dodo.budget())

    assert (raised.value.status, raised.value.code) == (404, "NOT_FOUND")
    assert [request.path for request in server.requests] == [path]


# Refunds are sent as charges are.


def refund_answer(status: str) -> bytes:
    """The provider's answer to a refund of pay_1; `status` is JSON."""
    return http(200, b'{"payment_id":"pay_1","refund_id":"ref_1","status":%s}' % status.encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            http(200, b'{"payment_id":"pay_1","refund_id":"ref_1","status":"succeeded"}'),
            RefundAccepted("ref_1", "done"),
        ),
        (
            http(200, b'{"payment_id":"pay_1","refund_id":"ref_1","status":"pending"}'),
            RefundAccepted("ref_1", "pending"),
        ),
        (
            http(200, b'{"payment_id":"pay_1","refund_id":"ref_1","status":"review"}'),
            RefundAccepted("ref_1", "pending"),
        ),
        (refund_answer("null"), RefundAccepted("ref_1", "pending")),
        (refund_answer('"failed"'), RefundAccepted("ref_1", "failed")),
        (http(200, b'{"status":"succeeded"}'), UnknownAnswer("refund_id_missing")),
        (
            http(200, b'{"payment_id":"pay_2","refund_id":"ref_1","status":"succeeded"}'),
            UnknownAnswer("other_payment"),
        ),
        (http(422, b'{"code":"PAYMENT_ALREADY_REFUNDED"}'), Refused("PAYMENT_ALREADY_REFUNDED", 422, "")),
        (http(503, b""), UnknownAnswer("status_503")),
    ],
)
def test_a_refund_is_sent_once_and_classified(make_dodo: MakeDodo, answer: bytes, expected: object) -> None:
    with RawServer(answering(answer)) as server:
        found = make_dodo(server.url).refunds.create({"payment_id": "pay_1"})

    assert found == expected
    assert server.posts == 1


def test_a_refund_without_a_connection_is_not_sent(make_dodo: MakeDodo) -> None:
    with RawServer(silence) as server:
        url = server.url

    assert isinstance(make_dodo(url).refunds.create({"payment_id": "pay_1"}), NotSent)


# Time with a call open.


def test_overlapping_calls_are_timed_once() -> None:
    clock = FixedClock()
    timer = CallTimer(clock)

    with timer.call():
        clock.advance(1.0)
        with timer.call():
            clock.advance(0.5)
    clock.advance(10.0)
    with timer.call():
        clock.advance(0.25)

    assert timer.open_ms == 1750


def test_calls_in_threads_of_a_request_are_timed(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, as_json(PAYMENT)))) as server:
        dodo = make_dodo(server.url)

        def read() -> object:
            return dodo.payments.get("pay_1", budget=dodo.budget())

        with time_calls(Clock()) as timer:
            thread = threading.Thread(target=copy_context().run, args=(read,))
            thread.start()
            thread.join()
        seen_ms = timer.open_ms
        read()

    assert seen_ms > 0
    assert timer.open_ms == seen_ms


def test_a_fork_does_not_inherit_the_session(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    client: Client = make_dodo("http://127.0.0.1:9").client
    before = client._session()
    monkeypatch.setattr("os.getpid", lambda: -1)

    assert client._session() is not before


# ---- Removing, and files ---------------------------------------------------------------------------------------------

PDF = b"%PDF-1.7\n%%EOF\n"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (http(204, b""), "removed"),
        (http(200, b"{}"), "removed"),
        (NOT_FOUND, "gone"),
        (http(409, b'{"code":"ANY_WORD","message":"in use"}'), "in_use"),
        (http(409, b""), "in_use"),
    ],
)
def test_removal_of_a_method_is_read_by_its_status(make_dodo: MakeDodo, answer: bytes, result: str) -> None:
    with RawServer(answering(answer)) as server:
        dodo = make_dodo(server.url)
        found = dodo.customers.remove_payment_method("cus_1", "pm_1", budget=dodo.budget())

    assert found == result
    assert [(r.method, r.path) for r in server.requests] == [("DELETE", "/customers/cus_1/payment-methods/pm_1")]


@pytest.mark.parametrize(
    "answer", [http(500, b""), http(502, b""), http(302, b""), http(401, b"{}"), b"nonsense\r\n\r\n"]
)
def test_removal_that_nobody_confirmed_is_not_tried_again(make_dodo: MakeDodo, answer: bytes) -> None:
    with RawServer(answering(answer)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.customers.remove_payment_method("cus_1", "pm_1", budget=dodo.budget())

    assert len(server.requests) == 1


@pytest.mark.parametrize("ids", [("cus/1", "pm_1"), ("cus_1", "../cus_2"), ("cus_1", ""), ("cus_1", "pm_1?x=1")])
def test_removal_never_leaves_its_path(make_dodo: MakeDodo, ids: tuple[str, str]) -> None:
    with RawServer(answering(http(204, b""))) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(NotExecuted):
            dodo.customers.remove_payment_method(*ids, budget=dodo.budget())

    assert server.requests == []


def test_invoice_is_read_as_the_file_it_is(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, PDF, "Content-Type: application/pdf; charset=binary"))) as server:
        dodo = make_dodo(server.url)
        found = dodo.invoices.of_payment("pay_1", budget=dodo.budget())

    assert found == PDF
    assert server.requests[0].path == "/invoices/payments/pay_1"
    assert server.requests[0].headers["accept"] == "application/pdf"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(200, b"<script>", "Content-Type: text/html"), id="a page"),
        pytest.param(http(200, PDF, "Content-Type: text/html"), id="a PDF called a page"),
        pytest.param(http(200, b"<script>", "Content-Type: application/pdf"), id="a page called a PDF"),
        pytest.param(http(200, b"", "Content-Type: application/pdf"), id="nothing"),
        pytest.param(http(200, PDF + b"x" * (1 << 20), "Content-Type: application/pdf"), id="too large"),
        pytest.param(http(302, b"", "Location: https://evil.example/"), id="somewhere else"),
        pytest.param(http(500, b""), id="an error"),
    ],
)
def test_what_is_no_invoice_is_not_handed_on(make_dodo: MakeDodo, answer: bytes) -> None:
    with RawServer(answering(answer)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.invoices.of_payment("pay_1", budget=dodo.budget())


def test_invoice_that_is_not_there_says_so(make_dodo: MakeDodo) -> None:
    with RawServer(answering(NOT_FOUND)) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(NotExecuted):
            dodo.invoices.of_payment("pay_1", budget=dodo.budget())


def test_answer_that_is_only_announced_ends_its_connection(make_dodo: MakeDodo) -> None:
    """Else the next request would take the true answer of this one, another customer's, for its own."""

    def methods(name: str) -> bytes:
        return as_json({"items": [{"payment_method_id": name, "payment_method": "card", "card": {}}]})

    def behave(server: RawServer, peer: Peer) -> None:
        request = server.take(peer)
        if "cus_A" in request.path:
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            server.take(peer)
            peer.send(http(200, methods("pm_of_A")))
        else:
            peer.send(http(200, methods("pm_of_B")))

    with RawServer(behave) as server:
        dodo = make_dodo(server.url)
        with pytest.raises(Unavailable):
            dodo.customers.payment_methods("cus_A", budget=dodo.budget())
        found = dodo.customers.payment_methods("cus_B", budget=dodo.budget())

    assert [method.payment_method_id for method in found] == ["pm_of_B"]
