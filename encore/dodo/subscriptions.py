"""Subscriptions, as far as a purchase needs them."""

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Subscription, SubscriptionPage
from encore.dodo.pages import Look, look
from encore.dodo.payments import rfc3339


class Subscriptions:
    """`/subscriptions` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, subscription_id: str, *, budget: Budget) -> Subscription:
        """Read a subscription. Raises NotExecuted (404 if unknown) or Unavailable."""
        return self._client.get(path_of("/subscriptions/{}", subscription_id), Subscription, budget=budget)

    def list_all(
        self, *, customer_id: str | None = None, created_at_gte: int | None = None, budget: Budget
    ) -> Look[Subscription]:
        """Look at all subscriptions that match; `created_at_gte` is epoch milliseconds."""

        def read_page(page_number: int, page_size: int) -> list[Subscription]:
            query = {
                "customer_id": customer_id,
                "created_at_gte": None if created_at_gte is None else rfc3339(created_at_gte),
                "page_number": page_number,
                "page_size": page_size,
            }
            return self._client.get("/subscriptions", SubscriptionPage, query=query, budget=budget).items

        return look(read_page, key=lambda subscription: subscription.subscription_id)
