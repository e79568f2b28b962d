"""Dues: what a subscription owes, on hold or in its days of grace, and paying it with a saved method or a new one.

The provider previews no dues, so what its last failed payment asked for is shown, or its day where none is listed. A
click charges through `charging` like any other yes: one request, and what it came to is found out, never guessed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.urls import is_checkout_url
from encore.errors import NotExecuted, ProviderError
from encore.ids import new_id
from encore.rules.attempts import LIVE
from encore.rules.dues import (
    ENDED,
    OWING,
    DuesQuote,
    Owed,
    SeenPayment,
    dues_hash,
    freeze_dues,
    is_under_way,
    owed_hash,
    read_owed,
    thaw_dues,
    waiting_for_bank,
)
from encore.rules.methods import SavedMethod
from encore.rules.money import Money
from encore.rules.plan_changes import QUOTE_LIFE_MS
from encore.services import budgets, card_charges, charging, plan_cards, plan_changes, quoting, subscriptions
from encore.services.consent import Consent
from encore.services.kinds import dues as kind
from encore.services.pages import CardChoice
from encore.services.shop import Shop
from encore.store import attempts, hold_ends, offer_instances, payments
from encore.store import dues as rows
from encore.store import subscriptions as subscription_rows
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

_READ_S = 8.0
_MOST_TRIES = 10

Refusal = Literal["nothing_owed", "ended", "under_way", "at_bank", "moved", "not_usable", "no_answer"]


@dataclass(frozen=True, kw_only=True)
class DuesForm:
    """What is owed, and the methods that can pay it; `shown` is what the form brings back.

    `amount` None: the provider does not tell. `reason`: why there is nothing to press now. `has_bank_page`: where the
    payment that waits for the buyer's bank is confirmed is known (`bank_url`).
    """

    amount: Money | None
    failed_at: int | None
    cards: tuple[CardChoice, ...] = ()
    shown: str = ""
    reason: Refusal | None = None
    has_bank_page: bool = False


@dataclass(frozen=True)
class Taken:
    """The click was taken, by this request or an earlier one, and the page of the instance says what came of it.

    `limited` and `unavailable`: nothing was done.
    """

    instance_id: str
    result: charging.AcceptResult


@dataclass(frozen=True)
class NotTaken:
    """Nothing was sent, and why."""

    reason: Refusal


class _Refused(Exception):
    def __init__(self, reason: Refusal) -> None:
        self.reason: Refusal = reason


# ---- What is owed ----------------------------------------------------------------------------------------------


def form(shop: Shop, row: Subscription) -> DuesForm | None:
    """Return what a subscription owes and what can pay it; None if it owes nothing, or a charge of it is under way.

    Asks the provider for its payments and the customer's methods.
    """
    if row.status not in OWING or attempts.get_live_of_subscription(shop.store, row.provider_subscription_id):
        return None
    try:
        methods, seen = _ask(shop, row, budget=shop.dodo.budget(_READ_S))
    except _Refused as refused:
        return DuesForm(amount=None, failed_at=row.next_billing_at, reason=refused.reason)
    owed = _owed(shop, row, seen)
    return DuesForm(
        amount=owed.amount,
        failed_at=owed.failed_at,
        cards=_choices(shop, row, methods),
        shown=owed_hash(owed),
        reason=_in_the_way(shop, seen),
        has_bank_page=_bank_url(shop, seen) is not None,
    )


def bank_url(shop: Shop, row: Subscription) -> str | None:
    """Return where a payment of a subscription that waits for its buyer's bank is confirmed; None if unknown.

    It is one of the provider's own, or was begun elsewhere: a try of ours has its own page.
    """
    if row.status not in OWING or attempts.get_live_of_subscription(shop.store, row.provider_subscription_id):
        return None
    told = payments.list_of_subscription(shop.store, row.provider_subscription_id, since=row.previous_billing_at or 0)
    return _bank_url(shop, map(kind.as_seen, told))


def _in_the_way(shop: Shop, seen: Iterable[SeenPayment]) -> Refusal | None:
    """Say why nothing more may be charged: a payment of the subscription may still succeed, or has just done so."""
    listed = list(seen)
    if is_under_way(listed, now=shop.now()):
        return "under_way"
    return "at_bank" if _at_bank(shop, listed) else None


def _at_bank(shop: Shop, seen: Iterable[SeenPayment]) -> list[str]:
    """Return the payments that wait for the buyer's bank; one whose page the buyer has left is given up."""

    def is_given_up(payment_id: str) -> bool:
        attempt = attempts.get_by_payment(shop.store, payment_id)
        return attempt is not None and attempt.state not in LIVE

    return [name for name in waiting_for_bank(seen, now=shop.now()) if not is_given_up(name)]


def _bank_url(shop: Shop, seen: Iterable[SeenPayment]) -> str | None:
    for payment_id in _at_bank(shop, seen):
        payment = payments.get_payment(shop.store, payment_id)
        link = payment.payment_link if payment else None
        if link and is_checkout_url(link, shop.settings.checkout_hosts):
            return link
    return None


