"""The README of the sandbox: its script runs as it is written, and does what it says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.control.commands import command_parser
from tests.sandbox_process import ROOT, SandboxProcess, start_sandbox, wait_for

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "sandbox/README.md").read_text("utf-8"), flags=re.DOTALL)
START, LISTEN, SCRIPT, MORE = BLOCKS
TWO_HOURS_MS = 7_200_000


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[SandboxProcess]:
    """The sandbox as the README starts it, but for its port and its file, which tests must not share."""
    assert shlex.split(START) == ["python", "-m", "sandbox", "--port", "4010", "--db", "sandbox.sqlite3"]
    with start_sandbox(tmp_path) as sandbox:
        yield sandbox


@pytest.fixture
def printed(twin: SandboxProcess, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """What the README's second terminal has printed so far."""
    output = tmp_path / "second-terminal.txt"
    command = [sys.executable, *shlex.split(LISTEN)[1:]]
    with output.open("w") as file, subprocess.Popen(command, cwd=ROOT, env=surroundings(twin), stdout=file) as process:
        wait_for(lambda: "Receiving at" in output.read_text(), what="the second terminal")
        yield output.read_text
        process.terminate()


def surroundings(sandbox: SandboxProcess) -> dict[str, str]:
    """The environment of a reader's terminal: this sandbox, and the Python of this test as `python`."""
    tools = Path(sys.executable).parent
    return {**os.environ, "SANDBOX_URL": sandbox.url, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def run(script: str, sandbox: SandboxProcess) -> subprocess.CompletedProcess[str]:
    """Run shell lines against a sandbox."""
    return subprocess.run(
        ["sh"],
        input=script,
        cwd=ROOT,
        env=surroundings(sandbox),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_bad_afternoon_is_under_ten_lines() -> None:
    assert len(SCRIPT.splitlines()) < 10


def test_the_bad_afternoon_happens_as_told(twin: SandboxProcess, printed: Callable[[], str]) -> None:
    done = run(SCRIPT, twin)

    # The only complaint is about the answer that was lost.
    assert re.fullmatch(r"sandbox: no answer from http://127\.0\.0\.1:\d+: .*\n", done.stderr), done.stderr
    (request,) = twin.requests("POST", "/checkouts")
    assert (request["status"], request["fault"], request["effect"]) == (None, "reset", "before")
    newest, *saved = twin.get("/payments")["items"]
    assert newest["status"] == "failed"
    declined = twin.get(f"/payments/{newest['payment_id']}")
    assert (declined["error_code"], declined["customer"]["customer_id"]) == (
        "INSUFFICIENT_FUNDS",
        "cus_Scenario0000000000001",
    )
    assert len(saved) == len(twin.methods("cus_Scenario0000000000001")) == 3
    wait_for(lambda: "[200]  payment.failed" in printed(), what="the late webhook")
    (late,) = [one for one in twin.deliveries() if one["type"] == "payment.failed"]
    (event,) = [one for one in twin.control("deliveries")["events"] if one["type"] == "payment.failed"]
    assert late["clock_at"] - event["event_at"] >= TWO_HOURS_MS
    assert twin.control("clock")["offset_ms"] == TWO_HOURS_MS


def test_without_the_lost_answer_the_script_would_complain_of_nothing(twin: SandboxProcess) -> None:
    lines = [line for line in SCRIPT.splitlines() if "faults add" not in line]

    assert run("\n".join(lines), twin).stderr == ""


@pytest.mark.parametrize("line", [line for line in MORE.splitlines() if line], ids=lambda line: line.split("#")[0])
def test_every_other_command_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)

    assert words[:3] == ["python", "-m", "sandbox"]
    assert command_parser().parse_args(words[3:]).run
