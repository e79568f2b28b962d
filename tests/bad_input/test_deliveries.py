"""What arrives at the webhook endpoint from strangers, and from the provider when it is off its contract."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from app import create_app
from encore.clock import Clock
from encore.ids import new_id
from tests import deliveries
from tests.attacks.stage import Stage
from tests.scale import proves, scaled

BODY = deliveries.event("payment.succeeded", payment_id="pay_unknown")
OLD_KEY = "whsec_" + base64.b64encode(b"the key before the last rotation").decode()
REFUSED = (401, b"unauthorized\n")


def deliver(app: Flask, headers: dict[str, str], body: bytes = BODY) -> TestResponse:
    return app.test_client().post(
        "/webhooks/dodo",
        data=body,
        headers=headers,
        content_type="application/json",
        base_url="http://127.0.0.1:5000",
        # Rejections are counted by address: each test has its own.
        environ_base={"REMOTE_ADDR": "192.0.2.1"},
    )


def signed(
    stage: Stage, body: bytes = BODY, *, webhook_id: str = "msg_1", age_s: float = 0, key: str = ""
) -> dict[str, str]:
    at = datetime.fromtimestamp(Clock().now() / 1000 - age_s, tz=UTC)
    signature = Webhook(key or stage.settings.webhook_keys[0]).sign(webhook_id, at, body.decode("utf-8"))
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def stored(stage: Stage) -> int:
    return int(stage.one("SELECT count(*) AS n FROM webhook_events")["n"])


@pytest.mark.criterion("R19a")
def test_key_before_the_rotation_is_still_good(stage: Stage) -> None:
    app = create_app(replace(stage.settings, webhook_keys=(stage.settings.webhook_keys[0], OLD_KEY)))
    try:
        ids = [new_id("msg") for _ in range(3)]
        answers = [
            deliver(app, signed(stage, webhook_id=ids[0], key=OLD_KEY)),
            deliver(app, signed(stage, webhook_id=ids[1])),
        ]
        gone = deliver(stage.app, signed(stage, webhook_id=ids[2], key=OLD_KEY))
    finally:
        app.extensions["encore"].close()

    assert [answer.status_code for answer in answers] == [204, 204]
    assert (gone.status_code, gone.get_data()) == REFUSED


@pytest.mark.criterion("R19e")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"not json",
        b'{"type": "payment.succeeded"}',
        b'{"type": 1, "data": {}}',
        b'{"type": "", "data": {}}',
        b'{"type": "' + b"x" * 200 + b'", "data": {}}',
        b'{"type": "a", "type": "b", "data": {}}',
        b'{"type": "a", "data": {"x": NaN}}',
        b'{"type": "a", "data": {"x": 1e999}}',
        b'{"type": "a", "data": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_000 + b"}",
        b'{"type": "a\\u0000", "data": [1]}',
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_signed_body_nobody_can_read_is_kept_and_not_asked_for_again(stage: Stage, body: bytes) -> None:
    """The provider's own, so a 2xx: a refusal would only bring it back for a day. A person is told."""
    webhook_id = new_id("msg")
    answer = deliver(stage.app, signed(stage, body, webhook_id=webhook_id), body)

    row = stage.one("SELECT * FROM webhook_events WHERE webhook_id = :id", id=webhook_id)
    alarm = stage.shop.store.row("SELECT 1 AS n FROM alarms WHERE object = :id", id=webhook_id)
    assert answer.status_code == 204
    assert (row["state"], row["body"].encode()) == ("dead", body)
    assert alarm is not None


def true_but_odd(stage: Stage) -> dict[str, dict[str, str]]:
    """Deliveries whose signature is true for what they say, in a form that the library alone would take."""
    key, now = stage.settings.webhook_keys[0], Clock().now() / 1000
    good = signed(stage, webhook_id="msg_odd")

    def over(webhook_id: str, timestamp: str) -> dict[str, str]:
        secret = base64.b64decode(key.removeprefix("whsec_"))
        text = f"{webhook_id}.{int(float(timestamp))}.{BODY.decode()}".encode()
        signature = base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()
        return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}

    return {
        "fraction of a second": over("msg_odd", f"{int(now)}.9"),
        "padded time": over("msg_odd", f" {int(now)} "),
        "time in other digits": over("msg_odd", "".join(chr(0x660 + int(d)) for d in str(int(now)))),
        "signed time": over("msg_odd", f"+{int(now)}"),
        "time with an exponent": over("msg_odd", f"{int(now)}e0"),
        "time with underscores": over("msg_odd", f"{int(now):_}"),
        "junk after the signature": {**good, "webhook-signature": good["webhook-signature"] + "junk"},
        "line in the id": over("msg odd", str(int(now))),
        "id of 129 letters": over("m" * 129, str(int(now))),
        "no id": over("", str(int(now))),
        "seventeen signatures": {**good, "webhook-signature": " ".join([good["webhook-signature"]] * 17)},
    }


