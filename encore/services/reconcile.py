"""Reconcile: settle what is unknown and follow what is under way, by asking the provider.

An unknown charge is settled by finding our mark among the customer's payments, never by a second POST. It is called
absent only when its sender has ended, enough clean looks found nothing, and the quarantine was watched in full.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from encore import tokens
from encore.crash_point import crash_point
from encore.dodo import Budget
from encore.dodo.models import PaymentListItem
from encore.errors import NotExecuted, ProviderError
from encore.rules.attempts import LIVE_DIRECT, AttemptEvent, is_absent, next_look_after, sight
from encore.services import bookkeeping, budgets, dues_payments, fallback, observe, settling, subscriptions
from encore.services.shop import Shop
from encore.store import acceptances, attempts, offer_instances, payments
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription

_LEASE_MS = 30_000
# A send that has not come back after this long has lost its thread or its process (its own limit is 13 s).
SENDING_STALE_MS = 25_000
_UNKNOWN_TOO_OLD_MS = 3_600_000
_ACTION_LIFE_MS = 24 * 3_600_000
_LOOK_BUDGET_S = 10.0
# How far before the claim to search: the two machines' clocks may differ by this much.
_CLOCK_SKEW_MS = 15 * 60_000
_FIRST_FOLLOW_MS = 1_000
_SLOWEST_FOLLOW_MS = 5 * 60_000


@dataclass
class Quarantine:
    """The quiet time this worker itself has watched, per attempt, on its own monotonic clock.

    Wall-clock time is no evidence: a clock that jumps, or a machine that slept, would call a late charge absent.
    """

    last_clean_look: dict[str, float] = field(default_factory=dict)

    def watched_ms(self, attempt_id: str, *, monotonic: float) -> int:
        """Return the quiet milliseconds since this worker's last clean look at the attempt, and note this one."""
        previous = self.last_clean_look.get(attempt_id)
        self.last_clean_look[attempt_id] = monotonic
        return 0 if previous is None else int((monotonic - previous) * 1000)

    def forget(self, attempt_id: str) -> None:
        """Start over: the attempt is settled, or a look was not clean."""
        self.last_clean_look.pop(attempt_id, None)


def look_due(shop: Shop, quarantine: Quarantine) -> int:
    """Look at every attempt that is due; returns how many were looked at."""
    due = attempts.list_due(shop.store, now=shop.now(), limit=20)
    for attempt in due:
        if not budgets.take(shop, "reconcile"):
            break
        look(shop, attempt.id, quarantine=quarantine)
    return len(due)


def look(shop: Shop, attempt_id: str, *, quarantine: Quarantine | None = None) -> None:
    """Look at one attempt once, if nobody else is: ask the provider and settle by its answer.

    Without a `quarantine` (a buyer's status request) a look may find the payment but never count as quiet time.
    """
    now = shop.now()
    with shop.store.write():
        if not attempts.claim_lease(shop.store, attempt_id, now=now, until=now + _LEASE_MS):
            return
    crash_point("reconcile.leased")
    attempt = attempts.get_attempt(shop.store, attempt_id)
    if attempt is None:
        return
    if attempt.kind == "hosted":
        _look_at_hosted(shop, attempt)
    elif attempt.state in LIVE_DIRECT:
        _look_at_direct(shop, attempt, quarantine)
    else:
        _give_back(shop, attempt, next_check_at=None)


def look_for_buyer(shop: Shop, attempt: Attempt) -> None:
    """Look at an attempt because its buyer asks, at most once a second and only while the call budget allows."""
    if attempt.lease_until is not None and shop.now() < attempt.lease_until:
        return
    if budgets.take(shop, "status"):
        look(shop, attempt.id)


def _look_at_hosted(shop: Shop, attempt: Attempt) -> None:
    fallback.look(shop, attempt)
    current = attempts.get_attempt(shop.store, attempt.id) or attempt
    is_live = current.state in ("opening", "hosted_open", "pending")
    _give_back(shop, current, next_check_at=_next_check(shop, current) if is_live else None)


def _look_at_direct(shop: Shop, attempt: Attempt, quarantine: Quarantine | None) -> None:
    _note_sender(shop, attempt)
    find = _FINDERS.get(attempt.kind, _find)
    is_clean = find(shop, attempt)
    current = attempts.get_attempt(shop.store, attempt.id) or attempt
    if current.state not in LIVE_DIRECT:
        if quarantine is not None:
            quarantine.forget(attempt.id)
        _give_back(shop, current, next_check_at=None)
        return
    if current.state in ("sending", "unknown"):
        _count_miss(shop, current, quarantine, is_clean=is_clean)
    else:
        _drop_old_action(shop, current)
        _give_back(shop, current, next_check_at=_next_check(shop, current))


