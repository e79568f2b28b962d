"""Rounding to whole minor units."""

from fractions import Fraction

ROUNDINGS = ("half_up", "half_even")


def to_minor(value: Fraction, rounding: str = "half_up") -> int:
    """Round to the nearest whole minor unit; halves go away from zero, or to the even neighbour.

    Away from zero, so that a line and its credit cancel: half of 79.97 is 39.99, and so is its negative. How the
    provider rounds is not documented; `rounding` is the switch of that name.
    """
    size = abs(value)
    whole = round(size) if rounding == "half_even" else int(size + Fraction(1, 2))
    return whole if value >= 0 else -whole


def share(amount: int, basis_points: int, rounding: str = "half_up") -> int:
    """Return that many basis points of an amount."""
    return to_minor(Fraction(amount * basis_points, 10_000), rounding)


def contained(amount: int, basis_points: int, rounding: str = "half_up") -> int:
    """Return the tax that a tax-inclusive amount contains; the net amount is what is rounded."""
    return amount - to_minor(Fraction(amount * 10_000, 10_000 + basis_points), rounding)
