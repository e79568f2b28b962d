"""Webhooks as the official SDK and the published examples know them."""

import json
from typing import Any

import pytest
from dodopayments import DodoPayments
from dodopayments.types import UnwrapWebhookEvent, WebhookEventType
from pydantic import TypeAdapter

from sandbox.core.event_types import EVENT_TYPES
from tests.contract.schema import assert_answer, assert_webhook, webhook_examples
from tests.listener import SECRET, Listener
from tests.sandbox_process import BASIC, SandboxProcess, wait_for


def arrived(listener: Listener, count: int) -> list[Any]:
    wait_for(lambda: len(listener.arrivals) >= count, what=f"{count} webhooks")
    return listener.events()


def triggered(sandbox: SandboxProcess, listener: Listener, event_type: str, **settings: Any) -> Any:
    """Trigger an event and return (its arrival, its verified body)."""
    made = sandbox.control("triggers", {"type": event_type, "set": settings})

    def find() -> Any:
        return [one for one in list(listener.arrivals) if one.headers["webhook-id"] == made["webhook_id"]]

    arrival = wait_for(find, what=event_type)[0]
    return arrival, json.loads(arrival.body)


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
    assert_answer("GET /payments/{id}", payment)
    assert json.loads(listener.arrivals[0].body) == event


def test_event_types_are_the_sdks() -> None:
    assert sorted(EVENT_TYPES) == sorted(WebhookEventType.__args__)  # type: ignore[attr-defined]
    assert len(EVENT_TYPES) == 48


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_is_sent_signed_and_true_to_the_schema(
    sandbox: SandboxProcess, listener: Listener, client: DodoPayments, event_type: str
) -> None:
    arrival, body = triggered(sandbox, listener, event_type)

    unwrapped = client.webhooks.unwrap(arrival.body.decode(), headers=arrival.headers)
    assert (unwrapped.type, body["type"]) == (event_type, event_type)
    assert_webhook(body)
    # `unwrap` is lenient; this is not, and wants the newer fields too.
    strict: Any = TypeAdapter(UnwrapWebhookEvent).validate_json(arrival.body)
    assert type(strict).__name__ == type(unwrapped).__name__
    example = webhook_examples().get(event_type)
    if example is not None:
        missing = example["example"]["data"].keys() - body["data"].keys()
        assert not missing, f"{event_type} lacks {missing}"
        assert body["data"]["payload_type"] == example["example"]["data"]["payload_type"]


def test_triggered_payment_is_a_real_one(sandbox: SandboxProcess, listener: Listener) -> None:
    order = {"customer.email": "minh@example.com", "metadata.order": "7", "quantity": 2}

    _, body = triggered(sandbox, listener, "payment.succeeded", **order)

    payment = sandbox.get(f"/payments/{body['data']['payment_id']}")
    assert body["data"] == {"payload_type": "Payment", **payment}
    assert payment["customer"]["email"] == "minh@example.com"
    assert payment["metadata"] == {"order": "7"}
    assert payment["product_cart"][0]["quantity"] == 2


def test_other_paths_change_only_what_the_body_shows(sandbox: SandboxProcess, listener: Listener) -> None:
    _, body = triggered(sandbox, listener, "payment.succeeded", **{"total_amount": 1, "billing.city": "Huế"})

    payment = sandbox.get(f"/payments/{body['data']['payment_id']}")
    assert (body["data"]["total_amount"], body["data"]["billing"]["city"]) == (1, "Huế")
    assert payment["total_amount"] > 1
    assert body["data"]["billing"] == {**payment["billing"], "city": "Huế"}


def test_trigger_of_a_refund_announces_its_payment_too(sandbox: SandboxProcess, listener: Listener) -> None:
    _, body = triggered(sandbox, listener, "refund.failed", amount=100, reason="asked")

    types = [event["type"] for event in listener.events()]
    assert types == ["payment.succeeded", "refund.failed"]
    assert (body["data"]["amount"], body["data"]["reason"], body["data"]["status"]) == (100, "asked", "failed")


@pytest.mark.parametrize(
    ("event_type", "status"),
    [
        ("subscription.on_hold", "on_hold"),
        ("subscription.past_due", "past_due"),
        ("subscription.paused", "paused"),
        ("subscription.unpaused", "active"),
        ("subscription.cancelled", "cancelled"),
        ("subscription.expired", "expired"),
        ("subscription.failed", "failed"),
        ("subscription.plan_changed", "active"),
        ("dunning.started", "on_hold"),
        ("dunning.recovered", "active"),
    ],
)
def test_triggered_subscription_is_in_the_state_the_event_says(
    sandbox: SandboxProcess, listener: Listener, event_type: str, status: str
) -> None:
    _, body = triggered(sandbox, listener, event_type)

    subscription = sandbox.get(f"/subscriptions/{body['data']['subscription_id']}")
    assert subscription["status"] == status
    assert sandbox.control("switches")["dunning"] is False
    assert sandbox.control("switches")["grace_period_days"] == 0
    if event_type == "subscription.past_due":
        assert body["data"]["past_due_ends_at"] > subscription["created_at"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "payment.success"}, "type"),
        ({}, "type"),
        ({"type": "payment.succeeded", "set": 1}, "set"),
        ({"type": "subscription.active", "set": {"product_id": "pdt_StarterCourse000000001"}}, "product_id"),
        ({"type": "refund.failed", "set": {"amount": "all"}}, "amount"),
    ],
)
def test_bad_trigger_changes_nothing(sandbox: SandboxProcess, body: Any, field: str) -> None:
    refused = sandbox.call("POST", "/_sandbox/triggers", body)

    assert refused.status_code == 422
    assert refused.json()["message"].startswith(f"{field}:")
    assert sandbox.control("state")["counts"]["payments"] == 0