def _news(shop: Shop, row: Subscription, seen: list[SeenPayment], *, asked_at: int) -> list[SeenPayment]:
    """Return the subscription's payments as asked for, with what events and looks have shown of them since."""
    # What was stored since we asked is at least as new as the list, and what was stored before may be older than it.
    since = min((payment.at for payment in seen), default=0)
    told = payments.list_of_subscription(shop.store, row.provider_subscription_id, since=since)
    later = [kind.as_seen(payment) for payment in told if payment.observed_at >= asked_at]
    return list({payment.payment_id: payment for payment in (*seen, *later)}.values())


def _ask(shop: Shop, row: Subscription, *, budget: Budget) -> tuple[list[SavedMethod], list[SeenPayment]]:
    """Read the customer's methods and the subscription's payments of this period, side by side."""
    if not (budgets.take_soon(shop, "status") and budgets.take_soon(shop, "status")):
        raise _Refused("no_answer")
    methods = quoting.aside(shop, lambda: quoting.read_methods(shop, row.customer_id, budget=budget))
    found = shop.dodo.payments.list_all(
        customer_id=row.customer_id,
        subscription_id=row.provider_subscription_id,
        created_at_gte=row.previous_billing_at,
        budget=budget,
    )
    try:
        listed = methods.result()
    except ProviderError as error:
        budgets.heed(shop, error)
        if not (isinstance(error, NotExecuted) and error.status == 404):
            raise _Refused("no_answer") from error
        listed = []
    if not found.is_clean:
        if found.fault is not None:
            budgets.heed(shop, found.fault)
        raise _Refused("no_answer")
    own = [item for item in found.items if item.subscription_id == row.provider_subscription_id]
    return listed, [kind.seen(item) for item in own]


def _owed(shop: Shop, row: Subscription, seen: list[SeenPayment]) -> Owed:
    def read(number: int) -> Owed:
        return read_owed(
            seen,
            subscription_id=row.provider_subscription_id,
            billing_at=row.next_billing_at,
            number=number,
            now=shop.now(),
        )

    return read(rows.count_answered(shop.store, read(0).billing, now=shop.now()))


def _choices(shop: Shop, row: Subscription, methods: list[SavedMethod]) -> tuple[CardChoice, ...]:
    """Return the methods to choose from; the one that has just failed is the last to be proposed."""
    cards = plan_cards.choices(shop, row, methods, chosen=None)
    can_pay = [m.payment_method_id for m, card in zip(methods, cards, strict=True) if card.reason is None]
    proposed = next((name for name in can_pay if name != row.payment_method_id), next(iter(can_pay), None))
    return plan_cards.choices(shop, row, methods, chosen=proposed)


# ---- Paying it -------------------------------------------------------------------------------------------------


def pay(
    shop: Shop,
    row: Subscription,
    *,
    name: str | None,
    shown: str,
    buyer_key: str,
    language: str,
    consent_of: Callable[[DuesQuote], Consent],
) -> Taken | NotTaken:
    """Pay what a subscription owes, once, whoever else clicks.

    `name` is the chosen method as `form` gave it; None: a new card, on the provider's page. `shown` is the form's: the
    provider is asked again first, and if anything else is owed by now nothing is sent.
    """
    earlier = _shown_before(shop, row, shown)
    if earlier is not None:
        return Taken(earlier, "taken")
    # One for all that is asked before the charge: the buyer waits for the sum of it.
    budget = shop.dodo.budget(_READ_S)
    try:
        current = _read(shop, row, budget=budget)
        asked_at = shop.now()
        methods, seen = _ask(shop, current, budget=budget)
        owed = _owed(shop, current, seen)
        in_the_way = _in_the_way(shop, seen)
        if in_the_way is not None:
            raise _Refused(in_the_way)
        if owed_hash(owed) != shown:
            raise _Refused("moved")
        method = None if name is None else plan_cards.usable(shop, current, methods, name=name)
        if name is not None and method is None:
            raise _Refused("not_usable")
    except _Refused as refused:
        # Whatever another tab has just done with the same form is the answer to this one, too.
        earlier = _shown_before(shop, row, shown)
        return Taken(earlier, "taken") if earlier else NotTaken(refused.reason)
    quote = DuesQuote(owed, method.as_quoted() if method else None)
    instance_id = _store(shop, current, quote, buyer_key=buyer_key, language=language)
    instance = offer_instances.get_instance(shop.store, instance_id)
    # Another tab may have chosen another card since: then that is the one whose claim is let through.
    if instance is None or instance.state != "shown" or instance.quote_hash != dues_hash(quote):
        return Taken(instance_id, "taken")
    crash_point("claim.checked")

    def newly_in_the_way() -> Refusal | None:
        if card_charges.is_under_way(shop, current):
            return "under_way"
        return _in_the_way(shop, _news(shop, current, seen, asked_at=asked_at))

    charge = _charge(shop, current, instance, quote, newly_in_the_way)
    result = charging.claim_and_send(shop, instance, charge, consent=consent_of(quote))
    unclaimed = offer_instances.get_instance(shop.store, instance_id)
    if unclaimed is not None and unclaimed.state == "shown":
        in_the_way = newly_in_the_way()
        if in_the_way is not None:
            return NotTaken(in_the_way)
    plan_changes.look_now(shop, row.provider_subscription_id)
    return Taken(instance_id, result)


