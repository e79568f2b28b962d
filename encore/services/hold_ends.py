"""Ending a plan on hold: at once, because the period that was paid for is over, and nothing is owed here any more.

A plan that runs is ended with its period instead (`plan_ends`): ended at once it would lose what was paid for.
"""

from typing import Literal

import structlog

from encore.crash_point import crash_point
from encore.errors import NotExecuted, ProviderError
from encore.services import bookkeeping, budgets, card_charges, dues, subscriptions
from encore.services.shop import Shop
from encore.store import attempts, hold_ends
from encore.store import subscriptions as rows
from encore.store.subscriptions import Subscription

log = structlog.get_logger("encore.hold_ends")

_CALL_S = 8.0

EndResult = Literal["ended", "under_way", "not_on_hold", "no_answer"]


def end(shop: Shop, row: Subscription) -> EndResult:
    """End a subscription on hold because its buyer says so, and only while it is on hold and nobody pays for it.

    `under_way`: a payment of it may still succeed, and what that pays for would be lost. `no_answer`: it may have ended
    all the same; its page asks, and the buyer may say so again.
    """
    name = row.provider_subscription_id
    # Read in this request: one that was paid a moment ago runs, and is not to be ended at once.
    if not budgets.take_soon(shop, "status") or not subscriptions.try_subscription(
        shop, name, budget=shop.dodo.budget(_CALL_S)
    ):
        return "no_answer"
    row = rows.get_by_provider_id(shop.store, name) or row
    if row.status != "on_hold":
        return "not_on_hold"
    owed = dues.form(shop, row)
    if owed is None or owed.reason in ("under_way", "at_bank"):
        return "under_way"
    if owed.reason == "no_answer":
        # A payment may be under way that we could not see.
        return "no_answer"
    with shop.store.write():
        # Either the dues are claimed or the plan is ended: each looks for the other in its own transaction.
        is_charged = attempts.get_live_of_subscription(shop.store, name) is not None
        if is_charged or card_charges.is_under_way(shop, row):
            return "under_way"
        hold_ends.upsert_end(shop.store, name, now=shop.now())
    crash_point("hold_end.noted")
    return _ask(shop, row)


def _ask(shop: Shop, row: Subscription) -> EndResult:
    name, asked_at = row.provider_subscription_id, shop.now()
    try:
        found = shop.dodo.subscriptions.end_now(name, budget=shop.dodo.budget(_CALL_S))
    except ProviderError as error:
        budgets.heed(shop, error)
        log.warning("hold_end.no_answer", error=str(error))
        if isinstance(error, NotExecuted):
            with shop.store.write():
                hold_ends.delete_end(shop.store, name)
        return "no_answer"
    crash_point("hold_end.done")
    subscriptions.settle_subscription(shop, found, asked_at=asked_at)
    with shop.store.write():
        hold_ends.delete_end(shop.store, name)
        bookkeeping.record(shop, "subscription.ended", id=row.id)
    return "ended" if found.status == "cancelled" else "no_answer"
