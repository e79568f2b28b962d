"""Pages of dues: what the rows of one try to pay them mean to their buyer. Nothing here writes or asks the provider."""

from dataclasses import dataclass, replace
from typing import Literal

from encore.rules.card_declines import read_card_decline
from encore.rules.dues import OWING, DuesQuote, thaw_dues
from encore.rules.money import Money
from encore.rules.plan_changes import QUOTE_LIFE_MS
from encore.rules.quotes import QuotedMethod
from encore.services import catalogue, dues_payments, plan_pages, refunds
from encore.services.shop import Shop
from encore.store import acceptances, attempts, payments
from encore.store import subscriptions as rows
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

DuesState = Literal[
    "recovered", "processing", "checking", "action_required", "failed", "not_charged", "under_way", "limited", "refused"
]


@dataclass(frozen=True, kw_only=True)
class DuesWords:
    """What the words of a yes to paying dues name; None as in DuesPage."""

    product_name: str
    amount: Money | None
    failed_at: int | None
    method: QuotedMethod | None


@dataclass(frozen=True, kw_only=True)
class DuesPage:
    """One try to pay dues in one of its states; `amount` None: the provider has told no sum.

    `method` None: a new card, given on the provider's page. `paid` is what was charged, None for nothing, and
    `paid_again` what was paid for the same dues beside it, which a person looks at; `given_back` is what of `paid` is
    back, or on its way. `reason` is a message key. `other` is the page of the charge that is under way instead.
    `status` is the subscription's, as last read: the page of an old try is opened again long after.
    """

    state: DuesState
    dues_id: str
    subscription_id: str
    product_name: str
    amount: Money | None
    failed_at: int | None
    method: QuotedMethod | None
    next_billing_at: int | None
    status: str
    paid: Money | None = None
    paid_again: Money | None = None
    given_back: Money | None = None
    reason: str | None = None
    poll_after_s: float | None = None
    other: str | None = None

    @property
    def is_owed(self) -> bool:
        """Whether the subscription still owes something, as last read."""
        return self.status in OWING


def words_of(shop: Shop, row: Subscription, quote: DuesQuote) -> DuesWords:
    """Return what a buyer is told before they pay."""
    product = catalogue.get_by_id(shop, row.product_id)
    return DuesWords(
        product_name=product.name if product else row.product_id,
        amount=quote.owed.amount,
        failed_at=quote.owed.failed_at,
        method=quote.method,
    )


def dues_page(shop: Shop, instance: OfferInstance) -> DuesPage:
    """Return the page of a try for the account it belongs to (the caller has checked that)."""
    quote = thaw_dues(instance.quote_json)
    row = rows.get_by_provider_id(shop.store, quote.owed.subscription_id)
    product = catalogue.get_by_id(shop, instance.product_id)
    if row is None:
        raise ValueError(f"{instance.id} names a subscription that is gone")
    base = DuesPage(
        state="not_charged",
        dues_id=instance.id,
        subscription_id=row.id,
        product_name=product.name if product else instance.product_id,
        amount=quote.owed.amount,
        failed_at=quote.owed.failed_at,
        method=quote.method,
        next_billing_at=row.next_billing_at,
        status=row.status,
    )
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    tries = attempts.list_of_acceptance(shop.store, acceptance.id) if acceptance else []
    return _answered(shop, tries[-1], quote, base) if tries else _unanswered(shop, instance, base)


def _unanswered(shop: Shop, instance: OfferInstance, base: DuesPage) -> DuesPage:
    live = attempts.get_live_of_subscription(shop.store, thaw_dues(instance.quote_json).owed.subscription_id)
    if live is not None:
        return replace(base, state="under_way", other=plan_pages.page_of(shop, live))
    yes = acceptances.get_open_yes(shop.store, customer_id=instance.customer_id, product_id=instance.product_id)
    # An open yes of theirs to the same plan, of another subscription: one at a time.
    return replace(base, state="under_way", other=plan_pages.page_of_yes(shop, yes)) if yes is not None else base


def _paid_again(shop: Shop, attempt: Attempt, quote: DuesQuote) -> Money | None:
    row = rows.get_by_provider_id(shop.store, quote.owed.subscription_id)
    if row is None:
        return None
    found = dues_payments.list_paid_again(shop, row, quote.owed, attempt_id=attempt.id, disposition="manual")
    return Money(found[0].amount, found[0].currency) if found else None


def _answered(shop: Shop, attempt: Attempt, quote: DuesQuote, base: DuesPage) -> DuesPage:
    match attempt.state:
        case "paid" if base.is_owed and shop.now() - attempt.changed_at < QUOTE_LIFE_MS:
            # Paid, and the provider has yet to say that the subscription runs.
            return replace(
                base, state="processing", poll_after_s=plan_pages.poll_after_s(shop, attempt, is_checking=False)
            )
        case "paid":
            payment = payments.get_kept(shop.store, attempt.acceptance_id)
            paid = Money(payment.amount, payment.currency) if payment and payment.amount else None
            back = refunds.going_back(shop, payment) if payment else None
            again = _paid_again(shop, attempt, quote)
            return replace(base, state="recovered", paid=paid, paid_again=again, given_back=back)
        case "sending" | "pending":
            return replace(
                base, state="processing", poll_after_s=plan_pages.poll_after_s(shop, attempt, is_checking=False)
            )
        case "unknown":
            return replace(
                base, state="checking", poll_after_s=plan_pages.poll_after_s(shop, attempt, is_checking=True)
            )
        case "action_required":
            return replace(base, state="action_required")
        case "failed":
            return replace(base, state="failed", reason=_reason_of(attempt))
        case "rejected" if attempt.decline_code:
            return replace(base, state="failed", reason=_reason_of(attempt))
        case _:
            return base


def _reason_of(attempt: Attempt) -> str | None:
    return read_card_decline(attempt.decline_code).words if attempt.decline_code else None
