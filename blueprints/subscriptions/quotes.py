"""Handlers of `/quotes/<id>`: the exact price of a change, its confirmation, and what came of it.

What a change costs is in the quote's row; a form brings only the hash of the quote it showed.
"""

from dataclasses import replace

from flask import Blueprint, Response, request

from encore.services import plan_changes, plan_pages, plan_quotes
from encore.services.plan_changes import Confirmed
from encore.services.plan_pages import QuotePage, QuoteState
from encore.services.plan_quotes import NotQuoted, Quoted
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

from ..consent import Words, read_consent
from ..errors import answer
from ..security import limits
from ..web import answer_unseen, buyer_key, current_account, current_shop, go, language, page_or_partial, wants_partial
from .access import changes_quote, quote_of, sign_in, subscription_of

bp = Blueprint("quotes", __name__, url_prefix="/quotes/<quote_id>")
bp.before_request(answer_unseen)

# What an answer to htmx says beside its words; a plain post is sent to the page instead.
_STATUS: dict[QuoteState, int] = {
    "failed": 402,
    "quote_changed": 409,
    "pending_change": 409,
    "quote_expired": 410,
}
_REFUSED: dict[plan_quotes.Refusal, int] = {
    "no_price": 503,
    "pending_change": 409,
    "scheduled_change": 409,
    "ending": 409,
}
_WORDS = Words(
    text="subscriptions/consent.txt",
    page="subscriptions/_preview.html",
    parts=("subscriptions/consent.txt", "components/plan.html"),
)


@bp.get("")
def show_quote(quote_id: str) -> Response:
    if current_account() is None:
        return sign_in(f"/quotes/{quote_id}")
    plan_changes.refresh(current_shop(), quote_of(quote_id))
    return _render(_page(quote_id))


@bp.get("/status")
def status(quote_id: str) -> Response:
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    return show_quote(quote_id)


@bp.post("/confirm")
@changes_quote(fields=frozenset({"csrf_token", "quote_hash"}))
def confirm(instance: OfferInstance) -> Response:
    found = _page(instance.id)
    if instance.state not in plan_changes.UNANSWERED:
        # Before any limit: a second click is told what the first one came to.
        return _result(found)
    retry_at = limits().count("accept", browser=buyer_key())
    if retry_at is not None:
        return _render(replace(found, state="limited"), status=429)
    result = plan_changes.confirm(
        current_shop(), instance, quote_hash=request.form.get("quote_hash", ""), consent=read_consent(found, _WORDS)
    )
    if isinstance(result, Confirmed):
        if result.result in ("limited", "unavailable"):
            return _render(replace(found, state="limited"), status=429 if result.result == "limited" else 503)
        return _result(_page(instance.id))
    return quoted(subscription_of(found.subscription_id), result)


@bp.post("/refresh")
@changes_quote(limit="checkout")
def refresh(instance: OfferInstance) -> Response:
    row = subscription_of(_page(instance.id).subscription_id)
    result = plan_quotes.preview_again(current_shop(), instance, row, buyer_key=buyer_key() or "", language=language())
    return quoted(row, result)


@bp.post("/bank")
@changes_quote()
def open_bank(instance: OfferInstance) -> Response:
    return go(plan_changes.bank_url(current_shop(), instance) or f"/quotes/{instance.id}")


@bp.post("/leave")
@changes_quote()
def leave(instance: OfferInstance) -> Response:
    plan_changes.give_up(current_shop(), instance)
    return go(f"/account/subscriptions/{_page(instance.id).subscription_id}")


def quoted(row: Subscription, result: Quoted | NotQuoted) -> Response:
    """Answer with the quote that a preview or confirm of a change of `row` stored, or with why there is none."""
    if isinstance(result, NotQuoted):
        found = plan_pages.plan_page(current_shop(), row, language=language())
        return page_or_partial(
            "subscriptions/quote.html",
            "subscriptions/_preview_failed.html",
            state="preview_failed",
            status=_REFUSED.get(result.reason, 422),
            page=found,
            reason=result.reason,
        )
    return _result(_page(result.instance_id))


def _page(quote_id: str) -> QuotePage:
    return plan_pages.quote_page(current_shop(), quote_of(quote_id), language=language())


def _result(found: QuotePage) -> Response:
    if not wants_partial():
        return go(f"/quotes/{found.quote_id}")
    return _render(found, status=_STATUS.get(found.state, 200))


def _render(found: QuotePage, *, status: int = 200) -> Response:
    return page_or_partial(
        "subscriptions/quote.html",
        f"subscriptions/_{found.state}.html",
        state=found.state,
        status=status,
        page=found,
    )
