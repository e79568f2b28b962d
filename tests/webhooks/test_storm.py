"""A storm of deliveries on a real web process that is killed again and again: what was answered with a 2xx is kept.

The provider's own delivery: signed, repeated, shuffled, several at a time, a newer body under the same id, its key
rotated in the middle; strangers' forgeries between them; and no poll that could make good what was lost.
"""

import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from encore.settings import load_settings
from tests.deliveries import event
from tests.installation import Buyer, Installation, running_installation
from tests.sandbox_process import wait_for
from tests.scale import proves, scaled
from tests.services.world import DAY_S

BUYERS = scaled(24, proof=120)
# Every event is delivered so often, and after every purchase come these, true or not.
REPEAT = 6
ALSO = ("payment.processing", "payment.failed", "payment.succeeded", "payment.cancelled")
KILLS = scaled(3, proof=10)
FORGED = scaled(60, proof=600)
# So long may the deliveries of all take, or the messages that follow.
_LIMIT_S = scaled(40, proof=300)
NEW_KEY = "whsec_" + b64encode(b"the key after the rotation").decode()
# Longer than any wait between two tries but the last ones (sandbox time).
_RETRY_S = 6


@dataclass(frozen=True)
class Storm:
    """What is left when the storm is over and the worker has processed it."""

    shop: Installation
    deliveries: list[dict[str, Any]]
    events: list[dict[str, Any]]
    forged: list[int]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    # No poll and no look may find what a lost delivery would have told.
    with running_installation(tmp_path_factory.mktemp("storm"), ENCORE_POLL_EVERY_S="86400") as shop:
        shop.start_worker()
        shop.wait_row("SELECT value FROM meta WHERE name = 'polled_at'")
        shop.start_web()
        _buy_for_all(shop)
        forged: list[int] = []
        strangers = threading.Thread(target=_forge, args=(shop, forged))
        strangers.start()
        shop.sandbox.webhooks(hold=False, order="shuffle", parallel=8)
        for kill in range(KILLS):
            _wait_for_deliveries(shop, share=(kill + 1) / (KILLS + 2))
            shop.kill("web")
            if kill == 0:
                _rotate(shop)
            shop.start_web()
        _wait_until_delivered(shop)
        strangers.join()
        _wait_until_processed(shop)
        control = shop.sandbox.control("deliveries")
        yield Storm(shop, control["items"], control["events"], forged, shop.audit())


def _buy_for_all(shop: Installation) -> None:
    """Let everybody pay and nobody come back, while the provider holds every event."""
    shop.sandbox.webhooks(hold=True, repeat=REPEAT, newer_body=True)
    for number in range(BUYERS):
        _pay(Buyer(shop, f"storm{number}@example.com"))
    for payment in shop.sandbox.payments():
        for event_type in ALSO:
            shop.sandbox.webhooks(send={"type": event_type, "payment_id": payment["id"]})


def _pay(buyer: Buyer) -> None:
    started = buyer.post_form(buyer.get("/p/starter-course"), "buy")
    buyer.shop.sandbox.pay(started.headers["location"].rsplit("/", 1)[1], email=buyer.email)


def _rotate(shop: Installation) -> None:
    """Rotate the signing key at the provider, and start with both here from now on."""
    old = load_settings(shop.env).webhook_keys[0]
    shop.sandbox.webhooks(rotate=NEW_KEY)
    shop.env |= {"DODO_PAYMENTS_WEBHOOK_KEY": NEW_KEY, "DODO_PAYMENTS_WEBHOOK_KEY_PREVIOUS": old}


def _forge(shop: Installation, statuses: list[int]) -> None:
    """Post what a stranger might: another's signature, a true one on another body, a true but old one."""
    key = load_settings(shop.env).webhook_keys[0]
    stranger = "whsec_" + b64encode(b"not the key of this shop").decode()
    body = event("payment.succeeded", payment_id="pay_forged").decode()
    for number in range(FORGED):
        moment = datetime.now(UTC) - timedelta(minutes=6 if number % 3 == 2 else 0)
        signature = Webhook(stranger if number % 3 == 0 else key).sign(f"msg_forged{number}", moment, body)
        headers = {
            "content-type": "application/json",
            "webhook-id": f"msg_forged{number}",
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
        }
        sent = body.replace("forged", "another") if number % 3 == 1 else body
        try:
            answer = requests.post(f"{shop.url}/webhooks/dodo", data=sent, headers=headers, timeout=10)
        except requests.RequestException:
            # The process has just been killed; strangers come back when the next one is there.
            wait_for(shop.answers, limit_s=30, what="the next web process")
            continue
        statuses.append(answer.status_code)


def _count(shop: Installation) -> int:
    return len(shop.sandbox.deliveries())


def _wait_for_deliveries(shop: Installation, *, share: float) -> None:
    """Let the provider's clock run until this share has been tried: what met a dead process waits for its next try."""
    due = int(share * BUYERS * (1 + len(ALSO)) * REPEAT)

    def is_reached() -> bool:
        shop.sandbox.clock(_RETRY_S)
        return _count(shop) >= due

    wait_for(is_reached, limit_s=_LIMIT_S, what=f"{due} deliveries")


