"""The charging POST against every way a connection can go wrong (proof.md, section 5)."""

import http.client as http_client
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from urllib3.util.retry import Retry

from encore.clock import Clock
from encore.dodo import Dodo, Timeouts
from encore.dodo import client as client_module
from encore.dodo import connection as connection_module
from encore.dodo.answers import (
    Accepted,
    Answer,
    Exchange,
    NotSent,
    Refused,
    UnknownAnswer,
    classify,
)
from encore.dodo.connection import Wire, WireAdapter, Withheld
from tests.dodo.raw_server import LOOPBACK_PEM, Behaviour, Peer, RawServer, answering, answering_once, http

BODY = {"confirm": True, "payment_method_id": "pm_1", "metadata": {"attempt_id": "att_1"}}
OK = b'{"session_id":"cks_1","payment_id":"pay_1","checkout_url":null}'
SAID_NO = b'{"code":"SOME_CODE","message":"No."}'

MakeDodo = Callable[..., Dodo]

# For a provider that never answers: its time-out is what is tested.
QUICK = Timeouts(connect_s=0.3, read_s=0.3, charge_s=0.5, total_s=1.5)


def always() -> bool:
    return True


def confirm(dodo: Dodo) -> Answer:
    return dodo.checkouts.confirm(BODY, before_first_byte=always)


def reset_before_read(server: RawServer, peer: Peer) -> None:
    peer.sock.recv(1, socket.MSG_PEEK)  # it has come, so it was sent; it is not taken
    peer.reset()


def reset_in_read(server: RawServer, peer: Peer) -> None:
    peer.sock.recv(1)
    peer.reset()


