"""A store with its schema, on a file of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from encore.store import Store, open_store, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "encore.sqlite3")
    schema.upgrade(made, now=1)
    yield made
    made.close()
