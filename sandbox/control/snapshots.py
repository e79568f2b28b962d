"""Snapshots: the whole sandbox kept under a name and brought back, as files beside its own.

Everything is in one: objects, clock, what is ordered, the logs, what waits to be delivered. Three things stay as they
are when a snapshot comes back: where webhooks go, as after a reset, and the numbers of the logs and of the starts,
which never run backwards: with a seed, a start makes the ids that belong to its number.
"""

import re
import sqlite3
from pathlib import Path

from ..core.clock import rfc3339
from ..core.endpoints import endpoints
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import Call, Routes, WireError, answer, empty, read_body, refuse_body
from ..http.server import Response
from .bodies import refuse_unknown
from .demo import deliveries_at_rest

routes = Routes(prefix="/_sandbox")

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,59}")
NUMBERED = ("requests", "deliveries")


@routes.get("/snapshots")
def list_snapshots(call: Call) -> Response:
    return answer({"items": listed(call.twin)})


@routes.post("/snapshots")
def save_or_restore(call: Call) -> Response:
    body = read_body(call)
    refuse_unknown(body, "name", "restore")
    if ("name" in body) == ("restore" in body):
        raise refuse_body("name", "or restore is required, not both")
    if "name" in body:
        return answer(save(call.twin, _name(body["name"], "name")))
    return answer(restore(call.twin, _name(body["restore"], "restore")))


@routes.delete("/snapshots/{name}")
def delete_snapshot(call: Call, name: str) -> Response:
    _known(call.twin, _name(name, "name")).unlink()
    return empty(204)


def listed(twin: Twin) -> list[Doc]:
    """Return `[{name, saved_at, bytes}]` by name."""
    return [_shown(path) for path in sorted(_folder(twin).glob("*.sqlite3"))]


def save(twin: Twin, name: str) -> Doc:
    """Keep the sandbox as it is now under `name`, instead of what was kept there before."""
    path = _path(twin, name)
    path.parent.mkdir(exist_ok=True)
    twin.store.save_copy(path)
    return _shown(path)


def restore(twin: Twin, name: str) -> Doc:
    """Bring back what was kept under `name`; raises WireError if there is nothing."""
    path = _known(twin, name)
    with deliveries_at_rest(twin):
        starts = twin.store.setting("starts", 0)
        stays = [endpoint for endpoint in endpoints(twin) if endpoint["kept"]]
        try:
            twin.store.load_copy(path, numbered=NUMBERED)
        except sqlite3.DatabaseError as error:
            raise refuse_body("restore", f"{path.name} is no snapshot: {error}") from None
        with twin.store.write():
            made = [endpoint for endpoint in endpoints(twin) if not endpoint["kept"]]
            twin.store.set_setting("endpoints", [*stays, *made])
            twin.store.set_setting("starts", max(starts, twin.store.setting("starts", 0)))
    twin.wake.set()
    return _shown(path)


def _folder(twin: Twin) -> Path:
    return twin.store.path.with_name(twin.store.path.name + ".snapshots")


def _path(twin: Twin, name: str) -> Path:
    return _folder(twin) / f"{name}.sqlite3"


def _known(twin: Twin, name: str) -> Path:
    path = _path(twin, name)
    if not path.exists():
        raise WireError(404, "NOT_FOUND", f"There is no snapshot {name}")
    return path


def _name(name: object, field: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise refuse_body(field, "must be 1 to 60 characters of A-Z a-z 0-9 . _ - and not begin with a point")
    return name


def _shown(path: Path) -> Doc:
    known = path.stat()
    return {"name": path.stem, "saved_at": rfc3339(known.st_mtime_ns // 1_000_000), "bytes": known.st_size}
