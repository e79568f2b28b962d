"""Poll: find at the provider what nobody told us; with no webhook at all this alone reaches the same state.

Three lists name what is new: payments, refunds and disputes. What was not over when last seen is simply read again.
"""

from collections.abc import Callable
from typing import TypeVar

from encore.dodo.models import PaymentListItem
from encore.dodo.pages import Look
from encore.errors import NotExecuted, ProviderError, RateLimited
from encore.rules.disputes import OPEN
from encore.services import budgets, dues_payments, grants, observe, refunds, trials
from encore.services.shop import Shop
from encore.services.subscriptions import observe_subscription
from encore.store import attempts, checkouts, meta, payments, subscriptions
from encore.store import catalogue as products

T = TypeVar("T")

POLLED_AT = "polled_at"
_POLL_BACK_MS = 48 * 3_600_000
_SWEEP_BACK_MS = 35 * 24 * 3_600_000
# Disputes take weeks; a merchant with more of them open has them read in turn.
_MOST_UNFINISHED = 50
# Read in turn by the worker, the oldest reading first.
_MOST_SUBSCRIPTIONS, _SUBSCRIPTIONS_FRESH_MS = 50, 5 * 60_000
_BUDGET_S = 60.0


def poll(shop: Shop, *, back_ms: int = _POLL_BACK_MS) -> int:
    """Read what is new of the last 48 hours and settle by it; returns how many payments of ours were read.

    Raises NotExecuted or Unavailable if the provider gave no answer to a part of it; the rest is settled before.
    """
    return _Poll(shop, since=shop.now() - back_ms).run()


def sweep(shop: Shop) -> int:
    """Read five weeks of payments: finds what a restored backup or a long outage left behind."""
    return poll(shop, back_ms=_SWEEP_BACK_MS)


class _Poll:
    """One poll: whether it has seen everything, and the first fault it met on the way."""

    def __init__(self, shop: Shop, *, since: int) -> None:
        self._shop = shop
        self._since = since
        self._budget = shop.dodo.budget(_BUDGET_S)
        self._is_whole = True
        self._fault: ProviderError | None = None

    def run(self) -> int:
        """Read the lists, then the payments they name."""
        dodo = self._shop.dodo
        listed = [item for item in self._list(dodo.payments.list_all) if _may_be_ours(self._shop, item)]
        to_read = [item.payment_id for item in observe.list_unsettled(self._shop, listed)]
        # A list of payments shows neither refunds nor disputes fully.
        to_read += [
            one.payment_id for one in self._list(dodo.refunds.list_all) if refunds.is_refund_news(self._shop, one)
        ]
        to_read += [
            one.payment_id for one in self._list(dodo.disputes.list_all) if refunds.is_dispute_news(self._shop, one)
        ]
        to_read += payments.list_unfinished(self._shop.store, open_disputes=OPEN, limit=_MOST_UNFINISHED)
        self._settle_trials()
        read = sum(self._observe(payment_id) for payment_id in dict.fromkeys(to_read))
        self._read_keys()
        # Last, so that what the payments have settled is in what the subscriptions then are.
        self._read_subscriptions()
        if self._fault is not None:
            raise self._fault
        if self._is_whole:
            with self._shop.store.write():
                meta.mark_value(self._shop.store, POLLED_AT, value=self._shop.now())
        return read

    def _list(self, list_all: Callable[..., Look[T]]) -> tuple[T, ...]:
        if not self._may_call():
            return ()
        look = list_all(created_at_gte=self._since, budget=self._budget)
        self._is_whole = self._is_whole and look.is_clean
        if look.fault is not None:
            self._note(look.fault)
        return look.items

    def _observe(self, payment_id: str) -> bool:
        if not self._may_call():
            return False
        try:
            return observe.observe_payment(self._shop, payment_id, budget=self._budget)
        except ProviderError as error:
            # One payment that cannot be read must not hide the others.
            if not isinstance(error, NotExecuted) or isinstance(error, RateLimited):
                self._note(error)
            return False

    def _settle_trials(self) -> None:
        """Settle the checkouts of trials that began without a payment: no list of payments has them."""
        if not products.sells_trials(self._shop.store):
            return
        listed = self._list(self._shop.dodo.subscriptions.list_all)
        for one in [one for one in listed if trials.is_unsettled(self._shop, one)]:
            if not self._may_call():
                return
            try:
                # A list names no add-ons, so what is settled by is read in full.
                observe_subscription(self._shop, one.subscription_id, budget=self._budget)
            except ProviderError as error:
                self._is_whole = False
                self._note(error)

    def _read_keys(self) -> None:
        """Read the grants of customers whose licence keys have changed; no list names the other grants of everybody.

        An account without licence keys may refuse the list, which says nothing about money.
        """
        if not self._may_call():
            return
        listed = self._shop.dodo.grants.list_keys(created_at_gte=self._since, budget=self._budget)
        news = {key.customer_id for key in listed.items if grants.is_key_news(self._shop, key)}
        for customer_id in sorted(news):
            if not grants.may_ask(self._shop, "reconcile"):
                self._is_whole = False
                return
            try:
                grants.observe_grants(self._shop, customer_id, budget=self._budget)
            except ProviderError as error:
                budgets.heed(self._shop, error)

    def _read_subscriptions(self) -> None:
        """Ask for every subscription that was not read for a while: no list names those that have changed."""
        before = self._shop.now() - _SUBSCRIPTIONS_FRESH_MS
        with self._shop.store.write():
            for name in subscriptions.list_unread_since(self._shop.store, before=before, limit=_MOST_SUBSCRIPTIONS):
                subscriptions.insert_to_read(self._shop.store, name, due_at=self._shop.now())

    def _may_call(self) -> bool:
        """Take a call of the shared budget: a charge comes before all of this, and the next poll goes on."""
        if budgets.take(self._shop, "reconcile"):
            return True
        self._is_whole = False
        return False

    def _note(self, fault: ProviderError) -> None:
        budgets.heed(self._shop, fault)
        self._fault = self._fault or fault


def _may_be_ours(shop: Shop, item: PaymentListItem) -> bool:
    """Tell whether a listed payment is worth a full read: the account may sell elsewhere too."""
    if item.mark("attempt_id") or item.mark("checkout_id") or payments.get_payment(shop.store, item.payment_id):
        return True
    if dues_payments.owner_of(shop, item) is not None or observe.is_of_known_subscription(shop, item):
        return True
    session_id = item.checkout_session_id
    return session_id is not None and (
        checkouts.get_by_session(shop.store, session_id) is not None
        or attempts.get_by_session(shop.store, session_id) is not None
    )
