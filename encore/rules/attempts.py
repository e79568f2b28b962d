"""Attempts: their states and allowed transitions, and what a sight of the provider's payment means for one.

`charging.md`, sections 3, 5 and 7, as data and pure predicates. States, kinds and outcomes are the words of the
database's columns. `MOVES` is the one table: a change that is not in it is refused, so nothing settled ever falls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from encore.rules.money import Money

AttemptKind = Literal["one_click", "plan_change", "dues", "hosted"]
AttemptState = Literal[
    "queued",
    "sending",
    "unknown",
    "pending",
    "action_required",
    "opening",
    "hosted_open",
    "paid",
    "unwanted",
    "failed",
    "rejected",
    "absent",
    "not_sent",
    "dropped",
    "hosted_closed",
]
Outcome = Literal["open", "needs_checkout", "charged", "refunded", "closed"]

STATES: tuple[AttemptState, ...] = get_args(AttemptState)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
KINDS: tuple[AttemptKind, ...] = get_args(AttemptKind)

# While one of these stands, no second way to pay is shown: its money may still move.
LIVE_DIRECT: tuple[AttemptState, ...] = ("queued", "sending", "unknown", "pending", "action_required")
LIVE_HOSTED: tuple[AttemptState, ...] = ("opening", "hosted_open", "pending")
LIVE: tuple[AttemptState, ...] = (*LIVE_DIRECT, "opening", "hosted_open")

# The charges of a subscription: of its plan, and of what it owes on hold.
OF_SUBSCRIPTION: tuple[AttemptKind, ...] = ("plan_change", "dues")

_OF_SUBSCRIPTION_STATES: tuple[AttemptState, ...] = (
    *("sending", "unknown", "pending", "action_required"),
    *("paid", "failed", "rejected", "absent", "not_sent", "dropped"),
)
# The states each kind can ever be in: a hosted checkout is never sent by us, one click never opens a session, and
# a charge of a subscription is neither queued (what it was decided on would be old by then) nor returned (the provider
# refunds no proration, and dues that are paid were owed).
STATES_OF: dict[AttemptKind, tuple[AttemptState, ...]] = {
    "one_click": (*LIVE_DIRECT, "paid", "unwanted", "failed", "rejected", "absent", "not_sent", "dropped"),
    "plan_change": _OF_SUBSCRIPTION_STATES,
    "dues": _OF_SUBSCRIPTION_STATES,
    "hosted": (*LIVE_HOSTED, "paid", "unwanted", "hosted_closed"),
}

AttemptEvent = Literal[
    "claimed",
    "claimed_without_slot",
    "taken_by_worker",
    "queue_expired",
    "queue_cancelled",
    "not_written",
    "refused",
    "accepted",
    "answer_unclear",
    "answer_disproved",
    "sender_ended",
    "sender_silent",
    "found_absent",
    "seen_processing",
    "seen_action",
    "seen_action_without_link",
    "seen_failed",
    "seen_failed_still_payable",
    "seen_failed_consumed",
    "session_expired",
    "day_passed",
    "action_day_passed",
    "buyer_declined",
    "checkout_asked",
    "session_created",
    "session_refused",
    "product_gone",
    "success_kept",
    "success_kept_to_refund",
    "success_returned",
    "other_success_kept",
]
EVENTS: tuple[AttemptEvent, ...] = get_args(AttemptEvent)


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table: an attempt of `kind` in one of `leaving` goes to `to`, its acceptance to `outcome`.

    `leaving` empty: there is no live attempt. `to` None: no attempt changes. `outcome` None: it stays as it is.
    """

    kind: AttemptKind
    event: AttemptEvent
    leaving: tuple[AttemptState, ...]
    to: AttemptState | None
    outcome: Outcome | None


_ONE_CLICK_ENDS: tuple[AttemptState, ...] = ("failed", "rejected", "absent", "not_sent", "dropped")
_LIVE_OF_SUBSCRIPTION: tuple[AttemptState, ...] = ("sending", "unknown", "pending", "action_required")


