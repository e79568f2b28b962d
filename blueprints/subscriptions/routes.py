"""Handlers of `/account/subscriptions/<id>`: for the account it belongs to, and nobody else.

A form names a plan; what a change to it costs is asked, and stored as a quote.
"""

from flask import Blueprint, Response, abort, request

from encore.services import (
    dues,
    hold_ends,
    messages,
    plan_cards,
    plan_changes,
    plan_ends,
    plan_pages,
    plan_quotes,
    recommendations,
    subscriptions,
)
from encore.store.subscriptions import Subscription

from ..errors import answer
from ..web import answer_unseen, buyer_key, clean_address, current_account, current_shop, go, language, page
from .access import changes_subscription, sign_in, subscription_of
from .quotes import quoted

bp = Blueprint("subscriptions", __name__, url_prefix="/account/subscriptions/<subscription_id>")
bp.before_request(answer_unseen)

_NOT_ENDED: dict[hold_ends.EndResult, int] = {"under_way": 409, "refused": 503, "no_answer": 503}


@bp.get("")
def show(subscription_id: str) -> Response:
    if set(request.args) - {"lang"}:
        # The way back from the provider's page says how it went; the truth is asked for.
        return go(clean_address())
    account = current_account()
    if account is None:
        return sign_in(clean_address())
    row = subscription_of(subscription_id)
    is_read = subscriptions.read_for_page(current_shop(), row)
    found = plan_pages.plan_page(
        current_shop(), subscription_of(subscription_id), language=language(), is_stale=not is_read
    )
    if found is None:
        abort(404)
    # Without the latest state nothing may be paid on it.
    owed = dues.form(current_shop(), subscription_of(subscription_id)) if is_read else None
    recommended = recommendations.recommend(current_shop(), account, language=language())
    return page("subscriptions/plan.html", state=found.state, page=found, dues=owed, recommended=recommended)


@bp.post("/preview")
@changes_subscription(fields=frozenset({"csrf_token", "product", "quantity", "addon", "addon_quantity", "instead"}))
def preview(row: Subscription) -> Response:
    result = plan_quotes.preview(
        current_shop(),
        row,
        product_id=request.form.get("product", ""),
        quantity=_quantity(request.form.get("quantity"), otherwise=0),
        addons=_addons(),
        buyer_key=buyer_key() or "",
        language=language(),
        # Whoever comes from a lower option is not shown another.
        may_show_lower="instead" not in request.form,
    )
    return quoted(row, result)


@bp.post("/scheduled/cancel")
@changes_subscription()
def cancel_scheduled(row: Subscription) -> Response:
    is_done = plan_changes.cancel_scheduled(current_shop(), row)
    return go(f"/account/subscriptions/{row.id}") if is_done else answer(503)


@bp.post("/card")
@changes_subscription()
def change_card(row: Subscription) -> Response:
    shop = current_shop()
    url = plan_cards.change_url(shop, row, return_url=messages.subscription_url(shop, row.id))
    return answer(503) if url is None else go(url)


@bp.get("/cancel")
def show_cancel(subscription_id: str) -> Response:
    if current_account() is None:
        return sign_in(clean_address())
    return _render_cancel(subscription_of(subscription_id))


@bp.post("/cancel")
@changes_subscription()
def cancel(row: Subscription) -> Response:
    return _set_end(row, ends=True)


@bp.post("/end")
@changes_subscription()
def end(row: Subscription) -> Response:
    """End a plan on hold at once; a form of another page, so that a plan that runs again meanwhile is not cut short."""
    result = hold_ends.end(current_shop(), row)
    if result in _NOT_ENDED:
        return _render_cancel(subscription_of(row.id), status=_NOT_ENDED[result], notice=result)
    return go(f"/account/subscriptions/{row.id}")


def _render_cancel(row: Subscription, *, status: int = 200, notice: hold_ends.EndResult | None = None) -> Response:
    found = plan_pages.plan_page(current_shop(), row, language=language())
    if found is None or not found.can_end:
        return go(f"/account/subscriptions/{row.id}")
    return page("subscriptions/cancel.html", state="cancel", status=status, page=found, notice=notice)


@bp.post("/resume")
@changes_subscription()
def resume(row: Subscription) -> Response:
    return _set_end(row, ends=False)


def _set_end(row: Subscription, *, ends: bool) -> Response:
    is_done = plan_ends.set_end(current_shop(), row, ends=ends)
    return go(f"/account/subscriptions/{row.id}") if is_done else answer(503)


def _addons() -> dict[str, int]:
    """Read how many of each add-on are wanted: two lists side by side; what is left empty is kept as it is."""
    ids, counts = request.form.getlist("addon"), request.form.getlist("addon_quantity")
    if len(ids) != len(counts) or len(set(ids)) != len(ids):
        abort(400)
    wanted = {addon_id: _quantity(count, otherwise=-1) for addon_id, count in zip(ids, counts, strict=True)}
    return {addon_id: count for addon_id, count in wanted.items() if count is not None}


def _quantity(text: str | None, *, otherwise: int) -> int | None:
    """Read how many are wanted, None for as many as there are; what is no number is `otherwise`, which none can be."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else otherwise
