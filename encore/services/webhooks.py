"""Webhooks: verified, stored, then acknowledged; the worker processes each once, reading the object again.

A delivery's body is a hint. What it says of a payment is never believed: order, repetition and loss change nothing.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from encore import tokens
from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.models import WebhookEnvelope
from encore.dodo.webhooks import parse, verify
from encore.errors import BadSignature, NotExecuted, ProviderError, RateLimited, UnreadableEvent
from encore.rules.attempts import sight
from encore.services import bookkeeping, budgets, dues_payments, grants, observe, offers, subscriptions
from encore.services.shop import Shop
from encore.store import StoreFull, attempts, meta, webhook_events
from encore.store.webhook_events import WebhookEvent

log = structlog.get_logger("encore.webhooks")

# Every event type of the provider's contract. Source: Dodo's API, SDK 1.123.0.
KNOWN_TYPES = frozenset(
    f"{noun}.{word}"
    for noun, words in {
        "payment": "succeeded failed processing cancelled",
        "refund": "succeeded failed",
        "dispute": "opened expired accepted cancelled challenged won lost",
        "subscription": "active renewed on_hold past_due paused unpaused cancelled failed expired plan_changed"
        " updated update_payment_method",
        "license_key": "created",
        "payout": "created on_hold in_progress failed success",
        "credit": "added deducted expired rolled_over rollover_forfeited overage_charged overage_reset"
        " manual_adjustment balance_low",
        "abandoned_checkout": "detected recovered",
        "dunning": "started recovered",
        "entitlement_grant": "created delivered failed revoked",
    }.items()
    for word in words.split()
)
_OF_SUBSCRIPTIONS = "subscription."
_OF_GRANTS = ("entitlement_grant.", "license_key.")
# These name a subscription, or a payment, whose refunds and disputes are part of it, or the customer of a grant:
# reading that again tells all.
ACTED_ON = ("payment.", "refund.", "dispute.", _OF_SUBSCRIPTIONS, *_OF_GRANTS)
UNREADABLE = "unreadable"

_REJECTED = "webhook.rejected."
_REJECTED_AT = "webhook.rejected_at"
_REJECTED_REASON = "webhook.rejected_reason"
_SKEWED = "webhook.skewed"
_CLOCK_ALARM = ("clock_skew", "webhooks")
_DEAD_ALARM = "webhook_dead"
# A few late deliveries are a slow line; twenty in a row, with no good one between, are a wrong clock.
_MOST_SKEWED = 20

_LEASE_MS = 30_000
_OBSERVE_S = 8.0
_NO_BUDGET_MS = 1_000
# The waits between the tries of one delivery: 12 tries within some 26 hours, as long as the provider itself tries.
_RETRY_MS = (
    *(1_000, 5_000, 30_000, 120_000, 600_000, 1_800_000),
    *(3_600_000, 7_200_000, 14_400_000, 21_600_000, 21_600_000),
)


@dataclass(frozen=True, kw_only=True)
class Rejections:
    """Deliveries refused so far by reason; the newest one's time (epoch milliseconds) and reason, None if none."""

    counts: dict[str, int]
    latest_at: int | None
    latest_reason: str | None


@dataclass(frozen=True)
class _Done:
    """Nothing is left to do; `note` says what was not acted on and why."""

    note: str | None = None


@dataclass(frozen=True)
class _Later:
    """Not now: the order or the provider may be there at the next try."""

    note: str
    is_ours: bool = True


@dataclass(frozen=True)
class _NoBudget:
    """The provider's call limit is needed for money: a little later, and not counted as a try."""


_Outcome = _Done | _Later | _NoBudget


def receive(shop: Shop, headers: Mapping[str, str], body: bytes) -> Literal["stored"]:
    """Verify a delivery and store it; only after this returns may it be answered with a 2xx.

    Raises BadSignature for anything not proven to be the provider's, and StoreFull when nothing can be stored:
    the provider then tries again.
    """
    try:
        proven = verify(headers, body, shop.settings.webhook_keys)
    except BadSignature as error:
        _count_rejected(shop, error.reason)
        raise
    crash_point("inbox.verified")
    envelope = _read(body)
    text = body.decode("utf-8")
    with shop.store.write():
        is_new = webhook_events.insert_event(
            shop.store,
            webhook_id=proven.webhook_id,
            body_sha256=hashlib.sha256(body).hexdigest(),
            body=text,
            event_type=envelope.type if envelope else UNREADABLE,
            state="received" if envelope else "dead",
            note=None if envelope else UNREADABLE,
            now=shop.now(),
        )
        if is_new and envelope is None:
            _raise_dead(shop, proven.webhook_id, detail="signed, but not a body we can read")
        if envelope is not None:
            _note_named_attempt(shop, envelope)
            _note_named_dues(shop, envelope)
        _note_good_clock(shop)
        crash_point("inbox.uncommitted")
    crash_point("inbox.committed")
    return "stored"