def _moves_of_subscription(kind: AttemptKind) -> tuple[Move, ...]:
    """The moves of a charge of a subscription.

    It has no hosted fallback: a second subscription would be sold there. Every end closes the yes, and a success is
    honoured, however late.
    """
    return (
        Move(kind, "claimed", (), "sending", "open"),
        Move(kind, "not_written", ("sending", "unknown"), "not_sent", "closed"),
        Move(kind, "refused", ("sending", "unknown"), "rejected", "closed"),
        Move(kind, "accepted", ("sending", "unknown"), "pending", None),
        Move(kind, "answer_unclear", ("sending",), "unknown", None),
        Move(kind, "answer_disproved", ("sending", "pending"), "unknown", None),
        Move(kind, "sender_ended", ("sending",), "unknown", None),
        Move(kind, "sender_silent", ("sending",), "unknown", None),
        Move(kind, "found_absent", ("unknown",), "absent", "closed"),
        Move(kind, "seen_processing", _LIVE_OF_SUBSCRIPTION, "pending", None),
        Move(kind, "seen_action", _LIVE_OF_SUBSCRIPTION, "action_required", None),
        Move(kind, "seen_action_without_link", _LIVE_OF_SUBSCRIPTION, "dropped", "closed"),
        Move(kind, "seen_failed", _LIVE_OF_SUBSCRIPTION, "failed", "closed"),
        Move(kind, "day_passed", ("action_required",), "dropped", "closed"),
        Move(kind, "buyer_declined", ("action_required",), "dropped", "closed"),
        Move(kind, "success_kept", (*_LIVE_OF_SUBSCRIPTION, *_ONE_CLICK_ENDS), "paid", "charged"),
    )


