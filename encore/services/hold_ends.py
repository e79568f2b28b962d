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
from encore.store.hold_ends import EndMark
from encore.store.subscriptions import Subscription

log = structlog.get_logger("encore.hold_ends")

_CALL_S = 8.0

EndResult = Literal["ended", "under_way", "not_on_hold", "refused", "no_answer"]


def end(shop: Shop, row: Subscription) -> EndResult:
    """End a subscription on hold because its buyer says so, and only while it is on hold and nobody pays for it.

    `under_way`: a payment of it may still succeed, and what that pays for would be lost. `refused`: it has not ended.
    `no_answer`: it may have ended all the same; its page asks, and the buyer may say so again.
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
        mark = hold_ends.insert_end(shop.store, name, now=shop.now())
    crash_point("hold_end.noted")
    return _ask(shop, row, mark)


def _ask(shop: Shop, row: Subscription, mark: EndMark) -> EndResult:
    name, asked_at = row.provider_subscription_id, shop.now()
    try:
        found = shop.dodo.subscriptions.end_now(name, budget=shop.dodo.budget(_CALL_S))
    except NotExecuted as refusal:
        budgets.heed(shop, refusal)
        log.warning("hold_end.refused", reason=refusal.code)
        with shop.store.write():
            # Another tab's request, or an earlier one, may still arrive: only this one is known to have done nothing.
            hold_ends.delete_end(shop.store, name, only=mark)
        return _after_refusal(shop, name, mark)
    except ProviderError as error:
        log.warning("hold_end.no_answer", error=str(error))
        return "no_answer"
    crash_point("hold_end.done")
    subscriptions.settle_subscription(shop, found, asked_at=asked_at)
    if found.status != "cancelled":
        # Taken, but not done: until it shows what comes of it nobody pays beside it.
        return "no_answer"
    with shop.store.write():
        hold_ends.delete_end(shop.store, name)
        bookkeeping.record(shop, "subscription.ended", id=row.id)
    return "ended"


def _after_refusal(shop: Shop, name: str, mark: EndMark) -> EndResult:
    """Tell apart what cannot be ended now and what has ended already, by another tab's click or at the provider."""
    if budgets.take(shop, "status"):
        subscriptions.try_subscription(shop, name, budget=shop.dodo.budget(_CALL_S))
    row = rows.get_by_provider_id(shop.store, name)
    if row is not None and row.status != "on_hold":
        return "not_on_hold"
    return "refused" if mark.is_alone else "no_answer"
