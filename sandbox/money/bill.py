"""What lines come to: amounts and tax of each, then the credit that is used or added, then what is due.

Signs are the wire's: `credits` is a movement of the customer's balance, negative spends, positive adds, and
subtotal + tax + credits == due, always.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from .rounding import to_minor
from .tax import tax_of


class BelowMinimum(Exception):
    """What is due is too little for a card: TOTAL_PAYMENT_AMOUNT_BELOW_MINIMUM_AMOUNT on the wire."""


@dataclass(frozen=True)
class Item:
    """A plan or an add-on in its quantity. `kind` is subscription or addon; `discount` is minor units off the whole."""

    kind: str
    ref: str
    unit_price: int
    quantity: int = 1
    discount: int = 0
    tax_rate_bp: int = 0
    tax_inclusive: bool = False

    @property
    def net(self) -> int:
        """Price of the whole item after its discount."""
        return self.unit_price * self.quantity - self.discount

    def tax(self, rounding: str) -> int:
        """Tax of the whole item, unprorated."""
        return tax_of(self.net, self.tax_rate_bp, inclusive=self.tax_inclusive, rounding=rounding)


@dataclass(frozen=True)
class Line:
    """A prorated item: `factor` is negative where it credits. `amount` contains `tax` if the price is inclusive."""

    item: Item
    factor: Fraction
    amount: int
    tax: int

    @property
    def before_tax(self) -> int:
        """The line without the tax it may contain."""
        return self.amount - (self.tax if self.item.tax_inclusive else 0)


@dataclass(frozen=True)
class Bill:
    """Lines and what they come to; see the module for the signs."""

    lines: tuple[Line, ...]
    subtotal: int
    tax: int
    credits: int
    due: int
    balance_after: int


def line_of(item: Item, factor: Fraction, rounding: str = "half_up") -> Line:
    """Prorate one item; the wire's lines are worth price x factor and tax x factor, so each is rounded by itself."""
    amount = to_minor(item.net * factor, rounding)
    return Line(item, factor, amount, to_minor(item.tax(rounding) * factor, rounding))


def bill(
    lines: Iterable[Line],
    *,
    balance: int,
    minimum: int,
    credit_tax: str = "gross",
    min_charge: str = "top_up",
) -> Bill:
    """Add up lines against a balance of zero or more.

    A sum below zero becomes credit, with its tax or without (`credit_tax`). A charge below `minimum` is topped up and
    the surplus becomes credit, or raises BelowMinimum (`min_charge`).
    """
    lines = tuple(lines)
    subtotal, tax = sum(line.before_tax for line in lines), sum(line.tax for line in lines)
    if credit_tax == "net" and subtotal < 0 and tax < 0:
        tax = 0
    total = subtotal + tax
    due = due_of(total, balance=balance, minimum=minimum, min_charge=min_charge)
    return Bill(lines, subtotal, tax, due - total, due, balance + due - total)


def due_of(total: int, *, balance: int, minimum: int, min_charge: str = "top_up") -> int:
    """Return what is left to pay of a total; due - total is how the balance moves, for `bill` says why."""
    # Below zero this adds to the balance: min(balance, -30.00) is -30.00, spent the other way round.
    due = total - min(balance, total)
    if 0 < due < minimum:
        if min_charge == "reject":
            raise BelowMinimum(minimum)
        return minimum
    return due
