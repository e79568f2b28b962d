"""The provider's payments held against ours, in both directions (I1, I2).

The list is read before the rows and every doubt is settled by a full read after them, so a payment that settles while
we look is no breach. Whose a payment is, is decided here anew and not by asking the code under audit.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from encore import tokens
from encore.dodo.models import Payment, PaymentListItem
from encore.errors import NotExecuted, ProviderError
from encore.rules.attempts import LIVE, sight
from encore.services import budgets
from encore.services.audit.report import Breach, Finding, breaches_of
from encore.services.shop import Shop
from encore.store import Store, acceptances, attempts, checkouts
from encore.store.attempts import Attempt
from encore.store.audit import payments as rows
from encore.store.audit.payments import BookedPayment

# As far back as the nightly sweep looks: what is older was compared on every day of five weeks.
_BACK_MS = 35 * 24 * 3_600_000
# The provider's clock and ours may differ by this much, so near the edge of the window a missing row proves nothing.
_EDGE_MS = 3_600_000
_LIST_S = 60.0
_READS_S = 60.0
# The cart is in no list, so the newest carts are read one by one; more would take calls that buyers need.
_MOST_CARTS = 200
# A look or poll may come this much later than planned.
_SLACK_MS = 120_000
# What the provider calls a sale, and a plan change; written down here anew, like everything under audit.
_SALES: tuple[str | None, ...] = (None, "new")
_CHARGE_TYPES: dict[str, tuple[str | None, ...]] = {"plan_change": ("plan_change",)}
# How much later than the provider's our clock may be.
_SKEW_MS = 15 * 60_000
_NO_ANSWER = "the provider gave no whole list of its payments"


@dataclass(frozen=True)
class Statement:
    """The provider's payments since `since` (epoch milliseconds); not whole if the list could not be trusted."""

    items: tuple[PaymentListItem, ...]
    since: int
    is_whole: bool


def read_statement(shop: Shop) -> Statement:
    """Ask the provider for the payments of the last 35 days; never raises."""
    since = shop.now() - _BACK_MS
    look = shop.dodo.payments.list_all(created_at_gte=since, budget=shop.dodo.budget(_LIST_S))
    return Statement(items=look.items, since=since, is_whole=look.is_clean)


def check_payments(shop: Shop, store: Store, statement: Statement | None) -> tuple[Finding, Finding]:
    """I1 and I2: the provider's successes are our payments, and one stands for each charged yes.

    `store` gives the rows. Without a statement only what the rows say against themselves is found.
    """
    comparison = _Comparison(shop, store)
    if statement is not None:
        comparison.run(statement)
    unchecked = _why_unchecked(statement) or comparison.unchecked
    pairs = (
        *breaches_of(rows.list_kept_without_paid_attempt(store), "is kept, but no paid attempt accounts for it."),
        *breaches_of(rows.list_paid_attempts_without_payment(store), "is paid, but no kept payment accounts for it."),
        *breaches_of(rows.list_charges_unlike_consent(store), "was charged for another customer, product or currency."),
    )
    return (
        Finding("I1", (*pairs, *comparison.breaches), unchecked),
        Finding("I2", tuple(comparison.miscounted()), unchecked),
    )


def _why_unchecked(statement: Statement | None) -> str | None:
    if statement is None:
        return "the provider was not asked"
    return None if statement.is_whole else _NO_ANSWER


@dataclass(frozen=True)
class _Owner:
    """Whose a payment without a row is: `id` of the acceptance or checkout, None when that row is lost too."""

    id: str | None
    is_live: bool