def reset_after_read(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.reset()


def close_after_read(server: RawServer, peer: Peer) -> None:
    server.take(peer)


def silence(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.wait_for_end()


def drip(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.drip(http(200, OK))


def drip_without_length(server: RawServer, peer: Peer) -> None:
    """What arrives before the watchdog is a whole, valid document; its end is not the true end."""
    server.take(peer)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + OK)
    peer.drip(b" " * 100)


def stall_after_headers(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.send(http(200, b"", length=len(OK)))
    peer.wait_for_end()


def reset_in_answer(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.send(http(200, OK[:20], length=len(OK)))
    peer.reset()


def endless_header(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.send(b"HTTP/1.1 200 OK\r\n" + b"x-filler: 1\r\n" * 200 + b"\r\n")


def not_http(server: RawServer, peer: Peer) -> None:
    server.take(peer)
    peer.send(b"220 mail.example ESMTP\r\n")


@dataclass(frozen=True)
class Case:
    name: str
    behaviour: Behaviour
    kind: type
    code_or_reason: str | None = None
    never_ends: bool = False


def ok_with(**changes: Any) -> bytes:
    return json.dumps({"session_id": "cks_1", "payment_id": "pay_1", **changes}).encode()


def _refusals() -> list[Case]:
    return [
        Case(f"status_{status}", answering(http(status, SAID_NO)), Refused, "SOME_CODE")
        for status in (400, 401, 403, 404, 405, 410, 413, 415, 422, 429)
    ] + [
        Case("409_pending_payment", answering(http(409, b'{"code":"PREVIOUS_PAYMENT_PENDING"}')), Refused),
        Case("409_pending_change", answering(http(409, b'{"code":"PENDING_PLAN_CHANGE_EXISTS"}')), Refused),
        Case("409_scheduled", answering(http(409, b'{"code":"SCHEDULED_PLAN_CHANGE_EXISTS"}')), Refused),
        Case("422_without_message", answering(http(422, b'{"code":"X"}')), Refused, "X"),
        Case("422_message_null", answering(http(422, b'{"code":"X","message":null}')), Refused, "X"),
    ]


def _unknown_statuses() -> list[Case]:
    elsewhere = "Location: http://127.0.0.2:9/elsewhere"
    return [
        *(Case(f"status_{s}", answering(http(s, OK)), UnknownAnswer) for s in (201, 202, 206)),
        Case("status_204", answering(b"HTTP/1.1 204 No\r\n\r\n"), UnknownAnswer),
        *(
            Case(f"status_{s}", answering(http(s, SAID_NO, elsewhere)), UnknownAnswer)
            for s in (301, 302, 303, 307, 308)
        ),
        Case("redirect_bad_location", answering(http(302, b"", "Location: http://[")), UnknownAnswer),
        Case("redirect_50_mb", answering_once(http(307, b" " * 50_000_000, elsewhere)), UnknownAnswer),
        *(
            Case(f"status_{s}", answering(http(s, SAID_NO)), UnknownAnswer)
            for s in (402, 406, 408, 409, 418, 425, 451, 500, 501, 502, 503, 504, 599)
        ),
        Case("422_html", answering(http(422, b"<html>no</html>")), UnknownAnswer),
        Case("422_empty", answering(http(422, b"")), UnknownAnswer),
        Case("422_code_empty", answering(http(422, b'{"code":""}')), UnknownAnswer),
        Case("422_code_number", answering(http(422, b'{"code":7}')), UnknownAnswer),
        Case("422_list", answering(http(422, b'["code"]')), UnknownAnswer),
        Case("422_wrapped", answering(http(422, b'{"error":{"code":"X"}}')), UnknownAnswer),
        Case("422_cut", answering_once(http(422, SAID_NO, length=len(SAID_NO) + 9)), UnknownAnswer),
    ]


def _unknown_bodies() -> list[Case]:
    bodies = {
        "empty": b"",
        "cut": OK[:-3],
        "html": b"<html><body>Welcome</body></html>",
        "list": b"[" + OK + b"]",
        "text": b'"pay_1"',
        "null": b"null",
        "id_missing": b'{"session_id":"cks_1"}',
        "id_null": ok_with(payment_id=None),
        "id_empty": ok_with(payment_id=""),
        "id_number": ok_with(payment_id=7),
        "id_list": ok_with(payment_id=["pay_1"]),
        "id_with_newline": ok_with(payment_id="pay_1\n"),
        "id_of_10_kb": ok_with(payment_id="p" * 10_000),
        "id_lone_surrogate": b'{"payment_id":"\\ud800"}',
        "nan": b'{"payment_id":"pay_1","x":NaN}',
        "infinity": b'{"payment_id":"pay_1","x":-Infinity}',
        "1e400": b'{"payment_id":"pay_1","x":1e400}',
        "huge_integer": b'{"payment_id":"pay_1","x":' + b"9" * 5000 + b"}",
        "repeated_key": b'{"payment_id":"pay_1","payment_id":"pay_2"}',
        "repeated_key_deep": b'{"payment_id":"pay_1","a":{"b":1,"b":1}}',
        "deep": b'{"payment_id":"pay_1","x":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
        "not_utf8": b'{"payment_id":"pay_1","x":"\xff"}',
        "utf16": OK.decode().encode("utf-16"),
        "two_documents": OK + OK,
        "over_1_mib": OK[:-1] + b" " * (1 << 20) + b"}",
    }
    return [Case(f"body_{name}", answering_once(http(200, body)), UnknownAnswer) for name, body in bodies.items()]


CASES = [
    Case("plain", answering(http(200, OK)), Accepted, "pay_1"),
    Case("unknown_fields", answering(http(200, ok_with(new={"a": [1]}))), Accepted, "pay_1"),
    Case("session_missing", answering(http(200, b'{"payment_id":"pay_1"}')), Accepted, "pay_1"),
    Case("just_under_1_mib", answering(http(200, OK[:-1] + b" " * 1_000_000 + b"}")), Accepted, "pay_1"),
    Case("reset_before_read", reset_before_read, UnknownAnswer),
    Case("reset_in_read", reset_in_read, UnknownAnswer),
    Case("reset_after_read", reset_after_read, UnknownAnswer),
    Case("close_after_read", close_after_read, UnknownAnswer),
    Case("silence", silence, UnknownAnswer, never_ends=True),
    Case("drip", drip, UnknownAnswer, never_ends=True),
    Case("drip_without_length", drip_without_length, UnknownAnswer, never_ends=True),
    Case("stall_after_headers", stall_after_headers, UnknownAnswer, never_ends=True),
    Case("reset_in_answer", reset_in_answer, UnknownAnswer),
    Case("endless_header", endless_header, UnknownAnswer),
    Case("not_http", not_http, UnknownAnswer),
    Case("length_too_long", answering_once(http(200, OK, length=len(OK) + 5)), UnknownAnswer),
    Case("length_too_short", answering_once(http(200, OK, length=len(OK) - 5)), UnknownAnswer),
    Case("50_mb", answering_once(http(200, b"[" + b" " * 50_000_000 + b"]")), UnknownAnswer),
    *_refusals(),
    *_unknown_statuses(),
    *_unknown_bodies(),
]


def check_case(case: Case, dodo: Dodo, server: RawServer) -> Answer:
    """The promise of every cell: the right class, one POST at most, in time, and a closed socket."""
    began = Clock().monotonic()

    answer = confirm(dodo)

    assert isinstance(answer, case.kind), answer
    assert Clock().monotonic() - began < 4.0
    assert answer.socket_closed
    assert server.connections == 1
    assert server.posts <= 1
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_fault_has_its_class_and_one_post(case: Case, make_dodo: MakeDodo) -> None:
    with RawServer(case.behaviour) as server:
        dodo = make_dodo(server.url, timeouts=QUICK) if case.never_ends else make_dodo(server.url)
        answer = check_case(case, dodo, server)

    match answer:
        case Accepted(payment_id=found) | Refused(code=found):
            assert case.code_or_reason in (None, found)
        case NotSent(reason=found) | UnknownAnswer(reason=found):
            assert found


def test_the_request_carries_key_and_body(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, OK))) as server:
        confirm(make_dodo(server.url))

    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/checkouts")
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == BODY


# No connection, so no byte.


def test_refused_connection_is_not_sent(make_dodo: MakeDodo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    answer = confirm(make_dodo(f"http://127.0.0.1:{port}"))

    assert answer == NotSent("connection:ConnectionError", socket_closed=True)


def test_unknown_host_name_is_not_sent(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    assert isinstance(confirm(make_dodo("http://provider.invalid")), NotSent)


def test_connect_timeout_is_not_sent(make_dodo: MakeDodo) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]  # fill the queue of a server that never accepts
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)

        answer = confirm(make_dodo(f"http://127.0.0.1:{address[1]}", timeouts=QUICK))

        for sock in waiting:
            sock.close()
    assert answer == NotSent("connection:ConnectTimeout", socket_closed=True)


def tls_garbage(server: RawServer, peer: Peer) -> None:
    peer.sock.recv(65_536)
    peer.send(b"this is not TLS" * 20)


def tls_reset(server: RawServer, peer: Peer) -> None:
    peer.sock.recv(65_536)
    peer.reset()


def tls_silence(server: RawServer, peer: Peer) -> None:
    peer.wait_for_end()


def tls_drip(server: RawServer, peer: Peer) -> None:
    """A handshake record that grows by a byte at a time, each within the time-out."""
    peer.sock.recv(65_536)
    peer.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 16_384)


@pytest.mark.parametrize("behaviour", [tls_garbage, tls_reset, tls_silence, tls_drip])
def test_broken_tls_handshake_is_not_sent(behaviour: Behaviour, make_dodo: MakeDodo) -> None:
    began = Clock().monotonic()
    with RawServer(behaviour) as server:
        answer = confirm(make_dodo(server.url.replace("http:", "https:"), timeouts=QUICK))

    assert isinstance(answer, NotSent)
    assert answer.socket_closed
    assert server.connections == 1
    assert Clock().monotonic() - began < 4.0


def test_untrusted_certificate_is_not_sent(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, OK)), tls=True) as server:
        answer = confirm(make_dodo(server.url))

    assert answer == NotSent("connection:SSLError", socket_closed=True)
    assert server.posts == 0


