"""The quick part of `make conformance`: every core method of the official SDK once, its answers validated."""

import pytest

from tests.tools.conformance import CORE, GATE_TESTS, NotRun, get_suite, run_suite


@pytest.mark.criterion("N8")
def test_official_sdk_passes_its_own_tests() -> None:
    try:
        tallies, failures = run_suite(get_suite(), CORE, gate=True)
    except NotRun as reason:
        pytest.skip(f"conformance: not run: {reason}")

    assert failures == []
    assert sum(tally.passed for tally in tallies.values()) == GATE_TESTS
