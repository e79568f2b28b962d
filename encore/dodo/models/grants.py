"""What the provider gives for a payment or a subscription: entitlement grants and licence keys."""

from datetime import datetime

from msgspec import Struct, field

from encore.dodo.models.fields import Count, Id, epoch_ms


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


class GrantPage(Struct, frozen=True, kw_only=True):
    items: list[EntitlementGrant]


class KeyPage(Struct, frozen=True, kw_only=True):
    items: list[LicenseKey]
