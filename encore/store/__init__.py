"""The only SQL: `open_store` gives a `Store`, and each module holds the statements of one noun."""

from encore.store.engine import Conflict, Row, Store, open_store
from encore.store.writing import StoreFull

__all__ = ["Conflict", "Row", "Store", "StoreFull", "open_store"]
