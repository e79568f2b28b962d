"""Events waiting to be delivered: what happened, to which object, and what was ordered for its delivery."""

import json
from typing import Any

from .store import Doc
from .twin import Twin

MODE_DEFAULTS: Doc = {
    "hold": False,
    "drop": 0,
    "repeat": 1,
    "newer_body": 0,
    "bad_signature": 0,
    "old_timestamp": 0,
    "old_timestamp_s": 360,
    "delay_s": 0,
    "parallel": 1,
    "types": None,
}


def emit(twin: Twin, event_type: str, *, kind: str, object_id: str) -> str:
    """Note that something happened to an object; the background thread delivers it. Returns the webhook id.

    What was ordered through `/_sandbox/webhooks` is decided here, in order of creation, so that
    "the next two" means the next two.
    """
    webhook_id = twin.ids.new("msg_")
    now = twin.clock.now()
    modes = modes_of(twin)
    applies = modes["types"] is None or event_type in modes["types"]
    options = {name: applies and take(twin, name) for name in ("newer_body", "bad_signature", "old_timestamp")}
    twin.store.insert(
        "INSERT INTO events (webhook_id, type, kind, object_id, event_at, state, tries, due_at, copies, options)"
        " VALUES (:webhook_id, :type, :kind, :object_id, :event_at, :state, 0, :due_at, :copies, :options)",
        webhook_id=webhook_id,
        type=event_type,
        kind=kind,
        object_id=object_id,
        event_at=now,
        state=_first_state(twin, modes, applies=applies),
        due_at=now + int(modes["delay_s"] * 1000),
        copies=modes["repeat"] if applies else 1,
        options=json.dumps(options),
    )
    twin.wake.set()
    return webhook_id


def modes_of(twin: Twin) -> Doc:
    """Return every delivery mode with its value."""
    return {**MODE_DEFAULTS, **twin.store.setting("webhook_modes", {})}


def set_modes(twin: Twin, changes: Doc) -> None:
    """Change delivery modes; the caller has checked the values."""
    twin.store.set_setting("webhook_modes", {**twin.store.setting("webhook_modes", {}), **changes})


def take(twin: Twin, name: str) -> bool:
    """Use up one of a counted mode; `True` means always, a number means that many more."""
    left: Any = modes_of(twin)[name]
    if left is True or not left:
        return bool(left)
    set_modes(twin, {name: left - 1})
    return True


def _first_state(twin: Twin, modes: Doc, *, applies: bool) -> str:
    if applies and take(twin, "drop"):
        return "dropped"
    if not twin.store.setting("webhook_target", {}).get("url"):
        return "untargeted"
    return "held" if modes["hold"] and applies else "due"
