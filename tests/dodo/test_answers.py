"""Whatever the provider says, classify answers, and only proof counts as proof."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from encore.dodo.answers import (
    REFUSAL_STATUSES,
    Accepted,
    Answer,
    Exchange,
    NotSent,
    Refused,
    Reply,
    UnknownAnswer,
    classify,
    classify_refund,
    read_reset_at,
)
from tests.scale import proves, scaled

REPLIES = scaled(1_000, proof=50_000)
MANY = settings(
    max_examples=REPLIES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)

# Drawn from flat pools: nested strategies make generation ten times slower than what is tested.
NESTED: list[Any] = [[], {}, [["pay_1"]], {"payment_id": "pay_1"}, 1.5, float("nan"), 2**70, True, None]
TEXTS = ["pay_1", "X", "PREVIOUS_PAYMENT_PENDING", "", " ", "pay 1", "\ud800", "é", "a" * 300, "pay_1\n"]
JUNK = [b"", b"\xff", b"NaN", b"1e400", b'"payment_id":"pay_2",', b"<html>", b"\x00", b"[" * 5000]
KEYS = ["payment_id", "session_id", "code", "message", "refund_id", "status", "x"]

documents = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*TEXTS, *NESTED]) | st.text(max_size=4), max_size=4)


def damaged(document: object, cut: int, inserted: bytes) -> bytes:
    body = json.dumps(document).encode()
    at = cut % (len(body) + 1)
    return body[:at] + inserted + body[at:] if inserted else body[: at or None]


bodies = (
    documents.map(lambda document: json.dumps(document).encode())
    | st.builds(damaged, documents, st.integers(0, 400), st.sampled_from(JUNK))
    | st.binary(max_size=20)
)
headers = st.sampled_from(
    [
        {},
        *({"retry-after": text} for text in ("1", "-1", "soon", "9" * 500, "\u0663")),
        *({"x-ratelimit-reset": text} for text in ("30", "1700000009", "x", "1e9")),
    ]
)
statuses = st.sampled_from([200, 200, 200, 409, *sorted(REFUSAL_STATUSES), 204, 302, 408, 500, 999])
exchanges = st.builds(
    Exchange,
    byte_handed=st.booleans(),
    reply=st.none() | st.builds(Reply, statuses, headers, bodies),
    fault=st.just("deadline"),
    socket_closed=st.booleans(),
)


def check_claim(exchange: Exchange, classifier: Callable[..., Answer]) -> None:
    """An answer other than unknown must follow from the exchange by the plainest reading of the rules."""
    answer = classifier(exchange, now=1_700_000_000_000)

    assert answer.socket_closed is exchange.socket_closed
    reply = exchange.reply
    match answer:
        case NotSent():
            assert not exchange.byte_handed
        case Accepted(payment_id=payment_id):
            assert exchange.byte_handed
            assert reply is not None
            assert reply.status == 200
            assert json.loads(reply.body)["payment_id"] == payment_id != ""
            assert payment_id.isascii()
            assert [name for name, _ in json.loads(reply.body, object_pairs_hook=list)].count("payment_id") == 1
        case Refused(code=code, status=status, reset_at_ms=reset_at):
            assert exchange.byte_handed
            assert reply is not None
            assert status == reply.status
            assert status in REFUSAL_STATUSES or code == "PREVIOUS_PAYMENT_PENDING"
            assert json.loads(reply.body)["code"].startswith(code)
            assert code.strip()
            assert reset_at is None or status == 429
            code.encode()
        case UnknownAnswer():
            assert exchange.byte_handed


@proves(REPLIES, "replies to a charge, none of which raised or proved too much")
@MANY
@given(exchanges)
@example(Exchange(True, Reply(200, {}, b'{"payment_id":"pay_1","x":{"payment_id":"pay_2"}}'), "", True))
def test_no_reply_raises_or_proves_too_much(exchange: Exchange) -> None:
    check_claim(exchange, classify)


@settings(MANY, max_examples=REPLIES // 4)
@given(exchanges)
def test_no_refund_reply_raises(exchange: Exchange) -> None:
    answer = classify_refund(exchange, payment_id="pay_1", now=1_700_000_000_000)

    assert isinstance(answer, NotSent) is not exchange.byte_handed


def any_200_with_an_id(exchange: Exchange, *, now: int) -> Answer:
    """A broken build: the library's own JSON, and whatever it makes of the id."""
    reply = exchange.reply
    if reply is not None and reply.status == 200 and exchange.byte_handed:
        try:
            document: Any = json.loads(reply.body)
        except (ValueError, RecursionError):
            return UnknownAnswer("body", exchange.socket_closed)
        if isinstance(document, dict) and isinstance(document.get("payment_id"), str):
            return Accepted(document["payment_id"], None, exchange.socket_closed)
    return classify(exchange, now=now)


def any_4xx_is_refused(exchange: Exchange, *, now: int) -> Answer:
    """A broken build: a 408 or a gateway's page taken as "nothing was done"."""
    reply = exchange.reply
    if reply is not None and 400 <= reply.status < 500 and exchange.byte_handed:
        return Refused("REFUSED", reply.status, "", None, exchange.socket_closed)
    return classify(exchange, now=now)


def missing_reply_is_not_sent(exchange: Exchange, *, now: int) -> Answer:
    """A broken build: no answer taken as "no byte left"."""
    if exchange.reply is None:
        return NotSent(exchange.fault, exchange.socket_closed)
    return classify(exchange, now=now)


@pytest.mark.parametrize("broken", [any_200_with_an_id, any_4xx_is_refused, missing_reply_is_not_sent])
def test_guards_off_a_trusting_classifier_is_caught(broken: Callable[..., Answer]) -> None:
    @settings(MANY, report_multiple_bugs=False, phases=[Phase.generate])
    @given(exchanges)
    def search(exchange: Exchange) -> None:
        check_claim(exchange, broken)

    with pytest.raises((AssertionError, KeyError, ValueError, RecursionError, TypeError)):
        search()


@pytest.mark.parametrize("code", ["X", "PAYMENT_NOT_SUCCEEDED", "previous_payment_pending", ""])
def test_a_409_with_another_code_is_unknown(code: str) -> None:
    reply = Reply(409, {}, json.dumps({"code": code}).encode())

    answer = classify(Exchange(True, reply, "", True), now=0)

    assert answer == UnknownAnswer("status_409", socket_closed=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1700000030", 1_700_000_030_000),
        ("1700000030500", 1_700_000_030_500),
        ("30", 1_700_000_030_000),
        ("1600000000", None),
        ("1900000000", 1_700_000_120_000),
        ("٣", None),
        ("3.5", None),
    ],
)
def test_a_reset_is_read_in_each_unit_it_may_have(value: str, expected: int | None) -> None:
    assert read_reset_at({"x-ratelimit-reset": value}, now=1_700_000_000_000) == expected