def process_next(shop: Shop) -> bool:
    """Process the delivery that is due, if there is one; False when none is."""
    now = shop.now()
    # Looked at first without the write lock, which buyers need: most of the time nothing is due.
    if not webhook_events.has_due(shop.store, now=now):
        return False
    with shop.store.write():
        event = webhook_events.claim_due(shop.store, now=now, lease_until=now + _LEASE_MS)
    if event is None:
        return False
    crash_point("inbox.leased")
    _process(shop, event)
    return True


def process(shop: Shop, webhook_id: str) -> list[WebhookEvent]:
    """Process every delivery with this id again, dead ones too, and return them as they are then."""
    now = shop.now()
    with shop.store.write():
        claimed = webhook_events.claim_again(shop.store, webhook_id, now=now, lease_until=now + _LEASE_MS)
    for event in claimed:
        _process(shop, event)
    return webhook_events.list_of_id(shop.store, webhook_id)


def get_rejections(shop: Shop) -> Rejections:
    """Return what was refused at the door, for `doctor`."""
    found = meta.list_values(shop.store, prefix=_REJECTED)
    return Rejections(
        counts={name.removeprefix(_REJECTED): int(value) for name, value in found.items()},
        latest_at=meta.get_number(shop.store, _REJECTED_AT),
        latest_reason=meta.get_value(shop.store, _REJECTED_REASON),
    )


def _process(shop: Shop, event: WebhookEvent) -> None:
    outcome: _Outcome
    try:
        outcome = _act(shop, event)
    except StoreFull:
        raise
    except RateLimited as error:
        budgets.block(shop, error.reset_at)
        outcome = _NoBudget()
    except NotExecuted as error:
        outcome = _Later(f"the provider refuses: {error.code}")
    except ProviderError as error:
        outcome = _Later(str(error))
    except Exception as error:
        # One delivery that trips over our own fault must not hold up the others behind it.
        log.exception("webhook.failed", webhook_id=event.webhook_id, event_type=event.event_type)
        outcome = _Later(f"our fault: {type(error).__name__}")
    crash_point("inbox.processed")
    with shop.store.write():
        _note_outcome(shop, event, outcome)
    crash_point("inbox.marked")


def _act(shop: Shop, event: WebhookEvent) -> _Outcome:
    try:
        envelope = parse((event.body or "").encode())
    except UnreadableEvent:
        return _Later(UNREADABLE)
    if event.event_type not in KNOWN_TYPES:
        return _Done("unknown type")
    if shop.settings.business_id and envelope.business_id not in (None, shop.settings.business_id):
        return _Done("another business")
    if not event.event_type.startswith(ACTED_ON):
        return _Done("not acted on in this version")
    if event.event_type.startswith(_OF_SUBSCRIPTIONS):
        return _act_on_subscription(shop, envelope)
    if event.event_type.startswith(_OF_GRANTS):
        return _act_on_grants(shop, envelope)
    if envelope.payment_id is None:
        return _Later("names no payment")
    if not budgets.take(shop, "reconcile"):
        return _NoBudget()
    is_known = observe.observe_payment(shop, envelope.payment_id, budget=shop.dodo.budget(_OBSERVE_S))
    if not is_known:
        return _Later("unknown order", is_ours=_names_us(envelope))
    if event.event_type == "payment.succeeded":
        # The buyer is on the way back: what their page needs is fetched before it is asked for.
        offers.prepare(shop, envelope.payment_id)
    return _Done()


def _act_on_subscription(shop: Shop, envelope: WebhookEnvelope) -> _Outcome:
    if envelope.subscription_id is None:
        return _Later("names no subscription")
    if not budgets.take(shop, "reconcile"):
        return _NoBudget()
    budget = shop.dodo.budget(_OBSERVE_S)
    if subscriptions.observe_subscription(shop, envelope.subscription_id, budget=budget) is None:
        return _Later("unknown customer", is_ours=_names_us(envelope))
    return _Done()


def _act_on_grants(shop: Shop, envelope: WebhookEnvelope) -> _Outcome:
    if envelope.customer_id is None:
        return _Later("names no customer")
    if not grants.may_ask(shop, "reconcile"):
        return _NoBudget()
    budget = shop.dodo.budget(_OBSERVE_S)
    if grants.observe_grants(shop, envelope.customer_id, budget=budget):
        return _Done()
    # It may come before the news of what it was given for, which makes the customer ours.
    if not grants.may_ask(shop, "reconcile"):
        return _NoBudget()
    _observe_purchase(shop, envelope, budget=budget)
    if grants.observe_grants(shop, envelope.customer_id, budget=budget):
        return _Done()
    return _Later("unknown customer", is_ours=_names_us(envelope))