@pytest.fixture
def trusted_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trusting(client_module._Session):
        def __init__(self, api_key: str) -> None:
            super().__init__(api_key)
            self.verify = str(LOOPBACK_PEM)

    monkeypatch.setattr(client_module, "_Session", Trusting)


@pytest.mark.usefixtures("trusted_loopback")
def test_a_charge_over_tls_is_accepted(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, OK)), tls=True) as server:
        answer = confirm(make_dodo(server.url))

    assert answer == Accepted("pay_1", "cks_1", socket_closed=True)
    assert server.posts == 1


@pytest.mark.usefixtures("trusted_loopback")
def test_a_lost_answer_over_tls_is_unknown(make_dodo: MakeDodo) -> None:
    with RawServer(silence, tls=True) as server:
        answer = confirm(make_dodo(server.url, timeouts=QUICK))

    assert isinstance(answer, UnknownAnswer)
    assert answer.socket_closed
    assert server.posts == 1


# The gate.


@pytest.mark.usefixtures("trusted_loopback")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_closed_window_sends_no_byte(make_dodo: MakeDodo, tls: bool) -> None:
    with RawServer(silence, tls=tls) as server:
        answer = make_dodo(server.url).checkouts.confirm(BODY, before_first_byte=lambda: False)

    assert answer == NotSent("window", socket_closed=True)
    assert server.connections == 1
    assert server.posts == 0
    assert not server.bytes_of_broken


