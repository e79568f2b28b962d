"""The provider's call limit, shared by web and worker; money first, the catalogue last."""

from typing import Literal

from encore.services.shop import Shop
from encore.store import budgets

Purpose = Literal["charge", "status", "refund", "checkout", "reconcile", "catalogue"]

# The share of the bucket each purpose leaves for those that matter more. Source: charging.md, section 1.
_LEAVES: dict[Purpose, float] = {
    "charge": 0.0,
    "status": 0.10,
    "refund": 0.20,
    "checkout": 0.25,
    "reconcile": 0.30,
    "catalogue": 0.40,
}
# Calls a minute and at once, by the provider's tier. Source: the provider's page on rate limits.
_TIERS = {"0": (240, 40), "1": (1_000, 100), "2": (5_000, 500)}


def take(shop: Shop, purpose: Purpose) -> bool:
    """Take one call from the shared bucket, inside `write()` or alone; False if it must wait."""
    if shop.settings.dodo_tier == "off":
        return True
    per_minute, burst = _TIERS[shop.settings.dodo_tier]
    with shop.store.write():
        return budgets.take_call(shop.store, now=shop.now(), per_minute=per_minute, burst=burst, leave=_LEAVES[purpose])


def block(shop: Shop, until: int | None) -> None:
    """Stop calling after the provider said "too many": until it names, else for a second."""
    with shop.store.write():
        budgets.block_calls(shop.store, until=until if until is not None else shop.now() + 1_000)
