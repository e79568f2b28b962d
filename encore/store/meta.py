"""Facts of the installation as a whole, one a name: when the catalogue was read, how often a delivery was refused."""

from encore.store.engine import Row, Store


def get_value(store: Store, name: str) -> str | None:
    """Return a fact, or None if it was never stored."""
    found = store.row("SELECT value FROM meta WHERE name = :name", name=name)
    return None if found is None else str(found["value"])


def get_number(store: Store, name: str) -> int | None:
    """Return a fact stored as a number, such as a time in epoch milliseconds."""
    value = get_value(store, name)
    return None if value is None else int(value)


def list_values(store: Store, *, prefix: str) -> dict[str, str]:
    """Return every fact whose name begins with `prefix`, by name."""
    found: list[Row] = store.rows(
        "SELECT name, value FROM meta WHERE substr(name, 1, :length) = :prefix ORDER BY name",
        length=len(prefix),
        prefix=prefix,
    )
    return {row["name"]: row["value"] for row in found}


def mark_value(store: Store, name: str, *, value: str | int) -> None:
    """Store a fact, replacing what was known."""
    store.run(
        "INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name=name,
        value=str(value),
    )


def mark_counted(store: Store, name: str) -> None:
    """Add one to a fact that is a count."""
    store.run(
        "INSERT INTO meta (name, value) VALUES (:name, '1') ON CONFLICT (name)"
        " DO UPDATE SET value = cast(cast(meta.value AS bigint) + 1 AS text)",
        name=name,
    )


def claim_value(store: Store, name: str, *, value: str) -> bool:
    """Remove a fact if it still is `value`; True to one caller only, so that a one-time thing is taken once."""
    return bool(
        store.rows("DELETE FROM meta WHERE name = :name AND value = :value RETURNING name", name=name, value=value)
    )
