"""The end of a plan: set for the end of its period, taken back, and withdrawn for a change that may not go through.

A change, and even its price, needs a subscription that goes on. Before a cancellation is withdrawn for that, the wish
to have it back is stored; the worker puts it back unless the change went through, whatever dies in between.
"""

from encore.crash_point import crash_point
from encore.dodo.models import Subscription as ProviderSubscription
from encore.errors import NotExecuted, ProviderError, RateLimited
from encore.services import bookkeeping, budgets, subscriptions
from encore.services.shop import Shop
from encore.store import attempts, plan_ends
from encore.store import subscriptions as rows
from encore.store.subscriptions import Subscription

_CALL_S = 8.0
# A withdrawal and what it is for take seconds; after this long whoever began it is taken for gone.
_PUT_BACK_AFTER_MS = 30_000
_RETRY_MS = 5_000
_MOST = 20


class NotWithdrawn(Exception):
    """The end is not there to be withdrawn any more: another request has withdrawn it for good since it was read."""


def set_end(shop: Shop, row: Subscription, *, ends: bool) -> bool:
    """End a subscription with its period, or take that back, because its buyer says so; False without an answer.

    Both may be asked for as often as a buyer likes. An end that got no answer is set by the worker.
    """
    name, now = row.provider_subscription_id, shop.now()
    due_at = now + _PUT_BACK_AFTER_MS
    with shop.store.write():
        # The buyer's own word replaces whatever was to be put back.
        plan_ends.delete_end(shop.store, name)
        if ends:
            plan_ends.insert_end(shop.store, name, now=now, due_at=due_at)
    try:
        found = _patch(shop, name, ends=ends)
    except ProviderError as error:
        budgets.heed(shop, error)
        if isinstance(error, NotExecuted) and not isinstance(error, RateLimited):
            # Asking again would change nothing.
            with shop.store.write():
                plan_ends.delete_end(shop.store, name, due_at=due_at)
        return False
    with shop.store.write():
        # Only this wish: another tab may have withdrawn the end meanwhile, and is to put it back.
        plan_ends.delete_end(shop.store, name, due_at=due_at)
        bookkeeping.record(shop, "subscription.end_set" if ends else "subscription.end_taken_back", id=row.id)
    return bool(found.cancel_at_next_billing_date) == ends


def is_to_end(shop: Shop, current: ProviderSubscription) -> bool:
    """Tell whether a subscription ends with its period, or would but for a change that is being made."""
    is_withdrawn = plan_ends.get_noted_at(shop.store, current.subscription_id) is not None
    return bool(current.cancel_at_next_billing_date) or is_withdrawn


def withdraw(shop: Shop, provider_subscription_id: str) -> ProviderSubscription:
    """Let a subscription go on for a change of plan, after storing that its end is to be put back.

    Raises NotWithdrawn, NotExecuted or Unavailable.
    """
    now = shop.now()
    with shop.store.write():
        # A wish stored after another tab's change was claimed, or its buyer's own word, would set a subscription to end
        # that was paid, or asked, to go on.
        if not _may_withdraw(shop, provider_subscription_id):
            raise NotWithdrawn
        plan_ends.insert_end(shop.store, provider_subscription_id, now=now, due_at=now + _PUT_BACK_AFTER_MS)
    crash_point("end.noted")
    found = _patch(shop, provider_subscription_id, ends=False)
    crash_point("end.withdrawn")
    return found


def _may_withdraw(shop: Shop, provider_subscription_id: str) -> bool:
    if attempts.get_live_of_subscription(shop.store, provider_subscription_id) is not None:
        return False
    if plan_ends.get_noted_at(shop.store, provider_subscription_id) is not None:
        return True
    row = rows.get_by_provider_id(shop.store, provider_subscription_id)
    return row is not None and bool(row.cancels_at_period_end)


def put_back(shop: Shop, provider_subscription_id: str) -> bool:
    """Put a withdrawn cancellation back, unless the change it was withdrawn for went through or is under way.

    False if that is still open: then the worker looks again.
    """
    noted_at = plan_ends.get_noted_at(shop.store, provider_subscription_id)
    if noted_at is None:
        return True
    if attempts.get_live_of_subscription(shop.store, provider_subscription_id) is not None:
        return _look_later(shop, provider_subscription_id)
    if not plan_ends.has_paid_change_since(shop.store, provider_subscription_id, since=noted_at):
        try:
            found = _patch(shop, provider_subscription_id, ends=True)
        except ProviderError as error:
            budgets.heed(shop, error)
            return _look_later(shop, provider_subscription_id)
        crash_point("end.put_back")
        if _goes_on(shop, provider_subscription_id, noted_at=noted_at):
            # A change was claimed while the cancellation was on its way, and has withdrawn it before it arrived.
            _take_back(shop, provider_subscription_id)
            return _look_later(shop, provider_subscription_id)
        # One that has ended meanwhile has nothing left to end.
        if not found.cancel_at_next_billing_date and found.status in ("active", "past_due"):
            return _look_later(shop, provider_subscription_id)
    with shop.store.write():
        plan_ends.delete_end(shop.store, provider_subscription_id)
    return True


def _goes_on(shop: Shop, provider_subscription_id: str, *, noted_at: int) -> bool:
    is_changing = attempts.get_live_of_subscription(shop.store, provider_subscription_id) is not None
    return is_changing or plan_ends.has_paid_change_since(shop.store, provider_subscription_id, since=noted_at)


def _take_back(shop: Shop, provider_subscription_id: str) -> None:
    try:
        _patch(shop, provider_subscription_id, ends=False)
    except ProviderError as error:
        budgets.heed(shop, error)
        with shop.store.write():
            bookkeeping.raise_alarm(
                shop, "changed_plan_ends", object_id=provider_subscription_id, detail="it could not be taken back"
            )


def put_back_due(shop: Shop) -> int:
    """Put back what is due; returns how many were settled."""
    due = plan_ends.list_due(shop.store, now=shop.now(), limit=_MOST)
    return sum(put_back(shop, name) for name in due if budgets.take(shop, "reconcile"))


def _look_later(shop: Shop, provider_subscription_id: str) -> bool:
    with shop.store.write():
        plan_ends.mark_due(shop.store, provider_subscription_id, due_at=shop.now() + _RETRY_MS)
    return False


def _patch(shop: Shop, provider_subscription_id: str, *, ends: bool) -> ProviderSubscription:
    asked_at = shop.now()
    found = shop.dodo.subscriptions.set_cancellation(
        provider_subscription_id, at_next_billing=ends, budget=shop.dodo.budget(_CALL_S)
    )
    subscriptions.settle_subscription(shop, found, asked_at=asked_at)
    return found
