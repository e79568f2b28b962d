"""Grants: what the provider gave for a payment or a subscription, as last read."""

from collections.abc import Sequence
from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Grant:
    """An entitlement grant or a licence key; times are epoch milliseconds.

    `kind` and `status` are the provider's words in small letters. `license_key` is a secret of its customer: it stands
    on their pages and nowhere else.
    """

    id: str
    customer_id: str
    payment_id: str | None
    subscription_id: str | None
    product_id: str | None
    kind: str
    status: str
    reason: str | None
    license_key: str | None
    activations: int | None
    activations_limit: int | None
    expires_at: int | None
    created_at: int
    changed_at: int


_COLUMNS = columns(Grant)
_ASSIGNMENTS = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if name != "id")


def mark_read(store: Store, customer_id: str, *, asked_at: int) -> bool:
    """Note that a customer's grants were read in full; False if a reading that was asked for later is stored."""
    return bool(
        store.rows(
            "INSERT INTO grant_reads (customer_id, asked_at) VALUES (:id, :asked_at) ON CONFLICT (customer_id)"
            " DO UPDATE SET asked_at = excluded.asked_at WHERE excluded.asked_at >= grant_reads.asked_at"
            " RETURNING customer_id",
            id=customer_id,
            asked_at=asked_at,
        )
    )


def get_read_at(store: Store, customer_id: str) -> int | None:
    """Return when the grants of a customer were last asked for and read, in epoch milliseconds."""
    found = store.row("SELECT asked_at FROM grant_reads WHERE customer_id = :id", id=customer_id)
    return None if found is None else int(found["asked_at"])


def replace_grants(store: Store, customer_id: str, grants: Sequence[Grant]) -> None:
    """Let a customer have these grants, all as just read, and no others."""
    store.run("DELETE FROM grants WHERE customer_id = :id", id=customer_id)
    for grant in grants:
        store.run(
            f"INSERT INTO grants ({_COLUMNS}) VALUES ({placeholders(Grant)})"
            f" ON CONFLICT (id) DO UPDATE SET {_ASSIGNMENTS}",
            **values(grant),
        )


def list_of_customer(store: Store, customer_id: str) -> list[Grant]:
    """Return a customer's grants, newest first."""
    return many(
        Grant,
        store.rows(
            f"SELECT {_COLUMNS} FROM grants WHERE customer_id = :id ORDER BY created_at DESC, id", id=customer_id
        ),
    )
