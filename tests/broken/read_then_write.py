"""The first guard off: the claim trusts what was read before its transaction. Constraints still allow one charge."""

from pathlib import Path

from encore.store import Store, offer_instances
from tests.broken.scenarios import SIX_CLICKS

SCENARIO = SIX_CLICKS
BREAKS: set[str] = set()


def install(database: Path) -> None:
    offer_instances.claim_instance = _claim


def _claim(store: Store, instance_id: str, *, quote_hash: str | None, now: int) -> bool:
    store.run(
        "UPDATE offer_instances SET state = 'accepted', answered_at = :now WHERE id = :id", id=instance_id, now=now
    )
    return True
