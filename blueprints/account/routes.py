"""Handlers of `/account` and `/orders/<ref>`: what a buyer who has proven an address may see and take away."""

from flask import Blueprint, Response, abort, make_response, request

from encore.services import accounts, recommendations, return_page
from encore.services.accounts import Removal
from encore.services.pages import ReturnPage
from encore.services.sign_ins import Account

from ..errors import answer
from ..security import limits
from ..web import (
    answer_unseen,
    buyer_key,
    clean_address,
    current_account,
    current_shop,
    go,
    language,
    page,
    page_or_partial,
    take_notice,
    tell_next_page,
    wants_partial,
)

bp = Blueprint("account", __name__)
bp.before_request(answer_unseen)

_STATUS = {"removed": 200, "gone": 404, "in_use": 409, "provider_down": 503}


@bp.get("/account")
def index() -> Response:
    account = current_account()
    if account is None:
        return _sign_in_first()
    overview = accounts.overview(current_shop(), account)
    found = recommendations.recommend(current_shop(), account, language=language())
    return page("account/index.html", state="ready", account=overview, recommended=found)


@bp.get("/account/orders")
@bp.get("/account/orders/before/<int:number>")
def list_orders(number: int | None = None) -> Response:
    account = current_account()
    if account is None:
        return _sign_in_first()
    found = accounts.list_orders(current_shop(), account, before=number)
    return page("account/orders.html", state="list" if found.rows else "empty", orders=found, is_first=number is None)


@bp.get("/account/methods")
def list_methods() -> Response:
    account = current_account()
    if account is None:
        return _sign_in_first()
    return _methods(account, take_notice())


@bp.post("/account/methods/remove")
def remove_method() -> Response:
    account = current_account()
    if account is None or not account.is_recent:
        return go("/account/sign-in?to=/account/methods")
    removal = accounts.remove_method(current_shop(), account, request.form.get("method", ""))
    if removal.result == "removed" and not wants_partial():
        tell_next_page("removed")
        return go("/account/methods")
    return _methods(account, removal.result, removal=removal, status=_STATUS[removal.result])


@bp.get("/orders/<ref>")
def order(ref: str) -> Response:
    found = _find_order(ref, with_grants=True)
    if found.order is None:
        return _neutral()
    return page("account/order.html", state="order", result=found, order=found.order, has_account=_has_account(ref))


@bp.get("/orders/<ref>/payments/<int:number>/invoice")
def invoice(ref: str, number: int) -> Response:
    found = _find_order(ref)
    if found.order is None:
        return _neutral()
    account = current_account()
    if account is None or not _has_account(ref):
        return go(f"/account/sign-in?to=/orders/{ref}")
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    document = accounts.read_invoice(current_shop(), account, ref, number)
    if document is None:
        abort(404)
    response = make_response(document)
    response.headers["Content-Type"] = "application/pdf"
    name = f"invoice-E-{found.order.number}-{number}.pdf"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _find_order(ref: str, *, with_grants: bool = False) -> ReturnPage:
    return return_page.order_page(
        current_shop(),
        ref,
        buyer_key=buyer_key(),
        language=language(),
        account=current_account(),
        with_grants=with_grants,
    )


def _has_account(ref: str) -> bool:
    return accounts.get_order(current_shop(), current_account(), ref) is not None


def _neutral() -> Response:
    return page("checkout/other_browser.html", state="other_browser", status=404)


def _sign_in_first() -> Response:
    place = clean_address()
    return go("/account/sign-in" if place == "/account" else f"/account/sign-in?to={place}")


def _methods(account: Account, notice: str | None, *, removal: Removal | None = None, status: int = 200) -> Response:
    found = accounts.list_methods(current_shop(), account)
    return page_or_partial(
        "account/methods.html",
        "account/_methods.html",
        state=notice or found.state,
        status=status,
        methods=found,
        removal=removal,
    )
