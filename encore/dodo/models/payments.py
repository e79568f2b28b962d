"""Payments, and what is given or taken back of them."""

from datetime import datetime

from msgspec import Struct, field

from encore.dodo.models.customers import Billing, CustomerLimited
from encore.dodo.models.fields import Amount, Count, Currency, Id, Metadata, epoch_ms


class CartItem(Struct, frozen=True, kw_only=True):
    """A product and how many of it."""

    product_id: Id
    quantity: Count = 1


class Refund(Struct, frozen=True, kw_only=True):
    """A refund, ours or begun elsewhere. `status`: succeeded, failed, pending, review, or a newer word."""

    refund_id: Id
    payment_id: Id
    status: str
    amount: Amount | None = None
    currency: Currency | None = None
    is_partial: bool | None = None
    reason: str | None = None
    created: datetime | None = field(name="created_at", default=None)

    @property
    def created_at(self) -> int | None:
        return None if self.created is None else epoch_ms(self.created)


class Dispute(Struct, frozen=True, kw_only=True):
    """A dispute. `amount` is the provider's decimal text, for people to read only."""

    dispute_id: Id
    payment_id: Id
    dispute_status: str
    dispute_stage: str | None = None
    amount: str | None = None
    currency: str | None = None


class _PaymentFacts(Struct, frozen=True, kw_only=True):
    """What a payment and its row in a list have in common. `status` is None right after creation."""

    payment_id: Id
    total_amount: Amount
    currency: Currency
    customer: CustomerLimited
    created: datetime = field(name="created_at")
    status: str | None = None
    metadata: Metadata | None = None
    checkout_session_id: str | None = None
    subscription_id: str | None = None
    charge_type: str | None = None
    refund_status: str | None = None
    payment_method: str | None = None
    payment_method_type: str | None = None
    card_last_four: str | None = None
    card_network: str | None = None
    card_exp_month: str | None = None
    card_exp_year: str | None = None

    @property
    def created_at(self) -> int:
        return epoch_ms(self.created)

    def mark(self, name: str) -> str | None:
        """Return a metadata value of ours if it is text; anyone may write metadata, so it proves nothing."""
        value = (self.metadata or {}).get(name)
        return value if isinstance(value, str) else None


class PaymentListItem(_PaymentFacts, frozen=True, kw_only=True):
    """A row of `GET /payments`: it has no cart, no tax and no method id."""


class Payment(_PaymentFacts, frozen=True, kw_only=True):
    """A payment in full. `total_amount` includes `tax`; the cart is None for a subscription's payment."""

    business_id: str | None = None
    tax: Amount | None = None
    settlement_amount: Amount | None = None
    settlement_currency: Currency | None = None
    payment_link: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    payment_method_id: str | None = None
    product_cart: list[CartItem] | None = None
    billing: Billing | None = None
    refunds: list[Refund] | None = None
    disputes: list[Dispute] | None = None
    retry_attempt: Count | None = None
    updated: datetime | None = field(name="updated_at", default=None)

    @property
    def product_ids(self) -> tuple[str, ...]:
        """The products paid for, in cart order; empty for a subscription's payment."""
        return tuple(item.product_id for item in self.product_cart or ())


class DisputePage(Struct, frozen=True, kw_only=True):
    items: list[Dispute]


class PaymentPage(Struct, frozen=True, kw_only=True):
    items: list[PaymentListItem]


class RefundPage(Struct, frozen=True, kw_only=True):
    items: list[Refund]


class PaymentLine(Struct, frozen=True, kw_only=True):
    """A line of a payment; `refundable_amount` includes tax, and is 0 of what cannot go back, as a prorated one."""

    items_id: Id
    refundable_amount: Amount


class PaymentLines(Struct, frozen=True, kw_only=True):
    """The lines of a payment, in `currency`."""

    currency: Currency
    items: list[PaymentLine]
    partial_refund_allowed: bool | None = None
