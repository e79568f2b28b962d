"""`make conformance`: the official Python SDK's own tests against the sandbox, which must pass them.

The tests come with the SDK's source distribution. It is downloaded at run time, pinned by its hash, into `build/`,
and none of it is part of this repository; a second run uses what is there. `SDK=latest` tries the newest version and
only reports. `--gate` runs the quick part: each method once, synchronously, with answers validated. After the whole
suite the official Node SDK is a client of a truthful sandbox, where Node is; see node_client.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox_process import ROOT, start_sandbox
from tests.tools import node_client

REQUIREMENTS = ROOT / "requirements-conformance.txt"
BUILD = ROOT / "build" / "conformance"
# The suite's own tools, in an environment apart from ours; its options need xdist and turn warnings into errors.
TOOLS = ("pytest==9.2.0", "pytest-asyncio==1.5.0", "pytest-xdist==3.8.0", "respx==0.23.1", "rich==15.0.0")
# What Encore and its merchants use.
CORE = (
    "test_checkout_sessions.py",
    "test_payments.py",
    "test_subscriptions.py",
    "test_customers.py",
    "customers/test_customer_portal.py",
    "customers/test_wallets.py",
    "customers/wallets",
    "test_products.py",
    "test_refunds.py",
    "test_discounts.py",
    "test_webhooks.py",
    "webhooks",
)
# What else the sandbox serves: 515 tests more in 1.123.0, of which the suite itself skips twelve.
EXTENDED = (
    "test_addons.py",
    "test_licenses.py",
    "test_license_keys.py",
    "test_license_key_instances.py",
    "invoices",
    "test_misc.py",
    "test_disputes.py",
    "products/test_images.py",
)
# How many tests pass in the pinned version: of the core files, of the quick part of them, of the rest.
CORE_TESTS, GATE_TESTS, EXTENDED_TESTS = 1235, 245, 503
# How many requests of each are refused truthfully and answered as their sister (sandbox/contract.py). More would be a
# good request refused, fewer a bad one taken.
CORE_SISTERS, GATE_SISTERS, EXTENDED_SISTERS = 335, 67, 45
GATE = "not Async and strict"


class NotRun(Exception):
    """The suite could not be downloaded; says why."""


@dataclass(frozen=True)
class Suite:
    """An unpacked source distribution and the Python that runs its tests."""

    folder: Path
    python: Path
    version: str


@dataclass
class Tally:
    """How the tests of one file ended."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Run:
    """How a run ended: tallies by file, each failure in a line, and how many requests a sister answered for."""

    tallies: dict[str, Tally]
    failures: list[str]
    sisters: int

    def judge(self, *, passed: int, sisters: int) -> list[str]:
        """Return what is wrong, in lines, given how many tests must pass and how many sisters must answer."""
        wrong, found = list(self.failures), _sum(self.tallies.values()).passed
        if found != passed:
            wrong.append(f"{found:,} tests passed, of {passed:,}")
        if self.sisters != sisters:
            wrong.append(f"{self.sisters:,} refused requests were answered as their sister, not {sisters:,}")
        return wrong


