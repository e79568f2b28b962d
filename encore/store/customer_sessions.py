"""Customer sessions: which of the provider's hosted sessions carry a customer's id, and whose."""

from encore.store.engine import Store


def insert_session(store: Store, provider_session_id: str, *, customer_id: str) -> None:
    """Note that a session was opened for a customer."""
    store.run(
        "INSERT INTO customer_sessions (provider_session_id, customer_id) VALUES (:id, :customer_id)"
        " ON CONFLICT (provider_session_id) DO NOTHING",
        id=provider_session_id,
        customer_id=customer_id,
    )


def get_customer_id(store: Store, provider_session_id: str) -> str | None:
    """Return whose id a session carries; None if it carries nobody's."""
    found = store.row(
        "SELECT customer_id FROM customer_sessions WHERE provider_session_id = :id", id=provider_session_id
    )
    return None if found is None else str(found["customer_id"])