MOVES: tuple[Move, ...] = (
    # One click: claim, send, settle.
    Move("one_click", "claimed", (), "sending", "open"),
    Move("one_click", "claimed_without_slot", (), "queued", "open"),
    Move("one_click", "taken_by_worker", ("queued",), "sending", None),
    Move("one_click", "queue_expired", ("queued",), "not_sent", "needs_checkout"),
    Move("one_click", "queue_cancelled", ("queued",), "not_sent", "closed"),
    Move("one_click", "not_written", ("sending", "unknown"), "not_sent", "needs_checkout"),
    Move("one_click", "refused", ("sending", "unknown"), "rejected", "needs_checkout"),
    Move("one_click", "accepted", ("sending", "unknown"), "pending", None),
    Move("one_click", "answer_unclear", ("sending",), "unknown", None),
    # Pending on the word of an answer alone, and its payment proves to be another's: nothing is known of ours then.
    Move("one_click", "answer_disproved", ("sending", "pending"), "unknown", None),
    Move("one_click", "sender_ended", ("sending",), "unknown", None),
    Move("one_click", "sender_silent", ("sending",), "unknown", None),
    # Only from unknown: a payment once seen cannot be found absent.
    Move("one_click", "found_absent", ("unknown",), "absent", "needs_checkout"),
    # What the provider shows decides from every live state: a webhook may be faster than our own answer.
    Move("one_click", "seen_processing", LIVE_DIRECT, "pending", None),
    Move("one_click", "seen_action", LIVE_DIRECT, "action_required", None),
    Move("one_click", "seen_action_without_link", LIVE_DIRECT, "dropped", "needs_checkout"),
    Move("one_click", "seen_failed", LIVE_DIRECT, "failed", "needs_checkout"),
    Move("one_click", "day_passed", ("action_required",), "dropped", "closed"),
    Move("one_click", "buyer_declined", ("action_required",), "dropped", "closed"),
    *_moves_of_subscription("plan_change"),
    *_moves_of_subscription("dues"),
    # Hosted checkout: opened only when nothing is live, one session at a time.
    Move("hosted", "checkout_asked", (), "opening", None),
    Move("hosted", "buyer_declined", (), None, "closed"),
    Move("hosted", "day_passed", (), None, "closed"),
    Move("hosted", "session_created", ("opening",), "hosted_open", None),
    Move("hosted", "session_refused", ("opening",), "hosted_closed", "needs_checkout"),
    Move("hosted", "product_gone", ("opening",), "hosted_closed", "closed"),
    # From opening too: a payment under way in a session we lost must bar a second session.
    Move("hosted", "seen_processing", LIVE_HOSTED, "pending", None),
    Move("hosted", "seen_action", LIVE_HOSTED, "pending", None),
    Move("hosted", "seen_failed_still_payable", ("hosted_open", "pending"), "hosted_open", None),
    Move("hosted", "seen_failed_consumed", ("hosted_open", "pending"), "hosted_closed", "needs_checkout"),
    Move("hosted", "session_expired", ("hosted_open", "pending"), "hosted_closed", "needs_checkout"),
    # Not from pending: a payment under way is not the buyer's to call off, and no W18 is shown.
    Move("hosted", "buyer_declined", ("opening", "hosted_open"), "hosted_closed", "closed"),
    Move("hosted", "day_passed", ("opening", "hosted_open"), "hosted_closed", "closed"),
    Move("hosted", "action_day_passed", ("pending",), "hosted_closed", "closed"),
    # Success, from any state: an end that cost nothing may still rise to paid; paid never falls.
    Move("one_click", "success_kept", (*LIVE_DIRECT, *_ONE_CLICK_ENDS, "unwanted"), "paid", "charged"),
    Move("one_click", "success_kept_to_refund", (*LIVE_DIRECT, *_ONE_CLICK_ENDS, "unwanted"), "paid", "refunded"),
    Move("one_click", "success_returned", (*LIVE_DIRECT, *_ONE_CLICK_ENDS), "unwanted", None),
    Move("hosted", "success_kept", (*LIVE_HOSTED, "hosted_closed", "unwanted"), "paid", "charged"),
    Move("hosted", "success_kept_to_refund", (*LIVE_HOSTED, "hosted_closed", "unwanted"), "paid", "refunded"),
    Move("hosted", "success_returned", (*LIVE_HOSTED, "hosted_closed"), "unwanted", None),
    # Pending too: left live, its success would meet an acceptance that already has its payment, with a page
    # that still says "pay".
    Move("hosted", "other_success_kept", LIVE_HOSTED, "hosted_closed", None),
)


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event makes of an attempt and its acceptance; None: that one stays as it is."""

    to: AttemptState | None
    outcome: Outcome | None


def leaving(kind: AttemptKind, event: AttemptEvent) -> tuple[AttemptState, ...]:
    """The states the event may leave, for the `WHERE state IN (..)` of the conditional UPDATE."""
    return tuple(state for move in MOVES if (move.kind, move.event) == (kind, event) for state in move.leaving)


def transition(
    kind: AttemptKind, state: AttemptState | None, *, event: AttemptEvent, undo_asked: bool = False
) -> Transition | None:
    """Look up what `event` does to an attempt in `state`; None: refused, read the row again.

    `state` None: no attempt of the acceptance is live. With a stored undo a try that ends without a charge closes
    the acceptance: the buyer has said that nothing is wanted any more.
    """
    for move in MOVES:
        if (move.kind, move.event) == (kind, event) and (state in move.leaving or (state is None and not move.leaving)):
            outcome = "closed" if undo_asked and move.outcome == "needs_checkout" else move.outcome
            return Transition(to=move.to, outcome=outcome)
    return None


# ---- What a payment at the provider means -------------------------------------------------------------------

Sighting = Literal["processing", "requires_action", "failed", "succeeded"]

# Source: `IntentStatus` of the provider, 11 values. Not yet certain reads as processing: it can still succeed.
_SIGHTINGS: dict[str, Sighting] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "failed",
    "requires_payment_method": "failed",
    "requires_customer_action": "requires_action",
    "processing": "processing",
    "requires_merchant_action": "processing",
    "requires_confirmation": "processing",
    "requires_capture": "processing",
    "partially_captured": "processing",
    "partially_captured_and_capturable": "processing",
}


def sight(status: str | None) -> Sighting:
    """Read a payment's status. None (right after creation) and any unknown value count as still processing."""
    return _SIGHTINGS.get(status or "", "processing")


Whose = Literal["ours", "renewal", "nobody"]

