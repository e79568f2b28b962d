"""States are set from the bodies of events, so that the order in which they come decides."""

import json
from pathlib import Path

from encore.dodo.bodies import read_model
from encore.dodo.models import Payment
from encore.dodo.webhooks import parse
from encore.services import observe, webhooks
from encore.services.shop import Shop
from encore.store.webhook_events import WebhookEvent

BREAKS = {"I10"}
_act = webhooks._act


def install(database: Path) -> None:
    vars(webhooks)["_act"] = _act_on_body


def _act_on_body(shop: Shop, event: WebhookEvent) -> object:
    if not event.event_type.startswith("payment."):
        return _act(shop, event)
    data = parse((event.body or "").encode()).data
    observe.settle_payment(shop, read_model(json.dumps(data).encode(), Payment))
    return webhooks._Done()
