"""Both guards off: indexes dropped, and the claim checks by a SELECT before it."""

from pathlib import Path

from tests.broken import no_constraints, read_then_write
from tests.broken.scenarios import SIX_CLICKS

SCENARIO = SIX_CLICKS
BREAKS = {"I20"}


def install(database: Path) -> None:
    read_then_write.install(database)
    no_constraints.install(database)
