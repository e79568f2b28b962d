"""One shop for all attacks: none of them may leave anything behind."""

from collections.abc import Iterator

import pytest

from tests.attacks.stage import Stage, open_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("attacks")) as opened:
        yield opened
