from pathlib import Path

import pytest

from tests.browser_binary import NoBrowser, find_browser


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_browser_is_searched_in_the_documented_order(tmp_path: Path) -> None:
    named = program(tmp_path / "own" / "chromium")
    fetched = program(tmp_path / "fetched" / "chromium-1200" / "chrome-linux" / "chrome")
    program(tmp_path / "fetched" / "chromium-1100" / "chrome-linux" / "chrome")
    installed = program(tmp_path / "bin" / "chromium")
    program(tmp_path / "bin" / "google-chrome")
    env = {"CHROMIUM": named, "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "fetched"), "PATH": str(tmp_path / "bin")}

    assert find_browser(env) == named
    del env["CHROMIUM"]
    assert find_browser(env) == fetched
    del env["PLAYWRIGHT_BROWSERS_PATH"]
    assert find_browser(env) == installed


def test_missing_browser_is_one_sentence_naming_chromium() -> None:
    with pytest.raises(NoBrowser, match=r"^[^.]*CHROMIUM[^.]*\.$"):
        find_browser({"PATH": ""})


def test_named_browser_that_does_not_run_is_never_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "chromium")

    with pytest.raises(NoBrowser, match="CHROMIUM"):
        find_browser({"CHROMIUM": "/nonexistent", "PATH": str(tmp_path)})
