"""Webhook management of the wire: endpoints, their secrets and their headers."""

import re
from typing import Any

from ..core.clock import rfc3339
from ..core.endpoints import endpoints, find_endpoint, new_endpoint, put_endpoint, remove_endpoint
from ..core.event_types import EVENT_TYPES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import (
    Call,
    Routes,
    WireError,
    answer,
    empty,
    flag,
    found,
    metadata,
    query_number,
    read_body,
    refuse_body,
    required_text,
    text,
    whole,
)
from ..http.server import Response

routes = Routes()

DEFAULT_LIMIT = 50
MAX_LIMIT = 250
MAX_URL = 2048
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1000}")
# What a delivery sets itself.
OWN_HEADERS = frozenset(
    ("content-type", "content-length", "host", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature")
)
# Named in answers, their values never shown (which ones the provider hides is not documented: our choice).
SENSITIVE_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"))


@routes.post("/webhooks")
def create_webhook(call: Call) -> Response:
    body = read_body(call)
    checked = {"url": read_url(body), **_read_changes(body)}
    checked["headers"] = read_headers(body.get("headers") or {})
    key = text(body, "idempotency_key", limit=256)
    if key and any(endpoint["idempotency_key"] == key for endpoint in endpoints(call.twin)):
        # dodo-api.md section 5: a key used before is answered 409.
        raise WireError(409, "CONFLICT", "idempotency_key: has been used before")
    endpoint = new_endpoint(call.twin, url=checked["url"]) | checked | {"idempotency_key": key}
    put_endpoint(call.twin, endpoint)
    return answer(serialise(endpoint))


@routes.get("/webhooks")
def list_webhooks(call: Call) -> Response:
    limit = query_number(call, "limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise WireError(422, "INVALID_QUERY_PARAMS", f"limit: must be from 1 to {MAX_LIMIT}")
    known = _listed(call.twin)
    first = _place_after(known, call.query.get("iterator"))
    shown = known[first : first + limit]
    return answer(
        {
            "data": [serialise(endpoint) for endpoint in shown],
            "iterator": shown[-1]["id"] if shown else call.query.get("iterator"),
            "prev_iterator": known[first - limit - 1]["id"] if first > limit else None,
            "done": first + limit >= len(known),
        }
    )


@routes.get("/webhooks/{webhook_id}")
def get_webhook(call: Call, webhook_id: str) -> Response:
    return answer(serialise(_endpoint(call.twin, webhook_id)))


@routes.patch("/webhooks/{webhook_id}")
def update_webhook(call: Call, webhook_id: str) -> Response:
    endpoint, body = _endpoint(call.twin, webhook_id), read_body(call)
    changes = _read_changes(body)
    if body.get("url") is not None:
        changes["url"] = read_url(body)
    changed = {**endpoint, **changes, "updated_at": call.twin.clock.now()}
    put_endpoint(call.twin, changed)
    return answer(serialise(changed))


@routes.delete("/webhooks/{webhook_id}")
def delete_webhook(call: Call, webhook_id: str) -> Response:
    remove_endpoint(call.twin, _endpoint(call.twin, webhook_id)["id"])
    return empty(200)


@routes.get("/webhooks/{webhook_id}/secret")
def get_secret(call: Call, webhook_id: str) -> Response:
    return answer({"secret": _endpoint(call.twin, webhook_id)["secret"]})


@routes.get("/webhooks/{webhook_id}/headers")
def get_headers(call: Call, webhook_id: str) -> Response:
    headers = _endpoint(call.twin, webhook_id)["headers"]
    return answer(
        {
            "headers": {name: value for name, value in headers.items() if name.lower() not in SENSITIVE_HEADERS},
            "sensitive": [name for name in headers if name.lower() in SENSITIVE_HEADERS],
        }
    )


@routes.patch("/webhooks/{webhook_id}/headers")
def update_headers(call: Call, webhook_id: str) -> Response:
    endpoint, body = _endpoint(call.twin, webhook_id), read_body(call)
    if body.get("headers") is None:
        raise refuse_body("headers", "is required")
    added = read_headers(body["headers"])
    kept = {name: value for name, value in endpoint["headers"].items() if name.lower() not in map(str.lower, added)}
    put_endpoint(call.twin, {**endpoint, "headers": {**kept, **added}, "updated_at": call.twin.clock.now()})
    return empty(200)


def serialise(endpoint: Doc) -> Doc:
    """Return the endpoint as the wire shows it; never its secret or headers."""
    return {
        "id": endpoint["id"],
        "url": endpoint["url"],
        "description": endpoint["description"],
        "disabled": endpoint["disabled"],
        "filter_types": endpoint["filter_types"],
        "metadata": endpoint["metadata"],
        "rate_limit": endpoint["rate_limit"],
        "created_at": rfc3339(endpoint["created_at"]),
        "updated_at": rfc3339(endpoint["updated_at"]),
    }


def read_url(body: Doc, field: str = "url") -> str:
    """Return the address of an endpoint; 422 unless it is http or https."""
    url = required_text(body, field, limit=MAX_URL)
    if not url.startswith(("http://", "https://")):
        raise refuse_body(field, "must be an http or https address")
    return url


def read_filter(types: object, field: str = "filter_types") -> list[str]:
    """Return the event types an endpoint wants; an empty list is all of them."""
    if not isinstance(types, list):
        raise refuse_body(field, "must be a list of event types")
    for name in types:
        if name not in EVENT_TYPES:
            raise refuse_body(field, f"unknown event type {str(name)[:60]!r}")
    return types


def read_headers(headers: Any) -> dict[str, str]:
    """Return the headers to be sent along; 422 for one that a delivery sets itself."""
    if not isinstance(headers, dict):
        raise refuse_body("headers", "must be an object")
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
            raise refuse_body("headers", f"{name[:60]!r} cannot be set")
        if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
            raise refuse_body("headers", f"value of {name!r} must be a printable string")
    return headers


def _read_changes(body: Doc) -> Doc:
    """Return the checked fields that both a new and a changed endpoint may be given; null counts as absent."""
    changes: Doc = {}
    if body.get("description") is not None:
        changes["description"] = text(body, "description")
    if body.get("disabled") is not None:
        changes["disabled"] = flag(body, "disabled")
    if body.get("filter_types") is not None:
        changes["filter_types"] = read_filter(body["filter_types"])
    if body.get("metadata") is not None:
        changes["metadata"] = metadata(body)
        if not all(isinstance(value, str) for value in changes["metadata"].values()):
            raise refuse_body("metadata", "values must be strings")
    if body.get("rate_limit") is not None:
        changes["rate_limit"] = whole(body, "rate_limit", least=0)
    return changes


def _listed(twin: Twin) -> list[Doc]:
    # The first endpoint may have no address yet; the wire does not know such a one.
    return [endpoint for endpoint in endpoints(twin) if endpoint["url"]]


def _endpoint(twin: Twin, webhook_id: str) -> Doc:
    endpoint = found(find_endpoint(twin, webhook_id), "Endpoint")
    return found(endpoint if endpoint["url"] else None, "Endpoint")


def _place_after(known: list[Doc], iterator: str | None) -> int:
    """Return where a page begins: behind the endpoint that the page before ended with."""
    if not iterator:
        return 0
    places = [place for place, endpoint in enumerate(known) if endpoint["id"] == iterator]
    if not places:
        raise WireError(422, "INVALID_QUERY_PARAMS", "iterator: unknown")
    return places[0] + 1
