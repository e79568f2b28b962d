"""What every test run has: one limit for the whole of it."""

import signal
from types import FrameType

import pytest

# After the limit the workers get this long to be ended in order.
_LAST_RESORT_S = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--time-limit", type=int, default=0, metavar="SECONDS", help="end the whole run after this long")


def pytest_configure(config: pytest.Config) -> None:
    limit_s: int = config.getoption("--time-limit")
    if limit_s and not hasattr(config, "workerinput"):
        _limit_run(limit_s)


def _limit_run(limit_s: int) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_LAST_RESORT_S)
        pytest.exit(f"The run passed its limit of {limit_s} s.", returncode=1)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(limit_s)
