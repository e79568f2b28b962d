"""Snapshots: a whole scenario is kept under a name and comes back as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.store import Store
from tests.listener import SECRET, Listener
from tests.sandbox_process import SandboxProcess, start_sandbox, wait_for

OTHER_ADDRESS = "http://127.0.0.1:9/other"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path) as sandbox:
        yield sandbox


def whole(sandbox: SandboxProcess) -> Any:
    """Return everything the sandbox knows, but for the running of time and the requests that ask for it."""
    state = sandbox.control("state")
    for name in ("now", "now_rfc3339", "wall"):
        del state["clock"][name]
    objects = {kind: sandbox.control(f"objects/{kind}")["items"] for kind in state["counts"]}
    return {"state": state, "objects": objects, "requests": sandbox.requests(), "log": sandbox.control("deliveries")}


def test_restore_brings_everything_back(twin: SandboxProcess) -> None:
    twin.buy()
    twin.clock(86_400)
    twin.fault("GET /payments", "reset", times=3)
    twin.next_payment("failed")
    twin.switch(saves_cards=False)
    twin.lists(lag_s=5)
    before = whole(twin)

    saved = twin.control("snapshots", {"name": "one-sale"})
    twin.reset()
    twin.buy(email="minh@example.com")
    twin.control("snapshots", {"restore": "one-sale"})

    assert whole(twin) == before
    assert [(one["name"], one["bytes"]) for one in twin.control("snapshots")["items"]] == [("one-sale", saved["bytes"])]


def test_snapshot_outlives_the_process(tmp_path: Path) -> None:
    with start_sandbox(tmp_path) as sandbox:
        payment = sandbox.buy()
        sandbox.control("snapshots", {"name": "kept"})
        sandbox.reset()

    with start_sandbox(tmp_path) as sandbox:
        sandbox.control("snapshots", {"restore": "kept"})
        assert sandbox.get(f"/payments/{payment['payment_id']}") == payment


def test_restore_leaves_where_webhooks_go(twin: SandboxProcess) -> None:
    with Listener() as listener:
        twin.webhooks(url=OTHER_ADDRESS, secret=SECRET)
        made = twin.post("/webhooks", {"url": "http://127.0.0.1:9/made"})
        twin.control("snapshots", {"name": "elsewhere"})
        twin.webhooks(url=listener.url, secret=SECRET)

        twin.control("snapshots", {"restore": "elsewhere"})

        assert [endpoint["url"] for endpoint in twin.get("/webhooks")["data"]] == [listener.url, made["url"]]
        twin.buy()
        wait_for(lambda: listener.arrivals, what="the webhook")


def test_held_events_come_back_with_the_snapshot(twin: SandboxProcess) -> None:
    with Listener() as listener:
        twin.webhooks(url=listener.url, secret=SECRET, hold=True)
        payment = twin.buy()
        twin.control("snapshots", {"name": "held"})
        twin.reset()

        twin.control("snapshots", {"restore": "held"})
        twin.webhooks(hold=False)
        wait_for(lambda: listener.arrivals, what="the webhook")

        assert listener.events()[0]["data"]["payment_id"] == payment["payment_id"]


def test_numbers_of_the_logs_never_run_backwards(twin: SandboxProcess) -> None:
    twin.get("/products")
    twin.control("snapshots", {"name": "early"})
    twin.get("/products")
    twin.get("/products")
    last = twin.requests()[-1]["id"]

    twin.control("snapshots", {"restore": "early"})
    twin.get("/products")

    assert twin.requests()[-1]["id"] == last + 1
    assert len(twin.requests()) == 2


def test_saving_again_replaces_and_deleting_forgets(twin: SandboxProcess) -> None:
    twin.control("snapshots", {"name": "same"})
    twin.buy()
    twin.control("snapshots", {"name": "same"})
    twin.reset()

    twin.control("snapshots", {"restore": "same"})
    twin.control("snapshots/same", method="DELETE")

    assert len(twin.payments()) == 1
    assert twin.control("snapshots") == {"items": []}
    assert twin.call("POST", "/_sandbox/snapshots", {"restore": "same"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "a", "restore": "a"}, "name"),
        ({"name": "../a"}, "name"),
        ({"name": ".a"}, "name"),
        ({"name": 1}, "name"),
        ({"restore": "a/b"}, "restore"),
    ],
)
def test_bad_snapshot_is_refused(sandbox: SandboxProcess, body: Any, field: str) -> None:
    refused = sandbox.call("POST", "/_sandbox/snapshots", body)

    assert refused.status_code == 422
    assert refused.json()["message"].startswith(f"{field}:")


def test_file_that_is_no_snapshot_changes_nothing(twin: SandboxProcess) -> None:
    payment = twin.buy()
    twin.control("snapshots", {"name": "broken"})
    path = next(twin.db.parent.glob("*.snapshots/broken.sqlite3"))
    path.write_bytes(b"no database at all" * 500)

    refused = twin.call("POST", "/_sandbox/snapshots", {"restore": "broken"})

    assert refused.status_code == 422
    assert refused.json()["message"].startswith("restore: broken.sqlite3 is no snapshot")
    assert twin.get(f"/payments/{payment['payment_id']}") == payment


def test_seeded_sandbox_gives_the_same_answers_in_every_run(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with start_sandbox(tmp_path / name, seed=7) as sandbox:
            endpoint = sandbox.post("/webhooks", {"url": OTHER_ADDRESS})
            secret = sandbox.get(f"/webhooks/{endpoint['id']}/secret")["secret"]
            bought = sandbox.buy()
            order = {"product_cart": bought["product_cart"], "confirm": True, "customer": bought["customer"]}
            address = {"billing_address": bought["billing"], "minimal_address": True}
            confirmed = sandbox.post("/checkouts", {**order, **address})
            made.append((endpoint["id"], secret, bought["payment_id"], confirmed["client_secret"]))

    assert made[0] == made[1]


def test_seeded_file_started_again_makes_no_id_twice(tmp_path: Path) -> None:
    ids = []
    for _ in range(3):
        with start_sandbox(tmp_path, seed=7) as sandbox:
            ids.append(sandbox.buy()["payment_id"])

    assert len(set(ids)) == 3


def test_seeded_file_makes_no_id_twice_after_a_snapshot_came_back(tmp_path: Path) -> None:
    ids = []
    with start_sandbox(tmp_path, seed=7) as sandbox:
        sandbox.control("snapshots", {"name": "first"})
    for email in ("lan@example.com", "minh@example.com"):
        with start_sandbox(tmp_path, seed=7) as sandbox:
            sandbox.control("snapshots", {"restore": "first"})
            ids.append(sandbox.buy(email=email)["payment_id"])
    with start_sandbox(tmp_path, seed=7) as sandbox:
        ids.append(sandbox.buy(email="anna@example.com")["payment_id"])
        kept = [payment["payment_id"] for payment in sandbox.get("/payments")["items"]]

    assert len(set(ids)) == 3
    assert kept == ids[:0:-1]


def test_another_object_never_takes_an_id_that_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.sqlite3")
    first = {"id": "pay_1", "created_at": 1, "status": "failed"}
    store.put("payments", first)

    with pytest.raises(ValueError, match="pay_1 is taken"):
        store.put("payments", {"id": "pay_1", "created_at": 2, "status": "succeeded"})

    assert store.get("payments", "pay_1") == first
    store.close()
