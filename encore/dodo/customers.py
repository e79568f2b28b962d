"""Customers and their saved payment methods."""

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Customer, PaymentMethod, PaymentMethodList


class Customers:
    """`/customers` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, customer_id: str, *, budget: Budget) -> Customer:
        """Read a customer. Raises NotExecuted (404 if unknown) or Unavailable."""
        return self._client.get(path_of("/customers/{}", customer_id), Customer, budget=budget)

    def payment_methods(self, customer_id: str, *, budget: Budget) -> list[PaymentMethod]:
        """Read all saved methods, in no promised order. Raises as `get`."""
        path = path_of("/customers/{}/payment-methods", customer_id)
        return self._client.get(path, PaymentMethodList, budget=budget).items
