"""A world a test, on one sandbox process that is started over before each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from encore.services.shop import Shop
from tests.factories import make_shop
from tests.sandbox_process import SandboxProcess, start_sandbox
from tests.services.points import PassPoint, watched_points
from tests.services.world import MovableClock, World, make_installation, open_world

Open = Callable[..., World]


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def installation(running_sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    running_sandbox.reset()
    return make_installation(running_sandbox, tmp_path_factory.mktemp("installation"))


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> SandboxProcess:
    running_sandbox.control("webhooks", {"url": None})
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def open_shop_with(sandbox: SandboxProcess, installation: Path, tmp_path: Path) -> Iterator[Open]:
    """Open worlds with settings of their own; all of one test share store and sandbox."""
    opened: list[World] = []

    def open_one(**more: str) -> World:
        world = open_world(sandbox, installation, tmp_path / "data", more)
        opened.append(world)
        return world

    yield open_one
    for world in opened:
        world.shop.close()


@pytest.fixture
def world(open_shop_with: Open) -> World:
    return open_shop_with()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def shop(sandbox: SandboxProcess, tmp_path: Path, clock: MovableClock) -> Iterator[Shop]:
    """A shop on its first day: a schema, and nothing in it."""
    made = make_shop(tmp_path / "first-day", clock=clock, provider_url=sandbox.url)
    yield made
    made.close()


@pytest.fixture
def pass_point() -> Iterator[PassPoint]:
    """Do something at the first pass of a crash point."""
    with watched_points() as pass_at:
        yield pass_at