def _wait_until_delivered(shop: Installation) -> None:
    """Let the provider's clock run until every event has had its 2xx."""

    def is_delivered() -> bool:
        waiting = [one["due_at"] for one in shop.sandbox.control("deliveries")["events"] if one["state"] == "due"]
        if waiting:
            # One that met a dead process several times waits for hours.
            shop.sandbox.clock(max(0, min(waiting) - shop.sandbox.control("clock")["now"]) / 1000)
        return not waiting

    wait_for(is_delivered, limit_s=_LIMIT_S, what="every event delivered")


def _wait_until_processed(shop: Installation) -> None:
    wait_for(
        lambda: not shop.store.rows("SELECT webhook_id FROM webhook_events WHERE state = 'received'"),
        limit_s=_LIMIT_S,
        what="the inbox processed",
    )
    wait_for(
        lambda: not shop.store.rows("SELECT id FROM outbox WHERE state IN ('ready', 'sending')"),
        limit_s=_LIMIT_S,
        what="the messages sent",
    )


def test_storm_was_one(storm: Storm) -> None:
    assert len(storm.events) == BUYERS * (1 + len(ALSO))
    assert {event["state"] for event in storm.events} == {"delivered"}
    assert len(storm.deliveries) >= len(storm.events) * REPEAT
    # The kills were felt: some deliveries found nobody, or nobody to answer them.
    assert any(delivery["error"] for delivery in storm.deliveries)
    assert len(storm.forged) >= FORGED // 2


@proves(KILLS, "kills of the web process in a storm, none of which lost an acknowledged delivery")
def test_every_acknowledged_delivery_is_in_the_inbox(storm: Storm) -> None:
    """I9, each body of a newer one under the same id too."""
    assert {i["invariant"]: i["breaches"] for i in storm.report["invariants"] if i["breaches"]} == {}
    assert storm.report["exit"] == 0, storm.report["errors"]
    kept = {row["webhook_id"] for row in storm.shop.store.rows("SELECT webhook_id FROM webhook_events")}
    assert kept == {one["webhook_id"] for one in storm.events}


@proves(BUYERS * (1 + len(ALSO)) * REPEAT, "deliveries in a storm with kills, each of which counted once")
def test_every_delivery_counts_once(storm: Storm) -> None:
    """Everybody has one order and one receipt, and nobody's false event has failed or undone it."""
    store = storm.shop.store
    orders = store.rows("SELECT state, count(*) AS n FROM orders GROUP BY state")
    receipts = store.rows("SELECT recipient, count(*) AS n FROM outbox WHERE kind = 'receipt' GROUP BY recipient")

    assert orders == [{"state": "granted", "n": BUYERS}]
    assert [row["n"] for row in receipts] == [1] * BUYERS
    assert store.rows("SELECT state, count(*) AS n FROM webhook_events GROUP BY state")[0]["state"] == "done"


@proves(FORGED, "forged or old deliveries in a storm")
def test_forged_and_old_deliveries_are_refused_and_leave_nothing(storm: Storm) -> None:
    assert set(storm.forged) == {401}
    assert storm.shop.store.rows("SELECT webhook_id FROM webhook_events WHERE webhook_id LIKE 'msg_forged%'") == []


def test_key_rotated_away_opens_nothing_any_more(storm: Storm) -> None:
    """A day after the rotation the provider signs with the new key alone, and that is enough."""
    shop = storm.shop
    shop.sandbox.clock(DAY_S)
    del shop.env["DODO_PAYMENTS_WEBHOOK_KEY_PREVIOUS"]
    shop.kill("web")
    shop.start_web()
    before = _count(shop)

    shop.sandbox.webhooks(again=storm.events[0]["webhook_id"])

    wait_for(lambda: _count(shop) > before, what="another delivery")
    assert shop.sandbox.deliveries()[-1]["status"] == 204


def _lose_nothing_to_a_kill(shop: Installation) -> list[Any]:
    """Kill the web process directly after its 2xx, and return the breaches of I9."""
    shop.sandbox.webhooks(hold=True, repeat=1, newer_body=False)
    _pay(Buyer(shop, f"killed{_count(shop)}@example.com"))
    before = _count(shop)
    shop.sandbox.webhooks(hold=False)
    wait_for(lambda: _count(shop) > before, what="a delivery")
    shop.kill("web")
    assert shop.sandbox.deliveries()[-1]["status"] == 204
    breaches: list[Any] = next(i["breaches"] for i in shop.audit()["invariants"] if i["invariant"] == "I9")
    return breaches


def test_kill_after_the_acknowledgement_loses_nothing(storm: Storm) -> None:
    storm.shop.kill("web")
    storm.shop.start_web()

    assert _lose_nothing_to_a_kill(storm.shop) == []


@pytest.mark.broken
def test_broken_build_ack_before_commit_is_caught(storm: Storm) -> None:
    storm.shop.kill("web")
    storm.shop.start_web(app="tests.faults.broken_app", BROKEN_BUILD="ack_before_commit")

    assert _lose_nothing_to_a_kill(storm.shop)
