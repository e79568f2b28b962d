"""One shop for all bad input, once with the sandbox as it is and once over a provider that lies."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.attacks.stage import Stage, open_stage, staged
from tests.bad_input.liar import Liar
from tests.sandbox_process import start_sandbox


@dataclass(frozen=True)
class Deceived:
    """A shop, and the provider in between that lies to it."""

    stage: Stage
    liar: Liar


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("bad-input")) as opened:
        yield opened


@pytest.fixture(scope="session")
def deceived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deceived]:
    folder = tmp_path_factory.mktemp("lies")
    with (
        start_sandbox(folder) as sandbox,
        Liar(sandbox.url) as liar,
        staged(sandbox, folder, provider_url=liar.url) as opened,
    ):
        yield Deceived(opened, liar)
