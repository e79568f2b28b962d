"""Fallback: the standard checkout for a yes that one click could not or may not charge, and the way to the bank.

One way to pay at a time: a hosted session is opened only when no try of the same yes is live, and the one that was
opened stays the one that is shown for as long as it lives.
"""

import json
from dataclasses import asdict
from time import sleep
from typing import Literal

import structlog

from encore.crash_point import crash_point
from encore.dodo.urls import is_checkout_url
from encore.errors import NotExecuted, ProviderError
from encore.ids import new_id
from encore.rules.attempts import LIVE, sight
from encore.rules.quotes import thaw
from encore.services import bookkeeping, budgets, customer_sessions, observe, quoting
from encore.services.bindings import is_bound
from encore.services.charging import is_still_offered
from encore.services.consent import hosted_consent
from encore.services.kinds import one_time
from encore.services.shop import Shop
from encore.store import acceptances, attempts, customers, offer_instances, orders, payments
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance

log = structlog.get_logger("encore.fallback")

# A session that was being made for this long has been given up by its maker; any request may make another.
OPENING_STALE_MS = 25_000
YES_LIFE_MS = 24 * 3_600_000
_CLOSING_BUDGET_S = 4.0
# A session takes the provider moments to make; after these looks at its row the page says to try again.
_OPENING_LOOKS, _OPENING_LOOK_S = 30, 0.05


def open_checkout(shop: Shop, instance_id: str, *, buyer_key: str, buy_again: bool = False) -> str | None:
    """Return where the buyer pays a yes (the hosted checkout) or confirms it (the bank); None when neither is open.

    `buy_again`: the page said that the product is owned already, and the buyer wants another.
    """
    instance = offer_instances.get_instance(shop.store, instance_id)
    if instance is None or not is_bound(shop, instance, buyer_key):
        return None
    if instance.state == "shown" and instance.kind == "plan_change":
        # The checkout would sell a second subscription.
        return None
    if instance.state == "shown":
        try:
            instance = _claim_for_checkout(shop, instance, buy_again=buy_again)
        except _NotTaken:
            return None
    acceptance = acceptances.get_of_instance(shop.store, instance_id)
    if acceptance is None or acceptance.outcome not in ("open", "needs_checkout"):
        return None
    live = [a for a in attempts.list_of_acceptance(shop.store, acceptance.id) if a.state in LIVE]
    if live:
        return _way_of(shop, live[0], acceptance, instance)
    if acceptance.outcome != "needs_checkout":
        return None
    return _open_session(shop, acceptance, instance)


def _claim_for_checkout(shop: Shop, instance: OfferInstance, *, buy_again: bool) -> OfferInstance:
    """Take the yes to an offer that has no one-click button: the same claim, with nothing of ours to charge.

    Returns the instance as it was claimed, or as it was found if somebody was first.
    """
    with shop.store.write():
        now = shop.now()
        is_ours = offer_instances.claim_instance(shop.store, instance.id, quote_hash=None, now=now)
        # Read behind the claim: another tab may have chosen another quantity a moment ago, and no quote moves after it.
        instance = offer_instances.get_instance(shop.store, instance.id) or instance
        if not is_ours:
            return instance
        quote = thaw(instance.quote_json)
        acceptance = Acceptance(
            id=new_id("acc"),
            consent_json=json.dumps(asdict(hosted_consent(instance.language)), sort_keys=True),
            offer_instance_id=instance.id,
            customer_id=instance.customer_id,
            product_id=quote.product_id,
            quantity=quote.quantity,
            amount=None,
            currency=None,
            undo_at=None,
            created_at=now,
            closed_at=None,
            close_reason=None,
            outcome="needs_checkout",
        )
        if not acceptances.insert_acceptance(shop.store, acceptance) or not is_still_offered(
            shop, instance, buy_again=buy_again
        ):
            raise _NotTaken
        bookkeeping.record(shop, "offer.accepted", instance_id=instance.id, acceptance_id=acceptance.id)
        offer_instances.insert_event(shop.store, instance.id, kind="accepted", now=now)
        return instance


class _NotTaken(Exception):
    """Rolls the claim back: the customer has another open yes, or the offer may not be taken any more."""


def _way_of(shop: Shop, attempt: Attempt, acceptance: Acceptance, instance: OfferInstance) -> str | None:
    if attempt.state == "action_required":
        payment = payments.get_payment(shop.store, attempt.provider_payment_id) if attempt.provider_payment_id else None
        link = payment.payment_link if payment else None
        return link if link and is_checkout_url(link, shop.settings.checkout_hosts) else None
    if attempt.state == "hosted_open":
        return _address_of(shop, attempt, instance)
    if attempt.state != "opening":
        return None
    is_stale = shop.now() - attempt.changed_at >= OPENING_STALE_MS
    return (
        _create_session(shop, attempt, acceptance, instance) if is_stale else _await_session(shop, attempt.id, instance)
    )


