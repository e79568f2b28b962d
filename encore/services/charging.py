"""Charging a yes with one click: claim (commit), one POST with no transaction open, settle (commit).

The protocol is `charging.md`. Nothing here repeats a charging POST, and nothing calls an unknown outcome a failure.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, assert_never

from encore.crash_point import crash_point
from encore.dodo.answers import Accepted, Answer, NotSent, Refused, UnknownAnswer
from encore.dodo.models import Payment
from encore.errors import ProviderError
from encore.ids import new_id
from encore.rules.attempts import AttemptKind
from encore.rules.card_declines import HARD, SOFT
from encore.rules.money import Money
from encore.rules.quotes import Quote, thaw
from encore.services import bookkeeping, budgets, observe, quoting
from encore.services.bindings import is_bound
from encore.services.consent import Consent
from encore.services.kinds import one_time
from encore.services.processes import is_silent
from encore.services.shop import SEND_SLOTS, Shop
from encore.services.standing import standing_of
from encore.store import StoreFull, acceptances, attempts, offer_instances, processes
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt, Holders
from encore.store.offer_instances import OfferInstance

# A queued yes that could not be sent for this long is not sent any more: the buyer has been told to wait, not to guess.
QUEUE_LIFE_MS = 30_000
# Five unknowns among ten sends in a minute: the provider is in trouble, so no more money is put at stake for a minute.
_STORM_SENDS, _STORM_UNKNOWNS, _STORM_MS = 10, 5, 60_000
_STATUS_READ_S = 2.0

AcceptResult = Literal["taken", "moved", "limited", "unavailable"]


class _NotTaken(Exception):
    """Rolls a claim back; `result` is what the page is told."""

    def __init__(self, result: AcceptResult) -> None:
        self.result: AcceptResult = result


@dataclass(frozen=True)
class _Claim:
    """What a committed claim left to do; `attempt` is None when the yes goes to the standard checkout."""

    attempt: Attempt | None
    boottime: float


def accept(
    shop: Shop, instance_id: str, *, buyer_key: str, quote_hash: str, consent: Consent, buy_again: bool = False
) -> AcceptResult:
    """Charge a shown offer once, whoever else clicks; the page is then derived from the rows.

    `quote_hash` is the hash of the quote that the posted page showed. Returns `taken` (answered, by this click or an
    earlier one), `moved` (another price: nothing was charged), `limited` or `unavailable` (nothing was done).
    """
    # One look: the claim reads again whatever must still hold when it commits.
    with shop.store.look():
        instance = offer_instances.get_instance(shop.store, instance_id)
        if instance is None or not is_bound(shop, instance, buyer_key) or instance.state != "shown":
            return "taken"
        if quote_hash != instance.quote_hash:
            return "moved"
        quote = thaw(instance.quote_json)
        if quote.method is None:
            return "taken"
        charge = _one_click(shop, instance, quote, buy_again=buy_again)
        try:
            fresh = quoting.recheck(shop, instance)
        except ProviderError:
            return "unavailable"
    if fresh != "same":
        return "moved"
    crash_point("claim.checked")
    return claim_and_send(shop, instance, charge, consent=consent)


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a yes is to charge: the same claim, send and settle for every kind of attempt.

    `body` is the one request, written before the claim: between its commit and the first byte nothing is left to do.
    `amount` is what is agreed to, None for dues whose sum the provider does not tell; those are never capped.
    `is_still_offered` is asked again inside the claim's own transaction. `can_wait`: it may be queued for the worker;
    `is_capped`: it counts against what one click may charge a customer in a day.
    """

    kind: AttemptKind
    attempt_id: str
    body: dict[str, object]
    product_id: str
    quantity: int
    amount: Money | None
    is_still_offered: Callable[[], bool]
    subscription_id: str | None = None
    can_wait: bool = True
    is_capped: bool = True


def _one_click(shop: Shop, instance: OfferInstance, quote: Quote, *, buy_again: bool) -> Charge:
    attempt_id = new_id("att")
    return Charge(
        kind="one_click",
        attempt_id=attempt_id,
        body=_request(shop, instance, quote, attempt_id=attempt_id),
        product_id=quote.product_id,
        quantity=quote.quantity,
        amount=quote.total,
        is_still_offered=lambda: is_still_offered(shop, instance, buy_again=buy_again),
    )


