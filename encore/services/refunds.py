"""Refunds: owed in the transaction that makes them true, sent by the worker, ended by what the provider says.

A full refund may be sent again, since the provider refuses a second one. A partial one is sent once: without an answer
its trace is looked for, and after the quarantine's length a person decides (charging.md, section 6).
"""

from collections.abc import Mapping
from typing import assert_never

from encore.crash_point import crash_point
from encore.dodo.answers import NotSent, RefundAccepted, RefundAnswer, Refused, UnknownAnswer
from encore.dodo.models import Dispute, Payment
from encore.dodo.models import Refund as ProviderRefund
from encore.errors import ProviderError
from encore.ids import new_id
from encore.rules.disputes import is_lost, is_open, standing_status
from encore.rules.money import Money
from encore.rules.refunds import split
from encore.services import bookkeeping, budgets, fulfilment, messages
from encore.services.shop import Shop
from encore.store import payments, refunds
from encore.store.refunds import Refund

# A broken installation must not pay back a whole day's sales by itself (security.md, section 12).
MOST_AUTOMATIC_A_DAY = 20
_DAY_MS = 86_400_000
_LEASE_MS = 30_000
_LINES_S = 4.0
_RETRY_MS = (1_000, 2_000, 5_000, 15_000, 60_000, 300_000)
_DONE_CODES = frozenset({"PAYMENT_ALREADY_REFUNDED", "NOTHING_TO_REFUND"})
_PENDING_CODES = frozenset({"EXISTING_REFUND_REQUEST_PROCESSING"})


def owe_full_refund(shop: Shop, payment: Payment, *, reason: str) -> None:
    """Owe the whole payment back, once, inside `store.write()`; the worker sends it."""
    _owe(shop, payment, amount=payment.total_amount, is_full=True, reason=reason)


def owe_partial_refund(shop: Shop, payment: Payment, *, amount: int, reason: str) -> None:
    """Owe a part of a payment back (minor units of its currency), inside `store.write()`; the worker sends it."""
    _owe(shop, payment, amount=amount, is_full=False, reason=reason)


def _owe(shop: Shop, payment: Payment, *, amount: int, is_full: bool, reason: str) -> None:
    now = shop.now()
    owed = refunds.insert_refund(
        shop.store,
        Refund(
            id=new_id("rfd"),
            payment_id=payment.payment_id,
            is_full=int(is_full),
            amount=amount,
            reason=reason,
            state="due",
            next_try_at=now,
            created_at=now,
            changed_at=now,
        ),
    )
    if owed:
        payments.mark_reserved(shop.store, payment.payment_id, amount=amount)
        bookkeeping.record(
            shop,
            "refund.owed",
            payment_id=payment.payment_id,
            amount=amount,
            currency=payment.currency,
            reason=reason,
        )
        crash_point("refund.due_uncommitted")


def send_due(shop: Shop) -> int:
    """Send every refund that is due and follow those under way; returns how many were looked at."""
    due = refunds.list_due(shop.store, now=shop.now(), limit=20)
    for refund in due:
        if budgets.take(shop, "refund"):
            _advance(shop, refund)
    return len(due)


def _advance(shop: Shop, refund: Refund) -> None:
    now = shop.now()
    lease_until = now + _LEASE_MS
    with shop.store.write():
        if not refunds.claim_refund(shop.store, refund.id, now=now, lease_until=lease_until):
            return
    crash_point("refund.claimed")
    # Read first, always: the refund may have been made by an answer we lost, or begun elsewhere.
    try:
        payment = shop.dodo.payments.get(refund.payment_id, budget=shop.dodo.budget(4.0))
    except ProviderError:
        _retry(shop, refund, state=refund.state)
        return
    with shop.store.write():
        observe_refunds(shop, payment)
    current = refunds.get_refund(shop.store, refund.id)
    if current is None or current.lease_until != lease_until:
        # What was just read has moved it on, or we took so long that another worker has it.
        return
    if current.state == "pending":
        _retry(shop, current, state="pending")
        return
    if not current.is_full and current.post_count:
        _wait_for_trace(shop, current)
        return
    if _must_wait_for_person(shop, current, payment):
        return
    if current.is_full:
        _send(shop, current, {"payment_id": current.payment_id, "reason": current.reason})
    else:
        _send_in_part(shop, current, payment)


