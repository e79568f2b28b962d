"""The table of `charging.md`, section 3: every state with every event, what is allowed and what is refused."""

import itertools

import pytest

from encore.rules.attempts import (
    EVENTS,
    KINDS,
    LIVE,
    LIVE_DIRECT,
    LIVE_HOSTED,
    MOVES,
    OUTCOMES,
    STATES,
    STATES_OF,
    AttemptEvent,
    AttemptKind,
    AttemptState,
    Transition,
    leaving,
    transition,
)

ENDS = ("paid", "unwanted", "failed", "rejected", "absent", "not_sent", "dropped", "hosted_closed")
_DIRECT = "queued sending unknown pending action_required"
_CHANGING = "sending unknown pending action_required"
_FALLEN = "failed rejected absent not_sent dropped"

# Written out by hand from the document, not from the code: event, states left, state reached, outcome.
_OF_SUBSCRIPTION: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("claimed", "-", "sending", "open"),
    ("not_written", "sending unknown", "not_sent", "closed"),
    ("refused", "sending unknown", "rejected", "closed"),
    ("accepted", "sending unknown", "pending", None),
    ("answer_unclear", "sending", "unknown", None),
    ("answer_disproved", "sending pending", "unknown", None),
    ("sender_ended", "sending", "unknown", None),
    ("sender_silent", "sending", "unknown", None),
    ("found_absent", "unknown", "absent", "closed"),
    ("seen_processing", _CHANGING, "pending", None),
    ("seen_action", _CHANGING, "action_required", None),
    ("seen_action_without_link", _CHANGING, "dropped", "closed"),
    ("seen_failed", _CHANGING, "failed", "closed"),
    ("day_passed", "action_required", "dropped", "closed"),
    ("buyer_declined", "action_required", "dropped", "closed"),
    ("success_kept", f"{_CHANGING} {_FALLEN}", "paid", "charged"),
)

# Likewise, of every kind: kind, event, states left ("-": none is live), state
# reached, outcome. A pair that is not here must be refused.
EXPECTED: tuple[tuple[AttemptKind, str, str, str | None, str | None], ...] = (
    ("one_click", "claimed", "-", "sending", "open"),
    ("one_click", "claimed_without_slot", "-", "queued", "open"),
    ("one_click", "taken_by_worker", "queued", "sending", None),
    ("one_click", "queue_expired", "queued", "not_sent", "needs_checkout"),
    ("one_click", "queue_cancelled", "queued", "not_sent", "closed"),
    ("one_click", "not_written", "sending unknown", "not_sent", "needs_checkout"),
    ("one_click", "refused", "sending unknown", "rejected", "needs_checkout"),
    ("one_click", "accepted", "sending unknown", "pending", None),
    ("one_click", "answer_unclear", "sending", "unknown", None),
    ("one_click", "answer_disproved", "sending pending", "unknown", None),
    ("one_click", "sender_ended", "sending", "unknown", None),
    ("one_click", "sender_silent", "sending", "unknown", None),
    ("one_click", "found_absent", "unknown", "absent", "needs_checkout"),
    ("one_click", "seen_processing", _DIRECT, "pending", None),
    ("one_click", "seen_action", _DIRECT, "action_required", None),
    ("one_click", "seen_action_without_link", _DIRECT, "dropped", "needs_checkout"),
    ("one_click", "seen_failed", _DIRECT, "failed", "needs_checkout"),
    ("one_click", "day_passed", "action_required", "dropped", "closed"),
    ("one_click", "buyer_declined", "action_required", "dropped", "closed"),
    ("one_click", "success_kept", f"{_DIRECT} {_FALLEN} unwanted", "paid", "charged"),
    ("one_click", "success_kept_to_refund", f"{_DIRECT} {_FALLEN} unwanted", "paid", "refunded"),
    ("one_click", "success_returned", f"{_DIRECT} {_FALLEN}", "unwanted", None),
    *((kind, *row) for kind in ("plan_change", "dues") for row in _OF_SUBSCRIPTION),
    ("hosted", "checkout_asked", "-", "opening", None),
    ("hosted", "buyer_declined", "-", None, "closed"),
    ("hosted", "day_passed", "-", None, "closed"),
    ("hosted", "session_created", "opening", "hosted_open", None),
    ("hosted", "session_refused", "opening", "hosted_closed", "needs_checkout"),
    ("hosted", "product_gone", "opening", "hosted_closed", "closed"),
    ("hosted", "seen_processing", "opening hosted_open pending", "pending", None),
    ("hosted", "seen_action", "opening hosted_open pending", "pending", None),
    ("hosted", "seen_failed_still_payable", "hosted_open pending", "hosted_open", None),
    ("hosted", "seen_failed_consumed", "hosted_open pending", "hosted_closed", "needs_checkout"),
    ("hosted", "session_expired", "hosted_open pending", "hosted_closed", "needs_checkout"),
    ("hosted", "buyer_declined", "opening hosted_open", "hosted_closed", "closed"),
    ("hosted", "day_passed", "opening hosted_open", "hosted_closed", "closed"),
    ("hosted", "action_day_passed", "pending", "hosted_closed", "closed"),
    ("hosted", "success_kept", "opening hosted_open pending hosted_closed unwanted", "paid", "charged"),
    ("hosted", "success_kept_to_refund", "opening hosted_open pending hosted_closed unwanted", "paid", "refunded"),
    ("hosted", "success_returned", "opening hosted_open pending hosted_closed", "unwanted", None),
    ("hosted", "other_success_kept", "opening hosted_open pending", "hosted_closed", None),
)
ALLOWED = {
    (kind, None if state == "-" else state, event): (to, outcome)
    for kind, event, states, to, outcome in EXPECTED
    for state in states.split()
}
CELLS = [(state, event) for state in (None, *STATES) for event in EVENTS]