# What the provider calls the payments that each kind of attempt makes. Source: `charge_type` of a payment, SDK 1.123.0.
CHARGE_TYPES_OF: dict[AttemptKind, tuple[str | None, ...]] = {
    "one_click": (None, "new"),
    "plan_change": ("plan_change",),
    # None by a mark: the provider takes no metadata with dues. Theirs are found by their subscription.
    "dues": (),
    "hosted": (None, "new"),
}


def whose_payment(
    *,
    is_mark_true: bool,
    sent_customer_id: str | None,
    paying_customer_id: str,
    stored_session_id: str | None,
    paid_session_id: str | None,
    charge_type: str | None,
    kind: AttemptKind = "one_click",
) -> Whose:
    """Decide whether a payment that names an attempt belongs to it.

    `is_mark_true`: its `attempt_sig` verifies. `sent_customer_id` is the customer our request named, None for a
    hosted session without one: then the session must be the attempt's. `charge_type` comes from the full payment,
    `kind` is the attempt's: a plan change is paid by a payment of that type, and nothing else is.
    A payment link lets anyone write metadata and renewals may inherit it, so the mark alone proves nothing; a
    renewal is stored as such and is never somebody's duplicate.
    """
    if not is_mark_true:
        return "nobody"
    if charge_type not in CHARGE_TYPES_OF[kind]:
        # Begun elsewhere, a plan change inherits its subscription's metadata just as a renewal does.
        return "renewal" if charge_type in ("renewal", "on_demand", "plan_change") else "nobody"
    if sent_customer_id is not None:
        return "ours" if paying_customer_id == sent_customer_id else "nobody"
    is_session = stored_session_id is not None and stored_session_id == paid_session_id
    return "ours" if is_session else "nobody"


# ---- Settling unknown ----------------------------------------------------------------------------------------

# Fewer looks could all fall into one short lag of the provider's list.
MIN_CLEAN_MISSES = 5
# A look that met an outage says nothing; repeated soon, so that an outcome is known within a minute of healing.
UNCLEAN_RETRY_MS = 30_000


def is_absent(
    *, sender_ended: bool, clean_misses: int, quiet_ms: int, quarantine_ms: int, is_named_by_webhook: bool
) -> bool:
    """Whether an unknown attempt is proven not to have charged: all four signs of charging.md, section 5.

    `sender_ended` is proof, not a time-out: a paused process wakes up and goes on where it stopped.
    `quiet_ms` and `clean_misses` are the worker's own, on its monotonic clock, and begin only when the sender has
    ended: a sender that pauses after its window check may still write, and silence before that proves nothing
    (found by the protocol search: `quiet_before_end`).
    """
    return sender_ended and clean_misses >= MIN_CLEAN_MISSES and quiet_ms >= quarantine_ms and not is_named_by_webhook


def next_look_after(
    age_ms: int, *, looks_s: Sequence[float], every_s: float, was_clean: bool, quiet_left_ms: int
) -> int:
    """How long from now, in milliseconds, until the next look at an attempt `age_ms` old.

    `looks_s` are the ages of the scheduled looks, ascending; then one `every_s`. By age and not by count: looks
    that a buyer or a webhook asked for do not push the others away. `quiet_left_ms` is what the quarantine still
    needs (0 or less: nothing), so that its end is looked at in time after a restart or an outage.
    """
    ahead = [int(at_s * 1000) - age_ms for at_s in looks_s if int(at_s * 1000) > age_ms]
    wait_ms = ahead[0] if ahead else int(every_s * 1000)
    if not was_clean:
        wait_ms = min(wait_ms, UNCLEAN_RETRY_MS)
    # The quiet time ends at a look; rounded up, or the last look would come a millisecond too early.
    return min(wait_ms, quiet_left_ms + 1) if quiet_left_ms > 0 else wait_ms


# ---- What a success means ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keep:
    """Payment kept, attempt paid, outcome charged: order, entitlements, receipt.

    `is_less`: below the consent. `is_more`: a charge of a subscription above it, or in another currency, for a person.
    """

    is_less: bool = False
    is_more: bool = False


