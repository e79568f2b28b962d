"""Webhook endpoints: managed over the wire, each with its own secret, filter and headers."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.listener import SECRET, Arrival, Listener
from tests.sandbox_process import SandboxProcess, wait_for


@pytest.fixture
def shop() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture
def ledger() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


def add(sandbox: SandboxProcess, listener: Listener, **fields: Any) -> Any:
    return sandbox.post("/webhooks", {"url": listener.url, **fields})


def secret_of(sandbox: SandboxProcess, endpoint: Any) -> str:
    return str(sandbox.get(f"/webhooks/{endpoint['id']}/secret")["secret"])


def arrived(listener: Listener, count: int) -> list[Arrival]:
    wait_for(lambda: len(listener.arrivals) >= count, what=f"{count} arrivals")
    return listener.arrivals


def settled(sandbox: SandboxProcess) -> list[tuple[str, str]]:
    """Return (endpoint id, state) of each event once nothing is due."""

    def states() -> list[tuple[str, str]]:
        events = sandbox.control("deliveries")["events"]
        found = [(event["endpoint_id"], event["state"]) for event in events]
        return [] if any(state == "due" for _, state in found) else found

    found: list[tuple[str, str]] = wait_for(states, what="the end of the deliveries")
    return found


def test_every_endpoint_gets_the_event_under_its_own_secret(
    sandbox: SandboxProcess, shop: Listener, ledger: Listener
) -> None:
    sandbox.webhooks(url=shop.url, secret=SECRET)
    other = add(sandbox, ledger)

    sandbox.buy()

    first, second = arrived(shop, 1)[0], arrived(ledger, 1)[0]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    Webhook(SECRET).verify(first.body, first.headers)
    Webhook(secret_of(sandbox, other)).verify(second.body, second.headers)
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_limited_endpoint_gets_its_events_spaced(sandbox: SandboxProcess, shop: Listener) -> None:
    add(sandbox, shop, rate_limit=5)
    sandbox.webhooks(hold=True)
    for _ in range(3):
        sandbox.buy()
    released_at = int(sandbox.control("clock")["wall"])

    sandbox.webhooks(hold=False)
    settled(sandbox)

    sent = [row["at"] - released_at for row in sandbox.deliveries()]
    # A fifth of a second for each before it; the times are cut to whole milliseconds.
    assert sent[1] >= 199, sent
    assert sent[2] >= 399, sent


def test_one_endpoint_that_fails_does_not_hold_up_the_other(
    sandbox: SandboxProcess, shop: Listener, ledger: Listener
) -> None:
    shop.status = 500
    failing, taking = add(sandbox, shop), add(sandbox, ledger)

    sandbox.buy()
    arrived(ledger, 1)

    def tries() -> dict[str, tuple[str, int]]:
        events = sandbox.control("deliveries")["events"]
        found = {event["endpoint_id"]: (event["state"], event["tries"]) for event in events}
        return found if all(tried for _, tried in found.values()) else {}

    assert wait_for(tries, what="both tries") == {failing["id"]: ("due", 1), taking["id"]: ("delivered", 1)}
    sandbox.clock(5)
    arrived(shop, 2)
    assert len(ledger.arrivals) == 1


def test_filter_narrows_what_an_endpoint_gets(sandbox: SandboxProcess, shop: Listener, ledger: Listener) -> None:
    add(sandbox, shop)
    only = add(sandbox, ledger, filter_types=["payment.failed"])

    sandbox.buy()
    sandbox.buy(card="4000000000000002")
    sandbox.call("PATCH", f"/webhooks/{only['id']}", {"filter_types": []})
    sandbox.buy()

    arrived(shop, 3)
    types = [Webhook(secret_of(sandbox, only)).verify(a.body, a.headers)["type"] for a in arrived(ledger, 2)]
    assert types == ["payment.failed", "payment.succeeded"]


def test_custom_headers_are_sent_and_hidden_when_sensitive(sandbox: SandboxProcess, shop: Listener) -> None:
    endpoint = add(sandbox, shop, headers={"X-Shop": "one"})
    patched = sandbox.call("PATCH", f"/webhooks/{endpoint['id']}/headers", {"headers": {"Authorization": "Basic eA=="}})

    sandbox.buy()

    assert (patched.status_code, patched.content) == (200, b"")
    headers = arrived(shop, 1)[0].headers
    assert (headers["x-shop"], headers["authorization"]) == ("one", "Basic eA==")
    assert sandbox.get(f"/webhooks/{endpoint['id']}/headers") == {
        "headers": {"X-Shop": "one"},
        "sensitive": ["Authorization"],
    }


def test_disabled_endpoint_gets_nothing_more(sandbox: SandboxProcess, shop: Listener, ledger: Listener) -> None:
    off, on = add(sandbox, shop, disabled=True), add(sandbox, ledger)
    sandbox.buy()
    arrived(ledger, 1)

    sandbox.call("PATCH", f"/webhooks/{off['id']}", {"disabled": False})
    sandbox.call("PATCH", f"/webhooks/{on['id']}", {"disabled": True})
    sandbox.buy()
    arrived(shop, 1)

    assert settled(sandbox) == [(on["id"], "delivered"), (off["id"], "delivered")]


def test_deleted_endpoint_gets_not_even_what_was_held(sandbox: SandboxProcess, shop: Listener) -> None:
    endpoint = add(sandbox, shop)
    sandbox.webhooks(hold=True)
    sandbox.buy()

    deleted = sandbox.call("DELETE", f"/webhooks/{endpoint['id']}")
    sandbox.webhooks(hold=False)

    assert (deleted.status_code, deleted.content) == (200, b"")
    assert settled(sandbox) == [(endpoint["id"], "untargeted")]
    assert shop.arrivals == []
    assert sandbox.call("GET", f"/webhooks/{endpoint['id']}").status_code == 404


def test_list_is_walked_by_its_iterator(sandbox: SandboxProcess) -> None:
    made = [sandbox.post("/webhooks", {"url": f"http://127.0.0.1:9/{number}"})["id"] for number in range(5)]

    pages = [sandbox.get("/webhooks", limit=2)]
    while not pages[-1]["done"]:
        pages.append(sandbox.get("/webhooks", limit=2, iterator=pages[-1]["iterator"]))

    assert [[endpoint["id"] for endpoint in page["data"]] for page in pages] == [made[:2], made[2:4], made[4:]]
    assert [page["prev_iterator"] for page in pages] == [None, None, made[1]]


def test_idempotency_key_is_taken_once(sandbox: SandboxProcess) -> None:
    body = {"url": "http://127.0.0.1:9/", "idempotency_key": "key-1"}
    sandbox.post("/webhooks", body)

    again = sandbox.call("POST", "/webhooks", body)

    assert again.status_code == 409
    assert len(sandbox.get("/webhooks")["data"]) == 1


def test_start_address_is_the_first_endpoint(sandbox: SandboxProcess, shop: Listener) -> None:
    other = sandbox.post("/webhooks", {"url": "http://127.0.0.1:9/"})
    sandbox.webhooks(url=shop.url, secret=SECRET)

    first, second = sandbox.get("/webhooks")["data"]

    assert (first["url"], second["id"]) == (shop.url, other["id"])
    assert secret_of(sandbox, first) == SECRET


def test_reset_keeps_where_webhooks_go_and_nothing_else(sandbox: SandboxProcess, shop: Listener) -> None:
    sandbox.webhooks(url=shop.url, secret=SECRET)
    sandbox.post("/webhooks", {"url": "http://127.0.0.1:9/"})
    listening = sandbox.control("endpoints", {"url": "http://127.0.0.1:9/listen"})

    sandbox.reset()

    assert [endpoint["url"] for endpoint in sandbox.get("/webhooks")["data"]] == [shop.url, listening["url"]]
    sandbox.control(f"endpoints/{listening['id']}", method="DELETE")


def test_rotation_of_one_endpoint_leaves_the_others(sandbox: SandboxProcess, shop: Listener) -> None:
    sandbox.webhooks(url=shop.url, secret=SECRET)
    other = sandbox.post("/webhooks", {"url": "http://127.0.0.1:9/"})
    before = secret_of(sandbox, other)

    rotated = sandbox.control(f"endpoints/{other['id']}", {"rotate": True})

    assert rotated["secrets"] == [secret_of(sandbox, other), before]
    sandbox.clock(86_401)
    listed = {endpoint["id"]: endpoint["secrets"] for endpoint in sandbox.control("endpoints")["items"]}
    assert listed[other["id"]] == rotated["secrets"][:1]
    assert [SECRET] in listed.values()


def test_untargeted_event_can_be_sent_once_somebody_listens(sandbox: SandboxProcess, shop: Listener) -> None:
    sandbox.buy()
    event = sandbox.control("deliveries")["events"][0]
    assert (event["endpoint_id"], event["state"]) == ("", "untargeted")
    endpoint = add(sandbox, shop)

    sandbox.webhooks(again=event["webhook_id"])

    assert arrived(shop, 1)[0].headers["webhook-id"] == event["webhook_id"]
    assert settled(sandbox) == [(endpoint["id"], "delivered")]


def test_log_keeps_request_and_two_kilobytes_of_the_answer(sandbox: SandboxProcess, shop: Listener) -> None:
    shop.status, shop.answer = 500, b"<h1>broken</h1>" + b"x" * 5000
    endpoint = add(sandbox, shop)
    sandbox.buy()
    arrived(shop, 1)

    tried = wait_for(sandbox.deliveries, what="the log")[0]

    assert (tried["endpoint_id"], tried["status"], tried["error"]) == (endpoint["id"], 500, None)
    assert tried["response"] == shop.answer[:2048].decode()
    assert tried["headers"]["webhook-signature"] == shop.arrivals[0].headers["webhook-signature"]
    assert tried["body"]["type"] == "payment.succeeded"
    assert tried["latency_ms"] > 0
    assert sandbox.control(f"deliveries?after={tried['id']}")["items"] == []


def test_every_event_is_for_the_endpoints_that_wanted_it_then(sandbox: SandboxProcess) -> None:
    """300 random changes of endpoints, with events between them, against a model of who wants what."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    pick = random.Random(seed)
    payment_id = sandbox.buy()["payment_id"]
    sandbox.webhooks(hold=True)
    types = ["payment.succeeded", "payment.failed", "payment.cancelled"]
    wanted: dict[str, list[str] | None] = {}
    expected = [{""}]
    for _ in range(300):
        step = pick.choice(["create", "filter", "switch", "delete", "event", "event", "event"])
        endpoint_id = pick.choice(list(wanted)) if wanted else None
        some = pick.sample(types, pick.randrange(3))
        if step == "create" or endpoint_id is None:
            created = sandbox.post("/webhooks", {"url": "http://127.0.0.1:9/", "filter_types": some})
            wanted[created["id"]] = some or types
        elif step == "filter" and wanted[endpoint_id] is not None:
            sandbox.call("PATCH", f"/webhooks/{endpoint_id}", {"filter_types": some})
            wanted[endpoint_id] = some or types
        elif step == "switch":
            off = wanted[endpoint_id] is not None
            sandbox.call("PATCH", f"/webhooks/{endpoint_id}", {"disabled": off, "filter_types": []})
            wanted[endpoint_id] = None if off else types
        elif step == "delete":
            sandbox.call("DELETE", f"/webhooks/{endpoint_id}")
            del wanted[endpoint_id]
        else:
            event_type = pick.choice(types)
            sandbox.webhooks(send={"type": event_type, "payment_id": payment_id})
            expected.append({one for one, taken in wanted.items() if event_type in (taken or ())} or {""})

    found: dict[str, set[str]] = {}
    for event in sandbox.control("deliveries")["events"]:
        found.setdefault(event["webhook_id"], set()).add(event["endpoint_id"])
    assert list(found.values()) == expected, f"seed {seed}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://x", "filter_types": ["payment.success"]}, "filter_types"),
        ({"url": "http://x", "filter_types": "payment.succeeded"}, "filter_types"),
        ({"url": "http://x", "headers": {"webhook-id": "x"}}, "headers"),
        ({"url": "http://x", "headers": {"x-shop": "a\nb"}}, "headers"),
        ({"url": "http://x", "headers": ["x"]}, "headers"),
        ({"url": "http://x", "metadata": {"a": 1}}, "metadata"),
        ({"url": "http://x", "rate_limit": -1}, "rate_limit"),
        ({"url": "http://x", "disabled": "yes"}, "disabled"),
    ],
)
def test_bad_endpoint_is_refused(sandbox: SandboxProcess, body: Any, field: str) -> None:
    refused = sandbox.call("POST", "/webhooks", body)

    assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_REQUEST_BODY")
    assert refused.json()["message"].startswith(f"{field}:")
    assert sandbox.get("/webhooks")["data"] == []


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 251}, {"iterator": "whk_no"}])
def test_bad_page_of_endpoints_is_refused(sandbox: SandboxProcess, query: Any) -> None:
    assert sandbox.call("GET", "/webhooks", params=query).json()["code"] == "INVALID_QUERY_PARAMS"
