"""`.ci/environment`, which stands before every make target: it makes, keeps and heals the virtual environment."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "environment"


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose environment was half made, with the interpreter gone and a stamp that lies, then installed."""
    # Locks with nothing in them: what is tested is the script, not an index.
    root = tmp_path_factory.mktemp("checkout")
    (root / "requirements.txt").write_text("# runtime\n")
    (root / "requirements-test.txt").write_text("# runtime and tests\n")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")
    (root / ".venv" / "installed").write_text("# runtime\n")
    done = install(root, "requirements-test.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return root


def install(root: Path, lock: str, *, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), ".venv", lock],
        cwd=root,
        env={"PATH": path, "HOME": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def stamp(root: Path) -> int:
    return (root / ".venv" / "installed").stat().st_mtime_ns


def test_half_made_environment_heals(healed: Path) -> None:
    python = healed / ".venv" / "bin" / "python"

    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0


@pytest.mark.parametrize("lock", ["requirements-test.txt", "requirements.txt"])
def test_complete_environment_is_left_alone(healed: Path, lock: str) -> None:
    before = stamp(healed)

    done = install(healed, lock)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stamp(healed) == before


def test_changed_lock_is_installed(healed: Path) -> None:
    before = stamp(healed)
    (healed / "requirements-test.txt").write_text("# runtime and other tests\n")

    assert install(healed, "requirements-test.txt").returncode == 0

    assert stamp(healed) != before
    assert (healed / ".venv" / "installed").read_text() == "# runtime and other tests\n"


def test_machine_without_python_is_told_in_one_sentence(tmp_path: Path) -> None:
    for tool in ("cmp", "cp", "rm"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")

    done = install(tmp_path, "requirements.txt", path=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer" in done.stderr
