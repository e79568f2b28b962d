"""Handlers of `/account/subscriptions/<id>` and `/quotes/<id>`: for the account they belong to, and nobody else.

What a change costs is in the quote's row; a form names a plan, or brings the hash of the quote it showed.
"""

from dataclasses import replace

from flask import Blueprint, Response, abort, request

from encore.services import plan_cards, plan_changes, plan_ends, plan_pages, subscriptions
from encore.services.plan_changes import Confirmed, NotQuoted, Quoted
from encore.services.plan_pages import QuotePage, QuoteState
from encore.store import subscriptions as rows
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

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
    wants_partial,
)
from .consent import read_consent

bp = Blueprint("subscriptions", __name__)
bp.before_request(answer_unseen)

# What an answer to htmx says beside its words; a plain post is sent to the page instead.
_STATUS: dict[QuoteState, int] = {
    "failed": 402,
    "quote_changed": 409,
    "pending_change": 409,
    "quote_expired": 410,
}
_REFUSED: dict[plan_changes.Refusal, int] = {
    "no_price": 503,
    "pending_change": 409,
    "scheduled_change": 409,
    "ending": 409,
}
# Everything else a change could name is decided by the rows: a form that names it is refused, not ignored.
_PREVIEW_FIELDS = frozenset({"csrf_token", "product", "quantity"})
_CONFIRM_FIELDS = frozenset({"csrf_token", "quote_hash"})


@bp.get("/account/subscriptions/<subscription_id>")
def show(subscription_id: str) -> Response:
    if set(request.args) - {"lang"}:
        # The way back from the provider's page says how it went; the truth is asked for.
        return go(clean_address())
    if current_account() is None:
        return _sign_in(clean_address())
    row = _subscription(subscription_id)
    is_read = subscriptions.read_for_page(current_shop(), row)
    found = plan_pages.plan_page(
        current_shop(), _subscription(subscription_id), language=language(), is_stale=not is_read
    )
    if found is None:
        abort(404)
    return page("subscriptions/plan.html", state=found.state, page=found)


@bp.post("/account/subscriptions/<subscription_id>/preview")
def preview(subscription_id: str) -> Response:
    if request.args or set(request.form) - _PREVIEW_FIELDS:
        abort(400)
    row = _subscription_to_change(subscription_id)
    if isinstance(row, Response):
        return row
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    result = plan_changes.preview(
        current_shop(),
        row,
        product_id=request.form.get("product", ""),
        quantity=_quantity(request.form.get("quantity")),
        buyer_key=buyer_key() or "",
        language=language(),
    )
    return _quoted(row, result)


@bp.post("/account/subscriptions/<subscription_id>/scheduled/cancel")
def cancel_scheduled(subscription_id: str) -> Response:
    _demand_fields(frozenset({"csrf_token"}))
    row = _subscription_to_change(subscription_id)
    if isinstance(row, Response):
        return row
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    if not plan_changes.cancel_scheduled(current_shop(), row):
        return answer(503)
    return go(f"/account/subscriptions/{row.id}")


@bp.post("/account/subscriptions/<subscription_id>/card")
def change_card(subscription_id: str) -> Response:
    _demand_fields(frozenset({"csrf_token"}))
    row = _subscription_to_change(subscription_id)
    if isinstance(row, Response):
        return row
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    url = plan_cards.change_url(current_shop(), row)
    return answer(503) if url is None else go(url)


@bp.get("/account/subscriptions/<subscription_id>/cancel")
def show_cancel(subscription_id: str) -> Response:
    if current_account() is None:
        return _sign_in(clean_address())
    found = plan_pages.plan_page(current_shop(), _subscription(subscription_id), language=language())
    if found is None or not found.can_end:
        return go(f"/account/subscriptions/{subscription_id}")
    return page("subscriptions/cancel.html", state="cancel", page=found)


@bp.post("/account/subscriptions/<subscription_id>/cancel")
def cancel(subscription_id: str) -> Response:
    return _set_end(subscription_id, ends=True)


@bp.post("/account/subscriptions/<subscription_id>/resume")
def resume(subscription_id: str) -> Response:
    return _set_end(subscription_id, ends=False)


def _set_end(subscription_id: str, *, ends: bool) -> Response:
    _demand_fields(frozenset({"csrf_token"}))
    row = _subscription_to_change(subscription_id)
    if isinstance(row, Response):
        return row
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    if not plan_ends.set_end(current_shop(), row, ends=ends):
        return answer(503)
    return go(f"/account/subscriptions/{row.id}")


