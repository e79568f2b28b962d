"""An answer that does not come in time is taken for a refusal."""

from pathlib import Path

from encore.dodo import checkouts
from encore.dodo.answers import Answer, Exchange, Refused, UnknownAnswer, classify
from tests.broken.scenarios import LOST_ANSWER

SCENARIO = LOST_ANSWER
BREAKS = {"I2"}


def install(database: Path) -> None:
    vars(checkouts)["classify"] = _classify


def _classify(exchange: Exchange, *, now: int) -> Answer:
    answer = classify(exchange, now=now)
    return Refused("TIMEOUT", 422, "") if isinstance(answer, UnknownAnswer) and exchange.reply is None else answer