def _wait_for_trace(shop: Shop, refund: Refund) -> None:
    """Go on looking for a partial refund whose answer was lost: sent again, it could be made twice."""
    if shop.now() - refund.changed_at >= shop.settings.quarantine_s * 1000:
        _leave_to_person(shop, refund, detail="sent, and neither answered nor found")
        return
    with shop.store.write():
        refunds.mark_waiting(shop.store, refund.id, next_try_at=shop.now() + _wait_ms(refund))


def _send_in_part(shop: Shop, refund: Refund, payment: Payment) -> None:
    try:
        lines = shop.dodo.payments.get_lines(
            refund.payment_id, currency=payment.currency, budget=shop.dodo.budget(_LINES_S)
        )
    except ProviderError:
        _retry(shop, refund, state="due")
        return
    parts = split(refund.amount, [(line.items_id, line.refundable_amount) for line in lines.items])
    if parts is None or not lines.partial_refund_allowed:
        _leave_to_person(shop, refund, detail="the provider gives no part of this payment back")
        return
    items = [{"item_id": line_id, "amount": amount} for line_id, amount in parts.items()]
    body = {"payment_id": refund.payment_id, "reason": refund.reason, "currency": payment.currency, "items": items}
    _send(shop, refund, body)


def _must_wait_for_person(shop: Shop, refund: Refund, payment: Payment) -> bool:
    status = standing_status([dispute.dispute_status for dispute in payment.disputes or ()])
    sent_today = refunds.count_sent_since(shop.store, since=shop.now() - _DAY_MS)
    if is_open(status) or is_lost(status):
        # The bank decides, or has given the money back already: a refund as well would pay twice.
        _leave_to_person(shop, refund, detail="open dispute" if is_open(status) else "dispute lost")
    elif not refund.is_full and any(seen.status != "failed" for seen in payment.refunds or ()):
        # Somebody has begun to give back already: only they know what for.
        _leave_to_person(shop, refund, detail="refunded elsewhere, too")
    elif sent_today >= MOST_AUTOMATIC_A_DAY:
        _leave_to_person(shop, refund, detail="automatic refunds of a day used up")
    else:
        return False
    return True


def _leave_to_person(shop: Shop, refund: Refund, *, detail: str) -> None:
    with shop.store.write():
        refunds.mark_state(shop.store, refund.id, state="manual", now=shop.now())
        bookkeeping.raise_alarm(shop, "refund_needs_person", object_id=refund.id, detail=detail)


def _send(shop: Shop, refund: Refund, body: Mapping[str, object]) -> None:
    begun_s = shop.clock.boottime()
    with shop.store.write():
        # Not by the lease alone: paused since, this process may hold one that another worker has taken over.
        if not refunds.mark_sending(shop.store, refund.id, lease_until=refund.lease_until, now=shop.now()):
            return
    crash_point("refund.due_committed")

    def is_in_time() -> bool:
        # Woken after an hour, it would give back what a person has given back meanwhile.
        return shop.clock.boottime() - begun_s <= shop.settings.send_window_s

    answer = shop.dodo.refunds.create(body, before_first_byte=is_in_time)
    crash_point("refund.posted")
    _settle(shop, refund, answer)
    crash_point("refund.settled")