def main() -> int:
    """Run and print; 0 if every test passed that was not skipped by the suite, or if the version is not pinned."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.conformance", description=__doc__)
    parser.add_argument("--gate", action="store_true", help="the quick part of the core files only")
    options = parser.parse_args()
    pinned = os.environ.get("SDK") != "latest"
    try:
        suite = get_suite() if pinned else get_latest()
    except NotRun as reason:
        print(f"conformance: not run: {reason}")
        return 1
    failures = run_gate(suite) if options.gate else run_whole(suite)
    for failure in failures:
        print(f"failed: {failure}")
    if not pinned:
        print("conformance: a report only, the version is not pinned")
    node_passed = options.gate or node_client.report()
    return 1 if (failures and pinned) or not node_passed else 0


def run_gate(suite: Suite) -> list[str]:
    """Run and print the quick part; return what is wrong, in lines."""
    core = run_suite(suite, CORE, gate=True)
    _print(suite, core.tallies, {})
    return core.judge(passed=GATE_TESTS, sisters=GATE_SISTERS)


def run_whole(suite: Suite) -> list[str]:
    """Run and print all that the sandbox serves; return what is wrong, in lines."""
    core, extended = run_suite(suite, CORE), run_suite(suite, EXTENDED)
    _print(suite, core.tallies, extended.tallies)
    return [
        *core.judge(passed=CORE_TESTS, sisters=CORE_SISTERS),
        *extended.judge(passed=EXTENDED_TESTS, sisters=EXTENDED_SISTERS),
    ]


def _print(suite: Suite, core: dict[str, Tally], extended: dict[str, Tally]) -> None:
    print(f"the tests of the official Python SDK {suite.version}")
    print(table(core, extended))


def get_suite() -> Suite:
    """Return the pinned suite, downloading it unless that was done before. Raises NotRun."""
    requirement = REQUIREMENTS.read_text()
    version = requirement.split()[0].removeprefix("dodopayments==")
    folder = BUILD / version
    done = folder / "complete"
    wanted = requirement + "\n".join(TOOLS)
    if not done.exists() or done.read_text() != wanted:
        _make_environment(folder, f"dodopayments[aiohttp,webhooks]=={version}")
        _download(folder, "--require-hashes", "-r", str(REQUIREMENTS))
        done.write_text(wanted)
    return Suite(folder / "suite", _python_of(folder), version)


def get_latest() -> Suite:
    """Return the newest suite, anew each time. Raises NotRun."""
    folder = BUILD / "latest"
    _make_environment(folder, "dodopayments[aiohttp,webhooks]")
    archive = _download(folder, "dodopayments")
    version = archive.name.removeprefix("dodopayments-").removesuffix(".tar.gz")
    return Suite(folder / "suite", _python_of(folder), version)


def run_suite(suite: Suite, files: Iterable[str], *, gate: bool = False) -> Run:
    """Run test files against a sandbox in contract mode.

    Raises RuntimeError with what the run said last if it ended without a report.
    """
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [str(suite.python), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", f"--junitxml={report}"]
        command += ["-k", GATE] if gate else []
        command += [f"tests/api_resources/{name}" for name in files]
        with start_sandbox(Path(directory), contract=True) as sandbox:
            # The client under test is the hashed source too, not whatever wheel brought its dependencies.
            environment = {**os.environ, "TEST_API_BASE_URL": sandbox.url, "PYTHONPATH": str(suite.folder / "src")}
            ended = subprocess.run(command, cwd=suite.folder, env=environment, capture_output=True, text=True)
            sisters = sum(sandbox.control("state")["sister_answers"].values())
        if not report.exists():
            raise RuntimeError(_last_line(ended.stdout + ended.stderr))
        return Run(*_read(report), sisters)


def table(core: dict[str, Tally], extended: dict[str, Tally]) -> str:
    """Return the tallies as lines of text, sums included."""
    lines = [f"{'':<36} {'passed':>6} {'failed':>6} {'skipped':>7}"]
    for title, tallies in (("core", core), ("extended", extended)):
        lines += [_row(name, tally) for name, tally in sorted(tallies.items())]
        if tallies:
            lines.append(_row(f"= {title}", _sum(tallies.values())))
    if extended:
        lines.append(_row("= together", _sum([*core.values(), *extended.values()])))
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    return f"{name:<36} {tally.passed:>6,} {tally.failed:>6,} {tally.skipped:>7,}"


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.passed += tally.passed
        total.failed += tally.failed
        total.skipped += tally.skipped
    return total


def _read(report: Path) -> tuple[dict[str, Tally], list[str]]:
    tallies: dict[str, Tally] = {}
    failures = []
    for case in ElementTree.parse(report).iter("testcase"):
        # "tests.api_resources.customers.test_wallets.TestWallets" is the file customers/test_wallets.
        module = [part for part in case.get("classname", "").split(".")[2:] if not part.startswith("Test")]
        tally = tallies.setdefault("/".join(module), Tally())
        broken = case.find("failure") if case.find("failure") is not None else case.find("error")
        if broken is not None:
            tally.failed += 1
            reason = (broken.get("message") or "").splitlines() or [""]
            failures.append(f"{'/'.join(module)} {case.get('name')}: {reason[0]}")
        elif case.find("skipped") is not None:
            tally.skipped += 1
        else:
            tally.passed += 1
    return tallies, failures


def _make_environment(folder: Path, client: str) -> None:
    try:
        venv.create(folder / "venv", clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotRun(f"no environment could be made: {error}") from error
    _pip(folder, "install", client, *TOOLS)


def _download(folder: Path, *wanted: str) -> Path:
    """Download and unpack a source distribution; return its archive."""
    for old in folder.glob("dodopayments-*.tar.gz"):
        old.unlink()
    _pip(folder, "download", "--no-deps", "--no-binary", "dodopayments", "-d", str(folder), *wanted)
    (archive,) = folder.glob("dodopayments-*.tar.gz")
    with tarfile.open(archive) as packed, tempfile.TemporaryDirectory(dir=folder) as fresh:
        packed.extractall(fresh, filter="data")
        (unpacked,) = Path(fresh).iterdir()
        _replace(unpacked, folder / "suite")
    return archive


def _replace(new: Path, place: Path) -> None:
    if place.exists():
        place.rename(new.parent / "old")
    new.rename(place)


def _pip(folder: Path, *arguments: str) -> None:
    command = [str(_python_of(folder)), "-m", "pip", "-q", "--disable-pip-version-check", "--no-input"]
    # One more try and no long wait: a machine without a network shall hear so soon.
    command += ["--retries", "1", "--timeout", "15", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise NotRun(_last_line(ended.stderr))


def _python_of(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


if __name__ == "__main__":
    sys.exit(main())
