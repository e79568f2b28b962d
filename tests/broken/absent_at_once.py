"""Q = 0: one look that finds nothing proves that nothing was charged."""

from pathlib import Path

from encore.services import reconcile
from tests.broken.scenarios import HIDDEN_CHARGE

SCENARIO = HIDDEN_CHARGE
BREAKS = {"I2"}


def install(database: Path) -> None:
    vars(reconcile)["is_absent"] = lambda **signs: True