def claim_and_send(shop: Shop, instance: OfferInstance, charge: Charge, *, consent: Consent) -> AcceptResult:
    """Claim the yes to a shown instance and send its one request, whoever else clicks; the rows say what came of it.

    The caller has asked the provider a moment ago whether the price is still the one shown.
    """
    has_slot = shop.send_slots.acquire(blocking=False)
    try:
        # Named before the claim commits: a heartbeat between commit and POST must not take this thread for gone.
        with shop.presence.sending(charge.attempt_id):
            try:
                claim = _claim(shop, instance, charge, consent=consent, may_send=has_slot)
            except _NotTaken as refusal:
                return refusal.result
            except StoreFull:
                # If COMMIT was not acknowledged nothing is sent; should the row have survived, it counts as a dead
                # sender's (charging.md, section 1, step 3).
                return "unavailable"
            crash_point("claim.committed")
            if claim.attempt is not None and claim.attempt.state == "sending":
                send(shop, claim.attempt, charge.body, boottime=claim.boottime)
    finally:
        if has_slot:
            shop.send_slots.release()
    crash_point("claim.before_reply")
    return "taken"


def _claim(shop: Shop, instance: OfferInstance, charge: Charge, *, consent: Consent, may_send: bool) -> _Claim:
    if not shop.store.has_room():
        raise _NotTaken("unavailable")
    sender_id = shop.presence.join("web")
    boottime = shop.clock.boottime()
    # Not in the transaction, where everybody else's waits: it limits the harm of a bad minute, not one charge.
    is_storm = charge.is_capped and _is_storm(shop, now=shop.now())
    with shop.store.write():
        crash_point("claim.begun")
        now = shop.now()
        if not offer_instances.claim_instance(shop.store, instance.id, quote_hash=instance.quote_hash, now=now):
            raise _NotTaken("taken")
        acceptance = _new_acceptance(instance, charge, consent=consent, now=now)
        # Second guard: one open yes a customer and product, whatever the tab, order or placement. The loser rolls
        # back, so that its page leads to the first yes.
        if not acceptances.insert_acceptance(shop.store, acceptance):
            raise _NotTaken("taken")
        if not charge.is_still_offered():
            raise _NotTaken("taken")
        attempt = _stake(shop, acceptance, charge, is_storm=is_storm, sender_id=sender_id, may_send=may_send, now=now)
        bookkeeping.record(shop, "offer.accepted", instance_id=instance.id, acceptance_id=acceptance.id)
        offer_instances.insert_event(shop.store, instance.id, kind="accepted", now=now)
        crash_point("claim.uncommitted")
    return _Claim(attempt=attempt, boottime=boottime)


def _new_acceptance(instance: OfferInstance, charge: Charge, *, consent: Consent, now: int) -> Acceptance:
    return Acceptance(
        id=new_id("acc"),
        consent_json=json.dumps({**asdict(consent), "at": now}, sort_keys=True, ensure_ascii=False),
        offer_instance_id=instance.id,
        customer_id=instance.customer_id,
        product_id=charge.product_id,
        quantity=charge.quantity,
        amount=charge.amount.minor if charge.amount else None,
        currency=charge.amount.currency if charge.amount else None,
        undo_at=None,
        created_at=now,
        closed_at=None,
        close_reason=None,
        outcome="open",
    )


def is_still_offered(shop: Shop, instance: OfferInstance, *, buy_again: bool) -> bool:
    """Tell whether the offer may still be taken: live, product not archived, not owned, not declined since shown.

    Asked again inside the claim's own transaction: a page may be half an hour old.
    """
    standing = standing_of(shop, instance)
    return standing.is_live and not standing.is_declined and (buy_again or not standing.is_owned)


def _stake(
    shop: Shop,
    acceptance: Acceptance,
    charge: Charge,
    *,
    is_storm: bool,
    sender_id: str,
    may_send: bool,
    now: int,
) -> Attempt | None:
    """Count the charge against every budget and store its attempt; None if the yes must go to the checkout."""
    if charge.is_capped and (is_storm or not _take_spend(shop, acceptance, charge.amount)):
        if charge.subscription_id is not None:
            # The checkout would sell a second subscription.
            raise _NotTaken("limited")
        acceptances.mark_outcome(shop.store, acceptance.id, outcome="needs_checkout", leaving=("open",), now=now)
        return None
    goes_now = budgets.take(shop, "charge") and may_send
    # Whatever the reason to wait, a queued yes needs somebody to send it or to give it up.
    if not goes_now and not (charge.can_wait and _has_worker(shop, now=now)):
        raise _NotTaken("limited")
    attempt = Attempt(
        id=charge.attempt_id,
        acceptance_id=acceptance.id,
        subscription_id=charge.subscription_id,
        kind=charge.kind,
        state="sending" if goes_now else "queued",
        # Counted before the POST: a process that dies between this commit and the first byte must not leave room
        # for a second request.
        post_count=1 if goes_now else 0,
        sender_id=sender_id if goes_now else None,
        claimed_at=now if goes_now else None,
        next_check_at=now + bookkeeping.look_after_ms(shop, 0) if goes_now else None,
        created_at=now,
        changed_at=now,
    )
    if not attempts.insert_attempt(shop.store, attempt):
        raise _NotTaken("taken")
    return attempt


