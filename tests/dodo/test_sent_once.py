"""Refunds and removals: sent once, read by what the provider says of them, and never tried again."""

import pytest

from encore.dodo.answers import NotSent, RefundAccepted, Refused, UnknownAnswer
from encore.errors import NotExecuted, Unavailable
from tests.dodo.broken_conversations import silence
from tests.dodo.examples import NOT_FOUND, MakeDodo
from tests.dodo.raw_server import RawServer, answering, http


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
