"""Checkout sessions, and the previews that tell their prices."""

from datetime import datetime

from msgspec import Struct, field

from encore.dodo.models.fields import Amount, Count, Currency, Id, SignedAmount


class CheckoutCreated(Struct, frozen=True, kw_only=True):
    """The answer to an unconfirmed `POST /checkouts`: a session to send the buyer to."""

    session_id: Id
    checkout_url: str | None = None


class CheckoutSession(Struct, frozen=True, kw_only=True):
    """A session's state; the payment is None while the buyer still types."""

    id: Id
    created: datetime | None = field(name="created_at", default=None)
    payment_id: str | None = None
    payment_status: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None


class Breakup(Struct, frozen=True, kw_only=True):
    """What a preview adds up to, in minor units; `tax` is None where none applies."""

    subtotal: SignedAmount
    discount: SignedAmount
    total_amount: Amount
    tax: Amount | None = None


class PreviewItem(Struct, frozen=True, kw_only=True):
    """One line of a preview. Per unit, `og_price` is the catalogue's and `discounted_price` what is asked."""

    product_id: Id
    quantity: Count
    currency: Currency
    discounted_price: Amount
    og_price: Amount
    og_currency: str | None = None
    name: str | None = None
    description: str | None = None
    tax: Amount | None = None
    tax_inclusive: bool | None = None
    is_subscription: bool | None = None


class CheckoutPreview(Struct, frozen=True, kw_only=True):
    """The exact amounts of a checkout that is not begun: the only source of a price shown by a button."""

    currency: Currency
    current_breakup: Breakup
    product_cart: list[PreviewItem]
    total_price: Amount
    billing_country: str | None = None
    total_tax: Amount | None = None
    recurring_breakup: Breakup | None = None
