"""The second guard off: no constraint refuses a second yes. The claim's compare-and-set still allows one charge."""

from pathlib import Path

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from tests.broken.scenarios import SIX_CLICKS

SCENARIO = SIX_CLICKS
# The audit says that the guards are gone, whatever came of it.
BREAKS = {"I20"}


def install(database: Path) -> None:
    drop_constraints(database)


def drop_constraints(database: Path) -> None:
    """Take from a store every constraint that refuses a second yes or a second request."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA legacy_alter_table = ON")
    for index in ("one_open_yes", "one_charging_request", "one_live_attempt"):
        connection.execute(f"DROP INDEX {index}")
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'acceptances'").fetchone()
    free = sql.replace("offer_instance_id text NOT NULL UNIQUE", "offer_instance_id text NOT NULL")
    assert free != sql
    connection.execute("DROP TABLE acceptances")
    connection.execute(free)
    connection.close()
