"""Refunds: money back, so one POST and an answer that may be unknown, as for a charge."""

from collections.abc import Callable, Mapping
from typing import Any

from encore.dodo.answers import RefundAnswer, classify_refund
from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Refund, RefundPage
from encore.dodo.pages import Look, look
from encore.dodo.payments import rfc3339


class Refunds:
    """`/refunds` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, body: Mapping[str, Any], *, before_first_byte: Callable[[], bool] | None = None) -> RefundAnswer:
        """Send a refund once; `before_first_byte` is asked when the connection stands, and False sends nothing.

        Codes such as PAYMENT_ALREADY_REFUNDED come back as Refused, for the caller.
        """
        exchange = self._client.send_once("/refunds", body, before_first_byte=before_first_byte)
        return classify_refund(exchange, payment_id=str(body["payment_id"]), now=self._client.clock.now())

    def get(self, refund_id: str, *, budget: Budget) -> Refund:
        """Read a refund. Raises NotExecuted (404 if unknown) or Unavailable."""
        return self._client.get(path_of("/refunds/{}", refund_id), Refund, budget=budget)

    def list_all(
        self, *, customer_id: str | None = None, created_at_gte: int | None = None, budget: Budget
    ) -> Look[Refund]:
        """Look at all refunds that match. There is no filter by payment: read that payment's `refunds`."""

        def read_page(page_number: int, page_size: int) -> list[Refund]:
            query = {
                "customer_id": customer_id,
                "created_at_gte": None if created_at_gte is None else rfc3339(created_at_gte),
                "page_number": page_number,
                "page_size": page_size,
            }
            return self._client.get("/refunds", RefundPage, query=query, budget=budget).items

        return look(read_page, key=lambda refund: refund.refund_id)
