"""What an order of the tests is narrowed to."""

from dataclasses import dataclass, field
from typing import Any

from .store import Doc


@dataclass(frozen=True)
class Match:
    """Narrows a rule to a customer, a card (last four digits or number) or metadata values."""

    customer_id: str | None = None
    last4: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, doc: Doc) -> "Match":
        """Read the checked `match` of a control body."""
        card = doc.get("card")
        return cls(doc.get("customer_id"), card[-4:] if card else None, doc.get("metadata") or {})

    def fits(self, customer_id: str | None, last4: str | None, metadata: Doc) -> bool:
        """Return whether every condition named holds."""
        return (
            self.customer_id in (None, customer_id)
            and self.last4 in (None, last4)
            and all(metadata.get(key) == value for key, value in self.metadata.items())
        )
