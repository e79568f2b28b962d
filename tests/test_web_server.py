"""The web server as an operator starts it: it serves, replaces what dies, and ends when asked."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
import requests

from encore.web_server import PROCESSES, web_command
from tests.installation import Installation, free_port, running_installation
from tests.sandbox_process import ROOT, wait_for


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    with running_installation(tmp_path) as made:
        yield made


def processes_of(shop: Installation) -> set[int]:
    """The server's own processes, the one that started them left out."""
    assert shop.web is not None
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return {int(pid) for pid, parent in pairs if int(parent) == shop.web.pid}


def is_up(shop: Installation) -> bool:
    try:
        return requests.get(f"{shop.url}/healthz", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_flask_web_serves_until_it_is_asked_to_end(shop: Installation) -> None:
    command = [sys.executable, "-m", "flask", "--app", "app", "web"]
    env = {**shop.env, "PORT": str(shop.port)}
    shop.web = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True)
    wait_for(lambda: is_up(shop), limit_s=20, what="the shop")
    assert len(processes_of(shop)) == PROCESSES

    shop.web.send_signal(signal.SIGTERM)

    assert shop.web.wait(timeout=30) == 0
    assert not is_up(shop)


def test_port_that_is_taken_is_told_and_not_shared(shop: Installation) -> None:
    shop.start_web()

    second = shop.flask("web")

    assert second.returncode == 1
    assert f"port {shop.port} cannot be taken" in second.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_server_killed_leaves_nothing_that_answers(shop: Installation) -> None:
    shop.start_web(processes=PROCESSES)
    assert shop.web is not None

    os.kill(shop.web.pid, signal.SIGKILL)

    wait_for(lambda: not is_up(shop), what="the end of its processes")


_TOLD_TWICE = """
import signal
from encore.web_server import hear_one_signal
hear_one_signal()
from granian._signals import set_sync_signals
told = set_sync_signals()
signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGINT)
signal.raise_signal(signal.SIGTERM)
print("goes on")
"""


def test_process_that_is_told_to_end_twice_does_not_stand_still() -> None:
    """Granian's own handler does, the second time."""
    command = [sys.executable, "-c", _TOLD_TWICE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)

    assert done.stdout == "goes on\n", done.stderr


def test_process_that_did_not_hear_of_its_parents_end_is_told_again(shop: Installation) -> None:
    shop.start_web(app="tests.faults.deaf_app", processes=1)
    assert shop.web is not None

    os.kill(shop.web.pid, signal.SIGKILL)

    wait_for(lambda: not is_up(shop), what="the end of its process")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_server_killed_while_it_starts_leaves_nothing_behind() -> None:
    """A process of it that does not hear signals yet would begin to answer on the port a moment later."""
    command = web_command("tests.faults.starting_app:create_app", free_port(), processes=1)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "starting\n"

            server.kill()

            # Each of its processes holds the pipe open until it ends.
            assert wait_for_end(server.stdout)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def wait_for_end(stream: IO[str], limit_s: float = 10.0) -> bool:
    """Tell whether everybody who could write to a pipe is gone in time."""
    return bool(select.select([stream], [], [], limit_s)[0]) and stream.read() == ""


def test_process_that_dies_is_replaced_while_the_other_serves(shop: Installation) -> None:
    shop.start_web(processes=PROCESSES)
    before = processes_of(shop)

    os.kill(min(before), signal.SIGKILL)

    wait_for(lambda: len(processes_of(shop) - before) == 1, limit_s=15, what="a new process")
    wait_for(lambda: is_up(shop), what="the shop")
