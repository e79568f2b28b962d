"""The quick part of `make conformance`, and what the whole of it calls a failure."""

import sys
from pathlib import Path

import pytest

from tests.tools import conformance, node_client
from tests.tools.conformance import CORE, GATE_SISTERS, GATE_TESTS, NotRun, Run, Suite, Tally, get_suite, run_suite


@pytest.mark.criterion("N8")
def test_official_sdk_passes_its_own_tests() -> None:
    """Every core method of the official SDK once, its answers validated."""
    try:
        run = run_suite(get_suite(), CORE, gate=True)
    except NotRun as reason:
        pytest.skip(f"conformance: not run: {reason}")

    assert run.judge(passed=GATE_TESTS, sisters=GATE_SISTERS) == []


@pytest.mark.parametrize(("passed", "sisters"), [(9, 3), (0, 3), (10, 2), (10, 4)])
def test_missing_test_and_another_number_of_refusals_are_failures(passed: int, sisters: int) -> None:
    assert Run({"test_payments.py": Tally(passed=10)}, [], 3).judge(passed=10, sisters=3) == []
    assert len(Run({"test_payments.py": Tally(passed=passed)}, [], sisters).judge(passed=10, sisters=3)) == 1


@pytest.mark.parametrize(
    ("arguments", "node_passes", "status"), [([], True, 0), ([], False, 1), (["--gate"], False, 0)]
)
def test_node_client_counts_where_the_whole_suite_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], node_passes: bool, status: int
) -> None:
    monkeypatch.delenv("SDK", raising=False)
    monkeypatch.setattr(sys, "argv", ["conformance", *arguments])
    monkeypatch.setattr(conformance, "get_suite", lambda: Suite(tmp_path, tmp_path, "0"))
    monkeypatch.setattr(conformance, "run_gate", lambda suite: [])
    monkeypatch.setattr(conformance, "run_whole", lambda suite: [])
    monkeypatch.setattr(node_client, "report", lambda: node_passes)

    assert conformance.main() == status


def test_missing_node_is_said_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    assert node_client.report()
    assert capsys.readouterr().out == "node: not run, there is no Node here\n"