def _settle(shop: Shop, refund: Refund, answer: RefundAnswer) -> None:
    match answer:
        case RefundAccepted(refund_id=refund_id, state=state):
            with shop.store.write():
                # An event may have shown it before, with a sum told in another currency: it is ours all the same.
                refunds.delete_external(shop.store, refund_id)
                _note_ours(shop, refund.id, state=state, provider_refund_id=refund_id)
                _apply_refunded(shop, refund.payment_id)
        case Refused(status=429, reset_at_ms=reset_at):
            budgets.block(shop, reset_at)
            _take_back(shop, refund)
        case NotSent():
            _take_back(shop, refund)
        case Refused(code=code) if not refund.is_full:
            _leave_to_person(shop, refund, detail=f"the provider refuses: {code}")
        case UnknownAnswer() if not refund.is_full:
            # It may have been made, and the provider would make a second one: only its trace decides.
            with shop.store.write():
                refunds.mark_waiting(shop.store, refund.id, next_try_at=shop.now() + _wait_ms(refund))
        case Refused(code=code) if code in _DONE_CODES:
            with shop.store.write():
                refunds.mark_state(shop.store, refund.id, state="done", now=shop.now())
                _apply_refunded(shop, refund.payment_id)
        case Refused(code=code) if code in _PENDING_CODES:
            _retry(shop, refund, state="pending")
        case Refused(code=code):
            _leave_to_person(shop, refund, detail=f"the provider refuses: {code}")
        case UnknownAnswer():
            # The provider refuses a second full one: safe to send again.
            _retry(shop, refund, state="unknown")
        case _:
            assert_never(answer)


def _take_back(shop: Shop, refund: Refund) -> None:
    """Send a refund again later that was not executed, which its answer proves."""
    with shop.store.write():
        refunds.mark_unsent(shop.store, refund.id, now=shop.now(), next_try_at=shop.now() + _wait_ms(refund))


def _retry(shop: Shop, refund: Refund, *, state: str) -> None:
    with shop.store.write():
        refunds.mark_state(
            shop.store, refund.id, state=state, now=shop.now(), next_try_at=shop.now() + _wait_ms(refund)
        )


def _wait_ms(refund: Refund) -> int:
    return _RETRY_MS[min(refund.tries, len(_RETRY_MS) - 1)]


def observe_refunds(shop: Shop, payment: Payment) -> None:
    """Store every refund the provider lists for a payment of ours, inside `store.write()`; ours or not.

    When their sum is the whole payment its order is reversed and access ends; less changes amounts only.
    """
    if not payment.refunds or payments.get_payment(shop.store, payment.payment_id) is None:
        return
    for seen in payment.refunds:
        _observe_one(shop, payment, seen)
    _apply_refunded(shop, payment.payment_id)


def _observe_one(shop: Shop, payment: Payment, seen: ProviderRefund) -> None:
    state = _state_of(seen.status)
    now = shop.now()
    known = refunds.get_by_provider_id(shop.store, seen.refund_id)
    if known is not None:
        if known.reason == "external":
            refunds.mark_external_state(shop.store, seen.refund_id, state=state, now=now)
        elif known.state == "pending" and state != "pending":
            _note_ours(shop, known.id, state=state, provider_refund_id=seen.refund_id)
        return
    ours = _ours_without_id(shop, payment.payment_id)
    if ours is not None and _is_trace(ours, seen):
        # Our own whose answer was lost: the provider allows one full one, and one in part was sent once.
        _note_ours(shop, ours.id, state=state, provider_refund_id=seen.refund_id)
        return
    refunds.insert_refund(
        shop.store,
        Refund(
            id=new_id("rfd"),
            payment_id=payment.payment_id,
            is_full=0 if seen.is_partial else 1,
            amount=seen.amount or payment.total_amount,
            reason="external",
            state=state,
            provider_refund_id=seen.refund_id,
            created_at=seen.created_at or now,
            changed_at=now,
        ),
    )


def _is_trace(ours: Refund, seen: ProviderRefund) -> bool:
    if ours.is_full:
        return not seen.is_partial
    return bool(seen.is_partial) and ours.post_count > 0 and seen.amount == ours.amount


def _note_ours(shop: Shop, refund_id: str, *, state: str, provider_refund_id: str) -> None:
    """Write down what the provider says of a refund of ours; one that failed is a person's, since money is owed."""
    now = shop.now()
    refunds.mark_state(
        shop.store,
        refund_id,
        state="manual" if state == "failed" else state,
        now=now,
        provider_refund_id=provider_refund_id,
        next_try_at=now + _RETRY_MS[-1],
    )
    if state == "failed":
        bookkeeping.raise_alarm(
            shop, "refund_needs_person", object_id=refund_id, detail="the provider could not refund it"
        )


