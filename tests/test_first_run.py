"""`python app.py`, which is all of `make run` once the environment is there: starts, tells, leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import pytest

ROOT = Path(__file__).parent.parent
WITHIN_S = 90


@dataclass
class Installation:
    """A data folder and two ports, on which Encore is started again and again."""

    data: Path
    port: int
    sandbox_port: int

    def start(self, **more: str) -> subprocess.Popen[str]:
        own = {"PATH": os.environ["PATH"], "HOME": str(self.data), "ENCORE_DATA": str(self.data)}
        ports = {"PORT": str(self.port), "SANDBOX_PORT": str(self.sandbox_port)}
        return subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=own | ports | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_quiet(self) -> bool:
        """Tell whether nobody listens on its ports."""
        return all(is_free(port) for port in (self.port, self.sandbox_port))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def wait_for(happened: Callable[[], bool], *, what: str) -> None:
    for _ in range(WITHIN_S * 20):
        if happened():
            return
        sleep(0.05)
    pytest.fail(f"never happened: {what}")


def welcome(run: subprocess.Popen[str]) -> str:
    """Read what is printed up to the last test card; fails with the error when the start fails."""
    assert run.stdout is not None
    lines: list[str] = []
    for line in run.stdout:
        lines.append(line)
        if line.strip().startswith("4100000000000019"):
            return "".join(lines)
    pytest.fail(f"ended with {run.wait()}: {''.join(lines)} {run.stderr and run.stderr.read()}")


def stop(run: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> int:
    run.send_signal(number)
    run.communicate(timeout=WITHIN_S)
    return run.returncode


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    found = Installation(tmp_path_factory.mktemp("instance"), *free_ports())
    yield found
    wait_for(found.is_quiet, what="both ports free at the end")


def test_first_start_fills_the_shop_and_says_where_it_is(installation: Installation) -> None:
    run = installation.start()
    told = welcome(run)
    shop = f"http://127.0.0.1:{installation.port}"

    assert f"Shop     {shop}\n" in told
    assert f"Sandbox  http://127.0.0.1:{installation.sandbox_port}\n" in told
    assert "4242424242424242" in told
    assert get(f"{shop}/readyz")[0] == 200
    assert 'data-testid="product"' in get(f"{shop}/")[1]
    mail = re.search(rf"Mail     ({shop}/merchant/mail\S+)", told)
    assert mail is not None
    assert get(mail[1])[0] == 200

    assert stop(run) == 0
    assert installation.is_quiet()


def test_second_start_repeats_neither_sync_nor_seed(installation: Installation) -> None:
    logs = installation.data / "logs"
    for task in ("sync", "seed"):
        (logs / f"{task}.log").unlink(missing_ok=True)

    run = installation.start()
    welcome(run)

    assert not (logs / "sync.log").exists()
    assert not (logs / "seed.log").exists()
    assert stop(run, signal.SIGTERM) == 0
    assert installation.is_quiet()


def test_dead_worker_stops_everything_and_is_named(installation: Installation) -> None:
    run = installation.start()
    welcome(run)
    (worker,) = children_of(run.pid, "app worker")

    os.kill(worker, signal.SIGKILL)
    _, told = run.communicate(timeout=WITHIN_S)

    assert run.returncode == 1
    assert told.startswith("The worker was ended by SIGKILL")
    assert installation.is_quiet()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_killed_parent_leaves_nothing_behind(installation: Installation) -> None:
    run = installation.start()
    welcome(run)

    stop(run, signal.SIGKILL)

    wait_for(installation.is_quiet, what="both ports free")


@pytest.mark.parametrize("variable", ["PORT", "SANDBOX_PORT"])
def test_busy_port_is_one_sentence_naming_the_variable(installation: Installation, variable: str) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", installation.port if variable == "PORT" else installation.sandbox_port))
        taken.listen()

        _, told = (run := installation.start()).communicate(timeout=WITHIN_S)

    assert run.returncode == 1
    assert told.count("\n") == 1
    assert f"set {variable} to a free one" in told


def test_wrong_settings_are_told_before_anything_starts(installation: Installation) -> None:
    run = installation.start(ENCORE_LIMITS="off", ENCORE_MAX_PAGES="9")

    _, told = run.communicate(timeout=WITHIN_S)

    assert run.returncode == 2
    assert told.startswith("Encore cannot start: 2 settings need attention.\n")
    assert "Traceback" not in told


def children_of(parent: int, words: str) -> list[int]:
    """Return the processes that `parent` started whose command line contains `words`."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 3 and int(row[1]) == parent and words in row[2]]
