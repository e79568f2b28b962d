"""Calls that move no money: what they read, what they raise, and what is tried again."""

import threading
from contextvars import copy_context

import pytest

from encore.clock import Clock
from encore.dodo import Budget, Dodo, Timeouts
from encore.dodo import client as client_module
from encore.dodo.client import CallTimer, time_calls
from encore.errors import NotExecuted, RateLimited, Unavailable
from tests.dodo.broken_conversations import drip, reset_after_read, reset_before_read, silence, stall_after_headers
from tests.dodo.examples import PAYMENT, MakeDodo, as_json
from tests.dodo.fixed_clock import FixedClock
from tests.dodo.raw_server import Behaviour, RawServer, answering, answering_once, http


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
