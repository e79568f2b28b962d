"""Generated examples are the same on every run: a failing one prints how to repeat it."""

import pytest
from hypothesis import settings

settings.register_profile("rules", derandomize=True, database=None, deadline=None, print_blob=True)
settings.load_profile("rules")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the protocol search went through: a search whose size nobody sees could shrink to nothing."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "searched":
                terminalreporter.write_line(f"protocol search: {value}")