def _note_sender(shop: Shop, attempt: Attempt) -> None:
    """Write down that the sender can put no more bytes on the wire, if that is proven; only then may it be absent."""
    if attempt.state not in ("sending", "unknown"):
        return
    silent_ms = int(shop.settings.quarantine_s * 1000)
    has_ended = attempt.socket_closed_at is not None or shop.presence.has_ended(
        attempt.sender_id, attempt_id=attempt.id, silent_ms=silent_ms
    )
    is_late = attempt.claimed_at is None or shop.now() - attempt.claimed_at >= SENDING_STALE_MS
    with shop.store.write():
        if has_ended:
            attempts.mark_sender_ended(shop.store, attempt.id, now=shop.now())
        if has_ended or is_late:
            event: AttemptEvent = "sender_ended" if has_ended else "sender_silent"
            bookkeeping.apply_event(shop, attempt, event, reason=event, next_check_at=attempt.next_check_at)


def _find_change(shop: Shop, attempt: Attempt) -> bool:
    """Look for a plan change and its payment and settle by them; True if a clean look found neither."""

    def is_made(row: Subscription, instance: OfferInstance) -> bool:
        return subscriptions.has_become(row, instance.quote_json)

    return _find_with_subscription(shop, attempt, is_done=is_made, among=("sending", "unknown", "pending"))


def _find_dues(shop: Shop, attempt: Attempt) -> bool:
    """Look for the payment of dues and settle by it; True if it is missing and the subscription still does not run."""

    def runs(row: Subscription, _: OfferInstance) -> bool:
        return row.status == "active"

    return _find_with_subscription(shop, attempt, is_done=runs, among=("sending", "unknown"))


def _find_with_subscription(
    shop: Shop,
    attempt: Attempt,
    *,
    is_done: Callable[[Subscription, OfferInstance], bool],
    among: tuple[str, ...],
) -> bool:
    """Look for what an attempt was to make of its subscription, and for its payment; True if neither is there.

    What is done without a payment for as long as a quarantine has cost nothing, and is kept as that.
    """
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id)
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id) if acceptance else None
    if acceptance is None or instance is None:
        return False
    try:
        # Before its payments: what made it what it is must be among them then.
        row = subscriptions.observe_subscription(
            shop, str(attempt.subscription_id), budget=shop.dodo.budget(_LOOK_BUDGET_S)
        )
    except ProviderError:
        return False
    has_no_payment = _find(shop, attempt, among=among)
    if row is None or not is_done(row, instance):
        current = attempts.get_attempt(shop.store, attempt.id)
        return has_no_payment and current is not None and current.state in ("sending", "unknown")
    if has_no_payment and shop.now() - (attempt.claimed_at or 0) >= shop.settings.quarantine_s * 1000:
        with shop.store.write():
            settling.keep_without_payment(shop, attempt, acceptance, instance)
    return False


def _find(shop: Shop, attempt: Attempt, *, among: tuple[str, ...] = ("sending", "unknown")) -> bool:
    """Look for the attempt's payment and settle by it; True if the look was clean and found nothing.

    `among` are the states in which finding nothing means something.
    """
    budget = shop.dodo.budget(_LOOK_BUDGET_S)
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id)
    if acceptance is None:
        return False
    try:
        if attempt.provider_payment_id is not None:
            _follow(shop, attempt, attempt.provider_payment_id, budget=budget)
            return False
        # A list that lacks a payment we know is not whole, so one of those is always asked for too.
        known = payments.get_latest_of_customer(shop.store, acceptance.customer_id, but_of=attempt.id)
        since = (attempt.claimed_at or attempt.created_at) - _CLOCK_SKEW_MS
        if known is not None:
            since = min(since, known.created_at)
        found = shop.dodo.payments.list_all(customer_id=acceptance.customer_id, created_at_gte=since, budget=budget)
        crash_point("reconcile.page_read")
        for item in observe.list_unsettled(shop, found.items):
            observe.observe_payment(shop, item.payment_id, budget=budget)
    except ProviderError:
        return False
    current = attempts.get_attempt(shop.store, attempt.id)
    if current is None or current.state not in among:
        return False
    listed = {item.payment_id for item in found.items}
    is_whole = found.is_clean and (known is None or known.id in listed)
    # A row with our mark that settled nothing is a sight of the payment, however its own read went wrong.
    return is_whole and not any(_names(shop, item, attempt, acceptance.customer_id) for item in found.items)


_FINDERS = {"plan_change": _find_change, "dues": _find_dues}


def _names(shop: Shop, item: PaymentListItem, attempt: Attempt, customer_id: str) -> bool:
    if attempt.kind == "dues":
        # One that failed was read in full before this, and is none of ours if that has not settled the attempt.
        owner = dues_payments.owner_of(shop, item) if sight(item.status) != "failed" else None
        return owner is not None and owner.id == attempt.id
    return item.mark("attempt_id") == attempt.id and tokens.is_mark(
        shop.settings.attempt_sig_keys, item.mark("attempt_sig"), attempt.id, customer_id
    )