def _shown_before(shop: Shop, row: Subscription, shown: str) -> str | None:
    """Return the instance that a form with the same words was taken for: a double click, or another tab."""
    for found in rows.list_tries(shop.store, row.provider_subscription_id, limit=_MOST_TRIES):
        if owed_hash(thaw_dues(found.quote_json).owed) == shown:
            return found.instance_id
    return None


def _read(shop: Shop, row: Subscription, *, budget: Budget) -> Subscription:
    if not budgets.take_soon(shop, "status"):
        raise _Refused("no_answer")
    name = row.provider_subscription_id
    if not subscriptions.try_subscription(shop, name, budget=budget):
        raise _Refused("no_answer")
    current = subscription_rows.get_by_provider_id(shop.store, name) or row
    if attempts.get_live_of_subscription(shop.store, name) is not None:
        raise _Refused("under_way")
    if current.status in ENDED:
        raise _Refused("ended")
    if current.status not in OWING:
        raise _Refused("nothing_owed")
    return current


def _store(shop: Shop, row: Subscription, quote: DuesQuote, *, buyer_key: str, language: str) -> str:
    """Store this try as an instance and return its id; two tabs share one, whose method is the latest chosen."""
    now = shop.now()
    instance = OfferInstance(
        id=new_id("due"),
        offer_id=rows.OWN_DUES,
        offer_version=0,
        funnel_id="",
        funnel_version=0,
        step_key="",
        placement="account",
        source_ref=quote.owed.source_ref,
        buyer_key=buyer_key,
        customer_id=row.customer_id,
        product_id=row.product_id,
        language=language,
        quote_json=freeze_dues(quote),
        quote_hash=dues_hash(quote),
        moved_from_json=None,
        no_method_reason=None,
        created_at=now,
        expires_at=now + QUOTE_LIFE_MS,
        answered_at=None,
        state="shown",
        kind="dues",
    )
    with shop.store.write():
        if offer_instances.insert_instance(shop.store, instance):
            return instance.id
        known = offer_instances.get_instance(shop.store, rows.get_id_of_try(shop.store, quote.owed.source_ref) or "")
        if known is None:
            raise ValueError(f"{quote.owed.source_ref} is neither new nor known")
        # Left unanswered by a click that died, or under way in another tab: of two claims one is let through.
        offer_instances.mark_requoted(
            shop.store,
            known.id,
            old_hash=known.quote_hash,
            quote_json=instance.quote_json,
            quote_hash=instance.quote_hash,
            moved_from_json=None,
            no_method_reason=None,
            chosen_method_id=None,
        )
        return known.id


def _charge(
    shop: Shop,
    row: Subscription,
    instance: OfferInstance,
    quote: DuesQuote,
    newly_in_the_way: Callable[[], Refusal | None],
) -> charging.Charge:
    return charging.Charge(
        kind="dues",
        attempt_id=new_id("att"),
        body=kind.charge_request(quote, return_url=page_url(shop, instance.id)),
        product_id=row.product_id,
        quantity=row.quantity,
        amount=quote.owed.amount,
        # An event may have told of a payment of the provider's own since the list was read: no second one beside it.
        is_still_offered=lambda: _is_still_owed(shop, quote.owed) and newly_in_the_way() is None,
        subscription_id=row.provider_subscription_id,
        # Queued, it would be sent on a reading up to half a minute old.
        can_wait=False,
        # Asked for by name and signed in by e-mail: the cap is for clicks on what we offer.
        is_capped=False,
    )


def _is_still_owed(shop: Shop, owed: Owed) -> bool:
    """Tell, inside the claim, whether the subscription owes as last read, and nothing has paid this since."""
    row = subscription_rows.get_by_provider_id(shop.store, owed.subscription_id)
    if row is None or row.status not in OWING:
        return False
    # Another tab may be ending the plan this very moment.
    if hold_ends.is_being_ended(shop.store, owed.subscription_id, now=shop.now()):
        return False
    # Paid, it may be seen on hold a moment longer: a form of another tab would be a second charge.
    return not any(
        found.outcome in ("charged", "refunded") and thaw_dues(found.quote_json).owed.billing == owed.billing
        for found in rows.list_tries(shop.store, owed.subscription_id, limit=_MOST_TRIES)
    )


def page_url(shop: Shop, instance_id: str) -> str:
    """Return the address of the page that tells what came of paying dues; the buyer comes back to it."""
    return f"{shop.settings.public_url}/dues/{instance_id}"


def get_dues(shop: Shop, instance_id: str, *, customer_ids: tuple[str, ...]) -> OfferInstance | None:
    """Return a try of one of these customers; anybody else's is as unknown as one that never was."""
    instance = offer_instances.get_instance(shop.store, instance_id)
    is_theirs = instance is not None and instance.kind == "dues" and instance.customer_id in customer_ids
    return instance if is_theirs else None
