"""Accessibility faults of an open page, found by axe; nothing is excused, so there is no list of exceptions."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import BrowserContext, Page

# WCAG 2.2's target size is off in axe by default.
_EVERYTHING: dict[str, Any] = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
# The one rule that dark colours can break.
_CONTRAST = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
_NO_COLOURS = {**_EVERYTHING, "rules": {**_EVERYTHING["rules"], "color-contrast": {"enabled": False}}}
_axe = Axe()


def bring_axe(context: BrowserContext) -> None:
    """Let every page of a browser profile have axe from the start: sent once, not with each page anew."""
    context.add_init_script(_axe.axe_script)


def faults_of(page: Page, *, colours: bool = True, in_dark: bool = True) -> list[str]:
    """Return every violation of any impact: rule, impact and where.

    `colours` are looked at in light and, with `in_dark`, in dark.
    """
    page.emulate_media(color_scheme="light")
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe.axe_script)
    light = _run(page, _EVERYTHING if colours else _NO_COLOURS)
    if not (colours and in_dark):
        return light
    page.emulate_media(color_scheme="dark")
    return [*light, *(f"dark: {fault}" for fault in _run(page, _CONTRAST))]


def _run(page: Page, options: dict[str, Any]) -> list[str]:
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [f"{v['id']} ({v['impact']}): {', '.join(str(node['target']) for node in v['nodes'])}" for v in found]
