"""Child processes that end with their parent, however it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from encore.clock import Clock

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Longer than all provider calls of a request (19 s), so that a charge under way is settled and not cut.
_GRACE_S = 25.0
_LOOK_EVERY_S = 0.05
_LAST_LINES = 15


class ChildEnded(Exception):
    """A process ended in a way nobody asked for; the message names it and quotes the end of its log."""


@dataclass(frozen=True)
class Child:
    """A started process, its name for people, and the file that takes its output.

    A task does one thing and ends with status 0; anything else runs until it is stopped.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    is_task: bool

    def has_failed(self) -> bool:
        """Tell whether it ended without having been asked to."""
        status = self.process.poll()
        return status is not None and not (self.is_task and status == 0)

    def output(self) -> str:
        """Return everything it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Children:
    """Starts processes, watches them, and stops them, each with all that it started itself."""

    def __init__(self, *, env: Mapping[str, str], cwd: Path, log_dir: Path, pause: Callable[[], None]) -> None:
        """Prepare for processes with this environment and folder; `pause` waits a moment in `finish`, and may raise."""
        self._env = dict(env)
        self._cwd = cwd
        self._log_dir = log_dir
        self._pause = pause
        self._clock = Clock()
        self._waves: list[list[Child]] = [[]]

    def start(self, name: str, command: list[str], *, is_task: bool = False) -> Child:
        """Start a process; its output goes to <name>.log, the one of the run before to <name>.log.1."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log = self._log_dir / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own: Ctrl-C reaches the parent alone, which ends the others in order.
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )
        child = Child(name=name, process=process, log=log, is_task=is_task)
        self._waves[-1].append(child)
        return child

    def next_wave(self) -> None:
        """Let all processes started from here on be stopped, and gone, before those started until now."""
        self._waves.append([])

    def finish(self, task: Child) -> str:
        """Wait for a task; returns its output. Raises ChildEnded if it, or any other process, fails."""
        while task.process.poll() is None:
            self.check()
            self._pause()
        self.check()
        return task.output()

    def check(self) -> None:
        """Raise ChildEnded if a process ended that should not have."""
        for child in (child for wave in self._waves for child in wave):
            if child.has_failed():
                raise ChildEnded(_describe(child))

    def stop(self, *, is_urgent: Callable[[], bool]) -> None:
        """End every process, last wave first; what is left of the grace is skipped once `is_urgent()`."""
        for wave in reversed(self._waves):
            for child in wave:
                child.process.terminate()
            deadline = self._clock.monotonic() + _GRACE_S
            while any(child.process.poll() is None for child in wave):
                if is_urgent() or self._clock.monotonic() > deadline:
                    break
                sleep(_LOOK_EVERY_S)
            for child in wave:
                _end_group(child)
        self._waves = [[]]


def _end_group(child: Child) -> None:
    # Its session holds whatever it forked; nothing of that may outlive it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


def _describe(child: Child) -> str:
    status = child.process.returncode
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"stopped with status {status}"
    lines = "\n".join(f"    {line}" for line in child.output().splitlines()[-_LAST_LINES:])
    return f"The {child.name} {how}, so everything is stopped. The end of {child.log}:\n{lines}"


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child runs first, so that even kill -9 of the parent ends it; Linux only."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    # Loaded before the fork: the child should do as little as possible before it becomes another program.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_for_the_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)

    return ask_for_the_signal