def _observe_purchase(shop: Shop, envelope: WebhookEnvelope, *, budget: Budget) -> None:
    """Read the payment or the subscription that a grant names; what it names proves nothing by itself."""
    if envelope.payment_id is not None:
        observe.observe_payment(shop, envelope.payment_id, budget=budget)
    elif envelope.subscription_id is not None:
        subscriptions.observe_subscription(shop, envelope.subscription_id, budget=budget)


def _note_outcome(shop: Shop, event: WebhookEvent, outcome: _Outcome) -> None:
    now = shop.now()
    match outcome:
        case _NoBudget():
            webhook_events.mark_postponed(shop.store, event, next_try_at=now + _NO_BUDGET_MS)
        case _Done(note=note):
            webhook_events.mark_state(shop.store, event, state="done", note=note, now=now)
            bookkeeping.clear_alarm(shop, _DEAD_ALARM, object_id=event.webhook_id)
        case _Later(note=note) if event.tries <= len(_RETRY_MS):
            next_try_at = now + _RETRY_MS[max(event.tries, 1) - 1]
            webhook_events.mark_state(shop.store, event, state="received", note=note, now=now, next_try_at=next_try_at)
        case _Later(note=note, is_ours=False):
            # The account also sells elsewhere: such a payment is nobody's fault and no alarm.
            webhook_events.mark_state(shop.store, event, state="done", note=note, now=now)
        case _Later(note=note):
            webhook_events.mark_state(shop.store, event, state="dead", note=note, now=now)
            _raise_dead(shop, event.webhook_id, detail=f"{event.event_type}: {note}")


def _read(body: bytes) -> WebhookEnvelope | None:
    try:
        return parse(body)
    except UnreadableEvent:
        return None


def _raise_dead(shop: Shop, webhook_id: str, *, detail: str) -> None:
    bookkeeping.raise_alarm(shop, _DEAD_ALARM, object_id=webhook_id, detail=detail)


def _metadata_text(envelope: WebhookEnvelope, name: str) -> str | None:
    metadata = envelope.data.get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else None


def _names_us(envelope: WebhookEnvelope) -> bool:
    return any(_metadata_text(envelope, name) for name in ("attempt_id", "checkout_id"))


def _note_named_attempt(shop: Shop, envelope: WebhookEnvelope) -> None:
    """Write down, with the delivery itself, that an attempt reached the provider: it is no longer called absent."""
    attempt_id = _metadata_text(envelope, "attempt_id")
    customer = envelope.data.get("customer")
    customer_id = customer.get("customer_id") if isinstance(customer, dict) else None
    if attempt_id is None or not isinstance(customer_id, str):
        return
    signature = _metadata_text(envelope, "attempt_sig")
    if tokens.is_mark(shop.settings.attempt_sig_keys, signature, attempt_id, customer_id):
        attempts.mark_webhook_named(shop.store, attempt_id, now=shop.now())


def _note_named_dues(shop: Shop, envelope: WebhookEnvelope) -> None:
    """The same for dues, whose payments bear no mark: an event that tells of one is enough not to say 'absent'."""
    payment = envelope.payment
    if payment is None or sight(payment.status) == "failed":
        return
    attempt = dues_payments.owner_of(shop, payment)
    if attempt is not None:
        attempts.mark_webhook_named(shop.store, attempt.id, now=shop.now())


def _count_rejected(shop: Shop, reason: str) -> None:
    # A stranger's forgery must get its 401 even while the store takes no writes.
    with suppress(StoreFull), shop.store.write():
        meta.mark_counted(shop.store, _REJECTED + reason)
        meta.mark_value(shop.store, _REJECTED_AT, value=shop.now())
        meta.mark_value(shop.store, _REJECTED_REASON, value=reason)
        if reason in ("too_old", "too_new"):
            _note_skewed(shop)


def _note_skewed(shop: Shop) -> None:
    meta.mark_counted(shop.store, _SKEWED)
    if (meta.get_number(shop.store, _SKEWED) or 0) >= _MOST_SKEWED:
        kind, object_id = _CLOCK_ALARM
        detail = f"the last {_MOST_SKEWED} deliveries carry times over 5 min from ours: set the clock"
        bookkeeping.raise_alarm(shop, kind, object_id=object_id, detail=detail)


def _note_good_clock(shop: Shop) -> None:
    if meta.get_number(shop.store, _SKEWED):
        meta.mark_value(shop.store, _SKEWED, value=0)
        kind, object_id = _CLOCK_ALARM
        bookkeeping.clear_alarm(shop, kind, object_id=object_id)
