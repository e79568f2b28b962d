"""A model of the charge protocol, searched over all interleavings by `test_protocol_search`.

One offer instance, one acceptance, its attempts, their senders, and the provider's side: requests under way, sessions
and payments. Every step of a `World` is one thing that can happen next: a click, a byte, an answer, a kill, a look.
What our side does with it comes from the real table and the real predicates of `encore.rules.attempts`; a `Protocol`
says which of them are used, so that a broken build is one rule exchanged.

Time is not counted but ordered: the send window and the quiet time of the quarantine are steps that may pass. The
one assumption about the provider is that of charging.md, section 5: what it has not executed by the end of the
quiet time it never executes. `Limits` lists what may go beyond it; those are the limits the document names.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from encore.rules.attempts import (
    LIVE,
    AttemptEvent,
    AttemptKind,
    AttemptState,
    Keep,
    KeepAndRefund,
    Outcome,
    Return,
    is_absent,
    sight,
)
from tests.rules.protocol_rules import QUARANTINE_MS, Protocol, real_move

WORKING = ("armed", "checked", "waiting", "refused", "accepted", "unclear")


class Payment(NamedTuple):
    """A payment at the provider; `seen` is the status we observed last, `fate` what our row says of it."""

    owner: int
    status: str = "processing"
    seen: str | None = None
    is_after_no: bool = False
    fate: str = "seen"
    is_renewal: bool = False


class Attempt(NamedTuple):
    """A row and what stands behind it: for one click its sender and request, for hosted the provider's session.

    `sender`: idle, armed (claimed), checked (past the send window's check), waiting, an answer read but not settled,
    done, dead. `requests` counts what was sent, `under_way` what the provider has not executed yet.
    """

    kind: AttemptKind
    state: AttemptState
    sender: str = "idle"
    has_ended: bool = False
    is_window_over: bool = False
    is_quiet: bool = False
    requests: int = 0
    under_way: int = 0
    session: str = "none"


class Limits(NamedTuple):
    """How often each thing may still happen in a run."""

    clicks: int = 1
    kills: int = 0
    sessions: int = 0
    pays: int = 0
    twice: int = 0
    flips: int = 0
    renewals: int = 0
    undos: int = 0
    nos: int = 0
    late_beyond_quarantine: int = 0
    queues: int = 0


class World(NamedTuple):
    left: Limits
    waiting_clicks: int = 0
    instance: str = "shown"
    outcome: Outcome | None = None
    is_undone: bool = False
    attempts: tuple[Attempt, ...] = ()
    payments: tuple[Payment, ...] = ()
    granted: int = 0
    # One of the limits that charging.md names has come true: two payments may now stand for a moment.
    has_met_limit: bool = False
    has_kept_after_no: bool = False


Step = tuple[str, World]


# ---- Changing a world --------------------------------------------------------------------------------------------


def _with_attempt(world: World, index: int, **changes: Any) -> World:
    attempt = world.attempts[index]._replace(**changes)
    return world._replace(attempts=(*world.attempts[:index], attempt, *world.attempts[index + 1 :]))


def _with_payment(world: World, index: int, **changes: Any) -> World:
    payment = world.payments[index]._replace(**changes)
    return world._replace(payments=(*world.payments[:index], payment, *world.payments[index + 1 :]))


def _spend(world: World, name: str) -> World:
    return world._replace(left=world.left._replace(**{name: getattr(world.left, name) - 1}))


def _move(world: World, index: int, event: AttemptEvent) -> World | None:
    """Apply an event by the real table, as one conditional UPDATE; None: zero rows, nothing changes."""
    attempt = world.attempts[index]
    found = real_move(attempt.kind, attempt.state, event, world.is_undone)
    if found is None:
        return None
    # Quiet time is counted anew by whoever becomes unknown again: it has no meaning in another state.
    world = _with_attempt(world, index, state=found.to, is_quiet=attempt.is_quiet and found.to == "unknown")
    return _settle_outcome(world, found.outcome)


def _settle_outcome(world: World, outcome: Outcome | None) -> World:
    if outcome is None or world.outcome not in ("open", "needs_checkout"):
        return world
    return world._replace(outcome=outcome)


def _live(world: World) -> list[int]:
    return [index for index, attempt in enumerate(world.attempts) if attempt.state in LIVE]


# ---- What can happen next ------------------------------------------------------------------------------------------


def steps(world: World, protocol: Protocol) -> Iterator[Step]:
    """Everything that can happen next, on our side, at the provider and in the buyer's hands."""
    yield from _clicks(world, protocol)
    yield from _buyer(world, protocol)
    for index, attempt in enumerate(world.attempts):
        if attempt.kind == "one_click":
            yield from _queue(world, index)
            yield from _sender(world, index, protocol)
            yield from _request(world, index)
            yield from _clock(world, index, protocol)
        else:
            yield from _session(world, index)
    for index in range(len(world.payments)):
        yield from _payment(world, index)
        yield from _look(world, index, protocol)
    yield from _kill(world)


def _clicks(world: World, protocol: Protocol) -> Iterator[Step]:
    if world.left.clicks and world.instance == "shown":
        yield "click", _spend(world, "clicks")._replace(waiting_clicks=world.waiting_clicks + 1)
    if not world.waiting_clicks:
        return
    world = world._replace(waiting_clicks=world.waiting_clicks - 1)
    is_taken = world.instance != "shown"
    # Two guards, each sufficient: the compare-and-set on the instance, and the unique acceptance and attempt.
    if is_taken and (protocol.is_claim_compared or protocol.has_constraints):
        yield "late click shows the result", world
        return
    if world.instance == "declined":
        return
    claimed = world._replace(instance="accepted", outcome="open")
    sending = Attempt("one_click", "sending", sender="armed")
    yield "claim", claimed._replace(attempts=(*claimed.attempts, sending))
    if world.left.queues:
        queued = _spend(claimed, "queues")
        yield "claim without a slot", queued._replace(attempts=(*queued.attempts, Attempt("one_click", "queued")))


def _buyer(world: World, protocol: Protocol) -> Iterator[Step]:
    if world.instance == "shown" and world.left.nos:
        yield "decline", _spend(world, "nos")._replace(instance="declined")
    if world.instance == "shown" and world.left.sessions:
        yield "yes at the checkout", world._replace(instance="accepted", outcome="needs_checkout")
    if world.outcome == "needs_checkout" and world.left.sessions:
        yield from _ask_checkout(world, protocol)
    if world.left.nos and world.outcome in ("open", "needs_checkout"):
        yield from _say_no(world)
    if world.left.undos and world.outcome in ("open", "charged"):
        yield from _undo(world)
    if world.left.renewals and world.outcome == "charged":
        paid = next(index for index, attempt in enumerate(world.attempts) if attempt.state == "paid")
        renewal = Payment(paid, "succeeded", is_renewal=True)
        yield "renewal", _spend(world, "renewals")._replace(payments=(*world.payments, renewal))


def _ask_checkout(world: World, protocol: Protocol) -> Iterator[Step]:
    live = _live(world)
    if not live:
        opening = _spend(world, "sessions")
        yield "ask for the checkout", opening._replace(attempts=(*opening.attempts, Attempt("hosted", "opening")))
    elif not protocol.is_one_page and world.attempts[live[0]].state == "hosted_open":
        fresh = _spend(_with_attempt(world, live[0], state="hosted_closed"), "sessions")
        yield "ask for another page", fresh._replace(attempts=(*fresh.attempts, Attempt("hosted", "opening")))


def _say_no(world: World) -> Iterator[Step]:
    """The no after a yes (W18). The session is read first, but the read may fail or be overtaken: the no stands."""
    live = _live(world)
    said = _spend(world, "nos")
    if not live:
        found = real_move("hosted", None, "buyer_declined", world.is_undone)
        if found is not None:
            yield "no", _settle_outcome(said, found.outcome)
    for index in live:
        moved = _move(said, index, "buyer_declined")
        if moved is not None:
            yield "no", moved


def _undo(world: World) -> Iterator[Step]:
    asked = _spend(world, "undos")._replace(is_undone=True)
    if world.outcome == "charged":
        kept = next(index for index, payment in enumerate(world.payments) if payment.fate == "kept")
        yield "undo", _with_payment(asked, kept, fate="refunded")._replace(outcome="refunded", granted=0)
        return
    for index in _live(world):
        yield "undo wish", _move(asked, index, "queue_cancelled") or asked


def _queue(world: World, index: int) -> Iterator[Step]:
    taken = _move(world, index, "taken_by_worker")
    if taken is None:
        return
    yield "worker takes it", _with_attempt(taken, index, sender="armed")
    for event in ("queue_expired", "queue_cancelled"):
        moved = _move(world, index, event)
        if moved is not None:
            yield event, moved


_ANSWERS: dict[str, AttemptEvent] = {"refused": "refused", "accepted": "accepted", "unclear": "answer_unclear"}


def _sender(world: World, index: int, protocol: Protocol) -> Iterator[Step]:
    """The sender's own steps. It may stand still before any of them for as long as it likes: that is a pause."""
    attempt = world.attempts[index]
    match attempt.sender:
        case "armed" if attempt.is_window_over:
            ended = _with_attempt(world, index, sender="done", has_ended=True)
            yield "too late, not written", _move(ended, index, "not_written") or ended
        case "armed":
            yield "window checked", _with_attempt(world, index, sender="checked")
        case "checked":
            yield (
                "bytes written",
                _with_attempt(world, index, sender="waiting", requests=attempt.requests + 1, under_way=1),
            )
        case "waiting":
            yield "time-out", _with_attempt(world, index, sender="unclear")
        case "refused" | "accepted" | "unclear":
            yield f"settle {attempt.sender}", _settle(world, index, protocol)


def _settle(world: World, index: int, protocol: Protocol) -> World:
    answer = world.attempts[index].sender
    # Quiet time before the sender's end proves nothing: the request may have left a moment ago.
    keeps_quiet = protocol.is_quiet_before_end_counted and world.attempts[index].is_quiet
    world = _with_attempt(world, index, sender="done", has_ended=True, is_quiet=keeps_quiet)
    event = _ANSWERS[answer]
    if answer == "unclear" and not protocol.is_unclear_unknown:
        event = "refused"
    if answer == "accepted" and not protocol.is_settle_conditional:
        return _with_attempt(world, index, state="pending")
    return _move(world, index, event) or world


def _request(world: World, index: int) -> Iterator[Step]:
    """The provider's steps with a request it has received."""
    attempt = world.attempts[index]
    if not attempt.under_way:
        return
    is_heard = attempt.sender == "waiting"
    executed = world._replace(payments=(*world.payments, Payment(index)))
    ended = _with_attempt(executed, index, under_way=0)
    if is_heard:
        yield "executed and answered", _with_attempt(ended, index, sender="accepted")
        yield "executed, answer lost", _with_attempt(ended, index, sender="unclear")
        yield "refused", _with_attempt(world, index, under_way=0, sender="refused")
        yield "never executed, answer lost", _with_attempt(world, index, under_way=0, sender="unclear")
    else:
        yield "executed late", ended
        yield "never executed", _with_attempt(world, index, under_way=0)
    if world.left.twice:
        yield "executed, and once more to come", _spend(executed, "twice")._replace(has_met_limit=True)


def _clock(world: World, index: int, protocol: Protocol) -> Iterator[Step]:
    attempt = world.attempts[index]
    if attempt.sender in WORKING and not attempt.is_window_over:
        yield "window over", _with_attempt(world, index, is_window_over=True)
    if attempt.state == "sending":
        if attempt.sender == "dead":
            yield "sender is dead", _move(world, index, "sender_ended") or world
        elif attempt.is_window_over:
            yield "sender is silent", _move(world, index, "sender_silent") or world
    if attempt.state == "unknown":
        yield from _quarantine(world, index, protocol)


def _quarantine(world: World, index: int, protocol: Protocol) -> Iterator[Step]:
    attempt = world.attempts[index]
    has_trace = any(payment.owner == index for payment in world.payments)
    is_taken_for_dead = protocol.is_silence_death and attempt.is_window_over
    counts = attempt.has_ended or is_taken_for_dead or protocol.is_quiet_before_end_counted
    if counts and not attempt.is_quiet and not has_trace:
        if not attempt.under_way:
            yield "quiet time passes", _with_attempt(world, index, is_quiet=True)
        elif world.left.late_beyond_quarantine:
            late = _spend(world, "late_beyond_quarantine")._replace(has_met_limit=True)
            yield "quiet time passes too soon", _with_attempt(late, index, is_quiet=True)
    # Proof only: its own word after closing the socket, or its process found dead.
    sender_ended = attempt.has_ended or is_taken_for_dead
    if not has_trace and is_absent(
        sender_ended=sender_ended,
        clean_misses=5,
        quiet_ms=QUARANTINE_MS if attempt.is_quiet else 0,
        quarantine_ms=protocol.quarantine_ms,
        is_named_by_webhook=False,
    ):
        yield "absent", _move(world, index, "found_absent") or world


def _session(world: World, index: int) -> Iterator[Step]:
    """A hosted session: made by us, paid or left by the buyer, whatever our row says. It cannot be cancelled."""
    attempt = world.attempts[index]
    if attempt.state == "opening":
        created = _move(world, index, "session_created")
        if created is not None:
            yield "session created", _with_attempt(created, index, session="payable")
        for event in ("session_refused", "product_gone"):
            moved = _move(world, index, event)
            if moved is not None:
                yield event, moved
    if attempt.session == "payable":
        yield "session expires", _with_attempt(world, index, session="expired")
        if world.left.pays:
            payment = Payment(index, is_after_no=world.outcome == "closed")
            paying = _spend(_with_attempt(world, index, session="paying"), "pays")
            yield "buyer pays", paying._replace(payments=(*world.payments, payment))
    if attempt.session == "expired":
        moved = _move(world, index, "session_expired")
        if moved is not None:
            yield "session seen expired", moved


def _payment(world: World, index: int) -> Iterator[Step]:
    """A payment changes at the provider."""
    payment = world.payments[index]
    if payment.is_renewal:
        return
    owner = world.attempts[payment.owner]
    match payment.status:
        case "processing":
            yield from _end_payment(world, index)
            yield "bank asks", _with_payment(world, index, status="requires_customer_action")
        case "requires_customer_action":
            # Once the attempt was given up, a success is one of the limits named.
            is_late = owner.state not in LIVE
            yield from _end_payment(world._replace(has_met_limit=world.has_met_limit or is_late), index)
        case "failed" if world.left.flips:
            flipped = _spend(world, "flips")._replace(has_met_limit=True)
            yield "failed turns into success", _with_payment(flipped, index, status="succeeded")


def _end_payment(world: World, index: int) -> Iterator[Step]:
    owner = world.payments[index].owner
    paid = _with_payment(world, index, status="succeeded")
    failed = _with_payment(world, index, status="failed")
    if world.attempts[owner].kind == "one_click":
        yield "succeeds", paid
        yield "fails", failed
        return
    yield "succeeds", _with_attempt(paid, owner, session="consumed")
    yield "fails, session payable", _with_attempt(failed, owner, session="payable")
    yield "fails, session consumed", _with_attempt(failed, owner, session="consumed")


# ---- Looking: settle, status page, webhook, reconciler and poller are all this -------------------------------------


def _look(world: World, index: int, protocol: Protocol) -> Iterator[Step]:
    payment = world.payments[index]
    if payment.seen == payment.status:
        return
    owner = world.attempts[payment.owner]
    whose = protocol.whose(owner.kind, payment.is_renewal)
    seen = _with_payment(world, index, seen=payment.status)
    if whose != "ours":
        yield f"{whose} is seen", _with_payment(seen, index, fate=whose)
        return
    match sight(payment.status):
        case "succeeded":
            yield "success seen", _settle_success(seen, index, protocol)
        case "processing":
            yield "processing seen", _move(seen, payment.owner, "seen_processing") or seen
        case "requires_action":
            yield "action seen", _move(seen, payment.owner, "seen_action") or seen
            if owner.kind == "one_click":
                yield "action without link seen", _move(seen, payment.owner, "seen_action_without_link") or seen
            else:
                yield "action not taken in a day", _move(seen, payment.owner, "action_day_passed") or seen
        case "failed":
            yield "failure seen", _settle_failure(seen, index)


def _settle_failure(world: World, index: int) -> World:
    payment = world.payments[index]
    owner = world.attempts[payment.owner]
    if owner.kind == "one_click":
        return _move(world, payment.owner, "seen_failed") or world
    if owner.session in ("payable", "paying"):
        return _move(world, payment.owner, "seen_failed_still_payable") or world
    # Consumed by this failure only if no later payment of the session could have consumed it.
    is_latest = all(later.owner != payment.owner for later in world.payments[index + 1 :])
    return (_move(world, payment.owner, "seen_failed_consumed") if is_latest else None) or world


def _settle_success(world: World, index: int, protocol: Protocol) -> World:
    payment = world.payments[index]
    if payment.fate != "seen" or world.outcome is None:
        return world
    owner, before = world.attempts[payment.owner], world.outcome
    match protocol.judge(owner.kind, before, payment.is_after_no, world.is_undone):
        case Keep():
            world = _keep(world, index, protocol, event="success_kept", fate="kept")
            is_new_yes = owner.kind == "hosted" and payment.is_after_no
            return world._replace(granted=world.granted + 1, has_kept_after_no=before == "closed" and not is_new_yes)
        case KeepAndRefund():
            return _keep(world, index, protocol, event="success_kept_to_refund", fate="refunded")
        case Return():
            world = _with_payment(world, index, fate="returned")
            return _move(world, payment.owner, "success_returned") or world
        case _:
            return _with_payment(world, index, fate="manual")


def _keep(world: World, index: int, protocol: Protocol, *, event: AttemptEvent, fate: str) -> World:
    owner = world.payments[index].owner
    moved = _move(world, owner, event)
    # A second payment kept for the same attempt would breach `one_kept_payment`: only a broken rule comes here.
    world = _with_payment(moved or world, index, fate=fate)
    world = world._replace(outcome="charged" if fate == "kept" else "refunded")
    for other in _live(world):
        if world.attempts[other].state != "pending" or protocol.is_pending_closed_by_success:
            world = _move(world, other, "other_success_kept") or world
    return world


def _kill(world: World) -> Iterator[Step]:
    """The process with every sender in it dies; its locked file is free, so its death is proven."""
    if not world.left.kills or not any(attempt.sender in WORKING for attempt in world.attempts):
        return
    dead = tuple(
        attempt._replace(sender="dead", has_ended=True, is_quiet=False) if attempt.sender in WORKING else attempt
        for attempt in world.attempts
    )
    yield "kill", _spend(world, "kills")._replace(attempts=dead)
