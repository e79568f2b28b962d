"""The official Node SDK as a client of a truthful sandbox: `python -m tests.tools.node_client`.

The SDK is fetched at run time, pinned by checksum, into the git-ignored `build/`; nothing of it is committed.
Where Node is missing, or the package cannot be had, the scenarios are reported as not run.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox_process import ROOT, start_sandbox

VERSION = "2.52.0"
SHA512 = "NYdxsaTbjmYhysLWwg7YWlHQWBaa2buvHxAOG2LWTF97w3ZpYH1anGSM+1ebS2tL6daMCwbT+PDyLxCaTlYNVA=="
SCENARIOS = Path(__file__).with_name("node_client.mjs")
FOLDER = ROOT / "build/conformance/node"
FETCH_LIMIT_S = 120
RUN_LIMIT_S = 120


class NotRun(Exception):
    """The scenarios cannot be run here; the message says why."""


@dataclass(frozen=True)
class Scenario:
    """One scenario as it went; `error` is None if it passed."""

    name: str
    error: str | None


def run_scenarios() -> list[Scenario]:
    """Run every scenario with the Node SDK against a sandbox of its own. Raises NotRun."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise NotRun("there is no Node here")
    _install()
    shutil.copy(SCENARIOS, FOLDER)
    with start_sandbox(FOLDER, db=_fresh(FOLDER / "sandbox.sqlite3")) as sandbox:
        environment = {**os.environ, "SANDBOX_URL": sandbox.url}
        done = subprocess.run(
            ["node", SCENARIOS.name],
            cwd=FOLDER,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
        )
    ran = [Scenario(**json.loads(line)) for line in done.stdout.splitlines()]
    if done.returncode:
        ran.append(Scenario("the scenarios as a whole", f"node ended with status {done.returncode}"))
    return ran


def _install() -> None:
    if (FOLDER / "node_modules/dodopayments/package.json").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true, "type": "module"}\n')
    _npm("pack", f"dodopayments@{VERSION}", "--silent")
    archive = FOLDER / f"dodopayments-{VERSION}.tgz"
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != SHA512:
        raise SystemExit(f"node: dodopayments {VERSION} has the wrong checksum {found}")
    # No lock file: it would name the registry. Scripts of packages are not run.
    _npm("install", f"./{archive.name}", "--no-package-lock", "--no-save", "--ignore-scripts", "--silent")


def _npm(*arguments: str) -> None:
    try:
        subprocess.run(
            ["npm", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotRun(f"dodopayments {VERSION} cannot be fetched: {error}") from error


def _fresh(db: Path) -> Path:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{db}{suffix}").unlink(missing_ok=True)
    return db


def report() -> bool:
    """Print how each scenario went; False if one failed. Not having Node is no failure."""
    try:
        ran = run_scenarios()
    except NotRun as reason:
        print(f"node: not run, {reason}")
        return True
    for scenario in ran:
        print(f"node: {'passed' if scenario.error is None else 'FAILED'}  {scenario.name}")
        if scenario.error is not None:
            print(scenario.error)
    return bool(ran) and all(scenario.error is None for scenario in ran)


if __name__ == "__main__":
    sys.exit(0 if report() else 1)
