"""Customers and their saved payment methods."""

from typing import Literal

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Customer, PaymentMethod, PaymentMethodList
from encore.errors import Unavailable


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

    def remove_payment_method(
        self, customer_id: str, payment_method_id: str, *, budget: Budget
    ) -> Literal["removed", "gone", "in_use"]:
        """Remove a saved method: 204 removed, 404 not there (any more), 409 used by an active subscription.

        Raises Unavailable for any other answer, after which nobody knows. Source: Dodo API, delete payment method.
        """
        path = path_of("/customers/{}/payment-methods", customer_id) + path_of("/{}", payment_method_id)
        reply = self._client.delete(path, budget=budget)
        match reply.status:
            case 200 | 204:
                return "removed"
            case 404:
                return "gone"
            case 409:
                return "in_use"
        raise Unavailable(f"status_{reply.status}")
