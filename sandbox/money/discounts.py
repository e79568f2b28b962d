"""What a discount takes off the lines of a cart, in whole minor units that add up."""

from collections.abc import Sequence

from .rounding import share


def percentage_off(amounts: Sequence[int], basis_points: int, *, most: int | None = None) -> list[int]:
    """Return what a percentage takes off each amount; together never more than `most`."""
    off = [share(amount, basis_points) for amount in amounts]
    return off if most is None or sum(off) <= most else spread(most, off)


def flat_off(amounts: Sequence[int], amount: int) -> list[int]:
    """Return what one flat sum takes off each amount: its share of it, and never more than there is."""
    return spread(min(amount, sum(amounts)), amounts)


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Cut a total of zero or more into whole parts that add up to it, as near to the weights as whole parts can be.

    No part is above its weight if the total is not above their sum.
    """
    whole, passed, parts = sum(weights), 0, []
    for weight in weights:
        before, passed = passed, passed + weight
        parts.append(total * passed // whole - total * before // whole if whole else 0)
    return parts
