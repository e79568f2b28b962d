"""Webhooks as the official SDK and the published examples know them."""

import json
from typing import Any

from dodopayments import DodoPayments

from tests.contract.schema import assert_answer, webhook_examples
from tests.listener import Listener
from tests.sandbox_process import BASIC, SandboxProcess, wait_for


def arrived(listener: Listener, count: int) -> list[Any]:
    wait_for(lambda: len(listener.arrivals) >= count, what=f"{count} webhooks")
    return listener.events()


def everything(sandbox: SandboxProcess) -> None:
    """Make every kind of event the sandbox knows."""
    payment = sandbox.buy()
    sandbox.buy(card="4000000000000002")
    sandbox.buy(card="4000000000000077")
    sandbox.buy(BASIC)
    sandbox.next_payment("cancelled")
    sandbox.buy()
    sandbox.control("refunds", {"payment_id": payment["payment_id"], "amount": 100})
    dispute = sandbox.control("disputes", {"payment_id": payment["payment_id"]})
    sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "lost"})


EVENTS = [
    "payment.succeeded",
    "payment.failed",
    "payment.processing",
    "subscription.active",
    "payment.succeeded",
    "subscription.renewed",
    "payment.cancelled",
    "refund.succeeded",
    "dispute.opened",
    "dispute.lost",
]


def test_every_event_arrives_in_order_of_creation(sandbox: SandboxProcess, listener: Listener) -> None:
    everything(sandbox)

    events = arrived(listener, len(EVENTS))

    assert [event["type"] for event in events] == EVENTS


def test_sdk_unwraps_every_event(sandbox: SandboxProcess, listener: Listener, client: DodoPayments) -> None:
    everything(sandbox)
    arrived(listener, len(EVENTS))

    for arrival, name in zip(listener.arrivals, EVENTS, strict=True):
        event = client.webhooks.unwrap(arrival.body.decode(), headers=arrival.headers)
        assert event.type == name


def test_events_have_every_field_of_the_published_examples(sandbox: SandboxProcess, listener: Listener) -> None:
    everything(sandbox)

    for event in arrived(listener, len(EVENTS)):
        example = webhook_examples()[event["type"]]["example"]
        missing = example["data"].keys() - event["data"].keys()
        assert not missing, f"{event['type']} lacks {missing}"
        assert event.keys() == example.keys()
        assert event["data"]["payload_type"] == example["data"]["payload_type"]


def test_event_data_is_what_the_get_route_answers(sandbox: SandboxProcess, listener: Listener) -> None:
    payment = sandbox.buy()

    event = arrived(listener, 1)[0]

    assert event["data"] == {"payload_type": "Payment", **payment}
    assert_answer("GET /payments/{id}", event["data"])
    assert json.loads(listener.arrivals[0].body) == event