def test_the_window_is_checked_between_connection_and_first_byte(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    monkeypatch.setattr(connection_module, "crash_point", passed.append)

    def gate() -> bool:
        passed.append("gate")
        return True

    with RawServer(answering(http(200, OK))) as server:
        make_dodo(server.url).checkouts.confirm(BODY, before_first_byte=gate)

    assert passed == ["send.connected", "gate", "send.window_checked", "send.written", "send.answered"]


def test_a_gate_that_fails_sends_no_byte(make_dodo: MakeDodo) -> None:
    def broken() -> bool:
        raise RuntimeError("no clock")

    with RawServer(silence) as server:
        answer = make_dodo(server.url).checkouts.confirm(BODY, before_first_byte=broken)

    assert isinstance(answer, NotSent)
    assert server.posts == 0


def test_a_watchdog_that_came_first_sends_no_byte() -> None:
    ours, theirs = socket.socketpair()
    wire = Wire()
    wire.cut()
    wire.hold(ours)

    with pytest.raises(Withheld, match="deadline"):
        wire.hand_over()

    assert theirs.recv(1) == b""  # shut at once, though the connection came after the watchdog
    assert not wire.byte_handed
    assert wire.close(drop_unsent=True)
    ours.close()
    theirs.close()


def test_a_stuck_request_is_dropped_not_delivered_later(make_dodo: MakeDodo) -> None:
    given_up = threading.Event()
    ends: list[type | None] = []

    def wake_too_late(server: RawServer, peer: Peer) -> None:
        given_up.wait(5)
        try:
            peer.wait_for_end()
            ends.append(None)  # all that the kernel still held arrived after all
        except OSError as error:
            ends.append(type(error))

    with RawServer(wake_too_late) as server:
        long = {"confirm": True, "metadata": {"pad": "x" * 20_000_000}}
        answer = make_dodo(server.url, timeouts=QUICK).checkouts.confirm(long, before_first_byte=always)
        given_up.set()

    assert isinstance(answer, UnknownAnswer)
    assert ends == [ConnectionResetError]


# Guards of the client, each seen failing with the guard off.


def test_nothing_is_sent_inside_a_write_transaction(make_dodo: MakeDodo) -> None:
    def forbid() -> None:
        raise RuntimeError("inside a write transaction")

    with RawServer(silence) as server:
        dodo = make_dodo(server.url, forbid=forbid)
        with pytest.raises(RuntimeError, match="inside a write transaction"):
            confirm(dodo)
        with pytest.raises(RuntimeError, match="inside a write transaction"):
            dodo.payments.get("pay_1", budget=dodo.budget())

    assert server.connections == 0


def test_create_refuses_to_charge_and_confirm_to_not_charge(make_dodo: MakeDodo) -> None:
    dodo = make_dodo("http://127.0.0.1:9")

    with pytest.raises(ValueError, match="use confirm"):
        dodo.checkouts.create(BODY, budget=dodo.budget())
    with pytest.raises(ValueError, match="use create"):
        dodo.checkouts.confirm({"product_cart": []}, before_first_byte=always)


def test_each_charge_has_a_connection_of_its_own(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, OK))) as server:
        dodo = make_dodo(server.url)
        for _ in range(3):
            confirm(dodo)

    assert server.posts == server.connections == 3


def retry_in_library(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = WireAdapter.__init__

    def retrying(self: WireAdapter) -> None:
        plain(self)
        self.max_retries = Retry(2, allowed_methods=None, status_forcelist={503}, backoff_factor=0)

    monkeypatch.setattr(WireAdapter, "__init__", retrying)


def carry_many_on_a_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wire, "begin", lambda self: None)


BUSY = Case("busy", answering(http(503, b"busy")), UnknownAnswer)


