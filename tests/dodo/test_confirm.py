"""The charging POST against every way a connection can go wrong (proof.md, section 5)."""

import http.client as http_client
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

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
from tests.dodo.broken_conversations import (
    CASES,
    OK,
    SAID_NO,
    Case,
    silence,
    tls_drip,
    tls_garbage,
    tls_reset,
    tls_silence,
)
from tests.dodo.examples import MakeDodo
from tests.dodo.raw_server import LOOPBACK_PEM, Behaviour, Peer, RawServer, answering, answering_once, http

BODY = {"confirm": True, "payment_method_id": "pm_1", "metadata": {"attempt_id": "att_1"}}

# For a provider that never answers: its time-out is what is tested.
QUICK = Timeouts(connect_s=0.3, read_s=0.3, charge_s=0.5, total_s=1.5)


def always() -> bool:
    return True


def confirm(dodo: Dodo) -> Answer:
    return dodo.checkouts.confirm(BODY, before_first_byte=always)


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


@pytest.mark.criterion("R27a")
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

    assert answer == NotSent("connection:ConnectionRefusedError", socket_closed=True)


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
    assert answer == NotSent("connection:TimeoutError", socket_closed=True)


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

    assert answer == NotSent("connection:SSLCertVerificationError", socket_closed=True)
    assert server.posts == 0


@pytest.fixture
def trusted_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trusting(client_module._Session):
        def __init__(self) -> None:
            super().__init__()
            self.verify = str(LOOPBACK_PEM)

    monkeypatch.setattr(client_module, "_Session", Trusting)


@pytest.mark.usefixtures("trusted_loopback")
def test_a_certificate_of_another_host_is_not_sent(make_dodo: MakeDodo) -> None:
    with RawServer(answering(http(200, OK)), tls=True) as server:
        answer = confirm(make_dodo(server.url.replace("127.0.0.1", "localhost")))

    assert answer == NotSent("connection:SSLCertVerificationError", socket_closed=True)
    assert server.posts == 0


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
    plain = WireAdapter.send

    def retrying(self: WireAdapter, *args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(3):
            answer = plain(self, *args, **kwargs)
            if answer.status_code != 503:
                break
        return answer

    monkeypatch.setattr(WireAdapter, "send", retrying)


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


def check_lost_connection(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_send = http_client.HTTPConnection.send

    def lose_before(self: http_client.HTTPConnection, data: bytes) -> None:
        self.close()
        plain_send(self, data)

    monkeypatch.setattr(http_client.HTTPConnection, "send", lose_before)
    with RawServer(silence) as server:
        answer = confirm(make_dodo(server.url, timeouts=QUICK))

    assert isinstance(answer, UnknownAnswer)
    assert server.connections == 1


def test_a_connection_lost_in_mid_request_is_not_opened_again(
    make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_lost_connection(make_dodo, monkeypatch)


def test_guard_off_a_lost_connection_is_opened_again(make_dodo: MakeDodo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module._Connection, "auto_open", 1)

    with pytest.raises(AssertionError):
        check_lost_connection(make_dodo, monkeypatch)


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
