"""Poll: find at the provider what nobody told us; with no webhook at all this alone reaches the same state.

Three lists name what is new: payments, refunds and disputes. What was not over when last seen is simply read again.
"""

from collections.abc import Iterator

from encore.dodo import Budget
from encore.dodo.models import PaymentListItem
from encore.errors import NotExecuted
from encore.services import observe, refunds
from encore.services.shop import Shop
from encore.store import attempts, checkouts, meta, payments

POLLED_AT = "polled_at"
_POLL_BACK_MS = 48 * 3_600_000
_SWEEP_BACK_MS = 35 * 24 * 3_600_000
# Disputes take weeks; a merchant with more of them open has them read in turn.
_MOST_UNFINISHED = 50
_BUDGET_S = 60.0


def poll(shop: Shop, *, back_ms: int = _POLL_BACK_MS) -> int:
    """Read what is new of the last 48 hours and settle by it; returns how many payments of ours were read.

    Raises Unavailable when the provider gives no answer in the middle.
    """
    budget = shop.dodo.budget(_BUDGET_S)
    since = shop.now() - back_ms
    look = shop.dodo.payments.list_all(created_at_gte=since, budget=budget)
    listed = [item for item in look.items if _may_be_ours(shop, item)]
    to_read = [item.payment_id for item in observe.list_unsettled(shop, listed)]
    to_read += _with_refund_or_dispute(shop, since=since, budget=budget)
    to_read += payments.list_unfinished(shop.store, limit=_MOST_UNFINISHED)
    read = sum(_observe(shop, payment_id, budget=budget) for payment_id in dict.fromkeys(to_read))
    if look.is_clean:
        with shop.store.write():
            meta.mark_value(shop.store, POLLED_AT, value=shop.now())
    return read


def sweep(shop: Shop) -> int:
    """Read five weeks of payments: finds what a restored backup or a long outage left behind."""
    return poll(shop, back_ms=_SWEEP_BACK_MS)


def _with_refund_or_dispute(shop: Shop, *, since: int, budget: Budget) -> Iterator[str]:
    """Name the payments whose refund or dispute we have not seen: a list of payments shows neither fully."""
    for refund in shop.dodo.refunds.list_all(created_at_gte=since, budget=budget).items:
        if refunds.is_refund_news(shop, refund):
            yield refund.payment_id
    for dispute in shop.dodo.disputes.list_all(created_at_gte=since, budget=budget).items:
        if refunds.is_dispute_news(shop, dispute):
            yield dispute.payment_id


def _observe(shop: Shop, payment_id: str, *, budget: Budget) -> bool:
    try:
        return observe.observe_payment(shop, payment_id, budget=budget)
    except NotExecuted:
        return False


def _may_be_ours(shop: Shop, item: PaymentListItem) -> bool:
    """Tell whether a listed payment is worth a full read: the account may sell elsewhere too."""
    if item.mark("attempt_id") or item.mark("checkout_id") or payments.get_payment(shop.store, item.payment_id):
        return True
    session_id = item.checkout_session_id
    return session_id is not None and (
        checkouts.get_by_session(shop.store, session_id) is not None
        or attempts.get_by_session(shop.store, session_id) is not None
    )
