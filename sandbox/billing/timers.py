"""What was planned for a later moment of the sandbox clock, and doing it."""

import json
import sqlite3
from collections.abc import Callable

from ..core.store import Doc
from ..core.twin import Twin
from ..resources import abandoned_checkouts, payments
from . import renewals


def settle_payment(twin: Twin, doc: Doc) -> None:
    """Give a payment the later status that was scripted for it."""
    payment = twin.store.get("payments", doc["payment_id"])
    if payment is not None:
        payments.move(twin, payment, doc["status"], error_code=doc["error_code"])


# The `action` of `Twin.later` -> who does it, given the planned document.
ACTIONS: dict[str, Callable[[Twin, Doc], None]] = {
    "settle": settle_payment,
    "abandon": abandoned_checkouts.detect,
    "renew": renewals.at_period_end,
    "retry": renewals.retry,
    "end_grace": renewals.end_grace,
    "expire_link": renewals.expire_link,
}


def run_timers(twin: Twin) -> None:
    """Do everything that is due, earliest first and at the moment it was due; what that plans in turn too.

    So a clock that jumps a year lets a subscription renew twelve times, each on its day. One that fails changes nothing
    and is not tried again.
    """
    # Looked at before it is written: usually nothing is due, and no writer should wait for that.
    while _next(twin) is not None:
        with twin.store.write():
            row = _next(twin)
            if row is None:
                return
            twin.store.run("DELETE FROM timers WHERE id = :id", id=row["id"])
            try:
                with twin.clock.at(row["due_at"]), twin.store.all_or_nothing():
                    ACTIONS[row["action"]](twin, json.loads(row["doc"]))
            except Exception as error:
                # The edge of a job: what is broken is given up, so that what waits behind it happens.
                print(f"sandbox: gave up {row['action']} {row['doc']}: {error!r}", flush=True)


def next_renewal(twin: Twin) -> int | None:
    """Return when the next period of any subscription ends, by the sandbox clock; None if none runs."""
    row = twin.store.row(
        "SELECT timers.due_at FROM timers JOIN objects ON kind = 'subscriptions'"
        " AND objects.id = json_extract(timers.doc, '$.subscription_id')"
        " WHERE action = 'renew' AND timers.due_at > :now AND json_extract(objects.doc, '$.period_end') = timers.due_at"
        " AND json_extract(objects.doc, '$.status') IN ('active', 'past_due') ORDER BY timers.due_at LIMIT 1",
        now=twin.clock.now(),
    )
    return int(row["due_at"]) if row else None


def _next(twin: Twin) -> sqlite3.Row | None:
    return twin.store.row(
        "SELECT id, due_at, action, doc FROM timers WHERE due_at <= :now ORDER BY due_at, id LIMIT 1",
        now=twin.clock.now(),
    )
