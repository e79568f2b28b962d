"""Offer pages: what an offer instance's rows mean to its buyer, as one of the states of `ux.md` section 4.

Nothing here writes or calls the provider: whatever was clicked, lost or killed, the page follows from the rows.
"""

from dataclasses import replace

from encore.i18n import start_of_day
from encore.rules.card_declines import read_card_decline
from encore.rules.disputes import is_lost
from encore.rules.kinds import PLAN_CHANGE
from encore.rules.money import Money
from encore.rules.quotes import thaw
from encore.services import bookkeeping, catalogue, funnels, order_pages, plan_offer_pages, quoting
from encore.services.pages import OfferPage, OfferState, ReturnOfMoney
from encore.services.shop import Shop
from encore.services.standing import standing_of
from encore.store import acceptances, attempts, orders, payments
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order

_FAST_POLL_S = 2.0
_SLOW_POLL_S = 5.0
# A checking page polls for two minutes, a processing one for twenty seconds; then only "Check again" is left.
_CHECKING_POLLS_FOR_MS = 120_000
_PROCESSING_POLLS_FOR_MS = 20_000


def render_instance(shop: Shop, instance: OfferInstance, *, language: str) -> OfferPage:
    """Return the page of an instance for the browser it is bound to (the caller has checked that)."""
    if instance.kind == PLAN_CHANGE:
        return plan_offer_pages.render(shop, instance, language=language)
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    base = _base(shop, instance, language=language)
    if acceptance is None:
        return _unanswered(shop, instance, base)
    return _answered(shop, acceptance, base)


def _base(shop: Shop, instance: OfferInstance, *, language: str) -> OfferPage:
    order = bookkeeping.find_first_order(shop, instance)
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    product = catalogue.get_by_id(shop, instance.product_id)
    if order is None or offer is None or product is None:
        raise ValueError(f"{instance.id} names rows that are gone")
    quote = thaw(instance.quote_json)
    words, words_language = offer.words_in(language, fallback=shop.settings.language)
    is_recommendation = instance.is_recommendation
    summary = order_pages.summarise(shop, order, is_earlier=is_recommendation)
    return OfferPage(
        state="offer",
        instance_id=instance.id,
        offer_id=instance.offer_id,
        order=summary,
        product=product,
        words={name: text for name, text in words.items() if text},
        value_points=offer.value_points_in(words_language),
        words_language=words_language,
        role=offer.role,
        quote=quote,
        quote_hash=instance.quote_hash,
        moved_from=thaw(instance.moved_from_json) if instance.moved_from_json else None,
        sum_with_order=_sum_with_today(shop, order, quote.total)
        if is_recommendation
        else order_pages.sum_with_order(shop, order, total=quote.total),
        deadline_at=instance.expires_at,
        masked_email=summary.masked_email,
        next_url="/account" if is_recommendation else f"/r/{summary.ref}",
        max_quantity=offer.max_quantity if is_recommendation else 1,
    )


def _sum_with_today(shop: Shop, first: Order, total: Money) -> Money | None:
    """Add a recommendation to what its customer has paid today; None if that is nothing, or in several currencies."""
    since = start_of_day(shop.now(), zone=shop.settings.timezone)
    return order_pages.sum_of_paid(orders.list_since(shop.store, first.customer_id, since=since), more=total)


def _unanswered(shop: Shop, instance: OfferInstance, base: OfferPage) -> OfferPage:
    if instance.state == "declined":
        return replace(base, state="answered")
    if instance.state == "expired" or shop.now() >= instance.expires_at:
        return replace(base, state="expired")
    standing = standing_of(shop, instance)
    if not standing.is_live:
        return replace(base, state="withdrawn")
    can_choose = quoting.may_choose(shop, instance)
    if standing.is_owned:
        return replace(base, state="owned", is_owned=True, can_choose=can_choose, reason=instance.no_method_reason)
    if standing.is_declined:
        return replace(base, state="answered")
    if _has_yes_elsewhere(shop, instance):
        return replace(base, state="withdrawn")
    base = replace(base, can_choose=can_choose)
    if base.quote.method is None:
        return replace(base, state="no_method", reason=instance.no_method_reason)
    return replace(base, state="quote_changed" if base.moved_from else "offer")


