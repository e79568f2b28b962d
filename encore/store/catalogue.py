"""Catalogue: our read-only copy of the provider's products."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one, placeholders, values


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product as last synced: flags are 0 or 1, `position` is its place in the provider's list."""

    id: str
    slug: str
    position: int
    name: str
    description: str
    image_url: str | None
    price_minor: int
    currency: str
    tax_inclusive: int
    is_recurring: int
    interval_count: int | None
    interval_unit: str | None
    trial_days: int
    trial_minor: int
    pay_what_you_want: int
    archived_at: int | None
    synced_at: int


_COLUMNS = columns(Product)


def get_product(store: Store, product_id: str) -> Product | None:
    """Return a product by the provider's id, archived or not."""
    return one(Product, store.row(f"SELECT {_COLUMNS} FROM products WHERE id = :id", id=product_id))


def get_by_slug(store: Store, slug: str) -> Product | None:
    """Return a product by the name in its address, archived or not."""
    return one(Product, store.row(f"SELECT {_COLUMNS} FROM products WHERE slug = :slug", slug=slug))


def list_products(store: Store) -> list[Product]:
    """Return every product, archived ones too, in the provider's order."""
    return many(Product, store.rows(f"SELECT {_COLUMNS} FROM products ORDER BY position, id"))


def sells_trials(store: Store) -> bool:
    """Tell whether any product, archived ones too, begins with a trial."""
    return store.row("SELECT id FROM products WHERE trial_days > 0 LIMIT 1") is not None


def upsert_product(store: Store, product: Product) -> None:
    """Store a product as just read. Its slug stays what it was first: addresses out there must go on working."""
    store.run(
        f"INSERT INTO products ({_COLUMNS}) VALUES ({placeholders(Product)})"
        " ON CONFLICT (id) DO UPDATE SET position = excluded.position, name = excluded.name,"
        " description = excluded.description, image_url = excluded.image_url, price_minor = excluded.price_minor,"
        " currency = excluded.currency, tax_inclusive = excluded.tax_inclusive, is_recurring = excluded.is_recurring,"
        " interval_count = excluded.interval_count, interval_unit = excluded.interval_unit,"
        " trial_days = excluded.trial_days, trial_minor = excluded.trial_minor,"
        " pay_what_you_want = excluded.pay_what_you_want,"
        " archived_at = excluded.archived_at, synced_at = excluded.synced_at",
        **values(product),
    )


def mark_archived(store: Store, product_id: str, *, now: int) -> bool:
    """Note that a product is sold no more; False if that was known."""
    return bool(
        store.rows(
            "UPDATE products SET archived_at = :now WHERE id = :id AND archived_at IS NULL RETURNING id",
            id=product_id,
            now=now,
        )
    )
