"""Disputes: what each of the provider's words means for the money."""

from collections.abc import Sequence

OPEN = frozenset({"dispute_opened", "dispute_challenged"})
# Accepting a dispute gives the money back as losing it does.
_LOST = frozenset({"dispute_lost", "dispute_accepted"})


def is_open(status: str | None) -> bool:
    """Tell whether a dispute still waits for its decision."""
    return status in OPEN


def is_lost(status: str | None) -> bool:
    """Tell whether a dispute has taken the money back to the buyer."""
    return status in _LOST


def standing_status(statuses: Sequence[str]) -> str | None:
    """Return the one status that counts of all disputes of a payment, oldest first: lost, else open, else the last."""
    for weighty in (_LOST, OPEN):
        statuses = [status for status in statuses if status in weighty] or statuses
    return statuses[-1] if statuses else None
