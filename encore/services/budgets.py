"""The provider's call limit, shared by web and worker; money first, the catalogue last."""

from time import sleep
from typing import Literal

from encore.errors import ProviderError, RateLimited
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
# Each look is a write: not oftener than the limit gives back a call to tier 0.
_PATIENCE_S, _LOOK_EVERY_S = 2.0, 0.25
# Calls a minute and at once, by the provider's tier. Source: the provider's page on rate limits.
_TIERS = {"0": (240, 40), "1": (1_000, 100), "2": (5_000, 500)}


def take(shop: Shop, purpose: Purpose) -> bool:
    """Take one call from the shared bucket, inside `write()` or alone; False if it must wait."""
    if shop.settings.dodo_tier == "off":
        return True
    per_minute, burst = _TIERS[shop.settings.dodo_tier]
    with shop.store.write():
        return budgets.take_call(shop.store, now=shop.now(), per_minute=per_minute, burst=burst, leave=_LEAVES[purpose])


def take_soon(shop: Shop, purpose: Purpose) -> bool:
    """Take one call for a buyer who waits, also if that takes up to two seconds; never inside `write()`.

    The provider asks for patience by the second, and a page that says "try again" costs the buyer more than that.
    """
    until = shop.clock.monotonic() + _PATIENCE_S
    while not take(shop, purpose):
        wait_s = max(_LOOK_EVERY_S, (budgets.get_blocked_until(shop.store) - shop.now()) / 1000)
        if shop.clock.monotonic() + wait_s > until:
            return False
        sleep(wait_s)
    return True


def block(shop: Shop, until: int | None) -> None:
    """Stop calling after the provider said "too many": until it names, else for a second."""
    with shop.store.write():
        budgets.block_calls(shop.store, until=until if until is not None else shop.now() + 1_000)


def heed(shop: Shop, error: ProviderError) -> None:
    """Stop calling if a refusal was the provider's "too many"; any other is none of the budget's."""
    if isinstance(error, RateLimited):
        block(shop, error.reset_at)
