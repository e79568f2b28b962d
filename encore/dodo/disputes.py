"""Disputes: read only, since a person answers them at the provider."""

from encore.dodo.client import Budget, Client
from encore.dodo.models import Dispute, DisputePage
from encore.dodo.pages import Look, look
from encore.dodo.payments import rfc3339


class Disputes:
    """`/disputes` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_all(self, *, created_at_gte: int | None = None, budget: Budget) -> Look[Dispute]:
        """Look at all disputes opened since (epoch milliseconds). The provider's faults do not raise."""

        def read_page(page_number: int, page_size: int) -> list[Dispute]:
            query = {
                "created_at_gte": None if created_at_gte is None else rfc3339(created_at_gte),
                "page_number": page_number,
                "page_size": page_size,
            }
            return self._client.get("/disputes", DisputePage, query=query, budget=budget).items

        return look(read_page, key=lambda dispute: dispute.dispute_id)