@bp.get("/quotes/<quote_id>")
def show_quote(quote_id: str) -> Response:
    if current_account() is None:
        return _sign_in(f"/quotes/{quote_id}")
    instance = _quote(quote_id)
    plan_changes.refresh(current_shop(), instance)
    return _render(_page(quote_id))


@bp.get("/quotes/<quote_id>/status")
def status(quote_id: str) -> Response:
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    return show_quote(quote_id)


@bp.post("/quotes/<quote_id>/confirm")
def confirm(quote_id: str) -> Response:
    _demand_fields(_CONFIRM_FIELDS)
    instance = _quote_to_change(quote_id)
    if isinstance(instance, Response):
        return instance
    found = _page(quote_id)
    if instance.state not in plan_changes.UNANSWERED:
        # Before any limit: a second click is told what the first one came to.
        return _result(found)
    retry_at = limits().count("accept", browser=buyer_key())
    if retry_at is not None:
        return _render(replace(found, state="limited"), status=429)
    result = plan_changes.confirm(
        current_shop(), instance, quote_hash=request.form.get("quote_hash", ""), consent=read_consent(found)
    )
    if isinstance(result, Confirmed):
        if result.result in ("limited", "unavailable"):
            return _render(replace(found, state="limited"), status=429 if result.result == "limited" else 503)
        return _result(_page(quote_id))
    return _quoted(_subscription(found.subscription_id), result)


@bp.post("/quotes/<quote_id>/refresh")
def refresh(quote_id: str) -> Response:
    _demand_fields(frozenset({"csrf_token"}))
    instance = _quote_to_change(quote_id)
    if isinstance(instance, Response):
        return instance
    retry_at = limits().count("checkout", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    row = _subscription(_page(quote_id).subscription_id)
    result = plan_changes.preview_again(current_shop(), instance, row, buyer_key=buyer_key() or "", language=language())
    return _quoted(row, result)


@bp.post("/quotes/<quote_id>/bank")
def open_bank(quote_id: str) -> Response:
    _demand_fields(frozenset({"csrf_token"}))
    instance = _quote_to_change(quote_id)
    if isinstance(instance, Response):
        return instance
    return go(plan_changes.bank_url(current_shop(), instance) or f"/quotes/{quote_id}")


@bp.post("/quotes/<quote_id>/leave")
def leave(quote_id: str) -> Response:
    _demand_fields(frozenset({"csrf_token"}))
    instance = _quote_to_change(quote_id)
    if isinstance(instance, Response):
        return instance
    plan_changes.give_up(current_shop(), instance)
    return go(f"/account/subscriptions/{_page(quote_id).subscription_id}")


def _subscription(subscription_id: str) -> Subscription:
    """Return a subscription of the signed-in account; a stranger's is as unknown as one that never was."""
    account = current_account()
    row = rows.get_subscription(current_shop().store, subscription_id)
    if account is None or row is None or row.customer_id not in account.customer_ids:
        abort(404)
    return row


def _subscription_to_change(subscription_id: str) -> Subscription | Response:
    return _sign_in(f"/account/subscriptions/{subscription_id}") if _is_old() else _subscription(subscription_id)


def _quote(quote_id: str) -> OfferInstance:
    account = current_account()
    found = plan_changes.get_quote(current_shop(), quote_id, customer_ids=account.customer_ids) if account else None
    if found is None:
        abort(404)
    return found


def _quote_to_change(quote_id: str) -> OfferInstance | Response:
    return _sign_in(f"/quotes/{quote_id}") if _is_old() else _quote(quote_id)


def _is_old() -> bool:
    """Tell whether the sign-in is none, or too long ago for a change (security.md, section 4)."""
    account = current_account()
    return account is None or not account.is_recent


def _sign_in(leads_to: str) -> Response:
    return go(f"/account/sign-in?to={leads_to}")


def _demand_fields(allowed: frozenset[str]) -> None:
    if request.args or set(request.form) - allowed:
        abort(400)


def _quantity(text: str | None) -> int | None:
    """Read how many are wanted, None for as many as there are; what is no number is none that can be had."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _page(quote_id: str) -> QuotePage:
    return plan_pages.quote_page(current_shop(), _quote(quote_id), language=language())


def _quoted(row: Subscription, result: Quoted | NotQuoted) -> Response:
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