def _follow(shop: Shop, attempt: Attempt, payment_id: str, *, budget: Budget) -> None:
    """Read the payment an answer named; if there is no such payment of ours, the attempt is unknown again.

    Only once the quarantine's length has passed since the send: a payment just made may not be readable yet.
    """
    try:
        is_ours = observe.observe_payment(shop, payment_id, budget=budget)
    except NotExecuted as refusal:
        if refusal.status != 404:
            raise
        is_ours = False
    age_ms = shop.now() - (attempt.claimed_at or attempt.created_at)
    if is_ours or age_ms < shop.settings.quarantine_s * 1000 or payments.get_payment(shop.store, payment_id):
        return
    with shop.store.write():
        attempts.mark_payment_disproved(shop.store, attempt.id)
        bookkeeping.apply_event(
            shop, attempt, "answer_disproved", reason="no_such_payment", next_check_at=_next_check(shop, attempt)
        )


def _count_miss(shop: Shop, attempt: Attempt, quarantine: Quarantine | None, *, is_clean: bool) -> None:
    # Silence counts only once the sender has ended: one that pauses after its window check may still write, and time
    # watched before that would call its charge absent at the very moment the request is under way.
    is_evidence = is_clean and attempt.socket_closed_at is not None
    quiet_ms = 0
    if quarantine is not None and is_evidence:
        quiet_ms = quarantine.watched_ms(attempt.id, monotonic=shop.clock.monotonic())
    elif quarantine is not None:
        quarantine.forget(attempt.id)
    # A buyer's look leaves the worker's where it was: a page that asks often would put it off for ever.
    keeps_turn = quarantine is None and attempt.next_check_at is not None
    with shop.store.write():
        attempts.mark_looked(
            shop.store,
            attempt.id,
            clean_misses=1 if quarantine is not None and is_evidence else 0,
            quiet_ms=quiet_ms,
            next_check_at=attempt.next_check_at if keeps_turn else _next_check(shop, attempt, was_clean=is_clean),
        )
    crash_point("reconcile.miss_committed")
    current = attempts.get_attempt(shop.store, attempt.id)
    if current is None:
        return
    if current.state == "unknown" and is_absent(
        sender_ended=current.socket_closed_at is not None,
        clean_misses=current.clean_misses,
        quiet_ms=current.quiet_ms,
        quarantine_ms=int(shop.settings.quarantine_s * 1000),
        is_named_by_webhook=current.webhook_named_at is not None,
    ):
        _call_absent(shop, current)
        if quarantine is not None:
            quarantine.forget(attempt.id)
    elif shop.now() - attempt.created_at >= _UNKNOWN_TOO_OLD_MS:
        with shop.store.write():
            # Read again inside: settled meanwhile, nothing would end the alarm any more.
            latest = attempts.get_attempt(shop.store, attempt.id)
            if latest is not None and latest.state == "unknown":
                bookkeeping.raise_alarm(shop, "unknown_too_old", object_id=attempt.id, detail=attempt.reason or "")


def _call_absent(shop: Shop, attempt: Attempt) -> None:
    with shop.store.write():
        if not bookkeeping.apply_event(shop, attempt, "found_absent", reason="quarantine"):
            return
        acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id)
        if acceptance is not None:
            settling.tell_not_charged(shop, attempt, acceptance)
        crash_point("reconcile.absent_uncommitted")
    crash_point("reconcile.absent_committed")


def _drop_old_action(shop: Shop, attempt: Attempt) -> None:
    """End a bank step nobody finished within a day; a later success is returned."""
    if attempt.state != "action_required" or shop.now() - attempt.changed_at < _ACTION_LIFE_MS:
        return
    fallback.close_yes(shop, attempt.acceptance_id, event="day_passed")


def _give_back(shop: Shop, attempt: Attempt, *, next_check_at: int | None) -> None:
    with shop.store.write():
        attempts.mark_looked(shop.store, attempt.id, clean_misses=0, quiet_ms=0, next_check_at=next_check_at)


def _next_check(shop: Shop, attempt: Attempt, *, was_clean: bool = True) -> int:
    now, age_ms = shop.now(), shop.now() - (attempt.claimed_at or attempt.created_at)
    if attempt.state not in ("sending", "unknown"):
        # A buyer who reads, or is at the bank, is in no hurry, and webhooks tell: ask ever less often.
        return now + max(_FIRST_FOLLOW_MS, min(age_ms // 4, _SLOWEST_FOLLOW_MS))
    quarantine_ms = int(shop.settings.quarantine_s * 1000)
    return now + next_look_after(
        age_ms,
        looks_s=shop.settings.looks_s,
        every_s=shop.settings.look_every_s,
        was_clean=was_clean,
        quiet_left_ms=quarantine_ms - attempt.quiet_ms,
    )
