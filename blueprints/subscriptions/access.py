"""Who may see and change a subscription or a quote: the account it belongs to, signed in lately for a change."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from flask import Response, abort, request

from encore.services import dues, plan_changes
from encore.store import subscriptions as rows
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

from ..errors import answer
from ..security import limits
from ..web import buyer_key, current_account, current_shop, go

Row = TypeVar("Row", Subscription, OfferInstance)
Act = Callable[[Row], Response]
# A form that names anything else is refused, not ignored: what a change is about is decided by the rows.
TOKEN_ONLY = frozenset({"csrf_token"})


def subscription_of(subscription_id: str) -> Subscription:
    """Return a subscription of the signed-in account; a stranger's is as unknown as one that never was."""
    account = current_account()
    row = rows.get_subscription(current_shop().store, subscription_id)
    if account is None or row is None or row.customer_id not in account.customer_ids:
        abort(404)
    return row


def quote_of(quote_id: str) -> OfferInstance:
    """Return a quote of the signed-in account; a stranger's is as unknown as one that never was."""
    return _own(plan_changes.get_quote, quote_id)


def dues_of(dues_id: str) -> OfferInstance:
    """Return a try of the signed-in account to pay dues; a stranger's is as unknown as one that never was."""
    return _own(dues.get_dues, dues_id)


def _own(get: Callable[..., OfferInstance | None], instance_id: str) -> OfferInstance:
    account = current_account()
    found = get(current_shop(), instance_id, customer_ids=account.customer_ids) if account else None
    if found is None:
        abort(404)
    return found


def sign_in(leads_to: str) -> Response:
    """Lead to the sign-in page, and from there to `leads_to`."""
    return go(f"/account/sign-in?to={leads_to}")


def changes_subscription(
    *, fields: frozenset[str] = TOKEN_ONLY, limit: str | None = "checkout"
) -> Callable[[Act[Subscription]], Callable[[str], Response]]:
    """Let a handler change the subscription in its address; see `_guarded`."""

    def guard(act: Act[Subscription]) -> Callable[[str], Response]:
        @wraps(act)
        def handle(subscription_id: str) -> Response:
            place = f"/account/subscriptions/{subscription_id}"
            return _guarded(act, subscription_of, subscription_id, place=place, fields=fields, limit=limit)

        return handle

    return guard


def changes_quote(
    *, fields: frozenset[str] = TOKEN_ONLY, limit: str | None = None
) -> Callable[[Act[OfferInstance]], Callable[[str], Response]]:
    """Let a handler act on the quote in its address; see `_guarded`."""

    def guard(act: Act[OfferInstance]) -> Callable[[str], Response]:
        @wraps(act)
        def handle(quote_id: str) -> Response:
            return _guarded(act, quote_of, quote_id, place=f"/quotes/{quote_id}", fields=fields, limit=limit)

        return handle

    return guard


def changes_dues() -> Callable[[Act[OfferInstance]], Callable[[str], Response]]:
    """Let a handler act on the dues in its address; see `_guarded`."""

    def guard(act: Act[OfferInstance]) -> Callable[[str], Response]:
        @wraps(act)
        def handle(dues_id: str) -> Response:
            return _guarded(act, dues_of, dues_id, place=f"/dues/{dues_id}", fields=TOKEN_ONLY, limit=None)

        return handle

    return guard


def _guarded(
    act: Act[Row],
    find: Callable[[str], Row],
    row_id: str,
    *,
    place: str,
    fields: frozenset[str],
    limit: str | None,
) -> Response:
    """Act on a row for a form of these fields alone, a fresh sign-in that owns the row, and within the limit."""
    if request.args or set(request.form) - fields:
        abort(400)
    account = current_account()
    # None, or too long ago for a change (security.md, section 4).
    if account is None or not account.is_recent:
        return sign_in(place)
    row = find(row_id)
    retry_at = limits().count(limit, browser=buyer_key()) if limit else None
    return act(row) if retry_at is None else answer(429, retry_at=retry_at)