class _Comparison:
    """One pass over the statement. `corrections` is what the provider's word adds to the count of standing payments
    by our rows, by acceptance or checkout; `unchecked` says what could not be read."""

    def __init__(self, shop: Shop, store: Store) -> None:
        self._shop = shop
        self._store = store
        self._keys = shop.settings.attempt_sig_keys
        self._booked = {payment.id: payment for payment in rows.list_booked_payments(store)}
        self._budget = shop.dodo.budget(_READS_S)
        self._corrections: Counter[str] = Counter()
        self.breaches: list[Breach] = []
        self.unchecked: str | None = None

    def run(self, statement: Statement) -> None:
        """Go through everything that either side has."""
        for item in statement.items:
            booked = self._booked.get(item.payment_id)
            if booked is not None:
                self._compare(item, booked)
            elif sight(item.status) == "succeeded":
                self._judge_unbooked(item)
        listed = {item.payment_id for item in statement.items}
        if statement.is_whole:
            for booked in self._booked.values():
                if booked.id not in listed and booked.created_at >= statement.since + _EDGE_MS:
                    self._judge_unlisted(booked)
        self._compare_carts(listed)

    def miscounted(self) -> list[Breach]:
        """Return a breach for each yes or checkout for which not exactly the right number of payments stands."""
        standing = Counter(self._corrections)
        payments: dict[str, list[str]] = {}
        for booked in self._booked.values():
            if booked.owner_id is not None and booked.status == "succeeded":
                standing[booked.owner_id] += int(booked.is_standing)
                payments.setdefault(booked.owner_id, []).append(booked.id)
        expected = rows.list_expected_payments(self._store)
        return [
            Breach(
                (name, *payments.get(name, ())),
                f"{name} has {standing[name]} standing payments, but should have {expected.get(name, 0)}.",
            )
            for name in sorted(standing.keys() | expected.keys())
            if standing[name] != expected.get(name, 0)
        ]

    # ---- A payment that both sides have ----

    def _compare(self, item: PaymentListItem, booked: BookedPayment) -> None:
        if not self._is_proven(item, booked):
            self._tell(booked.id, "is booked to an attempt or checkout, but nothing proves that it is that one's.")
        is_success, is_booked_success = sight(item.status) == "succeeded", booked.status == "succeeded"
        if is_success and not is_booked_success:
            self._judge_unsettled(item, booked)
        elif is_booked_success and not is_success:
            self._judge_unlisted(booked)
        elif is_success:
            self._compare_money(item, booked)

    def _judge_unsettled(self, item: PaymentListItem, booked: BookedPayment) -> None:
        if self._is_under_way(item, is_live=bool(booked.is_owner_live)):
            return
        self._tell(booked.id, f"has succeeded at the provider, but is {booked.status} here.")
        self._correct(booked, 1)

    def _compare_money(self, item: PaymentListItem, booked: BookedPayment) -> None:
        theirs = (item.total_amount, item.currency, item.customer.customer_id)
        if theirs != (booked.amount, booked.currency, booked.customer_id):
            self._tell(booked.id, "has another amount, currency or customer at the provider.")
        is_back_there = item.refund_status == "full"
        if is_back_there and booked.is_standing:
            self._correct(booked, -1)
        elif booked.is_refunded and not is_back_there and not self._is_back(booked.id):
            self._correct(booked, 1)

    def _is_back(self, payment_id: str) -> bool:
        """Tell by a full read whether a payment was refunded as our rows say; the list may lag behind."""
        payment = self._full(payment_id)
        if payment is None or payment == "absent":
            return True
        back = sum(refund.amount or 0 for refund in payment.refunds or () if refund.status == "succeeded")
        return back >= payment.total_amount

    def _is_proven(self, item: PaymentListItem, booked: BookedPayment) -> bool:
        if booked.owner_id is None or self._is_proof(item, booked):
            return True
        payment = self._full(booked.id)
        return payment is None or (payment != "absent" and self._is_proof(payment, booked))

    def _is_proof(self, payment: PaymentListItem | Payment, booked: BookedPayment) -> bool:
        if booked.kind == "dues":
            return _is_of_dues(payment, booked)
        if booked.attempt_id is not None:
            return self._is_of_attempt(
                payment,
                booked.attempt_id,
                customer_id=booked.consent_customer_id,
                session_id=booked.attempt_session_id if booked.kind == "hosted" else None,
                kind=booked.kind,
            )
        return booked.checkout_id is not None and self._is_of_checkout(
            payment, booked.checkout_id, session_id=booked.checkout_session_id
        )

    def _is_of_attempt(
        self,
        payment: PaymentListItem | Payment,
        attempt_id: str,
        *,
        customer_id: str | None,
        session_id: str | None,
        kind: str | None,
    ) -> bool:
        if payment.charge_type not in _CHARGE_TYPES.get(kind or "", _SALES) or customer_id is None:
            return False
        has_mark = payment.mark("attempt_id") == attempt_id and tokens.is_mark(
            self._keys, payment.mark("attempt_sig"), attempt_id, customer_id
        )
        if kind != "hosted":
            return has_mark and payment.customer.customer_id == customer_id
        # A hosted session has no customer of ours; that the session is the one we made proves as much.
        return payment.checkout_session_id == session_id if session_id is not None else has_mark

    def _is_of_checkout(self, payment: PaymentListItem | Payment, checkout_id: str, *, session_id: str | None) -> bool:
        if payment.charge_type not in (None, "new"):
            return False
        has_mark = payment.mark("checkout_id") == checkout_id and tokens.is_mark(
            self._keys, payment.mark("checkout_sig"), "checkout", checkout_id
        )
        return has_mark or (session_id is not None and payment.checkout_session_id == session_id)

    # ---- A payment that one side has ----

    def _judge_unbooked(self, item: PaymentListItem) -> None:
        if self._owner_of(item) is None:
            return
        payment = self._full(item.payment_id)
        owner = self._owner_of(payment) if isinstance(payment, Payment) else None
        if owner is None or self._is_under_way(item, is_live=owner.is_live):
            return
        hint = "" if owner.id else "; run reconcile --rebuild"
        self._tell(item.payment_id, f"is ours and has succeeded, but has no row{hint}.")
        if owner.id is not None:
            self._corrections[owner.id] += 1

    def _owner_of(self, payment: PaymentListItem | Payment) -> _Owner | None:
        attempt_id = payment.mark("attempt_id")
        if attempt_id is not None:
            attempt = attempts.get_attempt(self._store, attempt_id)
            return self._owner_by_attempt(payment, attempt) if attempt else self._owner_lost(payment, attempt_id)
        session_id = payment.checkout_session_id
        checkout_id = payment.mark("checkout_id")
        checkout = checkouts.get_checkout(self._store, checkout_id) if checkout_id else None
        if checkout is None and session_id is not None:
            checkout = checkouts.get_by_session(self._store, session_id)
        if checkout is not None:
            is_ours = self._is_of_checkout(payment, checkout.id, session_id=checkout.provider_session_id)
            return _Owner(checkout.id, checkout.state in ("opening", "open")) if is_ours else None
        is_ours = checkout_id is not None and self._is_of_checkout(payment, checkout_id, session_id=None)
        return _Owner(None, is_live=False) if is_ours else None

    def _owner_by_attempt(self, payment: PaymentListItem | Payment, attempt: Attempt) -> _Owner | None:
        acceptance = acceptances.get_acceptance(self._store, attempt.acceptance_id)
        is_ours = acceptance is not None and self._is_of_attempt(
            payment,
            attempt.id,
            customer_id=acceptance.customer_id,
            session_id=attempt.provider_session_id if attempt.kind == "hosted" else None,
            kind=attempt.kind,
        )
        return _Owner(attempt.acceptance_id, attempt.state in LIVE) if is_ours else None

    def _owner_lost(self, payment: PaymentListItem | Payment, attempt_id: str) -> _Owner | None:
        customer_id = payment.customer.customer_id
        is_ours = any(
            self._is_of_attempt(payment, attempt_id, customer_id=customer_id, session_id=None, kind=kind)
            for kind in ("one_click", "plan_change")
        )
        return _Owner(None, is_live=False) if is_ours else None

    def _judge_unlisted(self, booked: BookedPayment) -> None:
        """Settle by a full read whether a success of ours is one at the provider: its list may lag behind."""
        if booked.status != "succeeded":
            return
        payment = self._full(booked.id)
        if payment == "absent" or (isinstance(payment, Payment) and sight(payment.status) != "succeeded"):
            self._correct(booked, -int(booked.is_standing))

    # ---- What was bought ----

    def _compare_carts(self, listed: set[str]) -> None:
        charged = [p for p in self._booked.values() if p.acceptance_id and p.is_standing and p.id in listed]
        for booked in charged[-_MOST_CARTS:]:
            payment = self._full(booked.id)
            cart = payment.product_cart if isinstance(payment, Payment) else None
            if cart and [(item.product_id, item.quantity) for item in cart] != [(booked.product_id, booked.quantity)]:
                self._tell(booked.id, f"paid for another product or quantity than {booked.acceptance_id} agrees to.")
        if len(charged) > _MOST_CARTS:
            self._leave_out(f"what the {len(charged) - _MOST_CARTS} older charges were for")

    def _full(self, payment_id: str) -> Payment | Literal["absent"] | None:
        """Read one payment; None, and a note, if there is no answer."""
        if not budgets.take(self._shop, "reconcile"):
            self._leave_out("some payments: the provider's call budget is used up")
            return None
        try:
            return self._shop.dodo.payments.get(payment_id, budget=self._budget)
        except NotExecuted as refusal:
            if refusal.status == 404:
                return "absent"
            self._leave_out(f"some payments: the provider refuses ({refusal.code})")
        except ProviderError:
            self._leave_out("some payments: the provider gave no answer")
        return None

    def _is_under_way(self, item: PaymentListItem, *, is_live: bool) -> bool:
        """Tell whether a success may still be unsettled: what is live is settled by the next look or poll."""
        settings = self._shop.settings
        limit_ms = int(1000 * max(settings.poll_every_s, settings.quarantine_s)) + _SLACK_MS
        return is_live and self._shop.now() - item.created_at <= limit_ms

    def _correct(self, booked: BookedPayment, by: int) -> None:
        if booked.owner_id is not None:
            self._corrections[booked.owner_id] += by

    def _tell(self, payment_id: str, sentence: str) -> None:
        self.breaches += breaches_of([(payment_id,)], sentence)

    def _leave_out(self, what: str) -> None:
        self.unchecked = self.unchecked or what


def _is_of_dues(payment: PaymentListItem | Payment, booked: BookedPayment) -> bool:
    """Tell whether a payment can be of the dues it is booked to: it bears no mark, so by subscription and time."""
    is_theirs = payment.customer.customer_id == booked.consent_customer_id
    is_since = payment.created_at >= (booked.attempt_claimed_at or 0) - _SKEW_MS
    # Or it is the very payment that had failed, taken up again.
    is_again = (booked.source_ref or "").startswith(f"{payment.payment_id}/")
    is_its = payment.subscription_id in (None, booked.attempt_subscription_id)
    return is_theirs and (is_since or is_again) and is_its
