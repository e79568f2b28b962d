"""The home of a QA person: what the twin holds, what it was asked, what is ordered for it, and buttons to order more.

Every list is cut in the query, so that a million payments do not slow the page. The JSON of everything shown is
under `/_sandbox/`; the buttons press the very routes that stand there (home_actions.py).
"""

import json
from typing import Any

from ..billing import charges
from ..control import snapshots
from ..control.scenarios import SCENARIOS
from ..core.cards import CARDS, HARD_DECLINES, SOFT_DECLINES
from ..core.clock import rfc3339
from ..core.endpoints import endpoints
from ..core.event_types import EVENT_TYPES
from ..core.events import modes_of
from ..core.places import format_amount
from ..core.store import Doc, Store
from ..core.twin import SWITCHES, Twin
from ..http import unserved
from ..http.call import Call, Routes, WireError
from ..http.faults import WORDS
from ..http.lists import DEFAULTS as LIST_DEFAULTS
from ..http.lists import modes_of as list_modes
from ..http.rate import TIERS
from ..http.server import Response
from ..resources import payments
from .draw import draw, go_to
from .home_actions import ACTIONS, ADVANCES_S, open_portal
from .pressing import press

routes = Routes()

SHOWN = 10
SHOWN_REQUESTS = 25
# A body on the page is for a glance; the whole of it is in the JSON.
MAX_BODY = 4000
COUNTED = ("customers", "payments", "subscriptions", "refunds")
MAX_COUNTED = 10_000


@routes.get("/")
def home(call: Call) -> Response:
    return draw("home.html", **_contents(call.twin), error=None)


@routes.post("/")
def act(call: Call) -> Response:
    name = call.form.get("action", "")
    try:
        if name == "portal":
            location = open_portal(call)
        elif name in ACTIONS:
            action = ACTIONS[name]
            press(call, action.handler, action.read(call.form))
            location = f"/#{action.section}"
        else:
            raise WireError(422, "INVALID_REQUEST_BODY", "action: unknown")
    except WireError as error:
        return draw("home.html", status=error.status, **_contents(call.twin), error=error.message)
    return go_to(location)


def _contents(twin: Twin) -> dict[str, Any]:
    store = twin.store
    return {
        "url": twin.options.public_url,
        "clock": {**twin.clock.describe(), "skew_s": store.setting("skew_s", 0)},
        "advances": list(ADVANCES_S),
        "scenarios": {name: one.sentence for name, one in SCENARIOS.items()},
        "snapshots": snapshots.listed(twin)[-SHOWN:],
        "counts": {kind: _count(store, kind) for kind in COUNTED},
        "max_counted": MAX_COUNTED,
        "cards": CARDS,
        "codes": ["GENERIC_DECLINE", *sorted((SOFT_DECLINES | HARD_DECLINES) - {"GENERIC_DECLINE"})],
        "statuses": payments.STATUSES,
        "next_charges": charges.script(twin),
        "endpoints": sorted(twin.endpoints, key=lambda endpoint: endpoint.split(" ")[::-1]),
        "fault_words": sorted(WORDS),
        "faults": store.setting("faults", []),
        "lists": list_modes(twin),
        "lists_changed": list_modes(twin) != LIST_DEFAULTS,
        "tiers": ["off", *TIERS],
        "tier": store.setting("rate", "off"),
        "switches": [_switch(twin, name) for name in SWITCHES],
        "event_types": EVENT_TYPES,
        "targets": [endpoint for endpoint in endpoints(twin) if endpoint["url"]],
        "modes": modes_of(twin),
        "customers": store.find("customers", limit=SHOWN),
        "payments": _payments(store),
        "subscriptions": _subscriptions(store),
        "requests": _requests(store),
        "deliveries": _deliveries(store),
        "waiting": _waiting(store),
        "unserved": unserved.listed(twin)[:SHOWN],
        "amount": format_amount,
        "when": lambda milliseconds: rfc3339(milliseconds)[:19].replace("T", " "),
    }


def _count(store: Store, kind: str) -> int:
    """Count the objects of a kind, as far as counting stays quick."""
    sql = "SELECT count(*) AS n FROM (SELECT 1 FROM objects WHERE kind = :kind LIMIT :most)"
    row = store.row(sql, kind=kind, most=MAX_COUNTED + 1)
    return int(row["n"]) if row else 0


def _payments(store: Store) -> list[Doc]:
    return [{**doc, "email": _email(store, doc)} for doc in store.find("payments", limit=SHOWN)]


def _subscriptions(store: Store) -> list[Doc]:
    return [{**doc, "email": _email(store, doc)} for doc in store.find("subscriptions", limit=SHOWN)]


def _email(store: Store, doc: Doc) -> str:
    customer = store.get("customers", doc["customer_id"])
    return str(customer["email"]) if customer else ""


def _requests(store: Store) -> list[Doc]:
    rows = store.rows(
        "SELECT id, at, method, path, query, substr(body, 1, :most) AS body, headers, status, fault, effect"
        " FROM requests ORDER BY id DESC LIMIT :limit",
        most=MAX_BODY,
        limit=SHOWN_REQUESTS,
    )
    return [{**dict(row), "body": _readable(row["body"]), "headers": json.loads(row["headers"])} for row in rows]


def _deliveries(store: Store) -> list[Doc]:
    rows = store.rows(
        "SELECT id, webhook_id, type, try, at, url, substr(body, 1, :most) AS body, status,"
        " substr(response, 1, :most) AS response, error, latency_ms FROM deliveries ORDER BY id DESC LIMIT :limit",
        most=MAX_BODY,
        limit=SHOWN,
    )
    return [{**dict(row), "body": _readable(row["body"])} for row in rows]


def _waiting(store: Store) -> list[Doc]:
    """Return the newest events that were not delivered (yet): held, waiting for a retry, dropped, dead, for nobody."""
    rows = store.rows(
        "SELECT webhook_id, type, object_id, state, tries, due_at FROM events WHERE state != 'delivered'"
        " AND seq > (SELECT coalesce(max(seq), 0) - 1000 FROM events) ORDER BY seq DESC LIMIT :limit",
        limit=SHOWN,
    )
    return [dict(row) for row in rows]


def _readable(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _switch(twin: Twin, name: str) -> Doc:
    default, allowed = SWITCHES[name]
    choices = list(allowed) if isinstance(allowed, tuple) else [False, True] if allowed is bool else []
    return {"name": name, "value": twin.switch(name), "default": default, "choices": choices}