def _take_spend(shop: Shop, acceptance: Acceptance, amount: Money | None) -> bool:
    if amount is None:
        raise ValueError(f"{acceptance.id} counts against a cap, but has no amount")
    return bookkeeping.take_spend(shop, acceptance.customer_id, amount)


def _is_storm(shop: Shop, *, now: int) -> bool:
    unknowns = attempts.count_recent_unknowns(shop.store, since=now - _STORM_MS, latest=_STORM_SENDS)
    return unknowns >= _STORM_UNKNOWNS


def _has_worker(shop: Shop, *, now: int) -> bool:
    """Tell whether a worker is there: without one, a queued yes would wait for nobody."""
    latest = processes.get_latest_heartbeat(shop.store, "worker")
    return latest is not None and not is_silent(latest, now=now)


def send(shop: Shop, attempt: Attempt, body: dict[str, object], *, boottime: float) -> None:
    """Send the one request of a claimed attempt, read the payment once if there is one, and settle by both.

    Call inside `presence.sending()`, entered before the claim was committed; `boottime` is `Clock.boottime()` from
    then, too.
    """
    if attempt.claimed_at is None:
        raise ValueError(f"{attempt.id} is not claimed")
    claimed_at = attempt.claimed_at

    def is_in_window() -> bool:
        # On either clock: a process that was stopped, or a machine that slept, must not charge a buyer who has long
        # been told something else (charging.md, section 1, step 4).
        window_s = shop.settings.send_window_s
        return (
            shop.now() - claimed_at <= window_s * 1000
            and shop.now() >= claimed_at - window_s * 1000
            and shop.clock.boottime() - boottime <= window_s
        )

    if attempt.kind == "plan_change":
        answer = shop.dodo.subscriptions.change_plan(str(attempt.subscription_id), body, before_first_byte=is_in_window)
    elif attempt.kind == "dues":
        answer = shop.dodo.subscriptions.pay_dues(str(attempt.subscription_id), body, before_first_byte=is_in_window)
    else:
        answer = shop.dodo.checkouts.confirm(body, before_first_byte=is_in_window)
    settle(shop, attempt, answer, payment=_read_status(shop, answer))


def _read_status(shop: Shop, answer: Answer) -> Payment | None:
    """Read the payment an answer names, once; None if it names none or the provider does not tell in time."""
    if not isinstance(answer, Accepted):
        return None
    # Before anything is written, so that one commit tells both: an accept makes two of them, not three. Who dies here
    # leaves what a lost answer leaves: a payment that the looks find, by its mark or, of dues, by its subscription.
    payment = observe.read_payment(shop, answer.payment_id, budget=shop.dodo.budget(_STATUS_READ_S))
    crash_point("settle.status_read")
    return payment


def _request(shop: Shop, instance: OfferInstance, quote: Quote, *, attempt_id: str) -> dict[str, object]:
    return one_time.charge_request(
        quote,
        customer_id=instance.customer_id,
        billing=quoting.billing_of(shop, instance.follows),
        return_url=bookkeeping.return_url(shop, instance),
        metadata=bookkeeping.attribution(
            shop,
            instance,
            role=quoting.role_of(shop, instance),
            attempt_id=attempt_id,
            customer_id=instance.customer_id,
        ),
    )


def settle(shop: Shop, attempt: Attempt, answer: Answer, *, payment: Payment | None = None) -> None:
    """Write down what the one POST came to, and what its payment, if it was read since, says.

    A state reached meanwhile by a webhook is never overwritten.
    """
    with shop.store.write():
        if answer.socket_closed:
            attempts.mark_sender_ended(shop.store, attempt.id, now=shop.now())
        match answer:
            case NotSent():
                bookkeeping.apply_event(shop, attempt, "not_written", reason=answer.reason)
            case Refused():
                code = answer.code if answer.code in SOFT or answer.code in HARD else None
                bookkeeping.apply_event(shop, attempt, "refused", reason=answer.code, decline_code=code)
                if answer.status == 429:
                    budgets.block(shop, answer.reset_at_ms)
            case Accepted():
                _note_accepted(shop, attempt, answer, payment=payment)
            case UnknownAnswer():
                _note_unknown(shop, attempt, reason=answer.reason)
            case _:
                assert_never(answer)
        crash_point("settle.uncommitted")
    crash_point("settle.committed")


