"""Time passed is taken for the end of the sender, which may only be paused."""

from pathlib import Path

from encore.services.processes import Presence
from tests.broken.scenarios import PAUSED_SENDER

SCENARIO = PAUSED_SENDER
BREAKS = {"I2"}


def install(database: Path) -> None:
    Presence.has_ended = lambda *args, **options: True  # type: ignore[method-assign]
