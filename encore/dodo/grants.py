"""Grants: what the provider gives for a payment or a subscription, as entitlement grants and as licence keys."""

from datetime import datetime

from msgspec import Struct, field

from encore.dodo.client import Budget, Client, path_of
from encore.dodo.models import Count, Id, epoch_ms
from encore.dodo.pages import Look, look
from encore.dodo.payments import rfc3339


class GrantedKey(Struct, frozen=True, kw_only=True):
    """The licence key that a grant holds."""

    key: str
    activations_used: Count = 0
    activations_limit: Count | None = None
    expires: datetime | None = field(name="expires_at", default=None)


class EntitlementGrant(Struct, frozen=True, kw_only=True):
    """A grant. `status`: Pending, Delivered, Failed, Revoked, in any letters; `integration_type`: digital_files, .."""

    id: Id
    customer_id: Id
    status: str
    integration_type: str
    created: datetime = field(name="created_at")
    updated: datetime | None = field(name="updated_at", default=None)
    payment_id: str | None = None
    subscription_id: str | None = None
    license_key: GrantedKey | None = None
    error_code: str | None = None
    revocation_reason: str | None = None

    @property
    def created_at(self) -> int:
        return epoch_ms(self.created)

    @property
    def changed_at(self) -> int:
        return epoch_ms(self.updated or self.created)


class LicenseKey(Struct, frozen=True, kw_only=True):
    """A licence key. `status`: active, expired or disabled; `instances_count` devices have activated it."""

    id: Id
    customer_id: Id
    product_id: Id
    key: str
    status: str
    created: datetime = field(name="created_at")
    payment_id: str | None = None
    subscription_id: str | None = None
    instances_count: Count = 0
    activations_limit: Count | None = None
    expires: datetime | None = field(name="expires_at", default=None)

    @property
    def created_at(self) -> int:
        return epoch_ms(self.created)


class _GrantPage(Struct, frozen=True, kw_only=True):
    items: list[EntitlementGrant]


class _KeyPage(Struct, frozen=True, kw_only=True):
    items: list[LicenseKey]


class Grants:
    """`/customers/{id}/entitlement-grants` and `/license_keys` at the provider."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_of_customer(self, customer_id: str, *, budget: Budget) -> Look[EntitlementGrant]:
        """Look at all grants of a customer. There is no route for one of them, nor for those of everybody."""
        path = path_of("/customers/{}/entitlement-grants", customer_id)

        def read_page(page_number: int, page_size: int) -> list[EntitlementGrant]:
            query = {"page_number": page_number, "page_size": page_size}
            return self._client.get(path, _GrantPage, query=query, budget=budget).items

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
            return self._client.get("/license_keys", _KeyPage, query=query, budget=budget).items

        return look(read_page, key=lambda key: key.id)
