"""A provider whose clock is wrong: its stamps are off, what is due is not."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from sandbox.core.clock import parse_rfc3339, rfc3339
from tests.listener import SECRET, Listener
from tests.sandbox_process import SandboxProcess, wait_for

SKEW_S = -900


@pytest.fixture
def listener(sandbox: SandboxProcess) -> Iterator[Listener]:
    with Listener() as listener:
        sandbox.webhooks(url=listener.url, secret=SECRET)
        yield listener


def stamps(payment: Any) -> list[int]:
    return [parse_rfc3339(payment[name]) for name in ("created_at", "updated_at")]


def test_stamps_and_date_are_off_by_the_skew(sandbox: SandboxProcess) -> None:
    now = sandbox.control("clock", {"freeze": True})["now"]
    payment = sandbox.buy()
    assert sandbox.control("clock", {"skew_s": SKEW_S})["skew_s"] == SKEW_S

    answer = sandbox.call("GET", f"/payments/{payment['payment_id']}")

    assert stamps(answer.json()) == [moment + SKEW_S * 1000 for moment in stamps(payment)]
    dated = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert dated == (now + SKEW_S * 1000) // 1000
    assert sandbox.control("clock")["now"] == now


def test_filters_go_by_the_same_wrong_clock(sandbox: SandboxProcess) -> None:
    sandbox.control("clock", {"skew_s": SKEW_S})
    shown = sandbox.buy()
    moment = parse_rfc3339(shown["created_at"])

    def found(at: int) -> int:
        return len(sandbox.get("/payments", created_at_gte=rfc3339(at), created_at_lte=rfc3339(at))["items"])

    assert [found(moment), found(moment + 1), found(moment - SKEW_S * 1000)] == [1, 0, 0]


def test_webhook_bodies_are_off_too_and_arrive_in_time(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.control("clock", {"skew_s": SKEW_S})

    payment = sandbox.buy()
    wait_for(lambda: listener.arrivals, what="the webhook")

    # `events` verifies the signature, whose time is real.
    event = listener.events()[0]
    assert event["data"]["created_at"] == payment["created_at"]
    assert abs(parse_rfc3339(event["timestamp"]) - SKEW_S * 1000 - sandbox.control("clock")["now"]) < 60_000


def test_answers_are_dated_by_the_sandbox_clock(sandbox: SandboxProcess) -> None:
    sandbox.clock(86_400)
    frozen = sandbox.control("clock", {"freeze": True})["now"]

    answer = sandbox.call("GET", "/products")

    assert parsedate_to_datetime(answer.headers["date"]).timestamp() == frozen // 1000


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00Z", "9Z", "9999-12-31T23:59:59Z"])
def test_what_a_merchant_calls_a_stamp_stays_as_it_is(sandbox: SandboxProcess, listener: Listener, value: str) -> None:
    metadata = {"created_at": value, "timestamp": value}
    sandbox.control("clock", {"skew_s": SKEW_S})

    payment = sandbox.buy(metadata=metadata)
    wait_for(lambda: listener.arrivals, what="the webhook")

    assert payment["metadata"] == listener.events()[0]["data"]["metadata"] == metadata
    assert sandbox.get("/payments")["items"][0]["metadata"] == metadata


def test_stamp_that_a_trigger_made_nonsense_of_is_sent_as_it_is(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.control("clock", {"skew_s": SKEW_S})
    sandbox.control("triggers", {"type": "payment.succeeded", "set": {"created_at": "9Z"}})

    wait_for(lambda: listener.arrivals, what="the webhook")

    assert listener.events()[0]["data"]["created_at"] == "9Z"
