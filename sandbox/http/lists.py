"""The ways a list can mislead: rows that come late, go missing, repeat or lose their metadata."""

from ..core.store import Doc
from ..core.twin import Twin
from .call import WireError

# The lists that can mislead; each is named like its route.
MISLEADING = ("payments", "refunds", "disputes", "subscriptions")
DEFAULTS: Doc = {
    "of": ["payments"],
    "lag_s": 0,
    "missing_page": None,
    "repeated_rows": False,
    "moving_rows": False,
    "metadata_stripped": False,
    "outage": False,
}


def modes_of(twin: Twin) -> Doc:
    """Return every list mode with its value."""
    return {**DEFAULTS, **twin.store.setting("lists", {})}


def lagging(twin: Twin, name: str, until: int | None) -> int | None:
    """Return the latest creation time a list shows now; with a lag, what is newer is not listed yet."""
    lag_s = _modes_for(twin, name)["lag_s"]
    if not lag_s:
        return until
    horizon = twin.clock.now() - int(lag_s * 1000)
    return horizon if until is None else min(until, horizon)


def window(twin: Twin, name: str, *, limit: int, offset: int) -> tuple[int, int]:
    """Return the (limit, offset) a list's page is really cut with, misleading as ordered."""
    modes = _modes_for(twin, name)
    if modes["outage"]:
        raise WireError(503, "INTERNAL_SERVER_ERROR", "Lists are unavailable")
    number = offset // limit if limit else 0
    if modes["missing_page"] == number:
        return 0, 0
    if number:
        # A row created between two page reads pushes later rows down; one removed pulls them up.
        offset += bool(modes["moving_rows"]) - bool(modes["repeated_rows"])
    return limit, offset


def strip_metadata(twin: Twin, name: str, items: list[Doc]) -> list[Doc]:
    """Return a list's rows, without their metadata if so ordered."""
    return [{**item, "metadata": {}} for item in items] if _modes_for(twin, name)["metadata_stripped"] else items


def _modes_for(twin: Twin, name: str) -> Doc:
    modes = modes_of(twin)
    return modes if name in modes["of"] else DEFAULTS
