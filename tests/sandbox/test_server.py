"""The server's loop: whatever one client does, every other one is answered."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sandbox_process import COURSE, SandboxProcess, wait_for

HEAD = "{method} {path} HTTP/1.1\r\nHost: sandbox.localhost\r\nAuthorization: Bearer k\r\n"


@contextmanager
def connected(sandbox: SandboxProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=20) as client:
        yield client


def written(method: str, path: str, body: Any = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = HEAD.format(method=method, path=path) + f"Content-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def read_answer(client: socket.socket) -> tuple[int, Any]:
    """Return status and body of the next answer, and not a byte of what follows."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = client.recv(1)
        assert piece, head
        head += piece
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = b""
    while len(body) < length:
        piece = client.recv(length - len(body))
        assert piece, body
        body += piece
    return int(head[9:12]), json.loads(body)


def test_request_may_come_in_pieces(sandbox: SandboxProcess) -> None:
    whole = written("POST", "/customers", {"email": "lan@example.com", "name": "Lan"})
    with connected(sandbox) as client:
        for position in range(len(whole)):
            client.sendall(whole[position : position + 1])
            if position in (10, len(whole) - 5):
                # Another client is answered in the middle of it.
                assert sandbox.call("GET", "/products").status_code == 200

        status, customer = read_answer(client)

    assert (status, customer["name"]) == (200, "Lan")


def test_requests_sent_at_once_are_answered_in_order(sandbox: SandboxProcess) -> None:
    paths = [f"/products/{COURSE}", "/payments", "/nowhere", "/_sandbox/clock", f"/products/{COURSE}"]
    with connected(sandbox) as client:
        client.sendall(b"".join(written("GET", path) for path in paths))

        answers = [read_answer(client) for _ in paths]

    assert [status for status, _ in answers] == [200, 200, 404, 200, 200]
    assert answers[0] == answers[4]
    assert set(answers[1][1]) == {"items"}
    assert "offset_ms" in answers[3][1]


def test_client_that_takes_nothing_holds_up_nobody(sandbox: SandboxProcess) -> None:
    names = [f"Customer {number} " + "x" * 200 for number in range(100)]
    for name in names:
        sandbox.post("/customers", {"email": f"{name[:12].replace(' ', '')}@example.com", "name": name})
    asked = 200
    with socket.socket() as client:
        # A small buffer: of seven megabytes that are asked for, most have no room on the way.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", sandbox.port))
        client.sendall(written("GET", "/customers?page_size=100") * asked)
        wait_for(lambda: sandbox.requests(path="/customers"), what="the first of them")
        assert sandbox.call("GET", "/products").status_code == 200

        answers = [read_answer(client) for _ in range(asked)]

    assert {status for status, _ in answers} == {200}
    assert {len(body["items"]) for _, body in answers} == {100}


def test_held_request_holds_up_nobody_and_its_connection_goes_on(sandbox: SandboxProcess) -> None:
    sandbox.fault("GET /payments", "slow:0.3")
    with connected(sandbox) as client:
        client.sendall(written("GET", "/payments"))
        wait_for(lambda: sandbox.requests(path="/payments"), what="the held request in the log")
        assert sandbox.call("GET", "/products").status_code == 200

        assert read_answer(client)[0] == 200
        client.sendall(written("GET", "/products"))
        assert read_answer(client)[0] == 200


def test_answer_to_head_has_no_body(sandbox: SandboxProcess) -> None:
    with connected(sandbox) as client:
        client.sendall(written("HEAD", "/products"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        client.sendall(written("GET", "/payments"))

        assert head.startswith(b"HTTP/1.1 200 ")
        assert read_answer(client) == (200, {"items": []})


@pytest.mark.parametrize("target", ["*", "nowhere", "//", "http://sandbox.test/products"])
def test_strange_target_is_not_found(sandbox: SandboxProcess, target: str) -> None:
    with connected(sandbox) as client:
        client.sendall(written("GET", target))

        assert read_answer(client)[0] == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"what is this\r\n\r\n\r\n", b"400"),
        (b"GET /products HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST /customers HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST /customers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST /customers HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n", b"413"),
        (b"GET /" + b"x" * 70_000, b"431"),
    ],
)
def test_broken_request_is_refused_and_ends_its_connection(sandbox: SandboxProcess, sent: bytes, status: bytes) -> None:
    with connected(sandbox) as client:
        client.sendall(sent)

        assert client.recv(4096).startswith(b"HTTP/1.1 " + status)
        assert client.recv(4096) == b""
    assert sandbox.call("GET", "/products").status_code == 200
