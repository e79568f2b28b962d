"""Add-ons: our read-only copy of the provider's, and which plan each may be added to."""

from collections.abc import Sequence
from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class ListedAddon:
    """An add-on as last synced; `price_minor` is of one, each time the plan is paid."""

    id: str
    position: int
    name: str
    description: str
    price_minor: int
    currency: str
    archived_at: int | None
    synced_at: int


_COLUMNS = columns(ListedAddon)


def get_addon(store: Store, addon_id: str) -> ListedAddon | None:
    """Return an add-on by the provider's id, archived or not."""
    return one(ListedAddon, store.row(f"SELECT {_COLUMNS} FROM addons WHERE id = :id", id=addon_id))


def list_of_product(store: Store, product_id: str) -> list[ListedAddon]:
    """Return the add-ons on sale that may be added to a plan, in the provider's order."""
    return many(
        ListedAddon,
        store.rows(
            f"SELECT {_COLUMNS} FROM addons WHERE archived_at IS NULL"
            " AND id IN (SELECT addon_id FROM plan_addons WHERE product_id = :product_id) ORDER BY position, id",
            product_id=product_id,
        ),
    )


def upsert_addon(store: Store, addon: ListedAddon) -> None:
    """Store an add-on as just read."""
    store.run(
        f"INSERT INTO addons ({_COLUMNS}) VALUES ({placeholders(ListedAddon)})"
        " ON CONFLICT (id) DO UPDATE SET position = excluded.position, name = excluded.name,"
        " description = excluded.description, price_minor = excluded.price_minor, currency = excluded.currency,"
        " archived_at = excluded.archived_at, synced_at = excluded.synced_at",
        **values(addon),
    )


def archive_unlisted(store: Store, *, synced_at: int) -> None:
    """Note that every add-on which the sync of this time did not list is sold no more."""
    store.run(
        "UPDATE addons SET archived_at = :at WHERE archived_at IS NULL AND synced_at <> :at",
        at=synced_at,
    )


def set_of_product(store: Store, product_id: str, addon_ids: Sequence[str]) -> None:
    """Store which add-ons a plan takes, in place of what was known."""
    store.run("DELETE FROM plan_addons WHERE product_id = :product_id", product_id=product_id)
    for addon_id in dict.fromkeys(addon_ids):
        store.run(
            "INSERT INTO plan_addons (product_id, addon_id) VALUES (:product_id, :addon_id)",
            product_id=product_id,
            addon_id=addon_id,
        )
