"""A sandbox that delivers webhooks to a listener of ours, and the official SDK as its client."""

from collections.abc import Iterator

import httpx
import pytest
from dodopayments import DefaultHttpxClient, DodoPayments

from tests.contract.schema import assert_exchange
from tests.listener import SECRET, Listener
from tests.sandbox_process import SandboxProcess, start_sandbox


@pytest.fixture(scope="session")
def running_listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory, running_listener: Listener) -> Iterator[SandboxProcess]:
    with start_sandbox(
        tmp_path_factory.mktemp("contract"), webhook_url=running_listener.url, webhook_secret=SECRET
    ) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess, running_listener: Listener) -> SandboxProcess:
    running_sandbox.reset()
    running_listener.clear()
    return running_sandbox


@pytest.fixture
def listener(running_listener: Listener) -> Listener:
    return running_listener


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[DodoPayments]:
    # No retries: the SDK repeats a charging POST twice by default.
    with DodoPayments(
        bearer_token="My Bearer Token",
        webhook_key=SECRET,
        base_url=sandbox.url,
        max_retries=0,
        http_client=DefaultHttpxClient(event_hooks={"response": [judge]}),
        _strict_response_validation=True,
    ) as client:
        yield client


def judge(response: httpx.Response) -> None:
    """Hold every answer that the SDK gets against the derived schema."""
    response.read()
    if response.headers.get("content-type") == "application/json":
        request = response.request
        assert_exchange(request.method, request.url.path, response.status_code, response.json())
