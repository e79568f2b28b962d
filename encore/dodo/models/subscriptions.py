"""Subscriptions, and what a change of one costs."""

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from encore.dodo.models.customers import Billing, CustomerLimited
from encore.dodo.models.fields import Amount, Count, Currency, Id, Metadata, SignedAmount, epoch_ms


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

    `next_billing_date` ends the current period; `recurring_pre_tax_amount` is each renewal's, in `currency`. The wire
    always names that, and what does not is no subscription we can show or charge: a currency is never made up.
    """

    subscription_id: Id
    status: str
    product_id: Id
    customer: CustomerLimited
    currency: Currency
    quantity: Count | None = None
    addons: list[SubscriptionAddon] | None = None
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


class SubscriptionPage(Struct, frozen=True, kw_only=True):
    items: list[Subscription]
