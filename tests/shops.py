"""A shop on a store of its own, wired to a running sandbox, as the composition root would wire it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from encore.clock import Clock
from encore.services.shop import Shop, open_shop
from encore.settings import load_settings
from encore.store import schema
from tests.sandbox_process import SandboxProcess

NO_PROVIDER = "http://127.0.0.1:9"


def make_shop(data_dir: Path, sandbox: SandboxProcess | None = None, *, clock: Clock | None = None, **env: str) -> Shop:
    """Open a shop with its schema; `env` adds settings. Without a sandbox the provider cannot be reached."""
    url = sandbox.url if sandbox else NO_PROVIDER
    settings = load_settings(
        {"ENCORE_DATA": str(data_dir), "ENCORE_TESTING": "1", "DODO_PAYMENTS_BASE_URL": url, **env}
    )
    shop = open_shop(settings, clock=clock)
    schema.upgrade(shop.store, now=shop.now())
    return shop


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