def _await_session(shop: Shop, attempt_id: str, instance: OfferInstance) -> str | None:
    """Wait a moment for the session that another tab is making; None if it is not there then."""
    for _ in range(_OPENING_LOOKS):
        attempt = attempts.get_attempt(shop.store, attempt_id)
        if attempt is None or attempt.state != "opening":
            return _address_of(shop, attempt, instance) if attempt and attempt.state == "hosted_open" else None
        sleep(_OPENING_LOOK_S)
    return None


def _open_session(shop: Shop, acceptance: Acceptance, instance: OfferInstance) -> str | None:
    now = shop.now()
    attempt = Attempt(
        id=new_id("att"),
        acceptance_id=acceptance.id,
        kind="hosted",
        state="opening",
        claimed_at=now,
        next_check_at=now + OPENING_STALE_MS,
        created_at=now,
        changed_at=now,
    )
    if not budgets.take_soon(shop, "checkout"):
        log.warning("hosted.not_opened", reason="call_budget", acceptance_id=acceptance.id)
        return None
    with shop.store.write():
        # Read again inside: another tab, or a late success, may have ended the yes since it was looked at.
        current = acceptances.get_acceptance(shop.store, acceptance.id)
        if current is None or current.outcome != "needs_checkout":
            return None
        # `one_live_attempt` lets one of two tabs through; the other waits for the session the first one stores.
        is_ours = attempts.insert_attempt(shop.store, attempt)
        if is_ours:
            bookkeeping.record(shop, "checkout.opening", attempt_id=attempt.id, acceptance_id=acceptance.id)
    if not is_ours:
        live = [a for a in attempts.list_of_acceptance(shop.store, acceptance.id) if a.state in LIVE]
        return _way_of(shop, live[0], acceptance, instance) if live else None
    crash_point("hosted.opening_committed")
    return _create_session(shop, attempt, acceptance, instance)


def _create_session(shop: Shop, attempt: Attempt, acceptance: Acceptance, instance: OfferInstance) -> str | None:
    try:
        created, customer_id = customer_sessions.create(
            lambda customer: shop.dodo.checkouts.create(
                _request(shop, attempt, acceptance, instance, customer), budget=shop.dodo.budget()
            ),
            # Whoever has proven the address is known to the page; whoever has only paid is not.
            customer_id=instance.customer_id if quoting.may_choose(shop, instance) else None,
        )
    except NotExecuted as refusal:
        budgets.heed(shop, refusal)
        log.warning("hosted.not_opened", reason=refusal.code, attempt_id=attempt.id)
        _close_refused(shop, attempt, code=refusal.code)
        return None
    except ProviderError as error:
        log.warning("hosted.not_opened", reason=str(error), attempt_id=attempt.id)
        return None
    crash_point("hosted.posted")
    url = created.checkout_url
    if url is None or not is_checkout_url(url, shop.settings.checkout_hosts):
        log.warning("hosted.not_opened", reason="address", attempt_id=attempt.id)
        return None
    with shop.store.write():
        # Only the session stored here is ever shown: of two made at once the later one is forgotten unpaid.
        if bookkeeping.apply_event(
            shop, attempt, "session_created", next_check_at=shop.now() + bookkeeping.look_after_ms(shop, 0)
        ):
            attempts.mark_ids(shop.store, attempt.id, session_id=created.session_id, checkout_url=url)
            customer_sessions.note(shop, created.session_id, customer_id=customer_id)
    crash_point("hosted.stored")
    current = attempts.get_attempt(shop.store, attempt.id)
    return _address_of(shop, current, instance) if current else None


def _address_of(shop: Shop, attempt: Attempt, instance: OfferInstance) -> str | None:
    """Return the address of an open session, or of the sign-in for one that was opened with an account now over."""
    if not customer_sessions.is_known(shop, attempt.provider_session_id) or quoting.may_choose(shop, instance):
        return attempt.checkout_url
    return customer_sessions.sign_in_url(shop, bookkeeping.return_url(shop, instance))


