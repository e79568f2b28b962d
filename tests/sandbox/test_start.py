"""Starting: what cannot be is said in one sentence, and another program's file is left alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database

from tests.sandbox_process import ROOT, SandboxProcess, start_sandbox

FOREIGN = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, title TEXT);
INSERT INTO events (title) VALUES ('a birthday');
"""


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Start a sandbox that must not come up."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "--port", "0", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


def foreign(path: Path, *, objects: str = "") -> bytes:
    """Make another program's SQLite file and return its bytes."""
    path.parent.mkdir(exist_ok=True)
    db = Database(path)
    db.executescript(FOREIGN + objects)
    db.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("text.txt", "file is not a database"),
        ("folder", "unable to open database file"),
        ("nowhere/x.sqlite3", "there is no folder"),
        ("foreign.sqlite3", "it is another program's file, not a sandbox's"),
        ("foreign_objects.sqlite3", "it is another program's file, not a sandbox's"),
    ],
)
def test_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("Not a database, and long enough to be read as the head of one. " * 20)
    foreign(tmp_path / "foreign.sqlite3")
    foreign(tmp_path / "foreign_objects.sqlite3", objects="CREATE TABLE objects (id TEXT, doc TEXT)")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    done = run("--db", str(tmp_path / name))

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"sandbox: cannot use {tmp_path / name}: {said}")
    assert done.stdout.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before


def test_foreign_file_is_no_snapshot_and_changes_nothing(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy()
    path = sandbox.db.with_name(sandbox.db.name + ".snapshots") / "foreign.sqlite3"
    foreign(path)

    answer = sandbox.call("POST", "/_sandbox/snapshots", {"restore": "foreign"})
    path.unlink()

    assert answer.status_code == 422
    assert "another program's file" in answer.json()["message"]
    assert sandbox.get(f"/payments/{payment['payment_id']}") == payment
    assert len(sandbox.get("/products")["items"]) == 8


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "99999"],
        ["--port", "-1"],
        ["--port", "http"],
        ["--webhook-timeout-s", "-5"],
        ["--webhook-timeout-s", "nan"],
        ["--webhook-timeout-s", "soon"],
        ["--webhook-url", "nonsense", "--webhook-secret", "whsec_c2FuZGJveA=="],
        ["--public-url", "nonsense"],
    ],
    ids=" ".join,
)
def test_option_that_cannot_be_is_named(tmp_path: Path, options: list[str]) -> None:
    done = run("--db", str(tmp_path / "x.sqlite3"), *options)

    assert done.returncode == 2
    assert options[0] in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_second_sandbox_on_one_file_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = start_sandbox(tmp_path)
    try:
        done = run("--db", str(first.db))
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout == f"sandbox: cannot use {first.db}: another sandbox is running on it\n"
    finally:
        first.process.kill()
        first.process.wait()
        first.stop()

    with start_sandbox(tmp_path) as second:
        assert second.control("state")["ready"]
