"""Handlers of `/account/subscriptions/<id>/cards`: another of the account's saved methods pays for a running plan."""

from flask import Blueprint, Response, request

from encore.services import card_charges, plan_cards
from encore.store.subscriptions import Subscription

from ..web import answer_unseen, clean_address, current_account, current_shop, go, page_or_partial
from .access import changes_subscription, sign_in, subscription_of

bp = Blueprint("plan_cards", __name__, url_prefix="/account/subscriptions/<subscription_id>/cards")
bp.before_request(answer_unseen)

_STATUS: dict[plan_cards.UseResult, int] = {"not_usable": 422, "not_now": 409, "provider_down": 503}


@bp.get("")
def show(subscription_id: str) -> Response:
    if current_account() is None:
        return sign_in(clean_address())
    row = subscription_of(subscription_id)
    if not card_charges.may_change(current_shop(), row):
        return go(f"/account/subscriptions/{row.id}")
    return _render(row)


@bp.post("")
@changes_subscription(fields=frozenset({"csrf_token", "method"}))
def use(row: Subscription) -> Response:
    result = plan_cards.use(current_shop(), row, name=request.form.get("method", ""))
    if result == "used":
        return go(f"/account/subscriptions/{row.id}")
    return _render(subscription_of(row.id), notice=result, status=_STATUS[result])


def _render(row: Subscription, *, notice: plan_cards.UseResult | None = None, status: int = 200) -> Response:
    found = plan_cards.cards_page(current_shop(), row)
    return page_or_partial(
        "subscriptions/cards.html",
        "subscriptions/_cards.html",
        state="choose_card",
        status=status,
        page=found,
        notice=notice,
    )
