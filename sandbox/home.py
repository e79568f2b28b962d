"""The QA page: addresses, cards, and the few buttons a person presses most."""

from flask import Blueprint, Response, make_response, redirect, render_template, request

from . import charges
from .cards import CARDS, HARD_DECLINES, SOFT_DECLINES
from .clock import rfc3339
from .demo import start_over
from .places import format_amount
from .store import Doc
from .twin import Twin
from .wire import WireError, twin

bp = Blueprint("home", __name__)

SHOWN = 8
ADVANCES_S = {"1 hour": 3600, "1 day": 86_400, "30 days": 2_592_000}


@bp.get("/")
def home() -> Response:
    store = twin().store
    page = render_template(
        "home.html",
        url=twin().options.public_url,
        clock=twin().clock.describe(),
        cards=CARDS,
        codes=["GENERIC_DECLINE", *sorted((SOFT_DECLINES | HARD_DECLINES) - {"GENERIC_DECLINE"})],
        advances=ADVANCES_S,
        next_charges=charges.script(twin()),
        faults=[rule for rule in store.setting("faults", []) if rule["times"]],
        target=store.setting("webhook_target", {}).get("url"),
        payments=store.find("payments", limit=SHOWN),
        requests=_recent(twin(), "requests"),
        deliveries=_recent(twin(), "deliveries"),
        amount=format_amount,
        when=lambda milliseconds: rfc3339(milliseconds)[:19].replace("T", " "),
    )
    response = make_response(page)
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.post("/")
def act() -> Response:
    action = request.form.get("action")
    if action == "fail":
        _script("failed", request.form.get("code", "GENERIC_DECLINE"))
    elif action == "authenticate":
        _script("requires_customer_action", None)
    elif action == "advance":
        twin().clock.advance(1000 * ADVANCES_S.get(request.form.get("by", ""), 0))
        twin().wake.set()
    elif action == "heal":
        twin().store.set_setting("faults", [])
        twin().store.set_setting("next_charges", [])
    elif action == "reset":
        start_over(twin())
    else:
        raise WireError(422, "INVALID_REQUEST_BODY", "action: unknown")
    return make_response(redirect("/", 303))


def _script(outcome: str, code: str | None) -> None:
    if code is not None and code not in SOFT_DECLINES | HARD_DECLINES:
        raise WireError(422, "INVALID_REQUEST_BODY", "code: unknown card-decline code")
    rule = {"outcome": outcome, "error_code": code, "times": 1, "match": None, "then": None, "payment_link": None}
    twin().store.set_setting("next_charges", [*charges.script(twin()), rule])


def _recent(twin: Twin, table: str) -> list[Doc]:
    rows = twin.store.rows(f"SELECT * FROM {table} ORDER BY id DESC LIMIT :limit", limit=SHOWN)
    return [dict(row) for row in rows]
