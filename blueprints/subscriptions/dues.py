"""Handlers of what a subscription on hold owes: paying it from the page of the plan, and `/dues/<id>` that tells of it.

A form names one of the account's methods and brings the hash of what it showed as owed; the rest is asked for.
"""

from flask import Blueprint, Response, abort, request

from encore.services import dues, dues_pages, plan_changes, plan_pages
from encore.services.dues import NotTaken, Taken
from encore.services.dues_pages import DuesPage, DuesState
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

from ..consent import Words, read_consent
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
    page_or_partial,
    wants_partial,
)
from .access import changes_dues, changes_subscription, dues_of, sign_in, subscription_of

bp = Blueprint("dues", __name__)
bp.before_request(answer_unseen)

# What an answer to htmx says beside its words; a plain post is sent to the page instead.
_STATUS: dict[DuesState, int] = {"failed": 402, "under_way": 409}
_REFUSED: dict[dues.Refusal, int] = {"not_usable": 422, "no_answer": 503}
_WORDS = Words(
    text="dues/consent.txt",
    page="subscriptions/_dues.html",
    parts=("dues/consent.txt", "components/dues.html", "subscriptions/_dues.html"),
)


@bp.post("/account/subscriptions/<subscription_id>/dues")
@changes_subscription(fields=frozenset({"csrf_token", "method", "shown"}), limit="accept")
def pay(row: Subscription) -> Response:
    return _result(row, _pay(row, name=request.form.get("method", "")))


@bp.post("/account/subscriptions/<subscription_id>/dues/new")
@changes_subscription(fields=frozenset({"csrf_token", "shown"}), limit="accept")
def pay_with_new_card(row: Subscription) -> Response:
    result = _pay(row, name=None)
    url = plan_changes.bank_url(current_shop(), dues_of(result.instance_id)) if isinstance(result, Taken) else None
    return go(url) if url else _result(row, result)


@bp.post("/account/subscriptions/<subscription_id>/dues/bank")
@changes_subscription()
def open_bank_elsewhere(row: Subscription) -> Response:
    return go(dues.bank_url(current_shop(), row) or f"/account/subscriptions/{row.id}")


@bp.get("/dues/<dues_id>")
def show(dues_id: str) -> Response:
    if set(request.args) - {"lang"}:
        # The way back from the provider's page says how it went; the truth is asked for.
        return go(clean_address())
    if current_account() is None:
        return sign_in(clean_address())
    plan_changes.refresh(current_shop(), dues_of(dues_id))
    return _render(_page(dues_id))


@bp.get("/dues/<dues_id>/status")
def status(dues_id: str) -> Response:
    retry_at = limits().count("status", browser=buyer_key())
    if retry_at is not None:
        return answer(429, retry_at=retry_at)
    if current_account() is None:
        return sign_in(f"/dues/{dues_id}")
    plan_changes.refresh(current_shop(), dues_of(dues_id))
    return _render(_page(dues_id))


@bp.post("/dues/<dues_id>/bank")
@changes_dues()
def open_bank(instance: OfferInstance) -> Response:
    return go(plan_changes.bank_url(current_shop(), instance) or f"/dues/{instance.id}")


@bp.post("/dues/<dues_id>/leave")
@changes_dues()
def leave(instance: OfferInstance) -> Response:
    plan_changes.give_up(current_shop(), instance)
    return go(f"/account/subscriptions/{_page(instance.id).subscription_id}")


def _pay(row: Subscription, *, name: str | None) -> Taken | NotTaken:
    return dues.pay(
        current_shop(),
        row,
        name=name,
        shown=request.form.get("shown", ""),
        buyer_key=buyer_key() or "",
        language=language(),
        consent_of=lambda quote: read_consent(dues_pages.words_of(current_shop(), row, quote), _WORDS),
    )


def _result(row: Subscription, result: Taken | NotTaken) -> Response:
    if isinstance(result, NotTaken):
        found = plan_pages.plan_page(current_shop(), subscription_of(row.id), language=language())
        if found is None:
            abort(404)
        return page_or_partial(
            "dues/show.html",
            "dues/_refused.html",
            state="refused",
            status=_REFUSED.get(result.reason, 409),
            page=found,
            reason=result.reason,
        )
    found_page = _page(result.instance_id)
    if result.result in ("limited", "unavailable"):
        return _render(found_page, state="limited", status=429 if result.result == "limited" else 503)
    if not wants_partial():
        return go(f"/dues/{result.instance_id}")
    return _render(found_page, status=_STATUS.get(found_page.state, 200))


def _page(dues_id: str) -> DuesPage:
    return dues_pages.dues_page(current_shop(), dues_of(dues_id))


def _render(found: DuesPage, *, state: DuesState | None = None, status: int = 200) -> Response:
    state = state or found.state
    return page_or_partial("dues/show.html", f"dues/_{state}.html", state=state, status=status, page=found)
