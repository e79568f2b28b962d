"""Every wall of the web is needed: with it taken away, the test named here fails and names what is broken.

The scenarios of the charge protocol have their broken builds beside them, in tests/broken/test_builds.py.
"""

import subprocess
import sys

import pytest

from tests.sandbox_process import ROOT

pytestmark = pytest.mark.broken

# Build, the test that must catch it, and the promise that the failure must name.
BUILDS = {
    "token_unbound": (
        "attacks/test_identities.py::test_stranger_sees_and_does_nothing_on_any_route[no-cookie]",
        "R10d",
    ),
    "bare_verifier": (
        "bad_input/test_deliveries.py::test_true_signature_in_an_odd_form_is_refused_as_any_other",
        "I16",
    ),
    "ports_share_cookie": ("attacks/test_shared_cookies.py::test_shop_cookies_leave_no_trace_in_the_sandbox", "I16"),
}


@pytest.mark.parametrize("name", BUILDS)
def test_build_without_its_wall_is_caught(name: str) -> None:
    test, promise = BUILDS[name]
    command = [sys.executable, "-m", "pytest", "-p", f"tests.broken.{name}", f"tests/{test}"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert any(line.startswith("E ") and promise in line for line in done.stdout.splitlines()), done.stdout
