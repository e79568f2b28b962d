"""The rules our side follows in `protocol_model`: the real ones of `encore.rules.attempts`, each exchangeable."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from encore.rules.attempts import (
    AttemptEvent,
    AttemptKind,
    AttemptState,
    Outcome,
    SuccessMeaning,
    Transition,
    judge_success,
    transition,
    whose_payment,
)
from encore.rules.money import Money

QUARANTINE_MS = 900_000
_PRICE = Money(2320, "USD")
_CLOSED_AT = 10
_BEFORE, _AFTER = 5, 20


@cache
def real_move(kind: AttemptKind, state: AttemptState | None, event: AttemptEvent, is_undone: bool) -> Transition | None:
    """The real table."""
    return transition(kind, state, event=event, undo_asked=is_undone)


@cache
def real_judge(kind: AttemptKind, outcome: Outcome, is_after_no: bool, is_undone: bool) -> SuccessMeaning:
    """The real meaning of a success of the right amount and cart."""
    return judge_success(
        kind=kind,
        outcome=outcome,
        closed_at=_CLOSED_AT if outcome == "closed" else None,
        begun_at=_AFTER if is_after_no else _BEFORE,
        undo_at=_BEFORE if is_undone else None,
        amount_agreed=_PRICE,
        amount_paid=_PRICE,
        is_right_cart=True,
    )


@cache
def real_whose(kind: AttemptKind, is_renewal: bool) -> str:
    """The real owner of a payment that carries a true mark."""
    return whose_payment(
        is_mark_true=True,
        sent_customer_id="cus_1" if kind == "one_click" else None,
        paying_customer_id="cus_1",
        stored_session_id="cks_1",
        paid_session_id="cks_1",
        charge_type="renewal" if is_renewal else None,
    )


@dataclass(frozen=True)
class Protocol:
    """The rules our side follows; each default is the real one."""

    judge: Callable[[AttemptKind, Outcome, bool, bool], SuccessMeaning] = real_judge
    whose: Callable[[AttemptKind, bool], str] = real_whose
    quarantine_ms: int = QUARANTINE_MS
    is_silence_death: bool = False
    is_quiet_before_end_counted: bool = False
    is_settle_conditional: bool = True
    is_unclear_unknown: bool = True
    is_pending_closed_by_success: bool = True
    is_one_page: bool = True
    is_claim_compared: bool = True
    has_constraints: bool = True
