"""What was asked for and no route knows: shown, so that a provider that moves on does not do so unseen."""

from ..core.clock import wall_ms
from ..core.store import Doc
from ..core.twin import Twin

# A client that walks through made-up paths fills no memory; what has rested longest is forgotten first.
MOST_REMEMBERED = 100


def note(twin: Twin, method: str, path: str) -> None:
    """Count a request that no route knows."""
    with twin.store.write():
        items = listed(twin)
        seen = next((item for item in items if (item["method"], item["path"]) == (method, path)), None)
        times = 1 + (seen["times"] if seen else 0)
        latest = {"method": method, "path": path, "times": times, "last_at": wall_ms()}
        others = [item for item in items if item is not seen]
        twin.store.set_setting("unserved", [latest, *others][:MOST_REMEMBERED])


def listed(twin: Twin) -> list[Doc]:
    """Return `[{method, path, times, last_at}]`, the latest first; `last_at` is real time in epoch milliseconds."""
    items: list[Doc] = twin.store.setting("unserved", [])
    return items