@pytest.mark.criterion("R19a")
def test_true_signature_in_an_odd_form_is_refused_as_any_other(stage: Stage) -> None:
    """I16: our own look at the headers comes before the library, which takes some of these and breaks at others."""
    before = stored(stage)

    for name, headers in true_but_odd(stage).items():
        sent = {key: value.encode().decode("latin-1") for key, value in headers.items()}
        answer = deliver(stage.app, sent)
        assert (answer.status_code, answer.get_data()) == REFUSED, f"I16: {name} was answered {answer.status}"

    assert stored(stage) == before


HEADERS = scaled(300, proof=10_000)
ODD = (
    *("", " ", "v1", "v1,", "v1,a,b", "v1,é", "v1,AAAA=AAA", "v2,AAAA", "1700000000.0", "nan", "inf", "1e400", "-1"),
    *("9" * 400, "msg_1", "\x7f", ",,,,", "v1," + "A" * 43 + "=", "v1," + "A" * 10_000, "0x10", "1_0", " 1 "),
)


@proves(HEADERS, "strangers' deliveries")
@settings(max_examples=HEADERS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    webhook_id=st.sampled_from(ODD) | st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=8),
    timestamp=st.sampled_from(ODD) | st.integers(-400, 400).map(lambda n: str(Clock().now() // 1000 + n)),
    signature=st.sampled_from(ODD)
    | st.binary(min_size=31, max_size=33).map(lambda b: "v1," + base64.b64encode(b).decode()),
    body=st.just(BODY) | st.binary(max_size=30),
)
def test_strangers_headers_get_the_one_constant_401(
    stage: Stage, webhook_id: str, timestamp: str, signature: str, body: bytes
) -> None:
    headers = {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": signature}
    sent = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in headers.items()}

    answer = deliver(stage.app, sent, body)

    assert (answer.status_code, answer.get_data()) == REFUSED, f"I16: {answer.status}"


@pytest.fixture
def limited(stage: Stage) -> Iterator[Flask]:
    """An application that counts."""
    app = create_app(replace(stage.settings, limits_storage="memory://"))
    yield app
    app.extensions["encore"].close()


def test_forger_is_told_to_wait_after_sixty_and_the_provider_never_is(stage: Stage, limited: Flask) -> None:
    forged = [deliver(limited, {"webhook-id": "msg_forged"}).status_code for _ in range(62)]
    from_elsewhere = limited.test_client().post(
        "/webhooks/dodo",
        data=BODY,
        headers=signed(stage, webhook_id=new_id("msg")),
        content_type="application/json",
        base_url="http://127.0.0.1:5000",
        environ_base={"REMOTE_ADDR": "192.0.2.2"},
    )

    assert forged == [401] * 60 + [429] * 2
    assert from_elsewhere.status_code == 204


@pytest.mark.parametrize("reason", ["forged", "too old", "too new", "unsigned"])
def test_refusals_cannot_be_told_apart(stage: Stage, reason: str) -> None:
    """Status, body and headers: a forger learns nothing from them but that it was refused."""
    good = signed(stage)
    headers = {
        "forged": {**good, "webhook-id": "msg_2"},
        "too old": signed(stage, age_s=301),
        "too new": signed(stage, age_s=-305),
        "unsigned": {},
    }[reason]

    answer = deliver(stage.app, headers)

    kept = {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}
    reference = deliver(stage.app, {"webhook-id": "x"})
    assert (answer.status_code, answer.get_data()) == REFUSED
    assert kept == {name: value for name, value in reference.headers.items() if name != "X-Request-Id"}
