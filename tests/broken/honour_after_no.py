"""A success is kept although the buyer's no came before it."""

from pathlib import Path

from encore.rules import attempts
from encore.rules.attempts import Return
from tests.broken.scenarios import LATE_SUCCESS

SCENARIO = LATE_SUCCESS
BREAKS = {"I6"}
_standing = attempts._standing


def install(database: Path) -> None:
    attempts._standing = _honour


def _honour(*, kind: str, outcome: str, closed_at: int | None, begun_at: int) -> Return | None:
    verdict = _standing(kind=kind, outcome=outcome, closed_at=closed_at, begun_at=begun_at)
    return None if verdict == Return("declined_before") else verdict
