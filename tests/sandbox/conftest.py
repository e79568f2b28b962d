"""One sandbox process for the suite, started over before each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.schema import assert_exchange
from tests.sandbox.subscriptions import at, stand_at, subscribe
from tests.sandbox_process import SandboxProcess, start_sandbox


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    directory: Path = tmp_path_factory.mktemp("sandbox")
    with start_sandbox(directory) as sandbox:
        # Whatever state a test brings the sandbox into, its answers must fit the contract.
        sandbox.judge = assert_exchange
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> SandboxProcess:
    running_sandbox.control("webhooks", {"url": None})
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def subscription_id(sandbox: SandboxProcess) -> str:
    """A Basic plan of 30.00 a month, bought on 1 April 2027 with a good card."""
    stand_at(sandbox, at(2027, 4, 1))
    return subscribe(sandbox)
