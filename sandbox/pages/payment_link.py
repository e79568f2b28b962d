"""The page behind a payment link: a payment that was begun without a method is paid here, with any card.

Used by `POST /subscriptions/{id}/update-payment-method` with a new method (a payment of nothing, or of the dues), and
by plan changes that are collected by link.
"""

from ..billing import recurring
from ..billing.charges import Source
from ..core.cards import CARDS
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes
from ..http.server import Response
from ..resources import customers
from .card_form import chosen_card, typed_card
from .draw import draw, go_to
from .sessions import STATUS_OF_STATE, WAITING, result, send_on, vocabulary
from .words import choose_language

routes = Routes()


@routes.get("/pay/{payment_id}")
def show(call: Call, payment_id: str) -> Response:
    payment = call.twin.store.get("payments", payment_id)
    return _page(call, payment, errors=[])


@routes.post("/pay/{payment_id}")
def pay(call: Call, payment_id: str) -> Response:
    payment = call.twin.store.get("payments", payment_id)
    if payment is None or _state_of(call.twin, payment) != "open":
        return _page(call, payment, errors=[])
    source, errors = _read_card(call, payment)
    if errors:
        texts = vocabulary(_language(call))["w"]
        return _page(call, payment, errors=[(name, texts[f"error_{name}"]) for name in errors])
    payment = recurring.complete(call.twin, payment, source)
    leaves = payment["return_url"] or payment["status"] == "requires_customer_action"
    return send_on(call, None, payment) if leaves else go_to(f"/pay/{payment_id}")


def _state_of(twin: Twin, payment: Doc) -> str:
    """Return the page's state: open, paying, authenticate, paid, failed or expired."""
    status = payment["status"]
    if status == "succeeded":
        return "paid"
    if status == "requires_customer_action":
        return "authenticate"
    if status in WAITING:
        return "paying"
    if status == "failed":
        return "failed"
    still_open = status == "requires_payment_method" and twin.clock.now() < payment.get("expires_at", 0)
    return "open" if still_open else "expired"


def _page(call: Call, payment: Doc | None, *, errors: list[tuple[str, str]]) -> Response:
    twin = call.twin
    state = "unknown" if payment is None else _state_of(twin, payment)
    if payment is None or state not in ("open", "authenticate"):
        return result(call, state, None, status=STATUS_OF_STATE.get(state, 200), payment=payment)
    if state == "authenticate":
        return go_to(f"/authenticate/{payment['id']}")
    return draw(
        "payment_link.html",
        status=422 if errors else 200,
        **vocabulary(_language(call)),
        payment=payment,
        due=recurring.due_now(twin, payment),
        plans=[twin.store.get("subscriptions", held) for held in payment["subscription_ids"]],
        customer=customers.limited(twin, payment["customer_id"]),
        saved=_saved(twin, payment),
        errors=errors,
        cards=CARDS,
        chosen=chosen_card(call),
    )


def _read_card(call: Call, payment: Doc) -> tuple[Source, list[str]]:
    """Return what is to be charged, and the names of the inputs that cannot be used; a typed card wins."""
    method = next((m for m in _saved(call.twin, payment) if m["id"] == call.form.get("method")), None)
    if method is not None and not call.form.get("card_number", "").strip():
        return Source.saved(call.twin, method), []
    return typed_card(call, holder=customers.limited(call.twin, payment["customer_id"])["name"])


def _saved(twin: Twin, payment: Doc) -> list[Doc]:
    return customers.listed_methods(twin, payment["customer_id"])


def _language(call: Call) -> str:
    return choose_language(call.query.get("lang"), call.request.headers.get("accept-language"))
