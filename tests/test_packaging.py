"""What can be taken apart: the wheel alone, Encore without its sandbox, the sandbox without Encore."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ASK_FOR_THE_SHOP = """
import sys
from importlib import import_module
app = import_module(sys.argv[1]).create_app()
answer = app.test_client().get("/", base_url="http://127.0.0.1:5000")
assert answer.status_code == 200, answer.status
assert "text/css" in app.test_client().get("/static/css/encore.css", base_url="http://127.0.0.1:5000").content_type
print("served by", import_module(sys.argv[1]).__file__)
"""


def run(command: list[str], *, cwd: Path, data: Path | None = None) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    if data is not None:
        env["ENCORE_DATA"] = str(data)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_of(tmp_path: Path, *names: str) -> Path:
    """Copy files and folders of the checkout to an empty folder, as a clone that lacks the rest."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (found,) = folder.glob("*.whl")
    return found


def test_wheel_has_one_top_level_name(wheel: Path) -> None:
    listed = run([sys.executable, "-m", "zipfile", "-l", str(wheel)], cwd=wheel.parent).splitlines()[1:]
    names = {line.split()[0] for line in listed}

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"encore"}
    for part in ("app.py", "blueprints/__init__.py", "sandbox/__main__.py", "static/css/encore.css"):
        assert f"encore/{part}" in names
    assert any(name.startswith("encore/templates/") for name in names)
    assert any(name.startswith("encore/locales/vi/") for name in names)


def test_installed_wheel_serves_the_shop(wheel: Path, tmp_path: Path) -> None:
    # A clean environment that borrows the libraries of this one: what is tested is our wheel, not the index.
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = Path(
        run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=tmp_path).strip()
    )
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    run([str(python), "-m", "pip", "install", "-qq", "--no-deps", "--no-index", str(wheel)], cwd=tmp_path)

    run([str(python), "-m", "flask", "--app", "encore.app", "db", "upgrade"], cwd=tmp_path, data=tmp_path / "data")
    served = run([str(python), "-c", ASK_FOR_THE_SHOP, "encore.app"], cwd=tmp_path, data=tmp_path / "data")

    assert str(site) in served
    assert "4242424242424242" in run([str(python), "-m", "encore.sandbox", "cards"], cwd=tmp_path)


def test_encore_serves_the_shop_without_its_sandbox(tmp_path: Path) -> None:
    copy = copy_of(tmp_path, "app.py", "blueprints", "encore", "static", "templates")

    run([sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"], cwd=copy, data=tmp_path / "data")
    served = run([sys.executable, "-c", ASK_FOR_THE_SHOP, "app"], cwd=copy, data=tmp_path / "data")

    assert str(copy) in served


def test_sandbox_and_its_tests_work_without_encore(tmp_path: Path) -> None:
    copy = copy_of(tmp_path, "pyproject.toml", "docs", "sandbox", "tests")

    # All of them must import; those of one file run, since the whole of them runs in its own right.
    collected = run([sys.executable, "-m", "pytest", "--collect-only", "tests/sandbox"], cwd=copy)
    done = run([sys.executable, "-m", "pytest", "-x", "tests/sandbox/test_refunds.py"], cwd=copy)

    assert "test_faults.py" in collected
    assert " passed" in done
