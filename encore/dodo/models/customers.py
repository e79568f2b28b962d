"""The payer, and what they pay with."""

from msgspec import Struct

from encore.dodo.models.fields import Id


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


class PaymentMethodList(Struct, frozen=True, kw_only=True):
    items: list[PaymentMethod]


class Customer(Struct, frozen=True, kw_only=True):
    """The provider's record of a payer; `blocked_at` is its text, None if not blocked."""

    customer_id: Id
    email: str | None = None
    name: str | None = None
    phone_number: str | None = None
    preferred_locale: str | None = None
    blocked_at: str | None = None
