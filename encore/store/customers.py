"""Customers: the provider's records of payers, as far as messages need them, and their saved methods."""

from dataclasses import dataclass

from encore.store.engine import Store
from encore.store.records import columns, many, one


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A payer as the provider knows them; the typed address proves nothing about who is before us."""

    id: str
    email: str | None
    name: str | None
    language: str | None
    first_seen_at: int


@dataclass(frozen=True, kw_only=True)
class SavedMethods:
    """The provider's list of one customer's methods, as JSON, and when it was read."""

    customer_id: str
    methods_json: str
    read_at: int


def upsert_customer(store: Store, customer: Customer) -> None:
    """Store a payer, keeping when they were first seen and the language they first bought in."""
    store.run(
        "INSERT INTO customers (id, email, name, language, first_seen_at)"
        " VALUES (:id, :email, :name, :language, :now)"
        " ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name,"
        " language = coalesce(excluded.language, customers.language)",
        id=customer.id,
        email=customer.email,
        name=customer.name,
        language=customer.language,
        now=customer.first_seen_at,
    )


def get_customer(store: Store, customer_id: str) -> Customer | None:
    """Return a payer by the provider's id."""
    return one(Customer, store.row(f"SELECT {columns(Customer)} FROM customers WHERE id = :id", id=customer_id))


def list_of_address(store: Store, address: str) -> list[Customer]:
    """Return every payer with this e-mail address, newest first; `address` is in small letters."""
    return many(
        Customer,
        store.rows(
            f"SELECT {columns(Customer)} FROM customers WHERE lower(email) = :address"
            " ORDER BY first_seen_at DESC, id DESC",
            address=address,
        ),
    )


def upsert_saved_methods(store: Store, methods: SavedMethods) -> None:
    """Store the provider's list as just read."""
    store.run(
        "INSERT INTO saved_methods (customer_id, methods_json, read_at) VALUES (:customer_id, :methods_json, :read_at)"
        " ON CONFLICT (customer_id) DO UPDATE SET methods_json = excluded.methods_json, read_at = excluded.read_at",
        customer_id=methods.customer_id,
        methods_json=methods.methods_json,
        read_at=methods.read_at,
    )


def forget_saved_methods(store: Store, customer_id: str) -> None:
    """Drop the list of a customer's methods, so that the next page asks the provider."""
    store.run("DELETE FROM saved_methods WHERE customer_id = :id", id=customer_id)


def get_saved_methods(store: Store, customer_id: str) -> SavedMethods | None:
    """Return the list last read, whatever its age."""
    return one(
        SavedMethods,
        store.row(f"SELECT {columns(SavedMethods)} FROM saved_methods WHERE customer_id = :id", id=customer_id),
    )
