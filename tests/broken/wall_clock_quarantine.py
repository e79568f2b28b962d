"""Quiet time is taken from the wall clock, which jumps."""

from pathlib import Path

from encore.services import reconcile
from encore.services.shop import Shop
from encore.store.attempts import Attempt
from tests.broken.scenarios import LATE_CHARGE

SCENARIO = LATE_CHARGE
BREAKS = {"I2"}
_count = reconcile._count_miss


def install(database: Path) -> None:
    reconcile._count_miss = _count_by_the_wall


def _count_by_the_wall(
    shop: Shop, attempt: Attempt, quarantine: reconcile.Quarantine | None, *, is_clean: bool
) -> None:
    steady = shop.clock.monotonic
    shop.clock.monotonic = lambda: shop.clock.now() / 1000  # type: ignore[method-assign]
    try:
        _count(shop, attempt, quarantine, is_clean=is_clean)
    finally:
        shop.clock.monotonic = steady  # type: ignore[method-assign]
