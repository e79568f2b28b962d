"""`POST /webhooks/dodo`: the web half, from raw bytes to a row or a refusal that tells a forger nothing."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from app import create_app
from encore.services import webhooks
from encore.settings import Settings
from encore.store import StoreFull
from tests.web.conftest import URL

PATH = "/webhooks/dodo"
BODY = json.dumps(
    {
        "business_id": "bus_1",
        "type": "payment.succeeded",
        "timestamp": "2026-12-22T14:30:00Z",
        "data": {"payment_id": "pay_1"},
    }
).encode()


@pytest.fixture
def endpoint(settings: Settings) -> Iterator[Flask]:
    """An application whose counters of rejected deliveries stand at nothing."""
    made = create_app(settings)
    yield made
    made.extensions["encore"].close()


def signed(settings: Settings, body: bytes = BODY, *, webhook_id: str = "msg_1", age_s: int = 0) -> dict[str, str]:
    at = datetime.now(tz=UTC) - timedelta(seconds=age_s)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings.webhook_keys[0]).sign(webhook_id, at, body.decode()),
    }


def deliver(
    app: Flask,
    headers: dict[str, str],
    body: bytes = BODY,
    *,
    content_type: str = "application/json",
    method: str = "POST",
) -> TestResponse:
    return app.test_client().open(
        PATH, method=method, data=body, headers=headers, content_type=content_type, base_url=URL
    )


def count(app: Flask) -> int:
    row = app.extensions["encore"].store.row("SELECT count(*) AS n FROM webhook_events")
    return int(row["n"])


@pytest.mark.criterion("R19b")
def test_signed_delivery_is_stored_before_it_is_acknowledged(endpoint: Flask, settings: Settings) -> None:
    before = count(endpoint)

    answer = deliver(endpoint, signed(settings, webhook_id="msg_stored"))

    assert answer.status_code == 204
    assert answer.get_data() == b""
    assert count(endpoint) == before + 1


def test_repeated_delivery_is_acknowledged_and_stored_once(endpoint: Flask, settings: Settings) -> None:
    before = count(endpoint)
    headers = signed(settings, webhook_id="msg_repeated")

    assert {deliver(endpoint, headers).status_code for _ in range(5)} == {204}
    assert count(endpoint) == before + 1


def forgeries(settings: Settings) -> dict[str, dict[str, str]]:
    good = signed(settings)
    other_key = "whsec_" + base64.b64encode(b"k" * 32).decode()
    at = datetime.now(tz=UTC)
    return {
        "no headers": {},
        "no signature": {k: v for k, v in good.items() if k != "webhook-signature"},
        "empty signature": {**good, "webhook-signature": ""},
        "other key": {**good, "webhook-signature": Webhook(other_key).sign("msg_1", at, BODY.decode())},
        "other id": {**good, "webhook-id": "msg_2"},
        "six minutes old": signed(settings, age_s=360),
        "from the future": signed(settings, age_s=-360),
        "not a time": {**good, "webhook-timestamp": "now"},
        "commas": {**good, "webhook-signature": "v1,a,b"},
        "latin": {**good, "webhook-signature": "v1,é"},
    }


@pytest.mark.criterion("R19a")
def test_forged_and_stale_deliveries_get_one_constant_401(endpoint: Flask, settings: Settings) -> None:
    before = count(endpoint)

    answers = [deliver(endpoint, headers) for headers in forgeries(settings).values()]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.get_data() for answer in answers} == {b"unauthorized\n"}
    assert count(endpoint) == before


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_signature_decides_whatever_the_content_type_says(
    endpoint: Flask, settings: Settings, content_type: str
) -> None:
    forged = {**signed(settings), "webhook-signature": "v1," + 43 * "A" + "="}

    assert deliver(endpoint, signed(settings), content_type=content_type).status_code == 204
    assert deliver(endpoint, forged, content_type=content_type).status_code == 401


def test_oversize_delivery_is_413(endpoint: Flask, settings: Settings) -> None:
    body = b'{"a":"' + b"x" * (256 * 1024) + b'"}'

    assert deliver(endpoint, signed(settings, body), body).status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405(endpoint: Flask, settings: Settings, method: str) -> None:
    assert deliver(endpoint, signed(settings), method=method).status_code == 405


def test_full_store_asks_for_another_delivery(
    endpoint: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreFull("disk")

    monkeypatch.setattr(webhooks, "receive", full)

    assert deliver(endpoint, signed(settings)).status_code == 503


def test_forger_is_limited_and_the_provider_never_is(endpoint: Flask, settings: Settings) -> None:
    valid = [deliver(endpoint, signed(settings, webhook_id=f"msg_many_{n}")).status_code for n in range(70)]
    forged = [deliver(endpoint, {}).status_code for _ in range(61)]

    assert valid == [204] * 70
    assert forged == [401] * 60 + [429]
