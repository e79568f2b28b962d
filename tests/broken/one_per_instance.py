"""A yes is unique for its page only: no index over customer and product, and no second look inside the claim."""

from pathlib import Path

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from encore.services import charging
from tests.broken.scenarios import TWO_INSTANCES

SCENARIO = TWO_INSTANCES
BREAKS = {"I7"}


def install(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("DROP INDEX one_open_yes")
    connection.close()
    charging.is_still_offered = lambda *args, **options: True
