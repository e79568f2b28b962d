"""Events waiting to be delivered: what happened, to which object, and what was ordered for its delivery."""

from typing import Any

import msgspec

from .endpoints import takers
from .store import Doc
from .twin import Twin

# The endpoint id of an event that nobody takes.
NOWHERE = ""
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
    "kill": None,
}
# Where an ordered end of the process strikes a delivery: before it is sent, or sent and answered but not noted.
KILL_POINTS = ("before_send", "after_send")
# The exit status after an ordered kill, unlike any that Python or a signal gives (our choice).
KILLED_STATUS = 70


def emit(twin: Twin, event_type: str, *, kind: str, object_id: str, changes: Doc | None = None) -> str:
    """Note that something happened to an object; the background thread delivers it. Returns the webhook id.

    Every endpoint that takes the type has a row of its own in `events`, under the one webhook id. `kind` is one of
    `webhooks/payloads.py`; `changes` are values that the body shows instead of the object's, by dotted path.

    What was ordered through `/_sandbox/webhooks` is decided here, in order of creation, so that
    "the next two" means the next two.
    """
    webhook_id = twin.ids.new("msg_")
    now = twin.clock.now()
    modes = modes_of(twin)
    applies = modes["types"] is None or event_type in modes["types"]
    options = {name: applies and take(twin, name) for name in ("newer_body", "bad_signature", "old_timestamp")}
    dropped = applies and take(twin, "drop")
    held = applies and modes["hold"]
    for endpoint_id in [endpoint["id"] for endpoint in takers(twin, event_type)] or [NOWHERE]:
        state = _first_state(endpoint_id, dropped=dropped, held=held)
        if state == "due":
            twin.store.after_commit(twin.wake.set)
        twin.store.insert(
            "INSERT INTO events (webhook_id, endpoint_id, type, kind, object_id, event_at, state, tries, due_at,"
            " copies, options) VALUES (:webhook_id, :endpoint_id, :type, :kind, :object_id, :event_at, :state, 0,"
            " :due_at, :copies, :options)",
            webhook_id=webhook_id,
            endpoint_id=endpoint_id,
            type=event_type,
            kind=kind,
            object_id=object_id,
            event_at=now,
            state=state,
            due_at=now + int(modes["delay_s"] * 1000) if applies else now,
            copies=modes["repeat"] if applies else 1,
            options=msgspec.json.encode({**options, "changes": changes or {}}).decode(),
        )
    return webhook_id


def resend(twin: Twin, webhook_id: str) -> bool:
    """Deliver an event anew, from its first try, to each endpoint it was for; False for an unknown id.

    One that went nowhere goes to the endpoints of today, if there are any.
    """
    row = twin.store.row("SELECT * FROM events WHERE webhook_id = :webhook_id", webhook_id=webhook_id)
    if row is None:
        return False
    if row["endpoint_id"] == NOWHERE:
        _find_takers(twin, dict(row))
    twin.store.run(
        "UPDATE events SET state = 'due', tries = 0, due_at = :now"
        " WHERE webhook_id = :webhook_id AND endpoint_id != :nowhere",
        now=twin.clock.now(),
        webhook_id=webhook_id,
        nowhere=NOWHERE,
    )
    twin.store.after_commit(twin.wake.set)
    return True


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


def _first_state(endpoint_id: str, *, dropped: bool, held: bool) -> str:
    if dropped:
        return "dropped"
    if endpoint_id == NOWHERE:
        return "untargeted"
    return "held" if held else "due"


def _find_takers(twin: Twin, event: Doc) -> None:
    found = [endpoint["id"] for endpoint in takers(twin, event["type"])]
    for endpoint_id in found:
        names = "webhook_id, type, kind, object_id, event_at, state, tries, due_at, copies, options"
        twin.store.insert(
            f"INSERT INTO events (endpoint_id, {names}) SELECT :endpoint_id, {names} FROM events WHERE seq = :seq",
            endpoint_id=endpoint_id,
            seq=event["seq"],
        )
    if found:
        twin.store.run("DELETE FROM events WHERE seq = :seq", seq=event["seq"])
