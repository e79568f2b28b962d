"""Accessibility faults of an open page, found by axe; nothing is excused, so there is no list of exceptions."""

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

# WCAG 2.2's target size is off in axe by default.
_OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
_axe = Axe()


def faults_of(page: Page) -> list[str]:
    """Return every violation of any impact: rule, impact and where."""
    found = _axe.run(page, options=_OPTIONS).response["violations"]
    return [f"{v['id']} ({v['impact']}): {', '.join(str(node['target']) for node in v['nodes'])}" for v in found]
