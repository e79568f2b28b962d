"""An attempt's id in a payment's metadata is believed: neither signature nor customer is checked."""

from pathlib import Path
from typing import Any

from encore.rules.attempts import Whose
from encore.services import observe
from tests.broken.scenarios import FORGED_MARK

SCENARIO = FORGED_MARK
BREAKS = {"I1"}


def install(database: Path) -> None:
    vars(observe)["whose_payment"] = _whose


def _whose(**signs: Any) -> Whose:
    return "ours"
