"""Payments: the only place where the provider says whether money moved."""

from datetime import UTC, datetime

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Payment, PaymentLines, PaymentListItem, PaymentPage
from encore.dodo.pages import Look, look
from encore.errors import Unavailable


class Payments:
    """`/payments` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, payment_id: str, *, budget: Budget) -> Payment:
        """Read a payment in full. Raises NotExecuted (404 if unknown) or Unavailable."""
        payment = self._client.get(path_of("/payments/{}", payment_id), Payment, budget=budget)
        if payment.payment_id != payment_id:
            # Believed, it would write one payment's money under another's id.
            raise Unavailable("other_payment")
        return payment

    def get_lines(self, payment_id: str, *, currency: str, budget: Budget) -> PaymentLines:
        """Read what a payment is made of, in the currency it was paid in, and what may go back. Raises as `get`."""
        path = path_of("/payments/{}/line-items", payment_id)
        lines = self._client.get(path, PaymentLines, query={"currency": currency}, budget=budget)
        if lines.currency != currency:
            # Its figures would be taken for those of another.
            raise Unavailable("other_currency")
        return lines

    def list(
        self,
        *,
        customer_id: str | None = None,
        created_at_gte: int | None = None,
        subscription_id: str | None = None,
        page_number: int,
        page_size: int,
        budget: Budget,
    ) -> list[PaymentListItem]:
        """Read one page, numbered from 0; `created_at_gte` is epoch milliseconds. Raises as `get`."""
        query = {
            "customer_id": customer_id,
            "subscription_id": subscription_id,
            "created_at_gte": None if created_at_gte is None else rfc3339(created_at_gte),
            "page_number": page_number,
            "page_size": page_size,
        }
        return self._client.get("/payments", PaymentPage, query=query, budget=budget).items

    def list_all(
        self,
        *,
        customer_id: str | None = None,
        created_at_gte: int | None = None,
        subscription_id: str | None = None,
        budget: Budget,
    ) -> Look[PaymentListItem]:
        """Look at all payments that match. The provider's faults do not raise: the look is then not clean."""

        def read_page(page_number: int, page_size: int) -> list[PaymentListItem]:
            return self.list(
                customer_id=customer_id,
                created_at_gte=created_at_gte,
                subscription_id=subscription_id,
                page_number=page_number,
                page_size=page_size,
                budget=budget,
            )

        return look(read_page, key=lambda item: item.payment_id)


def rfc3339(moment_ms: int) -> str:
    """Write epoch milliseconds the way the provider's filters read them."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
