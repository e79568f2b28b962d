"""The QA page: addresses, cards, and the few buttons a person presses most."""

from ..billing import charges
from ..control.demo import start_over
from ..core.cards import CARDS, HARD_DECLINES, SOFT_DECLINES
from ..core.clock import rfc3339
from ..core.endpoints import first_endpoint
from ..core.places import format_amount
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError
from ..http.server import Response
from .draw import draw, go_to

routes = Routes()

SHOWN = 8
ADVANCES_S = {"1 hour": 3600, "1 day": 86_400, "30 days": 2_592_000}


@routes.get("/")
def home(call: Call) -> Response:
    store = call.twin.store
    return draw(
        "home.html",
        url=call.twin.options.public_url,
        clock=call.twin.clock.describe(),
        cards=CARDS,
        codes=["GENERIC_DECLINE", *sorted((SOFT_DECLINES | HARD_DECLINES) - {"GENERIC_DECLINE"})],
        advances=ADVANCES_S,
        next_charges=charges.script(call.twin),
        faults=[rule for rule in store.setting("faults", []) if rule["times"]],
        target=first_endpoint(call.twin)["url"],
        payments=store.find("payments", limit=SHOWN),
        requests=_recent(call.twin, "requests"),
        deliveries=_recent(call.twin, "deliveries"),
        amount=format_amount,
        when=lambda milliseconds: rfc3339(milliseconds)[:19].replace("T", " "),
    )


@routes.post("/")
def act(call: Call) -> Response:
    action = call.form.get("action")
    if action == "fail":
        _script(call, "failed", call.form.get("code", "GENERIC_DECLINE"))
    elif action == "authenticate":
        _script(call, "requires_customer_action", None)
    elif action == "advance":
        call.twin.clock.advance(1000 * ADVANCES_S.get(call.form.get("by", ""), 0))
        call.twin.wake.set()
    elif action == "heal":
        call.twin.store.set_setting("faults", [])
        call.twin.store.set_setting("next_charges", [])
    elif action == "reset":
        start_over(call.twin)
    else:
        raise WireError(422, "INVALID_REQUEST_BODY", "action: unknown")
    return go_to("/")


def _script(call: Call, outcome: str, code: str | None) -> None:
    if code is not None and code not in SOFT_DECLINES | HARD_DECLINES:
        raise WireError(422, "INVALID_REQUEST_BODY", "code: unknown card-decline code")
    rule = {"outcome": outcome, "error_code": code, "times": 1, "match": None, "then": None, "payment_link": None}
    call.twin.store.set_setting("next_charges", [*charges.script(call.twin), rule])


def _recent(twin: Twin, table: str) -> list[Doc]:
    rows = twin.store.rows(f"SELECT * FROM {table} ORDER BY id DESC LIMIT :limit", limit=SHOWN)
    return [dict(row) for row in rows]
