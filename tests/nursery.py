"""Start Encore's processes from one that has already imported everything: a start is a fork, not half a second.

What is started is a process of its own, in a session of its own, that runs `python -m MODULE ARGUMENTS` with the
environment it is given, as a worker of the web server is forked from one that has imported the application. The one
module that reads the environment when it is imported is `encore.crash_point`: a process with a crash or pause armed
imports everything of ours anew.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_OURS = ("app", "blueprints", "encore", "tests")
_ARMED = ("ENCORE_CRASH_AT", "ENCORE_PAUSE_AT")
_PRELOADED = ("app", "encore.web_server", "flask.cli", "granian.cli", "granian.server.mp", "granian.wsgi")
_LOOK_EVERY_S = 0.003


@dataclass
class Child:
    """A started process; as much of `subprocess.Popen` as is needed of it."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        if self.returncode is None:
            self.returncode = _nursery().ask({"status_of": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and timeout is not None and monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            sleep(_LOOK_EVERY_S)
        return status


def start(module: str, *arguments: str, env: Mapping[str, str], log: Path, errors: Path | None = None) -> Child:
    """Run a module as `python -m` would; its output is appended to `log`, its errors too unless they have a file."""
    order = {"module": module, "arguments": arguments, "env": dict(env), "log": str(log), "errors": str(errors or log)}
    return Child(_nursery().ask(order))


def run(module: str, *arguments: str, env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a module to its end, as `subprocess.run` with `capture_output` would."""
    with TemporaryDirectory() as folder:
        log, errors = Path(folder, "out"), Path(folder, "err")
        child = start(module, *arguments, env=env, log=log, errors=errors)
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        return subprocess.CompletedProcess([module, *arguments], status, log.read_text(), errors.read_text())


class _Nursery:
    """The process that forks, one for each test process that needs it, and ends with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def ask(self, order: dict[str, Any]) -> Any:
        """Give an order and return its answer; threads take turns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@cache
def _nursery() -> _Nursery:
    return _Nursery()


# ---- In the nursery ------------------------------------------------------------------------------------------------


def _serve() -> dict[str, Any] | None:
    """Answer orders until the test process is gone; returns one in the child that is to carry it out."""
    for line in sys.stdin:
        order = json.loads(line)
        if "status_of" in order:
            answer = _status_of(order["status_of"])
        else:
            answer = _fork(order)
            if answer is None:
                return order  # type: ignore[no-any-return]
        print(json.dumps(answer), flush=True)
    return None


def _status_of(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _fork(order: dict[str, Any]) -> int | None:
    """Return the child's id, or None in the child."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        # Whoever kills its group must find it.
        os.read(ready, 1)
        os.close(ready)
        return pid
    os.setsid()
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, order["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.close(ready)
    os.close(tell)
    return None


def _become(order: dict[str, Any]) -> None:
    """Be the program that was ordered."""
    os.environ.clear()
    os.environ.update(order["env"])
    if any(order["env"].get(name) for name in _ARMED):
        for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
            del sys.modules[name]
    # As `python -m` would find it: not imported yet.
    sys.modules.pop(order["module"], None)
    sys.argv = [order["module"], *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for module in _PRELOADED:
        importlib.import_module(module)
    gc.freeze()
    ordered = _serve()
    if ordered is not None:
        _become(ordered)