@pytest.mark.parametrize(
    ("event_type", "path", "taken"),
    [
        ("payment.succeeded", "amount", "product_id"),
        ("payment.succeeded", "error_code", "metadata.*"),
        ("subscription.active", "reason", "quantity"),
        ("license_key.created", "amount", "customer.email"),
        ("dunning.started", "amount", "error_code"),
        ("refund.succeeded", "error_code", "amount"),
        ("payout.created", "metadata.order", "amount"),
    ],
)
def test_what_a_trigger_would_not_use_is_refused_with_what_it_takes(
    sandbox: SandboxProcess, event_type: str, path: str, taken: str
) -> None:
    refused = sandbox.call("POST", "/_sandbox/triggers", {"type": event_type, "set": {path: 500}})

    assert refused.status_code == 422
    before, _, named = refused.json()["message"].partition("which takes ")
    assert before.startswith(f"{path}: is not used by {event_type}")
    assert taken in named.split(", ")
    assert path not in named.split(", ")
    assert sandbox.control("deliveries")["events"] == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [("customer.email", "no address", "e-mail"), ("billing.country", "KP", "country")],
)
def test_trigger_says_why_the_hosted_page_refused(sandbox: SandboxProcess, path: str, value: str, said: str) -> None:
    refused = sandbox.call("POST", "/_sandbox/triggers", {"type": "payment.succeeded", "set": {path: value}})

    assert refused.status_code == 422
    message = refused.json()["message"]
    assert said in message.lower()
    assert "/session/" not in message
    assert "<" not in message


def test_a_wrong_webhook_would_be_noticed(sandbox: SandboxProcess, listener: Listener) -> None:
    _, body = triggered(sandbox, listener, "payout.created", fee="many")

    with pytest.raises(AssertionError, match="fee"):
        assert_webhook(body)


def test_sdk_takes_either_secret_for_a_day_after_a_rotation(
    sandbox: SandboxProcess, listener: Listener, client: DodoPayments
) -> None:
    fresh = "whsec_ZnJlc2gtc2VjcmV0LW9mLWEtcm90YXRpb24="
    sandbox.webhooks(rotate=fresh)
    try:
        sandbox.buy()
        wait_for(lambda: listener.arrivals, what="the webhook")
        arrival = listener.arrivals[0]

        for secret in (SECRET, fresh):
            event = client.webhooks.unwrap(arrival.body.decode(), headers=arrival.headers, key=secret)
            assert event.type == "payment.succeeded"
    finally:
        sandbox.webhooks(secret=SECRET)


def test_every_endpoint_answer_fits_the_schema(sandbox: SandboxProcess, client: DodoPayments) -> None:
    made = sandbox.post("/webhooks", {"url": "http://127.0.0.1:9/", "filter_types": ["payment.failed"]})
    place = f"/webhooks/{made['id']}"

    assert_answer("POST /webhooks", made)
    assert_answer("GET /webhooks", sandbox.get("/webhooks"))
    assert_answer("GET /webhooks/{id}", sandbox.get(place))
    assert_answer("PATCH /webhooks/{id}", sandbox.call("PATCH", place, {"description": "shop"}).json())
    assert_answer("GET /webhooks/{id}/secret", sandbox.get(f"{place}/secret"))
    client.webhooks.headers.update(made["id"], headers={"x-shop": "one"})
    assert_answer("GET /webhooks/{id}/headers", sandbox.get(f"{place}/headers"))
    assert client.webhooks.headers.retrieve(made["id"]).headers == {"x-shop": "one"}
    client.webhooks.delete(made["id"])
    assert made["id"] not in [endpoint.id for endpoint in client.webhooks.list()]


def test_sdk_walks_all_endpoints(sandbox: SandboxProcess, client: DodoPayments) -> None:
    made = [client.webhooks.create(url=f"http://127.0.0.1:9/{number}").id for number in range(5)]

    walked = [endpoint.id for endpoint in client.webhooks.list(limit=2)]

    assert walked[1:] == made, "the first is the address the sandbox was started with"