def _request(
    shop: Shop, attempt: Attempt, acceptance: Acceptance, instance: OfferInstance, customer_id: str | None
) -> dict[str, object]:
    order = orders.get_order(shop.store, instance.follows)
    customer = customers.get_customer(shop.store, order.customer_id) if order else None
    return one_time.checkout_request(
        thaw(instance.quote_json),
        customer_id=customer_id,
        email=customer.email if customer else None,
        billing=quoting.billing_of(shop, instance.follows),
        return_url=bookkeeping.return_url(shop, instance),
        metadata=bookkeeping.attribution(
            shop,
            instance,
            role=quoting.role_of(shop, instance),
            attempt_id=attempt.id,
            customer_id=acceptance.customer_id,
        ),
        is_currency_the_reason=instance.no_method_reason == "method.currency",
    )


def _close_refused(shop: Shop, attempt: Attempt, *, code: str) -> None:
    with shop.store.write():
        is_gone = code in ("PRODUCT_IS_DELETED", "MISSING_PRODUCT_INFORMATION")
        bookkeeping.apply_event(shop, attempt, "product_gone" if is_gone else "session_refused", reason=code)


def continue_without(shop: Shop, instance_id: str, *, buyer_key: str) -> None:
    """Take back a yes that is not paid (W18): the failed edge follows, and the product is not suppressed.

    Does nothing while a charge may be under way. A hosted session is read first: a payment under way there makes the
    yes pending; if it cannot be read the no stands, and a later success goes back.
    """
    instance = offer_instances.get_instance(shop.store, instance_id)
    acceptance = acceptances.get_of_instance(shop.store, instance_id)
    if instance is None or acceptance is None or not is_bound(shop, instance, buyer_key):
        return
    for attempt in attempts.list_of_acceptance(shop.store, acceptance.id):
        if attempt.state == "hosted_open":
            look(shop, attempt)
    close_yes(shop, acceptance.id, event="buyer_declined")
    if instance.kind == "plan_change":
        # A change that was not paid is closed already; its page stands until the buyer goes on.
        with shop.store.write():
            acceptances.mark_left(shop.store, acceptance.id)


def close_yes(shop: Shop, acceptance_id: str, *, event: Literal["buyer_declined", "day_passed"]) -> bool:
    """Close a yes that has no charge under way, and the sessions and bank steps left open for it."""
    with shop.store.write():
        tries = attempts.list_of_acceptance(shop.store, acceptance_id)
        if any(a.state in ("queued", "sending", "unknown", "pending") for a in tries):
            return False
        for attempt in tries:
            if attempt.state in LIVE:
                bookkeeping.apply_event(shop, attempt, event, reason=event)
        return acceptances.mark_outcome(
            shop.store,
            acceptance_id,
            outcome="closed",
            leaving=("open", "needs_checkout"),
            now=shop.now(),
            reason=event,
        )


def look(shop: Shop, attempt: Attempt) -> bool:
    """Ask the provider for a hosted session and settle by its payment; False if it gave no answer."""
    if attempt.provider_session_id is None:
        return True
    budget = shop.dodo.budget(_CLOSING_BUDGET_S)
    try:
        session = shop.dodo.checkouts.get(attempt.provider_session_id, budget=budget)
    except NotExecuted as refusal:
        if refusal.status == 404:
            with shop.store.write():
                bookkeeping.apply_event(shop, attempt, "session_expired", reason="session_gone")
        return refusal.status == 404
    except ProviderError:
        return False
    crash_point("hosted.closing_read")
    return session.payment_id is None or observe.try_payment(shop, session.payment_id, budget=budget)


def close_due(shop: Shop) -> int:
    """Close yeses that waited a day for the standard checkout; returns how many."""
    overdue = acceptances.list_overdue(shop.store, before=shop.now() - YES_LIFE_MS, limit=20)
    return sum(_close_overdue(shop, acceptance) for acceptance in overdue)


def _close_overdue(shop: Shop, acceptance: Acceptance) -> bool:
    for attempt in attempts.list_of_acceptance(shop.store, acceptance.id):
        if attempt.kind != "hosted" or attempt.state not in LIVE:
            continue
        # A payment may be under way in a session we cannot read: then the day waits until we can.
        if not look(shop, attempt):
            return False
        _drop_unfinished(shop, attempt)
    return close_yes(shop, acceptance.id, event="day_passed")


def _drop_unfinished(shop: Shop, attempt: Attempt) -> None:
    """End a hosted payment whose bank step nobody finished within a day; a later success is returned."""
    current = attempts.get_attempt(shop.store, attempt.id) or attempt
    if current.state != "pending" or shop.now() - current.changed_at < YES_LIFE_MS:
        return
    payment = payments.get_payment(shop.store, current.provider_payment_id or "")
    if payment is not None and sight(payment.status) == "requires_action":
        with shop.store.write():
            bookkeeping.apply_event(shop, current, "action_day_passed", reason="day_passed")
