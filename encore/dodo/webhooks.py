"""Webhook deliveries: proving that they are the provider's, then reading the envelope."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from standardwebhooks import Webhook

from encore.clock import Clock
from encore.dodo.bodies import BadBody, read_model
from encore.dodo.models import WebhookEnvelope
from encore.errors import BadSignature, UnreadableEvent

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP = re.compile(r"[0-9]{10}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_TOLERANCE_S = 300  # the library's own, which cannot be set
_MOST_SIGNATURES = 16


@dataclass(frozen=True)
class Verified:
    """A delivery proven genuine and recent."""

    webhook_id: str
    timestamp_s: int


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Verified:
    """Prove that the provider signed these very bytes within the last 300 s, with any active secret.

    Raises BadSignature for every fault of every kind. The headers are checked before the library sees them:
    on hostile ones it raises half a dozen other exceptions, and it accepts fractional timestamps and junk
    after the base64. Source: Standard Webhooks 1.0.0; standardwebhooks 1.1.0 as measured.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    webhook_id = sent.get("webhook-id", "")
    timestamp = sent.get("webhook-timestamp", "")
    if not _ID.fullmatch(webhook_id):
        raise BadSignature("id")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature("timestamp")
    _check_age(int(timestamp))
    signatures = _read_signatures(sent.get("webhook-signature", ""))
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSignature("encoding") from None
    passed_on = {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
    if not any(_is_signed(passed_on, body, secret) for secret in secrets):
        raise BadSignature("no_match" if secrets else "no_secret")
    return Verified(webhook_id, int(timestamp))


def _check_age(timestamp_s: int) -> None:
    # Told apart because many of one kind mean that our clock is wrong, which raises an alarm.
    age_ms = Clock().now() - timestamp_s * 1000
    if age_ms > _TOLERANCE_S * 1000:
        raise BadSignature("too_old")
    if age_ms < -_TOLERANCE_S * 1000:
        raise BadSignature("too_new")


def _read_signatures(header: str) -> list[str]:
    offered = header.split(" ")
    if len(offered) > _MOST_SIGNATURES:
        raise BadSignature("signatures")
    usable = [signature for signature in offered if _SIGNATURE.fullmatch(signature)]
    if not usable:
        raise BadSignature("signatures")
    return usable


def _is_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    # Any exception is a "no": what the library raises is not bounded by its own classes, and a stranger must
    # not be able to make us answer 500.
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except Exception:
        return False
    return True


def parse(body: bytes) -> WebhookEnvelope:
    """Read the envelope of a verified delivery. Raises UnreadableEvent: signed, but not what we know."""
    try:
        return read_model(body, WebhookEnvelope)
    except BadBody as error:
        raise UnreadableEvent(str(error)) from error
