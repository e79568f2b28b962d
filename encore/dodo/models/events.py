"""What a webhook delivers."""

from typing import Annotated

from msgspec import Meta, Struct, ValidationError, convert

from encore.dodo.models.fields import Metadata
from encore.dodo.models.payments import Payment


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
