"""The provider's objects, as far as we read them.

Unknown keys, statuses and enum values are tolerated, and whatever may be null is; amounts are strict integers
in minor units up to 10^15. Source: Dodo's API, SDK 1.123.0.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, field
from msgspec.json import Decoder

# No sale is larger, and what a page adds up from a few of them is still an integer every reader carries exactly.
_LARGEST = 10**15
Amount = Annotated[int, Meta(ge=0, le=_LARGEST)]
SignedAmount = Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)]
Count = Annotated[int, Meta(ge=0, le=2**31)]
Id = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[!-~]+\Z")]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
Metadata = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    """Return epoch milliseconds; a time without a zone is UTC, as all of the provider's are."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


class CustomerLimited(Struct, frozen=True, kw_only=True):
    """The payer as other objects carry it."""

    customer_id: Id
    email: str | None = None
    name: str | None = None
    phone_number: str | None = None


class Billing(Struct, frozen=True, kw_only=True):
    """A billing address; what is not known is None."""

    country: str | None = None
    city: str | None = None
    state: str | None = None
    street: str | None = None
    zipcode: str | None = None

    def known_fields(self) -> dict[str, str]:
        """Return the fields that have a value, to be sent with the next charge."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value}


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


class Card(Struct, frozen=True, kw_only=True):
    """A saved card as far as it may be shown; every key is optional text."""

    last4_digits: str | None = None
    card_network: str | None = None
    card_type: str | None = None
    expiry_month: str | None = None
    expiry_year: str | None = None


class PaymentMethod(Struct, frozen=True, kw_only=True):
    """A saved method. `payment_method`: card, wallet, upi ..; `payment_method_type`: credit, apple_pay .."""

    payment_method_id: Id
    payment_method: str | None = None
    payment_method_type: str | None = None
    recurring_enabled: bool | None = None
    card: Card | None = None


class Customer(Struct, frozen=True, kw_only=True):
    """The provider's record of a payer; `blocked_at` is its text, None if not blocked."""

    customer_id: Id
    email: str | None = None
    name: str | None = None
    phone_number: str | None = None
    preferred_locale: str | None = None
    blocked_at: str | None = None


class Price(Struct, frozen=True, kw_only=True):
    """A product's price, of any `type`: one_time_price, recurring_price or usage_based_price."""

    type: str
    currency: Currency
    price: Amount | None = None
    fixed_price: Amount | None = None
    tax_inclusive: bool | None = None
    pay_what_you_want: bool | None = None
    suggested_price: Amount | None = None
    payment_frequency_count: Count | None = None
    payment_frequency_interval: str | None = None
    subscription_period_count: Count | None = None
    subscription_period_interval: str | None = None
    trial_period_days: Count | None = None
    trial_amount: Amount | None = None

    @property
    def amount(self) -> int | None:
        """Minor units: the price, or the fixed part of a usage-based one."""
        return self.price if self.price is not None else self.fixed_price


class Product(Struct, frozen=True, kw_only=True):
    """A product in full."""

    product_id: Id
    is_recurring: bool
    price: Price
    name: str | None = None
    description: str | None = None
    image: str | None = None
    tax_category: str | None = None
    metadata: Metadata | None = None
    addons: list[Id] | None = None


class Addon(Struct, frozen=True, kw_only=True):
    """Something that may be added to a subscription; `price` is of one, each time the plan is paid."""

    id: Id
    price: Amount
    currency: Currency
    name: str | None = None
    description: str | None = None


class ProductListItem(Struct, frozen=True, kw_only=True):
    """A row of `GET /products`: `price` is flat here, `price_detail` the object."""

    product_id: Id
    is_recurring: bool
    name: str | None = None
    description: str | None = None
    image: str | None = None
    price: Amount | None = None
    currency: Currency | None = None
    tax_inclusive: bool | None = None
    tax_category: str | None = None
    price_detail: Price | None = None
    metadata: Metadata | None = None


class SubscriptionAddon(Struct, frozen=True, kw_only=True):
    """An add-on of a subscription and how many of it."""

    addon_id: Id
    quantity: Count = 1


class ScheduledChange(Struct, frozen=True, kw_only=True):
    """What a subscription becomes at `effective_at`, its next renewal when that was scheduled."""

    product_id: Id
    effective: datetime = field(name="effective_at")
    quantity: Count = 1
    addons: list[SubscriptionAddon] | None = None
    product_name: str | None = None

    @property
    def effective_at(self) -> int:
        return epoch_ms(self.effective)


