"""Find the Chromium that drives the browser tests, or get one: `python -m tests.browser_binary`.

There is no way to go on without: a browser suite that is skipped reads as one that passed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

# Half the time of a first start goes into these.
LAUNCH_ARGS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_PLAYWRIGHT_BUILDS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium-*/chrome-win*/chrome.exe",
)
_HELP = "No browser for the tests: install Chromium, or set CHROMIUM to the path of one."


class NoBrowser(Exception):
    """There is no browser; the message says what to do."""


def find_browser(env: Mapping[str, str] = os.environ) -> str:
    """Return the path of the first browser there is: $CHROMIUM, Playwright's own, PATH, macOS's Chrome.

    Raises NoBrowser; a CHROMIUM that cannot be run is never passed over.
    """
    named = env.get("CHROMIUM")
    if named:
        if not _is_program(named):
            raise NoBrowser(f"CHROMIUM is {named}, which is not a program: name a Chromium, or unset it.")
        return named
    for path in _candidates(env):
        if _is_program(path):
            return path
    raise NoBrowser(_HELP)


def get_browser(env: Mapping[str, str] = os.environ) -> str:
    """Return a browser's path, installing one if there is none: by Playwright, else as root by apt."""
    try:
        return find_browser(env)
    except NoBrowser:
        if env.get("CHROMIUM"):
            raise
    for command in _installers():
        # The output matters only when all of them fail, and then the one sentence says more.
        subprocess.run(command, check=False, capture_output=True, timeout=300)
        try:
            return find_browser(env)
        except NoBrowser:
            continue
    raise NoBrowser(_HELP)


def _candidates(env: Mapping[str, str]) -> Iterator[str]:
    for pattern in _PLAYWRIGHT_BUILDS:
        # The highest revision is the one the installed Playwright fetched last.
        yield from (str(path) for path in sorted(_playwright_home(env).glob(pattern), reverse=True))
    for name in _NAMES:
        yield shutil.which(name, path=env.get("PATH", "")) or ""
    if sys.platform == "darwin":
        yield _MAC_CHROME


def _playwright_home(env: Mapping[str, str]) -> Path:
    if env.get("PLAYWRIGHT_BROWSERS_PATH"):
        return Path(env["PLAYWRIGHT_BROWSERS_PATH"])
    home = Path(env.get("HOME", "/nonexistent"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ms-playwright"


def _installers() -> Iterator[list[str]]:
    yield [sys.executable, "-m", "playwright", "install", "chromium"]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        yield ["apt-get", "update", "-q"]
        # Debian's Chromium brings no fonts, and a page without any measures nothing.
        yield ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


if __name__ == "__main__":
    try:
        get_browser()
    except NoBrowser as error:
        sys.exit(str(error))