@dataclass(frozen=True, slots=True)
class KeepAndRefund:
    """Payment kept, full refund due, outcome refunded, no entitlement."""

    reason: Literal["undo", "other_cart", "other_currency", "overcharged"]


@dataclass(frozen=True, slots=True)
class Return:
    """Payment returned, attempt unwanted, full refund due; the acceptance stays as it is."""

    reason: Literal["already_charged", "already_refunded", "declined_before"]


@dataclass(frozen=True, slots=True)
class LeaveToPerson:
    """Nothing is moved: there is no row, or nothing to refund."""

    reason: Literal["no_row", "zero_amount", "paid_twice"]


SuccessMeaning = Keep | KeepAndRefund | Return | LeaveToPerson


def judge_success(
    *,
    kind: str,
    outcome: str | None,
    closed_at: int | None,
    begun_at: int,
    undo_at: int | None,
    amount_agreed: Money | None,
    amount_paid: Money,
    is_right_cart: bool,
) -> SuccessMeaning:
    """Decide what a payment seen to have succeeded means for its acceptance (charging.md, section 7).

    `outcome` is the acceptance's, None when its row is missing; `closed_at` when it was closed, `begun_at` when the
    payment was created at the provider, `undo_at` when an undo was asked for: epoch milliseconds.
    `amount_agreed` None: the provider's own page showed the sum. `is_right_cart`: product and quantity are ours.
    """
    if outcome is None:
        return LeaveToPerson("no_row")
    if kind in OF_SUBSCRIPTION:
        return _of_subscription_meaning(
            outcome=outcome, amount_agreed=amount_agreed, amount_paid=amount_paid, may_be_untold=kind == "dues"
        )
    meaning = _meaning(
        kind=kind,
        standing=_standing(kind=kind, outcome=outcome, closed_at=closed_at, begun_at=begun_at),
        undo_at=undo_at,
        amount_agreed=amount_agreed,
        amount_paid=amount_paid,
        is_right_cart=is_right_cart,
    )
    # The provider refunds no payment of zero, so a refund due for it could never be done.
    if amount_paid.minor == 0 and not isinstance(meaning, Keep):
        return LeaveToPerson("zero_amount")
    return meaning


def _of_subscription_meaning(
    *, outcome: str, amount_agreed: Money | None, amount_paid: Money, may_be_untold: bool
) -> SuccessMeaning:
    """Never returned: the provider refunds no prorated line, and the plan has changed, or runs again, already."""
    if outcome in ("charged", "refunded"):
        return LeaveToPerson("paid_twice")
    if amount_agreed is None and may_be_untold:
        return Keep()
    if amount_agreed is None or amount_paid.currency != amount_agreed.currency:
        return Keep(is_more=True)
    return Keep(is_less=amount_paid < amount_agreed, is_more=amount_paid > amount_agreed)


def _standing(*, kind: str, outcome: str, closed_at: int | None, begun_at: int) -> Return | None:
    """Why the acceptance takes no payment any more; None: it still does."""
    if outcome == "charged":
        return Return("already_charged")
    if outcome == "refunded":
        return Return("already_refunded")
    if outcome != "closed":
        return None
    # Paying at the checkout after the "no" is a new yes. A payment begun before it is not, however late it lands.
    is_new_yes = kind == "hosted" and closed_at is not None and begun_at > closed_at
    return None if is_new_yes else Return("declined_before")


def _meaning(
    *,
    kind: str,
    standing: Return | None,
    undo_at: int | None,
    amount_agreed: Money | None,
    amount_paid: Money,
    is_right_cart: bool,
) -> SuccessMeaning:
    if standing is not None:
        return standing
    if undo_at is not None:
        return KeepAndRefund("undo")
    if not is_right_cart:
        return KeepAndRefund("other_cart")
    # At the provider's own checkout the buyer agreed to the sum shown there, not to ours.
    if kind == "hosted" or amount_agreed is None:
        return Keep()
    if amount_paid.currency != amount_agreed.currency:
        return KeepAndRefund("other_currency")
    if amount_paid > amount_agreed:
        return KeepAndRefund("overcharged")
    return Keep(is_less=amount_paid < amount_agreed)