class Subscription(Struct, frozen=True, kw_only=True):
    """A subscription. `status`: pending, active, on_hold, paused, past_due, cancelled, failed, expired, or newer.

    `next_billing_date` ends the current period; `recurring_pre_tax_amount` is each renewal's, in `currency`.
    """

    subscription_id: Id
    status: str
    product_id: Id
    customer: CustomerLimited
    quantity: Count | None = None
    addons: list[SubscriptionAddon] | None = None
    currency: Currency | None = None
    recurring_pre_tax_amount: Amount | None = None
    tax_inclusive: bool | None = None
    payment_frequency_count: Count | None = None
    payment_frequency_interval: str | None = None
    payment_method_id: str | None = None
    metadata: Metadata | None = None
    cancel_at_next_billing_date: bool | None = None
    on_demand: bool | None = None
    trial_period_days: Count | None = None
    trial_amount: Amount | None = None
    billing: Billing | None = None
    discounts: list[Any] | None = None
    discount_id: str | None = None
    scheduled_change: ScheduledChange | None = None
    created: datetime | None = field(name="created_at", default=None)
    previous_billing: datetime | None = field(name="previous_billing_date", default=None)
    next_billing: datetime | None = field(name="next_billing_date", default=None)

    @property
    def created_at(self) -> int | None:
        return None if self.created is None else epoch_ms(self.created)

    def mark(self, name: str) -> str | None:
        """Return a metadata value of ours if it is text; anyone may write metadata, so it proves nothing."""
        value = (self.metadata or {}).get(name)
        return value if isinstance(value, str) else None

    @property
    def previous_billing_at(self) -> int | None:
        return None if self.previous_billing is None else epoch_ms(self.previous_billing)

    @property
    def next_billing_at(self) -> int | None:
        return None if self.next_billing is None else epoch_ms(self.next_billing)


class ChangeLineItem(Struct, frozen=True, kw_only=True):
    """One line of a plan change's preview, of any `type`; `unit_price` is per unit and unprorated.

    A negative `proration_factor` gives back the unused part of the old plan. A meter's line has neither.
    """

    type: str
    id: str | None = None
    product_id: str | None = None
    name: str | None = None
    currency: Currency | None = None
    unit_price: Amount | None = None
    quantity: Count | None = None
    proration_factor: float | None = None


class ChangeSummary(Struct, frozen=True, kw_only=True):
    """What a plan change charges. `settlement_amount` is after tax and credit, `settlement_tax` before credit.

    `customer_credits` is signed: negative spends credit, positive adds it; its currency may be another one.
    """

    settlement_amount: Amount
    settlement_currency: Currency
    settlement_tax: SignedAmount | None = None
    customer_credits: SignedAmount = 0
    customer_credits_currency: Currency | None = None


class ImmediateCharge(Struct, frozen=True, kw_only=True):
    """What a plan change charges, when, and for what."""

    effective: datetime = field(name="effective_at")
    summary: ChangeSummary
    line_items: list[ChangeLineItem] = []

    @property
    def effective_at(self) -> int:
        return epoch_ms(self.effective)


class ChangePreview(Struct, frozen=True, kw_only=True):
    """The exact amounts of a plan change that is not made: the only source of a price beside its button."""

    immediate_charge: ImmediateCharge
    new_plan: Subscription


class MethodUpdate(Struct, frozen=True, kw_only=True):
    """Where a subscription's buyer gives it another card; without a link there is no such page."""

    payment_id: str | None = None
    payment_link: str | None = None


class WebhookEnvelope(Struct, frozen=True, kw_only=True):
    """A delivered event. `data` is a hint of what to read again, never the truth."""

    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: Metadata
    business_id: str | None = None
    timestamp: str | None = None

    @property
    def payload_type(self) -> str | None:
        """Payment, Refund, Dispute and so on."""
        return self._text("payload_type")

    @property
    def payment_id(self) -> str | None:
        return self._text("payment_id")

    @property
    def subscription_id(self) -> str | None:
        return self._text("subscription_id")

    @property
    def payment(self) -> Payment | None:
        """The payment as the event tells it; None if it tells of none that can be read."""
        try:
            return convert(self.data, Payment, strict=True) if self.payload_type == "Payment" else None
        except ValidationError:
            return None

    @property
    def customer_id(self) -> str | None:
        """The customer of a grant or licence key; other objects hold theirs in `customer`."""
        return self._text("customer_id")

    @property
    def refund_id(self) -> str | None:
        return self._text("refund_id")

    @property
    def dispute_id(self) -> str | None:
        return self._text("dispute_id")

    def _text(self, name: str) -> str | None:
        value = self.data.get(name)
        return value if isinstance(value, str) and value else None


class DisputePage(Struct, frozen=True, kw_only=True):
    items: list[Dispute]


class PaymentPage(Struct, frozen=True, kw_only=True):
    items: list[PaymentListItem]


class PaymentMethodList(Struct, frozen=True, kw_only=True):
    items: list[PaymentMethod]


class AddonPage(Struct, frozen=True, kw_only=True):
    items: list[Addon]


class ProductPage(Struct, frozen=True, kw_only=True):
    items: list[ProductListItem]


class RefundPage(Struct, frozen=True, kw_only=True):
    items: list[Refund]


class SubscriptionPage(Struct, frozen=True, kw_only=True):
    items: list[Subscription]


# msgspec reads the types of a struct when one is first made, and two threads that do so at once can end the process
# (msgspec 0.22): here all are read, before there is a second thread.
for _model in [model for model in list(globals().values()) if isinstance(model, type) and issubclass(model, Struct)]:
    Decoder(_model)
