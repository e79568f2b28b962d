"""Every way a conversation with the provider can break after a connection stands (proof.md, section 5)."""

import json
import socket
from dataclasses import dataclass
from typing import Any

from encore.dodo.answers import Accepted, Refused, UnknownAnswer
from tests.dodo.raw_server import Behaviour, Peer, RawServer, answering, answering_once, http

OK = b'{"session_id":"cks_1","payment_id":"pay_1","checkout_url":null}'
SAID_NO = b'{"code":"SOME_CODE","message":"No."}'


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
    Case("header_that_is_none", answering_once(http(200, OK, "no colon")), UnknownAnswer),
    Case("header_folded", answering_once(http(200, OK, "X-Folded: a", " b")), UnknownAnswer),
    Case("head_breaks_off", answering_once(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), UnknownAnswer),
    Case("length_too_long", answering_once(http(200, OK, length=len(OK) + 5)), UnknownAnswer),
    Case("length_too_short", answering_once(http(200, OK, length=len(OK) - 5)), UnknownAnswer),
    Case("50_mb", answering_once(http(200, b"[" + b" " * 50_000_000 + b"]")), UnknownAnswer),
    *_refusals(),
    *_unknown_statuses(),
    *_unknown_bodies(),
]
