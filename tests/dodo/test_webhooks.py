"""Only the provider's own, recent bytes get in; a stranger gets one kind of no."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from encore.clock import Clock
from encore.dodo.webhooks import Verified, parse, verify
from encore.errors import BadSignature, UnreadableEvent
from tests.scale import proves, scaled

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = b'{"type":"payment.succeeded","business_id":"bus_1","data":{"payment_id":"pay_1"}}'

Verifier = Callable[[Mapping[str, str], bytes, Sequence[str]], Verified]


def sign(body: bytes = BODY, *, secret: str = SECRET, age_s: int = 0, webhook_id: str = "msg_1") -> dict[str, str]:
    """Sign as the provider does."""
    from datetime import UTC, datetime

    timestamp_s = Clock().now() // 1000 - age_s
    moment = datetime.fromtimestamp(timestamp_s, UTC)
    signature = Webhook(secret).sign(webhook_id, moment, body.decode("utf-8", "surrogateescape"))
    return {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(timestamp_s),
        "Webhook-Signature": signature,
    }


def test_a_genuine_delivery_is_verified() -> None:
    headers = sign()

    assert verify(headers, BODY, [SECRET]) == Verified("msg_1", int(headers["Webhook-Timestamp"]))


@pytest.mark.criterion("R19a")
@pytest.mark.parametrize("secrets", [[SECRET, OLD_SECRET], [OLD_SECRET, SECRET]])
def test_every_active_secret_counts(secrets: list[str]) -> None:
    assert verify(sign(secret=OLD_SECRET), BODY, secrets).webhook_id == "msg_1"


def test_one_good_signature_among_others_is_enough() -> None:
    headers = sign()
    other = "v1," + base64.b64encode(b"x" * 32).decode()
    headers["Webhook-Signature"] = f"v1a,zzz {other} {headers['Webhook-Signature']} v2,abc"

    assert verify(headers, BODY, [SECRET])


@pytest.mark.criterion("R19a")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Webhook-Id": ""}, "id"),
        ({"Webhook-Id": "m" * 129}, "id"),
        ({"Webhook-Id": "msg_1\n"}, "id"),
        ({"Webhook-Id": "msg_2"}, "no_match"),
        ({"Webhook-Timestamp": ""}, "timestamp"),
        ({"Webhook-Timestamp": "1700000000.5"}, "timestamp"),
        ({"Webhook-Timestamp": "1_700_000_000"}, "timestamp"),
        ({"Webhook-Timestamp": " 1700000000"}, "timestamp"),
        ({"Webhook-Timestamp": "١٧٠٠٠٠٠٠٠٠"}, "timestamp"),
        ({"Webhook-Timestamp": "1700000000"}, "too_old"),
        ({"Webhook-Timestamp": "9999999999"}, "too_new"),
        ({"Webhook-Signature": ""}, "signatures"),
        ({"Webhook-Signature": "v1"}, "signatures"),
        ({"Webhook-Signature": "v1,a,b"}, "signatures"),
        ({"Webhook-Signature": "v1,é"}, "signatures"),
        ({"Webhook-Signature": "v1," + "A" * 43 + "="}, "no_match"),
    ],
)
def test_every_fault_of_a_header_is_refused(change: dict[str, str], reason: str) -> None:
    with pytest.raises(BadSignature) as raised:
        verify({**sign(), **change}, BODY, [SECRET])

    assert raised.value.reason == reason


def test_junk_after_a_good_signature_is_refused() -> None:
    headers = sign()
    headers["Webhook-Signature"] += "junk"

    with pytest.raises(BadSignature):
        verify(headers, BODY, [SECRET])


def test_more_than_sixteen_signatures_are_refused() -> None:
    headers = sign()
    headers["Webhook-Signature"] = " ".join([headers["Webhook-Signature"]] * 17)

    with pytest.raises(BadSignature):
        verify(headers, BODY, [SECRET])


@pytest.mark.criterion("R19a")
@pytest.mark.parametrize(("age_s", "reason"), [(302, "too_old"), (-302, "too_new")])
def test_a_delivery_outside_five_minutes_is_refused(age_s: int, reason: str) -> None:
    with pytest.raises(BadSignature) as raised:
        verify(sign(age_s=age_s), BODY, [SECRET])

    assert raised.value.reason == reason


@pytest.mark.parametrize("age_s", [290, -290])
def test_a_delivery_within_five_minutes_is_verified(age_s: int) -> None:
    assert verify(sign(age_s=age_s), BODY, [SECRET])


@pytest.mark.parametrize("secrets", [[], [""], ["whsec_"], ["whsec_é"], ["not base64!"], [OLD_SECRET]])
def test_no_usable_secret_lets_nothing_in(secrets: list[str]) -> None:
    with pytest.raises(BadSignature):
        verify(sign(), BODY, secrets)


@pytest.mark.criterion("R19a")
@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], b"", b"\xff\xfe", BODY.replace(b"pay_1", b"pay_2")])
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(sign(), body, [SECRET])


HOSTILE = scaled(1_000, proof=50_000)
MANY = settings(
    max_examples=HOSTILE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
# Drawn from flat pools: nested strategies make generation ten times slower than what is tested.
ODD = [
    "v1,a,b",
    "v1",
    ",",
    "v1,é",
    "v1,a",
    "v1,AAAA=AAA",
    "1700000000.0",
    "nan",
    "inf",
    "1e400",
    "-1",
    "\ud800",
    "",
]
odd_text = st.sampled_from(ODD) | st.text(max_size=8)
now_text = st.integers(-400, 400).map(lambda offset: str(Clock().now() // 1000 + offset))
signature = st.binary(min_size=30, max_size=33).map(lambda raw: "v1," + base64.b64encode(raw).decode())
hostile_headers = st.builds(
    lambda name, timestamp, first, second: {
        "webhook-id": name,
        "Webhook-Timestamp": timestamp,
        "webhook-signature": first + second,
    },
    st.just("msg_1") | odd_text,
    now_text | odd_text,
    signature | odd_text,
    st.sampled_from(["", " ", " v1,a,b", " v2,x", "junk"]),
)
hostile_bodies = st.just(BODY) | st.binary(max_size=30)


def check_strangers_are_refused(headers: Mapping[str, str], body: bytes, verifier: Verifier) -> None:
    """Nobody generates a signature by chance, so the one allowed outcome is BadSignature."""
    with pytest.raises(BadSignature):
        verifier(headers, body, [SECRET, OLD_SECRET])


@pytest.mark.criterion("R19a")
@proves(HOSTILE, "deliveries with hostile headers, all refused")
@MANY
@given(hostile_headers, hostile_bodies)
def test_hostile_headers_only_ever_give_a_bad_signature(headers: dict[str, str], body: bytes) -> None:
    check_strangers_are_refused(headers, body, verify)


def bare_verifier(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Verified:
    """The broken build: the library alone, with its own exception translated."""
    from standardwebhooks import WebhookVerificationError

    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError:
            continue
        return Verified(headers["webhook-id"], 0)
    raise BadSignature("no_match")


def test_guards_off_a_bare_verifier_is_caught() -> None:
    @settings(MANY, report_multiple_bugs=False, phases=[Phase.generate])
    @given(hostile_headers, hostile_bodies)
    def search(headers: dict[str, str], body: bytes) -> None:
        check_strangers_are_refused(headers, body, bare_verifier)

    with pytest.raises(ValueError):  # noqa: PT011  binascii.Error and UnicodeDecodeError are ValueErrors
        search()


def test_an_envelope_is_read_with_its_hints() -> None:
    body = json.dumps(
        {
            "business_id": "bus_1",
            "type": "refund.succeeded",
            "timestamp": "2025-08-04T05:36:41Z",
            "data": {"payload_type": "Refund", "refund_id": "ref_1", "payment_id": "pay_1", "new": 1},
        }
    ).encode()

    event = parse(body)

    assert (event.type, event.business_id, event.payload_type) == ("refund.succeeded", "bus_1", "Refund")
    assert (event.refund_id, event.payment_id, event.dispute_id) == ("ref_1", "pay_1", None)


@pytest.mark.parametrize("data", [{"payment_id": 7}, {"payment_id": None}, {"payment_id": ""}, {}])
def test_a_hint_of_the_wrong_type_is_no_hint(data: dict[str, object]) -> None:
    assert parse(json.dumps({"type": "x.y", "data": data}).encode()).payment_id is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"x"}',
        b'{"type":"","data":{}}',
        b'{"type":7,"data":{}}',
        b"\xff",
        b"[" * 9000,
    ],
)
def test_a_signed_body_that_is_no_envelope_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        parse(body)
