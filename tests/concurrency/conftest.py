"""One installation for the group; every race has buyers of its own, and the books must agree after each."""

from collections.abc import Iterator

import pytest

from tests.concurrency.crowd import Crowd, open_doors


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with open_doors(tmp_path_factory.mktemp("crowd")) as made:
        yield made
