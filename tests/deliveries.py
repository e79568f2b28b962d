"""Webhook deliveries as the provider would sign and send them."""

import json
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from encore.clock import Clock
from encore.services.shop import Shop


def sign(shop: Shop, body: bytes, *, webhook_id: str = "msg_1", age_s: float = 0) -> dict[str, str]:
    """Return the headers of a delivery signed with the shop's key, `age_s` seconds ago by the real clock."""
    stamp = datetime.fromtimestamp(Clock().now() / 1000 - age_s, tz=UTC)
    return {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(int(stamp.timestamp())),
        "Webhook-Signature": Webhook(shop.settings.webhook_keys[0]).sign(webhook_id, stamp, body.decode("utf-8")),
    }


def event(event_type: str, **data: Any) -> bytes:
    """Return the body of a delivery."""
    envelope = {"type": event_type, "business_id": "bus_1", "timestamp": "2026-01-01T00:00:00Z", "data": data}
    return json.dumps(envelope).encode()
