"""The charging POST is sent again when its answer does not come, as the provider's own library does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from encore.dodo.answers import Answer, UnknownAnswer
from encore.dodo.checkouts import Checkouts
from tests.broken.scenarios import LOST_ANSWER

SCENARIO = LOST_ANSWER
BREAKS = {"I4", "I2"}
_send_once = Checkouts.confirm


def install(database: Path) -> None:
    Checkouts.confirm = _confirm  # type: ignore[method-assign]


def _confirm(self: Checkouts, body: Mapping[str, Any], *, before_first_byte: Callable[[], bool]) -> Answer:
    for _ in range(2):
        answer = _send_once(self, body, before_first_byte=before_first_byte)
        if not isinstance(answer, UnknownAnswer):
            return answer
    return answer