def _ours_without_id(shop: Shop, payment_id: str) -> Refund | None:
    live = ("due", "sending", "unknown", "pending")
    for refund in refunds.list_of_payment(shop.store, payment_id):
        if refund.reason != "external" and refund.provider_refund_id is None and refund.state in live:
            return refund
    return None


def _state_of(status: str) -> str:
    return {"succeeded": "done", "failed": "failed"}.get(status, "pending")


def _apply_refunded(shop: Shop, payment_id: str) -> None:
    payment = payments.get_payment(shop.store, payment_id)
    if payment is None:
        return
    done = [refund for refund in refunds.list_of_payment(shop.store, payment_id) if refund.state == "done"]
    total = min(sum(refund.amount for refund in done), payment.amount)
    if total == payment.refunded:
        return
    payments.mark_refunded(shop.store, payment_id, refunded=total)
    _shrink_due(shop, payment_id, rest=payment.amount - total)
    bookkeeping.record(
        shop, "payment.refunded", payment_id=payment_id, amount=total - payment.refunded, currency=payment.currency
    )
    if total == payment.amount:
        fulfilment.reverse(shop, payment_id, reason="refunded")
        messages.tell_of_payment(shop, "refund_done", payment_id, dedup=payment_id)
        _end_due_rows(shop, payment_id)


def _shrink_due(shop: Shop, payment_id: str, *, rest: int) -> None:
    """Owe only what is left: part of the payment was refunded elsewhere before ours was sent."""
    for refund in refunds.list_of_payment(shop.store, payment_id):
        if rest > 0 and refund.reason != "external" and refund.state == "due" and refund.amount > rest:
            refunds.mark_amount(shop.store, refund.id, amount=rest, now=shop.now())


def _end_due_rows(shop: Shop, payment_id: str) -> None:
    for refund in refunds.list_of_payment(shop.store, payment_id):
        if refund.reason != "external" and refund.state in ("due", "unknown"):
            refunds.mark_state(shop.store, refund.id, state="done", now=shop.now())
        bookkeeping.clear_alarm(shop, "refund_needs_person", object_id=refund.id)


def going_back(shop: Shop, payment: payments.Payment) -> Money | None:
    """Return what of a payment is back, or on its way; None: nothing. What a person has to decide is not counted."""
    listed = refunds.list_of_payment(shop.store, payment.id)
    back = sum(refund.amount for refund in listed if refund.state not in ("manual", "failed"))
    return Money(min(back, payment.amount), payment.currency) if back else None


def is_refund_news(shop: Shop, seen: ProviderRefund) -> bool:
    """Tell whether a listed refund of a payment of ours is one that we have not stored."""
    return (
        payments.get_payment(shop.store, seen.payment_id) is not None
        and refunds.get_by_provider_id(shop.store, seen.refund_id) is None
    )


def observe_disputes(shop: Shop, payment: Payment) -> None:
    """Flag a payment's disputes, inside `store.write()`; a lost one counts as a full refund."""
    status = standing_status([dispute.dispute_status for dispute in payment.disputes or ()])
    row = payments.get_payment(shop.store, payment.payment_id) if status else None
    if row is None or status is None or status == row.dispute_status:
        return
    if is_lost(row.dispute_status) and not is_lost(status):
        # Read before the loss and told after it: a lost dispute is never open again.
        return
    payments.mark_disputed(shop.store, payment.payment_id, status=status, now=shop.now())
    bookkeeping.record(shop, "payment.disputed", payment_id=payment.payment_id, status=status)
    if is_open(status):
        bookkeeping.raise_alarm(shop, "dispute", object_id=payment.payment_id, detail=status)
    else:
        bookkeeping.clear_alarm(shop, "dispute", object_id=payment.payment_id)
    if is_lost(status):
        fulfilment.reverse(shop, payment.payment_id, reason="dispute_lost")


def is_dispute_news(shop: Shop, seen: Dispute) -> bool:
    """Tell whether a listed dispute of a payment of ours says something that we have not stored."""
    row = payments.get_payment(shop.store, seen.payment_id)
    return row is not None and row.dispute_status != seen.dispute_status
