"""Every guard is needed: with it off the same scenario breaks a named invariant, with it on none (proof.md, 7)."""

from pathlib import Path

import pytest

from tests.broken import scenarios
from tests.broken.build import load, play, play_broken
from tests.broken.scenarios import Scenario
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.broken

BUILDS = (
    "absent_at_once",
    "exception_type_classifier",
    "honour_after_no",
    "lease_is_death",
    "no_send_window",
    "no_unique",
    "one_per_instance",
    "renewal_is_duplicate",
    "retrying_client",
    "second_page",
    "seed_logic",
    "settle_overwrites",
    "timeout_is_failed",
    "unsigned_mark",
    "wall_clock_quarantine",
)
SCENARIOS = {name: value for name, value in vars(scenarios).items() if isinstance(value, Scenario)}


@pytest.mark.parametrize("name", SCENARIOS)
def test_right_build_keeps_every_promise(
    name: str, sandbox: SandboxProcess, installation: Path, tmp_path: Path
) -> None:
    result = play(SCENARIOS[name], sandbox, installation, tmp_path / "data")

    assert result.broken == frozenset()
    assert result.charges <= 1


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("name", BUILDS)
def test_broken_build_is_caught(name: str, sandbox: SandboxProcess, installation: Path, tmp_path: Path) -> None:
    result = play_broken(name, sandbox, installation, tmp_path / "data")

    assert result.broken >= load(name).BREAKS


@pytest.mark.parametrize("name", ["read_then_write", "no_constraints"])
def test_either_guard_of_the_claim_is_enough(
    name: str, sandbox: SandboxProcess, installation: Path, tmp_path: Path
) -> None:
    """R6d: compare-and-set or constraints, each alone leaves one charge."""
    result = play_broken(name, sandbox, installation, tmp_path / "data")

    assert result.charges == 1
    assert result.broken == load(name).BREAKS


def test_without_both_guards_six_clicks_charge_more_than_once(
    sandbox: SandboxProcess, installation: Path, tmp_path: Path
) -> None:
    result = play_broken("no_unique", sandbox, installation, tmp_path / "data")

    assert result.charges > 1
    assert "I2" in result.broken


def test_every_build_has_its_case() -> None:
    here = Path(__file__).parent
    tools = {"__init__", "build", "conftest", "scenarios", "test_builds"}
    mine = {path.stem for path in here.glob("*.py")} - tools

    assert mine >= {*BUILDS, "read_then_write", "no_constraints"}
