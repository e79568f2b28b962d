"""Pages of offered plan changes: what an instance's rows mean to the browser it was shown to, as a state of `ux.md`.

As in `offer_pages` nothing here writes or calls the provider. The change itself is told as on a quote's own page.
"""

from dataclasses import dataclass, replace

from encore.rules.money import Money
from encore.rules.plan_changes import QUOTE_LIFE_MS, PlanQuote
from encore.rules.quotes import Quote
from encore.services import catalogue, funnels, order_pages, plan_offers, plan_pages
from encore.services.pages import OfferPage, OfferState, PlanOfferState
from encore.services.plan_pages import QuotePage, QuoteState
from encore.services.shop import Shop
from encore.store import acceptances
from encore.store.offer_instances import OfferInstance

_ANSWERED: dict[QuoteState, OfferState | PlanOfferState] = {
    "processing": "processing",
    "checking": "checking",
    "action_required": "action_required",
    "changed": "changed",
    "scheduled": "scheduled",
    "failed": "failed",
    "not_charged": "not_charged",
}
# What these say is the same of anything that was offered.
_SAID_ALIKE = frozenset({"answered", "expired", "withdrawn"})


@dataclass(frozen=True, kw_only=True)
class PlanOfferPage(OfferPage):
    """An offered plan change; `quote` is what is due today in one sum, `change` all that is known of the change.

    `holds_until` (epoch milliseconds) is how long the figures hold. `can_retry`: it was not paid, and may be asked for
    once more.
    """

    change: QuotePage
    holds_until: int
    can_retry: bool = False

    @property
    def partial(self) -> str:
        """The template that shows this state, without its folder."""
        return self.state if self.state in _SAID_ALIKE else f"plan_{self.state}"

    @property
    def is_card_moved(self) -> bool:
        """Whether only the card is another than was shown before, and no figure."""
        old, new = self.change.moved_from, self.change.quote
        return old is not None and (old.due, old.renewal) == (new.due, new.renewal) and old.method != new.method


def render(shop: Shop, instance: OfferInstance, *, language: str) -> PlanOfferPage:
    """Return the page of an instance for the browser it is bound to (the caller has checked that)."""
    base = _base(shop, instance, language=language)
    acceptance = acceptances.get_of_instance(shop.store, instance.id)
    if acceptance is None:
        return _unanswered(shop, instance, base)
    if acceptance.outcome == "closed" and acceptance.close_reason == plan_offers.LEFT:
        return replace(base, state="answered")
    return replace(
        base,
        state=_ANSWERED.get(base.change.state, "processing"),
        reason=base.change.reason,
        poll_after_s=base.change.poll_after_s,
        can_retry=plan_offers.may_try_again(shop, instance),
    )


def _base(shop: Shop, instance: OfferInstance, *, language: str) -> PlanOfferPage:
    order = plan_offers.first_order(shop, instance)
    offer = funnels.get_offer(shop, instance.offer_id, version=instance.offer_version)
    product = catalogue.get_by_id(shop, instance.product_id)
    if order is None or offer is None or product is None:
        raise ValueError(f"{instance.id} names rows that are gone")
    change = plan_pages.quote_page(shop, instance, language=language)
    words, words_language = offer.words_in(language, fallback=shop.settings.language)
    summary = order_pages.summarise(shop, order)
    return PlanOfferPage(
        state="offer",
        instance_id=instance.id,
        offer_id=instance.offer_id,
        order=summary,
        product=product,
        words={name: text for name, text in words.items() if text},
        value_points=(),
        words_language=words_language,
        role=offer.role,
        quote=_in_one_sum(change.quote, country=order.country),
        quote_hash=instance.quote_hash,
        moved_from=None,
        sum_with_order=order_pages.sum_with_order(shop, order, total=change.quote.due),
        deadline_at=instance.expires_at,
        masked_email=summary.masked_email,
        next_url=f"/r/{summary.ref}",
        change=change,
        holds_until=min(instance.expires_at, change.quote.previewed_at + QUOTE_LIFE_MS),
    )


def _in_one_sum(change: PlanQuote, *, country: str | None) -> Quote:
    """Return what is due today as one figure, the provider's; its parts are told by the change."""
    nothing = Money(0, change.due.currency)
    return Quote(
        product_id=change.wish.product_id,
        quantity=change.wish.quantity,
        discount_code=None,
        lines=(),
        subtotal=change.due,
        discount=nothing,
        tax=nothing,
        total=change.due,
        tax_inclusive=True,
        country=country or "",
        method=change.method,
        previewed_at=change.previewed_at,
    )


def _unanswered(shop: Shop, instance: OfferInstance, base: PlanOfferPage) -> PlanOfferPage:
    state = _unanswered_state(shop, instance, base.change)
    if state != "no_method":
        return replace(base, state=state)
    order = plan_offers.first_order(shop, instance)
    can_choose = order is not None and plan_offers.may_use_any_card(shop, order)
    return replace(base, state=state, reason=instance.no_method_reason, can_choose=can_choose)


def _unanswered_state(shop: Shop, instance: OfferInstance, change: QuotePage) -> OfferState:
    if instance.state == "declined":
        return "answered"
    if instance.state == "expired" or shop.now() >= instance.expires_at:
        return "expired"
    standing = plan_offers.standing(shop, instance)
    if standing.is_live and standing.is_owned:
        return "owned"
    if standing.is_live and standing.is_declined:
        return "answered"
    if not standing.is_live or change.state == "pending_change" or not plan_offers.is_open(shop, instance):
        return "withdrawn"
    if instance.no_method_reason is not None:
        return "no_method"
    if plan_offers.is_void(shop, instance):
        return "limited"
    return "quote_changed" if instance.moved_from_json else "offer"
