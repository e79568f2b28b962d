"""I16: secrets, people and cards are planted everywhere, everything goes wrong, and no log line shows any of them.

Real processes: what is read here is what an operator would read.
"""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
import requests
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from tests.installation import Buyer, Installation, read_form, running_installation
from tests.sandbox_process import wait_for

CARD = "4000000000000341"
EMAIL = "canary.person@mail.example"
NAME = "Canary Personname"
STREET = "Canary Street 17"
LICENCE = "CANARY-LICENCE-KEY"
SECRETS = {
    "ENCORE_SECRET_KEY": "canary-Zk3x9PqL7mN2vB8tY6rW4sD1fG",
    "ENCORE_ATTEMPT_KEY": "canary-Hj5k8LmQ2wE9rT4yU7iO1pA3sX",
    "ENCORE_SMTP_PASSWORD": "canary-mail-password",
}


@dataclass(frozen=True)
class Wreck:
    """An installation in which everything went wrong, what was planted, and what strangers were answered."""

    shop: Installation
    planted: dict[str, str]
    answers: list[requests.Response]

    def log(self) -> str:
        """All that web and worker wrote."""
        return "".join((self.shop.folder / name).read_text("utf-8", "replace") for name in ("web.log", "worker.log"))


@pytest.fixture(scope="module")
def wreck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wreck]:
    folder = tmp_path_factory.mktemp("canaries")
    with running_installation(folder, **SECRETS) as shop:
        shop.start_web()
        shop.start_worker()
        buyer = Buyer(shop, email=EMAIL, card=CARD)
        planted = buy_with_canaries(shop, buyer)
        answers = [*attack(shop, buyer), *break_the_store(shop, buyer, link=planted["sign-in link"])]
        for name in ("web.log", "worker.log"):
            wait_for(
                lambda name=name: '"level": "error"' in (folder / name).read_text("utf-8"), what=f"an error in {name}"
            )
        yield Wreck(shop, {**SECRETS, **planted}, answers)


def buy_with_canaries(shop: Installation, buyer: Buyer) -> dict[str, str]:
    """Buy, be declined, and collect every value that is a secret or a person."""
    page = buyer.get("/p/starter-course")
    started = buyer.post_form(page, "buy")
    session = started.headers["location"].rpartition("/")[2]
    person = {"name": NAME, "street": STREET, "expiry": "12/34"}
    back = shop.sandbox.pay(session, card=CARD, email=EMAIL, **person).headers["location"]
    # The way back as the provider sends it, with an address and a licence key in the query.
    buyer.session.get(f"{back}&license_key={LICENCE}", timeout=20)
    buyer.ref = back.partition("?")[0].rpartition("/")[2]
    bought = buy_a_key(shop, buyer)
    offer = buyer.get(f"/r/{buyer.ref}")
    _, fields = read_form(offer, "offer-accept")
    buyer.post_form(offer, "offer-accept")
    visitor = Buyer(shop, email=EMAIL)
    visitor.open_link()
    made = json.loads((shop.folder / "sandbox-keys.json").read_text("utf-8"))
    cookies = {f"cookie {cookie.name}": str(cookie.value) for cookie in buyer.session.cookies}
    return {
        **cookies,
        "API key": made["api_key"],
        "webhook key": made["webhook_key"],
        "e-mail": EMAIL,
        "name": NAME,
        "street": STREET,
        "card": CARD,
        "licence": LICENCE,
        "bought licence": bought,
        "reference": buyer.ref,
        "offer token": fields["offer_token"],
        "csrf token": fields["csrf_token"],
        "sign-in link": shop.wait_link(EMAIL),
        "signature of the link": shop.wait_link(EMAIL).rpartition(".")[2],
    }


def buy_a_key(shop: Installation, buyer: Buyer) -> str:
    """Begin a trial that comes with a licence key, see it on the page; returns the key."""
    first = buyer.ref
    started = buyer.post_form(buyer.get("/p/font-club"), "buy")
    back = shop.sandbox.pay(started.headers["location"].rpartition("/")[2], card=CARD, email=EMAIL).headers["location"]
    page = buyer.get(f"/r/{back.partition('?')[0].rpartition('/')[2]}")
    (key,) = shop.sandbox.get("/license_keys")["items"]
    assert key["key"] in page
    buyer.ref = first
    return str(key["key"])


def attack(shop: Installation, buyer: Buyer) -> list[requests.Response]:
    """Send what is planted in every place a request has: all of it is refused, and some of it is logged about."""
    secret = {"Authorization": f"Bearer {SECRETS['ENCORE_ATTEMPT_KEY']}", "X-Secret": SECRETS["ENCORE_SECRET_KEY"]}
    shop.sandbox.fault("GET /customers/{id}/payment-methods", "status:500", times=20)
    return [
        buyer.session.get(f"{shop.url}/{EMAIL}/{CARD}?email={EMAIL}&card={CARD}", headers=secret, timeout=20),
        buyer.session.get(f"{shop.url}/r/{buyer.ref}?email={EMAIL}&token={LICENCE}", timeout=20),
        buyer.session.post(f"{shop.url}/o/x/accept", data={"email": EMAIL, "card": CARD}, timeout=20),
        buyer.session.post(f"{shop.url}/checkout", data={"product": CARD}, headers={"Origin": EMAIL}, timeout=20),
        buyer.session.post(
            f"{shop.url}/webhooks/dodo", json={"email": EMAIL, "card": CARD}, headers=secret, timeout=20
        ),
        buyer.session.get(f"{shop.url}/", headers={"Host": f"{LICENCE}.example", "User-Agent": EMAIL}, timeout=20),
        buyer.session.request("FOO", f"{shop.url}/{EMAIL}", timeout=20),
    ]


