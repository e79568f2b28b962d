"""Handlers of `/account/sign-in`: the form, the link from the message, its button, and "Not you? Sign out"."""

from flask import Blueprint, Response, request

from encore.ids import random_ref
from encore.services import sign_ins

from ..errors import answer
from ..security import network
from ..web import (
    answer_unseen,
    buyer_key,
    current_account,
    current_shop,
    go,
    hash_cookie,
    keep_link,
    kept_link,
    language,
    page,
    page_or_partial,
    set_buyer_cookie,
    wants_partial,
)

bp = Blueprint("sign_in", __name__)
bp.before_request(answer_unseen)


@bp.get("/account/sign-in")
def show() -> Response:
    leads_to = sign_ins.read_place(request.args.get("to"))
    account = current_account()
    if account is None:
        return _form("ready", leads_to=leads_to)
    if sign_ins.is_of_other_account(current_shop(), leads_to, buyer_key=buyer_key()):
        return _form("other_account", leads_to=leads_to)
    return go(leads_to) if account.is_recent else _form("again", leads_to=leads_to)


@bp.post("/account/sign-in")
def ask() -> Response:
    leads_to = sign_ins.read_place(request.form.get("to"))
    address = sign_ins.read_address(request.form.get("email", ""))
    if address is None:
        return _form("bad_address", leads_to=leads_to, status=422, typed=request.form.get("email", ""))
    retry_at = sign_ins.ask(current_shop(), address=address, network=network(), language=language(), leads_to=leads_to)
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    return sent() if wants_partial() else go("/account/sign-in/sent")


@bp.get("/account/sign-in/sent")
def sent() -> Response:
    return page_or_partial("account/sign_in.html", "account/_sent.html", state="sent")


@bp.get("/account/sign-in/link/<token>")
def follow_link(token: str) -> Response:
    # Programs that look through mail follow links too: this uses nothing up, and takes the link out of the address.
    link_id = sign_ins.read_link(current_shop(), token)
    if link_id is None:
        return _over()
    keep_link(link_id)
    return go("/account/sign-in/open")


@bp.get("/account/sign-in/open")
def confirm() -> Response:
    link_id = kept_link()
    masked = sign_ins.masked_address(current_shop(), link_id)
    if masked is None:
        return _over()
    name = sign_ins.link_name(current_shop(), link_id)
    return page("account/open_link.html", state="open", masked_address=masked, link_name=name)


@bp.post("/account/sign-in/open")
def sign_in() -> Response:
    link_id, cookie = kept_link(), random_ref()
    if request.form.get("link") != sign_ins.link_name(current_shop(), link_id):
        # Another window has followed another link meanwhile: this button named another account.
        return _over()
    leads_to = sign_ins.sign_in(current_shop(), link_id, old_key=buyer_key(), new_key=hash_cookie(cookie))
    return _over() if leads_to is None else set_buyer_cookie(go(leads_to), cookie)


@bp.post("/sign-out")
def sign_out() -> Response:
    sign_ins.sign_out(current_shop(), buyer_key())
    # A new cookie that no row knows: whoever uses this browser next sees nothing and can charge nothing.
    return set_buyer_cookie(go("/"))


def _form(state: str, *, leads_to: str, status: int = 200, typed: str = "") -> Response:
    return page_or_partial(
        "account/sign_in.html", "account/_sign_in.html", state=state, status=status, leads_to=leads_to, typed=typed
    )


def _over() -> Response:
    """Say that a link opens nothing, the same for one that was used, is too old, or never was."""
    return _form("link_over", leads_to=sign_ins.read_place(None), status=410)
