"""A payment is matched by its mark alone: a renewal that inherits one is taken for a second charge."""

from pathlib import Path
from typing import Any

from encore.rules.attempts import Whose, whose_payment
from encore.services import observe
from tests.broken.scenarios import MARKED_RENEWAL

SCENARIO = MARKED_RENEWAL
BREAKS = {"I11"}


def install(database: Path) -> None:
    vars(observe)["whose_payment"] = _whose


def _whose(*, charge_type: str | None, **signs: Any) -> Whose:
    return whose_payment(charge_type=None, **signs)
