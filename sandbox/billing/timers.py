"""What was planned for a later moment of the sandbox clock, and doing it."""

import json
from collections.abc import Callable

from ..core.store import Doc
from ..core.twin import Twin
from ..resources import abandoned_checkouts, payments


def settle_payment(twin: Twin, doc: Doc) -> None:
    """Give a payment the later status that was scripted for it."""
    payment = twin.store.get("payments", doc["payment_id"])
    if payment is not None:
        payments.move(twin, payment, doc["status"], error_code=doc["error_code"])


# The `action` of `Twin.later` -> who does it, given the planned document.
ACTIONS: dict[str, Callable[[Twin, Doc], None]] = {
    "settle": settle_payment,
    "abandon": abandoned_checkouts.detect,
}


def run_timers(twin: Twin) -> None:
    """Do everything that is due, earliest first."""
    due = "SELECT id, action, doc FROM timers WHERE due_at <= :now ORDER BY due_at, id"
    if not twin.store.rows(due, now=twin.clock.now()):
        # The usual case, and no reason to make writers wait.
        return
    with twin.store.write():
        for row in twin.store.rows(due, now=twin.clock.now()):
            twin.store.run("DELETE FROM timers WHERE id = :id", id=row["id"])
            ACTIONS[row["action"]](twin, json.loads(row["doc"]))