def _has_yes_elsewhere(shop: Shop, instance: OfferInstance) -> bool:
    """Tell whether the customer's one open yes to the product was given on another page."""
    yes = acceptances.get_open_yes(shop.store, customer_id=instance.customer_id, product_id=instance.product_id)
    return yes is not None and yes.offer_instance_id != instance.id


def _answered(shop: Shop, acceptance: Acceptance, base: OfferPage) -> OfferPage:
    tries = attempts.list_of_acceptance(shop.store, acceptance.id)
    match acceptance.outcome:
        case "charged":
            return _receipt(shop, acceptance, base)
        case "refunded":
            return _returned(payments.get_kept(shop.store, acceptance.id), base)
        case "closed":
            returned = [
                p for p in payments.list_of_acceptance(shop.store, acceptance.id) if p.disposition == "returned"
            ]
            return _returned(returned[-1], base) if returned else replace(base, state="answered")
        case "open" | "needs_checkout":
            return _under_way(shop, tries, base)
        case unexpected:
            raise ValueError(f"{acceptance.id} has outcome {unexpected}")


def _receipt(shop: Shop, acceptance: Acceptance, base: OfferPage) -> OfferPage:
    kept = payments.get_kept(shop.store, acceptance.id)
    if kept is None:
        return replace(base, state="receipt")
    method = order_pages.method_of(kept)
    # Paid on the provider's own page: what stood there is what was paid.
    if base.order.is_earlier:
        base = replace(base, next_url=f"/orders/{base.order.ref}")
    quote = replace(base.quote, method=method)
    if Money(kept.amount, kept.currency) != quote.total:
        quote = order_pages.quote_as_paid(quote, kept)
    return replace(base, state="receipt", quote=quote)


def _returned(payment: payments.Payment | None, base: OfferPage) -> OfferPage:
    """Say that money is on its way back, and that it is back only once the provider says so."""
    if payment is None:
        return replace(base, state="returned", return_state="due")
    return replace(
        base,
        state="returned",
        returned=Money(payment.amount, payment.currency),
        return_state=_return_state(payment),
    )


def _return_state(payment: payments.Payment) -> ReturnOfMoney:
    if payment.refunded >= payment.amount:
        return "done"
    return "by_bank" if is_lost(payment.dispute_status) else "due"


def _under_way(shop: Shop, tries: list[Attempt], base: OfferPage) -> OfferPage:
    """Return the state of the newest try; without any, the standard checkout is all there is."""
    if not tries:
        return replace(base, state="not_charged")
    newest = tries[-1]
    match newest.state:
        case "queued":
            return _polling(shop, newest, base, state="processing", can_cancel=True)
        case "sending" | "pending":
            return _polling(shop, newest, base, state="processing")
        case "unknown":
            return _polling(shop, newest, base, state="checking")
        case "action_required":
            return replace(base, state="action_required")
        case "opening" | "hosted_open" | "hosted_closed":
            return replace(base, state="checkout_open", reason=_reason_of(_last_declined(tries)))
        case "failed":
            return replace(base, state="failed", reason=_reason_of(newest))
        case "rejected":
            state: OfferState = "failed" if newest.decline_code else "not_charged"
            return replace(base, state=state, reason=_reason_of(newest))
        case "absent" | "not_sent" | "dropped":
            return replace(base, state="not_charged")
        case _:
            return _polling(shop, newest, base, state="processing")


def _last_declined(tries: list[Attempt]) -> Attempt | None:
    declined = [attempt for attempt in tries if attempt.decline_code]
    return declined[-1] if declined else None


def _reason_of(attempt: Attempt | None) -> str | None:
    if attempt is None or attempt.decline_code is None:
        return None
    return read_card_decline(attempt.decline_code).words


def _polling(
    shop: Shop, attempt: Attempt, base: OfferPage, *, state: OfferState, can_cancel: bool = False
) -> OfferPage:
    age_ms = shop.now() - attempt.created_at
    is_checking = state == "checking"
    still_polls = age_ms < (_CHECKING_POLLS_FOR_MS if is_checking else _PROCESSING_POLLS_FOR_MS)
    wait_s = _SLOW_POLL_S if is_checking else _FAST_POLL_S
    return replace(base, state=state, poll_after_s=wait_s if still_polls else None, can_cancel=can_cancel)
