"""Settling an answer ignores what was learned while it was on its way."""

from pathlib import Path
from typing import Any

from encore.dodo.answers import Answer
from encore.dodo.models import Payment
from encore.rules.attempts import STATES
from encore.services import charging
from encore.services.shop import Shop
from encore.store import Store, attempts
from encore.store.attempts import Attempt
from tests.broken.scenarios import EARLY_NEWS

SCENARIO = EARLY_NEWS
BREAKS = {"I5"}
_settle, _mark_state = charging.settle, attempts.mark_state


def install(database: Path) -> None:
    charging.settle = _settle_over


def _settle_over(shop: Shop, attempt: Attempt, answer: Answer, *, payment: Payment | None) -> None:
    attempts.mark_state = _mark_from_any
    try:
        _settle(shop, attempt, answer, payment=payment)
    finally:
        attempts.mark_state = _mark_state


def _mark_from_any(store: Store, attempt_id: str, *, leaving: tuple[str, ...], **change: Any) -> bool:
    return _mark_state(store, attempt_id, leaving=STATES, **change)
