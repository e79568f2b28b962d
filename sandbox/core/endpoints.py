"""Webhook endpoints: where events go, which of them, and with what secret they are signed.

Endpoints are a short list that every event looks at, so they are kept as one setting, oldest first. The first one,
given with `--webhook-url` or `/_sandbox/webhooks`, is the shop the sandbox was started for; like those that
`listen` adds, it outlives a reset.
"""

from .clock import DAY_MS
from .store import Doc
from .twin import Twin

# A fixed id, so that the first endpoint is the same one whatever address it is given.
FIRST = "whk_FirstEndpoint00000001"
# dodo-api.md section 12: after a rotation the old secret stays valid for 24 hours.
ROTATED_SECRET_LIFE_MS = DAY_MS


def endpoints(twin: Twin) -> list[Doc]:
    """Return every endpoint, oldest first; treat them as read-only."""
    known: list[Doc] = twin.store.setting("endpoints", [])
    return known


def find_endpoint(twin: Twin, endpoint_id: str) -> Doc | None:
    """Return one endpoint, or None."""
    return next((endpoint for endpoint in endpoints(twin) if endpoint["id"] == endpoint_id), None)


def takers(twin: Twin, event_type: str) -> list[Doc]:
    """Return the endpoints that an event of this type goes to now."""
    return [endpoint for endpoint in endpoints(twin) if takes(endpoint, event_type)]


def takes(endpoint: Doc, event_type: str) -> bool:
    """Return whether an endpoint wants this type; an empty filter means every type."""
    wanted = endpoint["filter_types"]
    return bool(endpoint["url"]) and not endpoint["disabled"] and (not wanted or event_type in wanted)


def new_endpoint(twin: Twin, *, url: str, kept: bool = False) -> Doc:
    """Return an endpoint that is not stored yet, with an id and a secret of its own; `kept` outlives a reset."""
    return _endpoint(twin, twin.ids.new("whk_"), url=url, secret=twin.ids.webhook_secret(), kept=kept)


def put_endpoint(twin: Twin, endpoint: Doc) -> None:
    """Store a new endpoint behind the others, or a changed one in its place."""
    known = endpoints(twin)
    if find_endpoint(twin, endpoint["id"]) is None:
        twin.store.set_setting("endpoints", [*known, endpoint])
    else:
        changed = [endpoint if one["id"] == endpoint["id"] else one for one in known]
        twin.store.set_setting("endpoints", changed)


def remove_endpoint(twin: Twin, endpoint_id: str) -> None:
    """Forget an endpoint; what is still under way to it is never delivered."""
    left = [endpoint for endpoint in endpoints(twin) if endpoint["id"] != endpoint_id]
    twin.store.set_setting("endpoints", left)


def first_endpoint(twin: Twin) -> Doc:
    """Return the endpoint of `--webhook-url`; one without an address if none was given yet."""
    return find_endpoint(twin, FIRST) or _endpoint(twin, FIRST, url=None, secret=None, kept=True)


def set_first_endpoint(twin: Twin, changes: Doc) -> None:
    """Change the endpoint of `--webhook-url`, which stays first in the list."""
    first = {**first_endpoint(twin), **changes}
    others = [endpoint for endpoint in endpoints(twin) if endpoint["id"] != FIRST]
    twin.store.set_setting("endpoints", [first, *others])


def rotated(twin: Twin, endpoint: Doc, secret: str) -> Doc:
    """Return the endpoint with a new secret; the one before signs beside it for 24 sandbox hours."""
    old = endpoint["old_secrets"]
    if endpoint["secret"]:
        old = [{"secret": endpoint["secret"], "until": twin.clock.now() + ROTATED_SECRET_LIFE_MS}, *old]
    return {**endpoint, "secret": secret, "old_secrets": old, "updated_at": twin.clock.now()}


def active_secrets(twin: Twin, endpoint: Doc) -> list[str]:
    """Return the secrets a delivery to this endpoint is signed with now, newest first."""
    now = twin.clock.now()
    old = [entry["secret"] for entry in endpoint["old_secrets"] if entry["until"] > now]
    return [endpoint["secret"], *old] if endpoint["secret"] else old


def _endpoint(twin: Twin, endpoint_id: str, *, url: str | None, secret: str | None, kept: bool) -> Doc:
    now = twin.clock.now()
    return {
        "id": endpoint_id,
        "created_at": now,
        "updated_at": now,
        "url": url,
        "description": "",
        "disabled": False,
        "filter_types": [],
        "headers": {},
        "metadata": {},
        "rate_limit": None,
        "idempotency_key": None,
        "secret": secret,
        "old_secrets": [],
        "kept": kept,
    }
