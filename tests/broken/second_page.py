"""A new checkout is opened while the old one can still be paid."""

from pathlib import Path

from encore.services import bookkeeping, fallback
from encore.services.shop import Shop
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from tests.broken.scenarios import TWO_ADDRESSES

SCENARIO = TWO_ADDRESSES
BREAKS = {"I2"}


def install(database: Path) -> None:
    fallback._way_of = _another_way


def _another_way(shop: Shop, attempt: Attempt, acceptance: Acceptance, instance: OfferInstance) -> str | None:
    with shop.store.write():
        bookkeeping.apply_event(shop, attempt, "session_expired", reason="second_page")
    return fallback._open_session(shop, acceptance, instance)
