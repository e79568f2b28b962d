"""Anything anybody can send to any route: an answer of the right kind, never a 5xx, and no row changed."""

import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]
from werkzeug.test import TestResponse

from encore.services import grants
from tests.attacks.stage import HTMX, Browser, Stage, state_of
from tests.attacks.test_identities import ACTS, TABLE, path_of
from tests.html import lint, read
from tests.scale import proves, scaled

RULES = sorted({rule for _, rule in TABLE} - {"/readyz"})
# What an answer to nonsense may say; 408 and 5xx are ours to avoid.
ALLOWED = {200, 204, 206, 303, 304, 400, 401, 403, 404, 405, 410, 413, 415, 416, 422, 429}
INPUTS = scaled(60, proof=500)
MANY = settings(
    max_examples=INPUTS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "FOO")
NAMES = (
    *("csrf_token", "offer_token", "quote_hash", "buy_again", "product", "quantity", "lang", "x", "", "__proto__"),
    *("customer_id", "amount", "a[b][c]", "\u0000", "é", "🂡" * 50),
)
# Drawn from a flat pool: nested strategies make generation ten times slower than what is tested.
VALUES = (
    *("", "0", "-1", "9223372036854775808", "1e400", "NaN", "null", "true", "[]", "{}", "\u0000", "\r\nX-Evil: 1"),
    *("../../etc/passwd", "%00", "' OR 1=1 --", "{{7*7}}", "${7*7}", "<script>alert(1)</script>", "\u202e\u200b\ufeff"),
    *("ﷺ" * 200, "a" * 5000, "𝕏", "٣", "=cmd|' /C calc'!A0", "() { :;}; echo", "en", "vi", "xx-XX-" * 50, "starter"),
)
CONTENT_TYPES = (
    *("application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x", "text/plain"),
    *("application/json", "application/json; charset=utf-7", "text/html", "", "x", "application/xml; a=\u00e9"),
    *("multipart/form-data; boundary=" + "b" * 500, "application/x-www-form-urlencoded; charset=utf-16", "image/png"),
)
BODIES = (
    *(b"", b"\x00", b"\xff\xfe\xfa" * 100, b"a=1&a=2&a=3", b"&" * 2000, b"=" * 2000, b"%" * 100, b"csrf_token=%ff%fe"),
    *(
        b"[" * 20_000,
        b'{"a":' * 5_000,
        b"null",
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"--x\r\nContent-Disposition: x\r\n\r\n",
    ),
    *(b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nx\r\n--x--\r\n', b"<a/>", b"x" * 200_000),
)
HEADER_VALUES = (
    *("", "x", "en-US,en;q=nan", "q=0.5;q=0.5", "*/*;q=1e400", "application/json", "text/html", "bytes=0-1,5-9,-0"),
    *("bytes=9-1", '"etag", W/"x"', "Wed, 99 Foo 9999", "true", "partial", "section#main", "#", "gzip;q=0", "-1"),
    *("Basic " + "A" * 300, "Bearer x", "127.0.0.1, 10.0.0.1", "upgrade", "websocket", "0" * 1000, "é", "a=b; c"),
)
HEADER_NAMES = (
    *("Accept", "Accept-Language", "Accept-Encoding", "Range", "If-None-Match", "If-Modified-Since", "HX-Request"),
    *("HX-Request-Type", "HX-Target", "Authorization", "Cookie", "X-Forwarded-For", "User-Agent", "Referer"),
    *("Upgrade", "Purpose", "Sec-Purpose", "Content-Encoding", "X-CSRFToken", "If-Range", "Expect", "TE"),
)


@pytest.fixture(scope="module")
def buyer(stage: Stage) -> Browser:
    return stage.buyer()


@pytest.fixture(scope="module")
def csrf(buyer: Browser) -> str:
    return buyer.csrf()


@pytest.fixture(scope="module")
def tried(stage: Stage) -> Iterator[Browser]:
    """A buyer of its own for what is generated: it may well change its language.

    What the provider gave for its order was asked for before, and is not asked for again.
    """
    buyer = stage.buyer()
    buyer.page(f"/orders/{buyer.ref}")
    with patch.object(grants, "_FRESH_MS", 24 * 3_600_000):
        yield buyer


@pytest.fixture(scope="module")
def token_of_tried(tried: Browser) -> str:
    return tried.csrf()


@pytest.fixture(scope="module")
def version_of_store(stage: Stage) -> Iterator[Callable[[], int]]:
    """A number that moves with every commit of anybody else."""
    with closing(sqlite3.connect(stage.settings.database_path, check_same_thread=False)) as watcher:
        yield lambda: int(watcher.execute("PRAGMA data_version").fetchone()[0])


@dataclass(frozen=True)
class Nonsense:
    """One input; made whole from a seed, since strategies within strategies take longer than what is tested."""

    method: str
    query: dict[str, str]
    headers: dict[str, str]
    content: dict[str, Any]
    has_token: bool
    is_buyer: bool


def make_nonsense(seed: int) -> Nonsense:
    chance = random.Random(seed)

    def pairs(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
        return {chance.choice(names): chance.choice((*values, noise())) for _ in range(chance.randint(0, 4))}

    def noise() -> str:
        return "".join(chr(chance.choice((chance.randrange(32, 127), chance.randrange(0xD7FF)))) for _ in range(6))

    body = chance.choice((*BODIES, chance.randbytes(40)))
    form = {"data": pairs(NAMES, VALUES)}
    headers = pairs(HEADER_NAMES, HEADER_VALUES)
    return Nonsense(
        method=chance.choice(METHODS),
        query={name: value for name, value in pairs(NAMES, VALUES).items() if name},
        # A header is bytes of Latin-1 by the time it reaches us, and holds no line break.
        headers={name: value.encode().decode("latin-1") for name, value in headers.items() if value.isprintable()},
        content=chance.choice((form, {"data": body, "content_type": chance.choice(CONTENT_TYPES)})),
        has_token=chance.random() < 0.5,
        is_buyer=chance.random() < 0.5,
    )


@proves(INPUTS, "inputs to the routes of the shop, answered and without effect")
@pytest.mark.parametrize("rule", RULES)
@MANY
@given(seed=st.integers(0, 2**32))
def test_sixty_inputs_to_a_route_are_answered_and_change_nothing(
    stage: Stage, tried: Browser, token_of_tried: str, version_of_store: Callable[[], int], rule: str, seed: int
) -> None:
    """R10e: true cookies and form tokens in half of the cases, so that what is behind the first wall is met too."""
    sent = make_nonsense(seed)
    browser = tried if sent.is_buyer else stage.browser()
    headers = {"Accept": "text/html", **sent.headers}
    # What buying and signing out do with a form token is anybody's right, and has tests of its own.
    if sent.has_token and rule not in ("/checkout", "/sign-out"):
        headers["X-CSRFToken"] = token_of_tried

    before = version_of_store()
    answer = browser.client.open(
        path_of(rule, tried),
        method=sent.method,
        query_string=sent.query,
        headers=headers,
        base_url=stage.settings.public_url,
        buffered=True,
        **sent.content,
    )

    check_answer(answer, headers=headers)
    # Refused deliveries are counted by reason, for `doctor`.
    assert version_of_store() == before or rule.startswith("/webhooks"), f"{sent.method} {rule} wrote something"


def check_answer(answer: TestResponse, *, headers: dict[str, str]) -> None:
    assert answer.status_code in ALLOWED or is_unseen(answer, headers), answer.status
    text = answer.get_data(as_text=True)
    assert "Traceback" not in text
    assert "X-Evil" not in answer.headers
    if answer.mimetype == "text/html" and text and answer.status_code not in range(300, 400):
        lint(text, is_fragment=not text.startswith("<!doctype"))


def is_unseen(answer: TestResponse, headers: dict[str, str]) -> bool:
    purpose = headers.get("Purpose", "") + headers.get("Sec-Purpose", "")
    return answer.status_code == 503 and "prefetch" in purpose


# ---- The shape fits who asks ---------------------------------------------------------------------------------------

PLACES = (
    "/nothing",
    "/p/nothing",
    "/r/nothing",
    "/o/nothing",
    "/orders/nothing",
    "/o/nothing/accept",
    "/checkout",
    "/%00",
)


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(("language", "words"), [("en", "Skip to content"), ("vi", "Đến phần nội dung")])
def test_error_is_a_page_in_the_buyers_language(stage: Stage, path: str, language: str, words: str) -> None:
    answer = stage.browser().get(path, headers={"Accept-Language": language})

    page = read(answer.get_data(as_text=True))
    assert answer.status_code in (404, 405)
    assert page.one("html").attributes["lang"] == language
    assert words in page.text


@pytest.mark.parametrize("path", PLACES)
def test_error_for_htmx_is_a_fragment(stage: Stage, path: str) -> None:
    answer = stage.browser().get(path, is_htmx=True)

    assert answer.status_code in (404, 405) or "HX-Redirect" in answer.headers
    assert "<!doctype" not in answer.get_data(as_text=True) or path.startswith("/orders")


@pytest.mark.parametrize("path", ["/nothing", "/p/nothing", "/checkout", "/%00"])
def test_error_for_a_program_is_problem_json(stage: Stage, path: str) -> None:
    answer = stage.browser().get(path, headers={"Accept": "application/json"})

    assert answer.content_type == "application/problem+json"
    assert set(answer.get_json()) == {"type", "status", "request_id"}


# ---- Sizes ---------------------------------------------------------------------------------------------------------

TOO_MUCH = 256 * 1024 + 1


@pytest.mark.parametrize("rule", sorted(rule for method, rule in TABLE if method == "POST"))
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json"])
def test_oversize_body_is_413_or_refused_before_it_is_read(
    stage: Stage, buyer: Browser, csrf: str, rule: str, content_type: str
) -> None:
    with stage.unchanged(but=("meta",)):
        answer = buyer.open(
            "POST",
            path_of(rule, buyer),
            data=b"csrf_token=" + csrf.encode() + b"&x=" + b"a" * TOO_MUCH,
            content_type=content_type,
        )

    refusals = {413} if content_type.endswith("urlencoded") and not rule.startswith("/webhooks") else {400, 413, 415}
    assert answer.status_code in refusals


def test_body_without_a_length_is_read_no_further_than_the_limit(stage: Stage) -> None:
    """A chunked request names no size; what is read is bounded all the same."""

    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.given += len(buffer)
            assert self.given < 8 * TOO_MUCH
            return len(buffer)

    source = io.BufferedReader(Endless())
    answer = stage.browser().client.open(
        "/webhooks/dodo",
        method="POST",
        content_type="application/json",
        base_url=stage.settings.public_url,
        environ_overrides={"wsgi.input": source, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )

    assert answer.status_code in (401, 413)


@pytest.mark.parametrize("parts", [1001, 5000])
def test_form_of_a_thousand_fields_changes_nothing(stage: Stage, buyer: Browser, csrf: str, parts: int) -> None:
    with stage.unchanged():
        answer = buyer.post(f"/o/{buyer.instance}/accept", {f"f{n}": "x" for n in range(parts)} | {"csrf_token": csrf})

    assert answer.status_code in (400, 413)


def test_json_as_deep_as_it_gets_is_no_fault_of_ours(stage: Stage, buyer: Browser, csrf: str) -> None:
    deep = json.dumps("x").join(["[" * 50_000, "]" * 50_000])

    with stage.unchanged(but=("meta",)):
        answers = [
            buyer.open("POST", path, data=deep, content_type="application/json", headers={"X-CSRFToken": csrf})
            for path in (f"/o/{buyer.instance}/accept", "/checkout", "/webhooks/dodo")
        ]

    assert all(answer.status_code < 500 for answer in answers)


# ---- Card numbers --------------------------------------------------------------------------------------------------

CARDS = (
    *("4242424242424242", "5555 5555 5555 4444", "3782-822463-10005", "6011111111111117", "4222222222222"),
    *("my card is 4242 4242 4242 4242, thanks", "4242.4242.4242.4242", "4242\u00a04242\u00a04242\u00a04242"),
    *(
        "４２４２４２４２４２４２４２４２",
        "card4242424242424242",
        "4242_4242_4242_4242",
        "4242/4242/4242/4242",
        "6304000000000000000",
    ),
)


def fields_for(number: str) -> tuple[str, ...]:
    """Between two letters of our own long and random values such digits are chance, and those are not kept."""
    return ("product", "note", "buy_again", *(() if number.startswith("card") else ("quote_hash", "offer_token")))


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("path", ["accept", "/checkout", "/sign-out"])
def test_card_number_in_any_field_is_refused_and_kept_nowhere(
    stage: Stage, buyer: Browser, csrf: str, path: str, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    """product.md, section 8: never ask for, store or log a card number; not as the second value of a field either."""
    address = path if path.startswith("/") else f"/o/{buyer.instance}/{path}"

    with stage.unchanged():
        answers = [
            *(buyer.post(address, {field: number, "csrf_token": csrf}) for field in fields_for(number)),
            buyer.post(address, {"x": ["harmless", number], "csrf_token": csrf}),
            buyer.post(address, {number: "x", "csrf_token": csrf}),
        ]

    assert {answer.status_code for answer in answers} == {400}
    for answer in answers:
        assert "That looks like a card number" in answer.get_data(as_text=True)
        assert number not in answer.get_data(as_text=True)
    assert number not in caplog.text


@pytest.mark.parametrize("number", ["4242424242424242", "4242 4242 4242 4242"])
def test_card_number_in_what_a_browser_says_of_itself_is_not_kept(stage: Stage, number: str) -> None:
    """The evidence of a yes keeps the browser's name: also a text that anyone can write."""
    buyer = stage.buyer()

    with_number = {
        "User-Agent": f"Mozilla {number}",
        "Accept-Language": number,
        "Referer": f"http://127.0.0.1:5000/{number}",
    }
    form = {"offer_token": stage.token(buyer.instance, "accept"), "quote_hash": buyer.row()["quote_hash"]}
    buyer.post(f"/o/{buyer.instance}/accept", form, headers=with_number)

    assert state_of(buyer.offer()) == "receipt"
    everything = json.dumps(stage.dump(), ensure_ascii=False, default=str)
    assert number not in everything


@pytest.mark.parametrize(
    "text", ["4242424242424243", "1234567890123", "42424242424242424242424242", "2026-11-25 04:51:24 1234"]
)
def test_number_that_is_no_card_is_no_reason_to_refuse(stage: Stage, buyer: Browser, csrf: str, text: str) -> None:
    answer = buyer.post(f"/o/{buyer.instance}/decline", {"note": text, "offer_token": "x", "csrf_token": csrf})

    assert answer.status_code == 404


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_wrong_types_in_every_field_are_refused(
    stage: Stage, buyer: Browser, csrf: str, act: str, headers: dict[str, str]
) -> None:
    token = stage.token(buyer.instance, act)

    with stage.unchanged():
        for form in (
            {"offer_token": [token + "x", token]},
            {"offer_token[]": token},
            {"offer_token": token.encode("utf-16").decode("latin-1")},
            {"offer_token": token.upper()},
            {"OFFER_TOKEN": token},
        ):
            answer = buyer.post(f"/o/{buyer.instance}/{act}", {**form, "csrf_token": csrf}, headers=headers)
            assert answer.status_code in (400, 404)