def _note_accepted(shop: Shop, attempt: Attempt, answer: Accepted, *, payment: Payment | None) -> None:
    holders = attempts.get_holders(shop.store, payment_id=answer.payment_id, session_id=answer.session_id)
    if _is_of_another(attempt, holders):
        # Another attempt's payment, or that of an order: the answer is not about us, so it tells nothing about our
        # charge.
        _note_unknown(shop, attempt, reason="other_payment_id")
        if payment is not None:
            observe.book_payment(shop, payment)
        return
    # Dues are paid on a page of the provider where the answer has one: a new card is given, or the bank asks.
    link = answer.payment_link if attempt.kind == "dues" else None
    attempts.mark_ids(
        shop.store,
        attempt.id,
        payment_id=answer.payment_id,
        session_id=None if holders.session_holder else answer.session_id,
        checkout_url=link,
    )
    if payment is None or not _is_moved_by(shop, attempt, payment):
        next_check_at = shop.now() + bookkeeping.look_after_ms(shop, 0)
        bookkeeping.apply_event(shop, attempt, "accepted", next_check_at=next_check_at)
        if link is not None:
            bookkeeping.apply_event(shop, attempt, "seen_action", next_check_at=next_check_at)


def _is_moved_by(shop: Shop, attempt: Attempt, payment: Payment) -> bool:
    """Book the payment that an answer named; False if it does not prove to be the attempt's, as a payment may."""
    observe.book_payment(shop, payment)
    current = attempts.get_attempt(shop.store, attempt.id)
    return current is not None and current.state != "sending"


def _is_of_another(attempt: Attempt, holders: Holders) -> bool:
    """Tell whether the payment that an answer names is held by another attempt, or seen as that of an order."""
    if holders.payment_holder not in (None, attempt.id):
        return True
    is_owed = holders.payment_disposition == "renewal" and holders.payment_status != "succeeded"
    if holders.payment_status is None or (attempt.kind == "dues" and is_owed):
        # Not seen yet; or the failed renewal that is owed, which the provider may take up again under its own id.
        return False
    return holders.payment_attempt != attempt.id


def _note_unknown(shop: Shop, attempt: Attempt, *, reason: str) -> None:
    bookkeeping.apply_event(
        shop, attempt, "answer_unclear", reason=reason, next_check_at=shop.now() + bookkeeping.look_after_ms(shop, 0)
    )


def send_queued(shop: Shop) -> int:
    """Send the oldest that wait in the queue, side by side, and give up on what waited too long.

    Returns how many moved. One after the other a slow provider would let the last of a rush wait out its time.
    """
    waiting = attempts.list_queued(shop.store, limit=SEND_SLOTS)
    return sum(shop.pool.map(lambda attempt: _move_queued(shop, attempt), waiting))


def _move_queued(shop: Shop, attempt: Attempt) -> int:
    if shop.now() - attempt.created_at >= QUEUE_LIFE_MS:
        return _expire_queued(shop, attempt)
    return int(_send_one_queued(shop, attempt))


def _send_one_queued(shop: Shop, attempt: Attempt) -> bool:
    with shop.presence.sending(attempt.id):
        sender_id = shop.presence.join("worker")
        boottime = shop.clock.boottime()
        with shop.store.write():
            now = shop.now()
            if not budgets.take(shop, "charge"):
                return False
            claimed = attempts.claim_queued(
                shop.store,
                attempt.id,
                # Again, in the claim itself: a worker that slept since it read the row must not send an old yes.
                created_after=now - QUEUE_LIFE_MS,
                sender_id=sender_id,
                now=now,
                next_check_at=now + bookkeeping.look_after_ms(shop, 0),
            )
            crash_point("queue.uncommitted")
        if not claimed:
            return True
        crash_point("queue.claimed")
        current = attempts.get_attempt(shop.store, attempt.id)
        if current is not None:
            send(shop, current, _request_again(shop, current), boottime=boottime)
    return True


def _request_again(shop: Shop, attempt: Attempt) -> dict[str, object]:
    """Return the request of an attempt that another process has queued."""
    acceptance = acceptances.get_acceptance(shop.store, attempt.acceptance_id)
    instance = offer_instances.get_instance(shop.store, acceptance.offer_instance_id) if acceptance else None
    if instance is None:
        raise ValueError(f"{attempt.id} has no offer instance")
    return _request(shop, instance, thaw(instance.quote_json), attempt_id=attempt.id)


def _expire_queued(shop: Shop, attempt: Attempt) -> int:
    with shop.store.write():
        expired = bookkeeping.apply_event(shop, attempt, "queue_expired", reason="queue_expired")
    crash_point("queue.expired")
    return int(expired)


def cancel(shop: Shop, instance_id: str, *, buyer_key: str) -> None:
    """Take back a yes whose request was not sent yet; once it is sent this does nothing."""
    instance = offer_instances.get_instance(shop.store, instance_id)
    if instance is None or not is_bound(shop, instance, buyer_key):
        return
    acceptance = acceptances.get_of_instance(shop.store, instance_id)
    if acceptance is None:
        return
    with shop.store.write():
        for attempt in attempts.list_of_acceptance(shop.store, acceptance.id):
            if attempt.state == "queued":
                bookkeeping.apply_event(shop, attempt, "queue_cancelled", reason="buyer_cancelled")
