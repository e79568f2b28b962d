"""Accessibility faults of an open page, found by axe; nothing is excused, so there is no list of exceptions."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

# WCAG 2.2's target size is off in axe by default.
_EVERYTHING = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
# The one rule that dark colours can break.
_CONTRAST = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
_axe = Axe()


def faults_of(page: Page, *, in_dark: bool = True) -> list[str]:
    """Return every violation of any impact, in light and in dark: rule, impact and where."""
    page.emulate_media(color_scheme="light")
    page.evaluate(_axe.axe_script)
    light = _run(page, _EVERYTHING)
    if not in_dark:
        return light
    page.emulate_media(color_scheme="dark")
    return [*light, *(f"dark: {fault}" for fault in _run(page, _CONTRAST))]


def _run(page: Page, options: dict[str, Any]) -> list[str]:
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [f"{v['id']} ({v['impact']}): {', '.join(str(node['target']) for node in v['nodes'])}" for v in found]
