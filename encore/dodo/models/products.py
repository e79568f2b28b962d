"""What is sold: products, their prices and add-ons."""

from msgspec import Struct

from encore.dodo.models.fields import Amount, Count, Currency, Id, Metadata


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


class AddonPage(Struct, frozen=True, kw_only=True):
    items: list[Addon]


class ProductPage(Struct, frozen=True, kw_only=True):
    items: list[ProductListItem]