@pytest.mark.parametrize("build", [retry_in_library, carry_many_on_a_wire])
def test_one_of_two_guards_keeps_a_post_single(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch, build: Callable[[pytest.MonkeyPatch], None]
) -> None:
    build(monkeypatch)

    with RawServer(BUSY.behaviour) as server:
        check_case(BUSY, make_dodo(server.url), server)

    assert server.posts == 1


def test_guards_off_a_retrying_client_is_caught(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    retry_in_library(monkeypatch)
    carry_many_on_a_wire(monkeypatch)

    with RawServer(BUSY.behaviour) as server, pytest.raises(AssertionError):
        check_case(BUSY, make_dodo(server.url), server)

    assert server.posts == 3


def exception_type_classifier(exchange: Exchange, *, now: int) -> Answer:
    if exchange.reply is None and ("Timeout" in exchange.fault or exchange.fault == "deadline"):
        return NotSent(exchange.fault, exchange.socket_closed)
    return classify(exchange, now=now)


def bytes_flag_ignored(exchange: Exchange, *, now: int) -> Answer:
    return classify(
        Exchange(True, exchange.reply, exchange.fault, exchange.socket_closed),
        now=now,
    )


def check_timeouts(dodo_of: MakeDodo, classifier: Callable[..., Answer]) -> None:
    """The same end before the first byte and after the last: two classes."""
    early = Timeouts(connect_s=1.0, read_s=1.0, charge_s=0.2, total_s=1.0)  # the watchdog comes first
    exchanges = []
    for behaviour, scheme in ((tls_drip, "https:"), (silence, "http:")):
        with RawServer(behaviour) as server:
            client = dodo_of(server.url.replace("http:", scheme), timeouts=early).client
            exchanges.append(client.send_once("/checkouts", BODY, before_first_byte=always))
    before, after = exchanges
    assert before.fault == after.fault == "deadline"
    assert isinstance(classifier(before, now=0), NotSent)
    assert isinstance(classifier(after, now=0), UnknownAnswer)


def test_a_timeout_is_judged_by_the_bytes_handed_over(make_dodo: MakeDodo) -> None:
    check_timeouts(make_dodo, classify)


@pytest.mark.parametrize("broken", [exception_type_classifier, bytes_flag_ignored])
def test_guards_off_a_classifier_by_exception_is_caught(make_dodo: MakeDodo, broken: Callable[..., Answer]) -> None:
    with pytest.raises(AssertionError):
        check_timeouts(make_dodo, broken)


def test_a_connection_lost_in_mid_request_is_not_opened_again(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_send = http_client.HTTPConnection.send

    def lose_after(self: http_client.HTTPConnection, data: bytes) -> None:
        plain_send(self, data)
        self.close()

    monkeypatch.setattr(http_client.HTTPConnection, "send", lose_after)
    with RawServer(silence) as server:
        answer = confirm(make_dodo(server.url))

    assert isinstance(answer, UnknownAnswer)
    assert server.connections == 1


def test_the_body_of_a_redirect_is_not_read_without_limit(make_dodo: MakeDodo) -> None:
    endless = http(307, b" " * 3_000_000, "Location: http://127.0.0.2:9/", length=10**12)
    with RawServer(answering_once(endless)) as server:
        answer = confirm(make_dodo(server.url))

    assert answer == UnknownAnswer("no_answer:too_large")


# 429.


@pytest.mark.parametrize(
    ("header", "expected_ms"),
    [
        ("X-Other: 1", None),
        ("Retry-After: 1", 1_000),
        ("Retry-After: 86400", 120_000),
        ("Retry-After: -1", None),
        ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("Retry-After: soon", None),
        ("Retry-After: 9" + "9" * 400, None),
        ("X-RateLimit-Reset: 30", 30_000),
        ("X-RateLimit-Reset: 0", None),
    ],
)
def test_a_429_is_refused_once_and_tells_its_end(make_dodo: MakeDodo, header: str, expected_ms: int | None) -> None:
    with RawServer(answering(http(429, SAID_NO, header))) as server:
        before = Clock().now()
        answer = confirm(make_dodo(server.url))

    assert isinstance(answer, Refused)
    assert server.posts == 1
    if expected_ms is None:
        assert answer.reset_at_ms is None
    else:
        assert answer.reset_at_ms is not None
        assert 0 <= answer.reset_at_ms - before - expected_ms < 1_000
