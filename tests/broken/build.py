"""The child process of a broken build: `python -m tests.broken.build NAME SANDBOX_URL INSTALLATION DATA`.

Only here is the app patched; the product has no switch for it. Prints what the build came to, as JSON.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import nursery
from tests.broken import scenarios
from tests.broken.scenarios import Scenario
from tests.sandbox_process import SandboxProcess
from tests.services.points import watched_points
from tests.services.world import open_world


@dataclass(frozen=True)
class Result:
    """How often the provider was asked to charge, and which invariants are broken afterwards."""

    charges: int
    broken: frozenset[str]


def play(scenario: Scenario, sandbox: SandboxProcess, installation: Path, data: Path) -> Result:
    """Play a scenario in this process, on a copy of an installation."""
    world = open_world(sandbox, installation, data, scenario.env)
    try:
        with watched_points() as pass_point:
            charges = scenario.act(world, pass_point)
        return Result(charges, frozenset(scenarios.broken_promises(world)))
    finally:
        world.shop.close()


def play_broken(name: str, sandbox: SandboxProcess, installation: Path, data: Path) -> Result:
    """Play a broken build's scenario in a child process that is patched to be that build."""
    arguments = [name, sandbox.url, str(installation), str(data)]
    done = nursery.run("tests.broken.build", *arguments, env=os.environ, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Result(answer["charges"], frozenset(answer["broken"]))


def load(name: str) -> Any:
    """Return the module of a broken build."""
    return importlib.import_module(f"tests.broken.{name}")


def main(name: str, sandbox_url: str, installation: str, data: str) -> None:
    """Patch this process, play, and print the result."""
    broken = load(name)
    shutil.copytree(installation, data)
    broken.install(Path(data) / "encore.sqlite3")
    with subprocess.Popen(["true"], text=True) as nobody:
        sandbox = SandboxProcess(nobody, sandbox_url, Path(data))
        result = play(broken.SCENARIO, sandbox, Path(installation), Path(data))
    print(json.dumps({"charges": result.charges, "broken": sorted(result.broken)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
