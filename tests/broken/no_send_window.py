"""No clock is looked at before the first byte: a process that slept charges whenever it wakes up."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from encore.dodo.answers import Answer
from encore.dodo.checkouts import Checkouts
from tests.broken.scenarios import SLEEPING_SENDER

SCENARIO = SLEEPING_SENDER
BREAKS = {"I4"}
_confirm_in_window = Checkouts.confirm


def install(database: Path) -> None:
    Checkouts.confirm = _confirm  # type: ignore[method-assign]


def _confirm(self: Checkouts, body: Mapping[str, Any], *, before_first_byte: Callable[[], bool]) -> Answer:
    return _confirm_in_window(self, body, before_first_byte=lambda: True)
