"""What every test run has: one limit for the whole of it, files that wait for no disk, and an account of the proofs."""

import os
import signal
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from tests.scale import SCALE

# After the limit the workers get this long to be ended in order.
_LAST_RESORT_S = 20
# A commit waits for the disk, and a run commits a hundred thousand times: a folder in memory spares it that. What is
# shown is the same, for a killed process loses nothing of either; a cut of power is not what these tests are about.
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 2**30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--time-limit", type=int, default=0, metavar="SECONDS", help="end the whole run after this long")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    limit_s: int = config.getoption("--time-limit")
    if limit_s:
        _limit_run(limit_s)
    if "TMPDIR" not in os.environ and _has_room(_MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def _has_room(folder: Path) -> bool:
    """Tell whether a run's files, programs among them, can live here."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= _ROOM_BYTES and not found.f_flag & os.ST_NOEXEC


def _limit_run(limit_s: int) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_LAST_RESORT_S)
        pytest.exit(f"The run passed its limit of {limit_s} s.", returncode=1)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(limit_s)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # As a property it comes back from whichever process runs the test.
        item.user_properties += [("proved", list(mark.args)) for mark in item.iter_markers("proof")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the proofs tried: a proof whose size nobody sees could shrink to nothing."""
    if not SCALE:
        return
    tried = Counter[str]()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "proved":
                tried[value[1]] += value[0]
    for what, count in tried.items():
        terminalreporter.write_line(f"proved: {count:,} {what}")
