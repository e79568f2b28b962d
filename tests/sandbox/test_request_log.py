"""The log of the wire's requests has an end, and says what is no longer in it."""

from pathlib import Path

import pytest

from sandbox.control.demo import start_over
from sandbox.core.clock import Clock
from sandbox.core.ids import Ids
from sandbox.core.store import Store
from sandbox.core.twin import Options, Twin
from sandbox.http import request_log
from sandbox.http.server import Request


def test_oldest_requests_are_forgotten_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "MOST_KEPT", 2000)
    store = Store(tmp_path / "sandbox.sqlite3")
    twin = Twin(store=store, clock=Clock(store), ids=Ids(), options=Options(public_url="http://sandbox.test"))
    request = Request("GET", "/payments", "", {}, "127.0.0.1", keep_alive=True)

    with store.write():
        numbers = [request_log.add(twin, request, None, status=200) for _ in range(4500)]
    log = request_log.listed(twin, after=0, limit=0)
    start_over(twin)

    assert [item["id"] for item in log["items"]] == numbers[2000:]
    assert log["dropped"] == 2000
    assert request_log.listed(twin, after=0, limit=0) == {"items": [], "dropped": 0}
    store.close()
