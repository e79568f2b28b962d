"""Handlers of `/orders/<ref>` and of "Not you? Sign out"."""

from flask import Blueprint, Response

from encore.services import return_page

from ..web import answer_unseen, buyer_key, current_shop, go, language, page, set_buyer_cookie

bp = Blueprint("account", __name__)
bp.before_request(answer_unseen)


@bp.get("/orders/<ref>")
def order(ref: str) -> Response:
    found = return_page.order_page(current_shop(), ref, buyer_key=buyer_key(), language=language())
    if found.state == "other_browser" or found.order is None:
        return page("checkout/other_browser.html", state="other_browser", status=404)
    return page("account/order.html", state="order", result=found, order=found.order)


@bp.post("/sign-out")
def sign_out() -> Response:
    # A new cookie that no row knows: whoever uses this browser next sees nothing and can charge nothing.
    return set_buyer_cookie(go("/"))