def break_the_store(shop: Installation, buyer: Buyer, *, link: str) -> list[requests.Response]:
    """Take tables away under the running processes: every request and every lane of the worker meets our own fault."""
    form = buyer.get("/account/sign-in")
    with closing(sqlite3.connect(shop.folder / "encore.sqlite3")) as knife, knife:
        knife.execute("ALTER TABLE offer_instances RENAME TO gone_instances")
        knife.execute("ALTER TABLE products RENAME TO gone_products")
        knife.execute("ALTER TABLE sign_in_links RENAME TO gone_links")
    fetch = buyer.session.get
    return [
        fetch(f"{shop.url}/r/{buyer.ref}?lang=vi", timeout=20),
        fetch(f"{shop.url}/", timeout=20),
        fetch(f"{shop.url}/o/oi_1", headers={"HX-Request": "true", "HX-Request-Type": "partial"}, timeout=20),
        fetch(f"{shop.url}/p/starter-course", headers={"Accept": "application/json"}, timeout=20),
        fetch(f"{shop.url}{link}", timeout=20),
        buyer.post_form(form, "sign-in", email=EMAIL),
    ]


def test_no_planted_value_is_in_any_log_line(wreck: Wreck) -> None:
    log = wreck.log()

    assert "request.broke" in log, "nothing went wrong: the test shows nothing"
    assert [name for name, value in wreck.planted.items() if value in log] == [], "I16"
    assert not re.search(r"\?[a-z_]+=", log), "I16: a query string"


def test_every_line_is_json_with_an_event(wreck: Wreck) -> None:
    """Ours and the libraries' alike; the server's own lines about its processes are no requests."""
    lines = [line for line in wreck.log().splitlines() if line and not line.startswith("[ERROR] ")]

    assert lines
    for line in lines:
        entry = json.loads(line)
        assert {"at", "event", "level"} <= set(entry)


def test_no_answer_shows_what_broke(wreck: Wreck) -> None:
    """I16: a broken page names its request, and neither code nor data."""
    broken = [answer for answer in wreck.answers if answer.status_code >= 500]

    assert len(broken) >= 4
    for answer in wreck.answers:
        # What a form carries is random text, in which ".py" stands now and then.
        text = re.sub(r'value="[^"]*"', "", answer.text)
        for word in (
            "Traceback",
            'File "',
            "sqlite",
            "no such table",
            "offer_instances",
            ".py",
            "werkzeug",
            "granian",
        ):
            assert word not in text, f"I16: {word}"
        for name, value in SECRETS.items():
            assert value not in answer.text, f"I16: {name}"
    for answer in broken:
        assert answer.headers["X-Request-Id"] in answer.text
        assert answer.headers["X-Request-Id"] in wreck.log()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_answer_names_a_version(wreck: Wreck) -> None:
    for answer in wreck.answers:
        assert not re.search(r"\d", answer.headers.get("Server", ""))
        assert "X-Powered-By" not in answer.headers


GET, POST, HOST = b"GET / HTTP/1.1\r\n", b"POST /checkout HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n"
CLOSE, END = b"Connection: close\r\n", b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LONG_POST = b"POST /webhooks/dodo HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + CHUNKED + CLOSE + END
RAW = {
    "no request": END + END,
    "noise": b"\x00\x01\x02\x03" + END + END,
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + END + END,
    "no host": GET + END,
    "two hosts": GET + HOST + b"Host: evil.example\r\n" + END,
    "absolute address": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + CLOSE + END,
    "negative length": POST + HOST + b"Content-Length: -1\r\n" + END,
    "two lengths": POST + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n" + END + b"ab",
    "length and chunks": POST + HOST + b"Content-Length: 4\r\n" + CHUNKED + END + b"0\r\n\r\n",
    "bad chunk": POST + HOST + CHUNKED + CLOSE + END + b"zz\r\n",
    "long line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + END,
    "long header": GET + HOST + b"X: " + b"a" * 100_000 + END + END,
    "many headers": GET + HOST + b"X: y\r\n" * 500 + END,
    "folded header": GET + HOST + b"X: y\r\n z\r\n" + END,
    "other version": b"GET / HTTP/9.9\r\n" + HOST + END,
    "upgrade": GET + HOST + b"Upgrade: h2c\r\nConnection: Upgrade, close\r\n" + END,
    "bytes in the address": b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + CLOSE + END,
    "line break in the address": b"GET /r/a%0d%0aX:y?x=1 HTTP/1.1\r\n" + HOST + CLOSE + END,
    "oversize in chunks": LONG_POST + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 6 + b"0\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_bytes_that_are_no_request_are_refused_by_the_server(wreck: Wreck, name: str) -> None:
    """What never reaches the application: closed, or refused with a 4xx; never a 5xx or a stack trace."""
    with socket.create_connection(("127.0.0.1", wreck.shop.port), timeout=10) as peer:
        peer.sendall(RAW[name])
        peer.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := read_some(peer):
            answer += piece

    status = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    assert status is None or status[1][:1] in (b"2", b"3", b"4") or b"req_" in answer
    assert status is None or name in ("absolute address", "upgrade") or status[1] != b"200"
    assert b"Traceback" not in answer
    assert b"X: y" not in answer.partition(b"\r\n\r\n")[0]
    assert wreck.shop.web is not None
    assert wreck.shop.web.poll() is None


def read_some(peer: socket.socket) -> bytes:
    try:
        return peer.recv(65_536)
    except ConnectionResetError:
        return b""