@pytest.mark.parametrize(("state", "event"), CELLS, ids=[f"{state}-{event}" for state, event in CELLS])
def test_state_meets_event(state: AttemptState | None, event: AttemptEvent) -> None:
    for kind in KINDS:
        expected = ALLOWED.get((kind, state, event))

        found = transition(kind, state, event=event)

        assert (None if found is None else (found.to, found.outcome)) == expected, kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", EVENTS)
def test_conditional_update_names_exactly_the_allowed_states(kind: AttemptKind, event: AttemptEvent) -> None:
    expected = {state for a_kind, state, an_event in ALLOWED if (a_kind, an_event) == (kind, event) and state}

    assert set(leaving(kind, event)) == expected
    assert len(leaving(kind, event)) == len(expected)


def test_every_kind_state_and_event_is_in_the_table() -> None:
    assert (len(STATES), len(OUTCOMES), len(KINDS)) == (15, 5, 4)
    assert {move.event for move in MOVES} == set(EVENTS)
    for kind in KINDS:
        named = {state for move in MOVES if move.kind == kind for state in (*move.leaving, move.to) if state}
        assert named == set(STATES_OF[kind])


def test_live_states_are_those_of_the_constraint() -> None:
    assert set(LIVE) == set(STATES) - set(ENDS)
    assert set(LIVE_DIRECT) | set(LIVE_HOSTED) == set(LIVE)
    assert set(LIVE_DIRECT) & set(LIVE_HOSTED) == {"pending"}


def test_paid_never_changes() -> None:
    for kind, event in itertools.product(KINDS, EVENTS):
        assert transition(kind, "paid", event=event) is None


def test_an_end_only_rises_by_an_observed_success() -> None:
    for kind, state, event in ALLOWED:
        if state in ENDS:
            assert event.startswith("success_"), (kind, state, event)


def test_nothing_new_starts_while_an_attempt_is_live() -> None:
    for event in ("claimed", "claimed_without_slot", "checkout_asked"):
        assert all(state is None for _, state, named in ALLOWED if named == event)


def test_unknown_never_offers_another_way_before_absent_or_seen() -> None:
    freeing = {
        event for kind, state, event in ALLOWED if (kind, state) == ("one_click", "unknown") and _leads_to(state, event)
    }

    assert freeing == {"not_written", "refused", "found_absent", "seen_failed", "seen_action_without_link"}


def _leads_to(state: str | None, event: str) -> bool:
    return ALLOWED["one_click", state, event][1] == "needs_checkout"


def test_pending_and_action_are_never_found_absent() -> None:
    assert leaving("one_click", "found_absent") == ("unknown",)


@pytest.mark.parametrize("kind", ["plan_change", "dues"])
def test_a_charge_of_a_subscription_never_leads_to_a_second_checkout(kind: str) -> None:
    assert {move.outcome for move in MOVES if move.kind == kind} == {"open", "closed", "charged", None}


def test_a_hosted_payment_under_way_cannot_be_called_off() -> None:
    assert transition("hosted", "pending", event="buyer_declined") is None
    assert transition("hosted", "pending", event="day_passed") is None


def test_a_stored_undo_closes_what_would_need_the_checkout() -> None:
    for kind, state, event in ALLOWED:
        plain = transition(kind, state, event=event)  # type: ignore[arg-type]
        undone = transition(kind, state, event=event, undo_asked=True)  # type: ignore[arg-type]

        assert plain is not None
        expected = "closed" if plain.outcome == "needs_checkout" else plain.outcome
        assert undone == Transition(to=plain.to, outcome=expected)
