"""Handlers of the return page. Nothing in the address is believed but the reference itself."""

from typing import assert_never

from flask import Blueprint, Response, abort, request

from encore.services import checkout, return_page
from encore.services.pages import ReturnPage

from ..errors import answer
from ..security import limits
from ..web import answer_unseen, buyer_key, clean_address, current_shop, go, language, page_or_partial

bp = Blueprint("checkout", __name__)
bp.before_request(answer_unseen)

MAX_CHECKS = 5


@bp.get("/r/<ref>")
def show(ref: str) -> Response:
    # Dodo appends payment_id, status, e-mail and more: none of it is read, and none of it stays in the address.
    if set(request.args) - {"lang"}:
        return go(clean_address())
    return _look(ref, check=0)


@bp.get("/r/<ref>/wait/<int:check>")
def wait(ref: str, check: int) -> Response:
    if not 1 <= check <= MAX_CHECKS:
        abort(404)
    return _look(ref, check=check)


@bp.post("/r/<ref>/checkout")
def pay_again(ref: str) -> Response:
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    result = checkout.pay_again(current_shop(), ref, buyer_key=buyer_key())
    match result:
        case checkout.Started():
            return go(result.url)
        case checkout.CheckoutDown():
            return answer(503, code="checkout_down")
        case checkout.NotSold():
            return neutral()
        case _:
            assert_never(result)


def neutral() -> Response:
    """Answer a reference that is unknown or another browser's, the two alike: shop link, nothing of an order."""
    return page_or_partial(
        "checkout/other_browser.html", "checkout/_other_browser.html", state="other_browser", status=404
    )


def _look(ref: str, *, check: int) -> Response:
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    found = return_page.status(current_shop(), ref, buyer_key=buyer_key(), language=language(), check=check)
    if found.state == "other_browser":
        return neutral()
    if check and found.state not in ("waiting", "still_processing"):
        return go(f"/r/{ref}")
    return _render(found, check=check)


def _render(found: ReturnPage, *, check: int) -> Response:
    state: str = found.state
    partial = f"checkout/_{state}.html"
    if found.state == "offer" and found.offer is not None:
        state = found.offer.state
        partial = f"offers/_{found.offer.partial}.html"
    return page_or_partial(
        "checkout/return.html",
        partial,
        state=state,
        page=found.offer or found,
        result=found,
        next_check=min(check + 1, MAX_CHECKS),
    )
