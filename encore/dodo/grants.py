"""Grants: what the provider gives for a payment or a subscription, as entitlement grants and as licence keys."""

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import EntitlementGrant, GrantPage, KeyPage, LicenseKey
from encore.dodo.pages import Look, look
from encore.dodo.payments import rfc3339


class Grants:
    """`/customers/{id}/entitlement-grants` and `/license_keys` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_of_customer(self, customer_id: str, *, budget: Budget) -> Look[EntitlementGrant]:
        """Look at all grants of a customer. There is no route for one of them, nor for those of everybody."""
        path = path_of("/customers/{}/entitlement-grants", customer_id)

        def read_page(page_number: int, page_size: int) -> list[EntitlementGrant]:
            query = {"page_number": page_number, "page_size": page_size}
            return self._client.get(path, GrantPage, query=query, budget=budget).items

        return look(read_page, key=lambda grant: grant.id)

    def list_keys(
        self, *, customer_id: str | None = None, created_at_gte: int | None = None, budget: Budget
    ) -> Look[LicenseKey]:
        """Look at all licence keys that match; `created_at_gte` is epoch milliseconds."""

        def read_page(page_number: int, page_size: int) -> list[LicenseKey]:
            query = {
                "customer_id": customer_id,
                "created_at_gte": None if created_at_gte is None else rfc3339(created_at_gte),
                "page_number": page_number,
                "page_size": page_size,
            }
            return self._client.get("/license_keys", KeyPage, query=query, budget=budget).items

        return look(read_page, key=lambda key: key.id)
