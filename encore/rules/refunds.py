"""Refunds in part: which lines of a payment give back a sum."""

from collections.abc import Iterable


def split(amount: int, lines: Iterable[tuple[str, int]]) -> dict[str, int] | None:
    """Take a sum (minor units) from lines of (id, refundable) in their order; None if they do not hold it."""
    taken = {}
    for line_id, refundable in lines:
        part = min(amount, refundable)
        if part > 0:
            taken[line_id] = part
            amount -= part
    return taken if amount == 0 else None
