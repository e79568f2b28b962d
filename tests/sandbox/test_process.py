"""The sandbox as a program: start, end, restart, options, and its commands."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.clock import Clock
from sandbox.core.ids import Ids
from sandbox.core.store import Store
from sandbox.core.twin import Options, Twin
from sandbox.http.gateway import Gateway
from sandbox.http.server import Connection, Request
from sandbox.routes import create_router
from tests.sandbox_process import ROOT, SandboxProcess, start_sandbox


def command(sandbox: SandboxProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments, "--url", sandbox.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    sandbox = start_sandbox(tmp_path)

    assert sandbox.stop() == 0


def test_restart_remembers_everything(tmp_path: Path) -> None:
    with start_sandbox(tmp_path) as sandbox:
        payment = sandbox.buy()
        sandbox.clock(86_400)

    with start_sandbox(tmp_path) as sandbox:
        assert sandbox.get(f"/payments/{payment['payment_id']}") == payment
        assert sandbox.control("clock")["offset_ms"] == 86_400_000
        assert len(sandbox.requests("POST", "/checkouts")) == 1


def test_no_demo_starts_empty(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, no_demo=True) as sandbox:
        sandbox.reset()
        assert sandbox.get("/products")["items"] == []


def test_seed_makes_the_same_ids(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with start_sandbox(tmp_path / name, seed=7) as sandbox:
            made.append(sandbox.buy()["payment_id"])

    assert made[0] == made[1]


def test_public_url_is_what_browsers_are_sent_to(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, public_url="http://pay.localhost:4010") as sandbox:
        cart = [{"product_id": sandbox.get("/products")["items"][0]["product_id"], "quantity": 1}]
        url = sandbox.post("/checkouts", {"product_cart": cart})["checkout_url"]

    assert url.startswith("http://pay.localhost:4010/session/cks_")


def test_busy_port_is_one_sentence(sandbox: SandboxProcess, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "--port", str(sandbox.port), "--db", str(tmp_path / "x.sqlite3")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout.startswith(f"sandbox: cannot listen on 127.0.0.1:{sandbox.port}")


def test_commands_talk_to_a_running_sandbox(sandbox: SandboxProcess) -> None:
    moved = command(sandbox, "clock", "advance", "30d")
    failing = command(sandbox, "fail-next", "INSUFFICIENT_FUNDS")
    payment = sandbox.buy()
    asked = command(sandbox, "requests")
    delivered = command(sandbox, "deliveries")
    reset = command(sandbox, "reset")

    assert json.loads(moved.stdout)["offset_ms"] == 30 * 86_400_000
    assert json.loads(failing.stdout)["error_code"] == payment["error_code"] == "INSUFFICIENT_FUNDS"
    assert json.loads(asked.stdout)["items"][0]["path"] == "/checkouts"
    assert json.loads(delivered.stdout)["events"][0]["type"] == "payment.failed"
    assert json.loads(reset.stdout) == {"ok": True}
    assert sandbox.payments() == []


def test_refused_command_says_which_field(sandbox: SandboxProcess) -> None:
    done = command(sandbox, "fail-next", "NOPE")

    assert done.returncode == 1
    assert "error_code" in done.stderr


def test_cards_are_listed_without_a_server() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "cards"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )

    assert "4000000000000341  12/34  123  now succeed, later GENERIC_DECLINE" in done.stdout


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway without its process: only so can a test be a caller from another machine."""
    store = Store(tmp_path / "sandbox.sqlite3")
    options = Options(public_url="http://sandbox.test", api_key="the-key")
    twin = Twin(store=store, clock=Clock(store), ids=Ids(), options=options)
    yield Gateway(create_router(twin), twin)
    store.close()


def answer_of(gateway: Gateway, path: str, *, peer: str = "127.0.0.1", key: str = "any", **more: str) -> int:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        headers = {"authorization": f"Bearer {key}"} | {name.replace("_", "-"): value for name, value in more.items()}
        request = Request("GET", path, "", headers, peer, keep_alive=False)
        gateway.handle(request, Connection(theirs, peer))
        return int(ours.recv(65536).split(b" ")[1])


@pytest.mark.parametrize("path", ["/_sandbox/state", "/"])
def test_loopback_is_the_only_way_to_control(gateway: Gateway, path: str) -> None:
    assert answer_of(gateway, path, peer="192.0.2.7", key="the-key") == 403
    assert answer_of(gateway, path, peer="127.0.0.1", key="") == 200


def test_other_machines_need_the_right_key(gateway: Gateway) -> None:
    assert answer_of(gateway, "/products", peer="192.0.2.7", key="any") == 401
    assert answer_of(gateway, "/products", peer="192.0.2.7", key="the-key") == 200
    assert answer_of(gateway, "/products", peer="127.0.0.1", key="any") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:4010"},
        {"host": "sandbox.test"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"host": "127.0.0.1:4010", "origin": "http://evil.example"},
        {"host": "127.0.0.1:4010", "origin": "http://127.0.0.1:8000"},
        {"host": "127.0.0.1:4010", "origin": "null"},
        {"host": "127.0.0.1:4010", "origin": "null", "sec_fetch_site": "cross-site"},
        {"host": "localhost:4010", "x_forwarded_for": "203.0.113.9"},
        {"host": "localhost:4010", "forwarded": "for=203.0.113.9"},
        {"sec_fetch_site": "same-site"},
    ],
    ids=str,
)
def test_who_comes_by_another_name_or_page_controls_nothing(gateway: Gateway, headers: dict[str, str]) -> None:
    assert [answer_of(gateway, path, **headers) for path in ("/_sandbox/endpoints", "/")] == [403, 403]
    # On the wire it is one of another machine; pages, of any name, are a buyer's.
    assert answer_of(gateway, "/products", **headers) == 401
    assert answer_of(gateway, "/products", key="the-key", **headers) == 200
    assert answer_of(gateway, "/static/sandbox.css", **headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "127.0.0.1:4010"},
        {"host": "127.8.0.1"},
        {"host": "localhost:4010", "origin": "http://localhost:4010"},
        {"host": "pay.localhost:4010"},
        {"host": "[::1]:4010"},
        {"host": "LOCALHOST", "origin": "null", "sec_fetch_site": "same-origin"},
    ],
    ids=str,
)
def test_this_machine_controls_by_each_of_its_names(gateway: Gateway, headers: dict[str, str]) -> None:
    assert [answer_of(gateway, path, **headers) for path in ("/_sandbox/state", "/", "/products")] == [200, 200, 200]


def test_many_buyers_at_once_are_all_charged_once(sandbox: SandboxProcess) -> None:
    buyers = [
        threading.Thread(target=sandbox.buy, kwargs={"email": f"buyer{number}@example.com"}) for number in range(20)
    ]

    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()

    assert len({payment["customer_id"] for payment in sandbox.payments()}) == 20


def test_keep_alive_connection_serves_many_requests(sandbox: SandboxProcess) -> None:
    head = b"GET /checkout/supported_countries HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(head)
            assert _read_answer(connection).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /checkouts HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /checkouts HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST /checkouts HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
    ],
    ids=["no request", "negative length", "too long", "chunked", "long head"],
)
def test_bytes_that_are_no_request_are_refused(sandbox: SandboxProcess, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(head)
        assert connection.recv(100).split(b" ")[1] == status


def _read_answer(connection: socket.socket) -> bytes:
    received = b""
    deadline = time.monotonic() + 5
    while b"\r\n\r\n" not in received and time.monotonic() < deadline:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head
