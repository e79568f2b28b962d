"""Webhook delivery: signed, retried on the sandbox clock, with a body built at the time of delivery."""

import json
import secrets
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from standardwebhooks.webhooks import Webhook

from ..core.clock import DAY_MS, rfc3339, wall_ms
from ..core.events import modes_of
from ..core.store import Doc
from ..core.twin import BUSINESS_ID, Twin
from ..resources import disputes, payments, refunds, subscriptions

# The documented table: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h after the try before.
RETRY_DELAYS_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000)
TIMEOUT_S = 15.0
ROTATED_SECRET_LIFE_MS = DAY_MS
# How often the thread looks by itself; it is woken at once for anything new.
IDLE_S = 0.5

SERIALISERS: dict[str, tuple[str, Any]] = {
    "payments": ("Payment", payments.serialise),
    "refunds": ("Refund", refunds.serialise),
    "disputes": ("Dispute", disputes.serialise),
    "subscriptions": ("Subscription", subscriptions.serialise),
}


@dataclass(frozen=True)
class Delivery:
    """One try, ready to be sent."""

    event: Doc
    url: str
    headers: dict[str, str]
    body: bytes


class Background:
    """The thread that delivers events and does what the sandbox clock has made due."""

    def __init__(self, twin: Twin, *, timeout_s: float = TIMEOUT_S) -> None:
        self._twin = twin
        self._timeout_s = timeout_s
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the delivery under way."""
        self._stopping = True
        self._twin.wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._twin.wake.clear()
            try:
                run_timers(self._twin)
                with self._twin.delivering:
                    worked = deliver_due(self._twin, timeout_s=self._timeout_s)
            except Exception as error:
                # The edge of a job: one broken event must not end all deliveries.
                print(f"sandbox: background: {error!r}", flush=True)
                worked = False
            if not worked:
                self._twin.wake.wait(IDLE_S)


def run_timers(twin: Twin) -> None:
    """Do every planned change of status that is due."""
    with twin.store.write():
        for row in twin.store.rows(
            "SELECT id, action, doc FROM timers WHERE due_at <= :now ORDER BY due_at, id", now=twin.clock.now()
        ):
            twin.store.run("DELETE FROM timers WHERE id = :id", id=row["id"])
            doc = json.loads(row["doc"])
            payment = twin.store.get("payments", doc["payment_id"])
            if payment is not None:
                payments.move(twin, payment, doc["status"], error_code=doc["error_code"])


def deliver_due(twin: Twin, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Deliver what is due, in order of creation; True if there was anything."""
    parallel = int(modes_of(twin)["parallel"])
    rows = twin.store.rows(
        "SELECT * FROM events WHERE state = 'due' AND due_at <= :now ORDER BY due_at, seq LIMIT :limit",
        now=twin.clock.now(),
        limit=parallel,
    )
    events = [dict(row) for row in rows]
    if len(events) == 1:
        deliver(twin, events[0], timeout_s=timeout_s)
    elif events:
        with ThreadPoolExecutor(len(events)) as pool:
            list(pool.map(lambda event: deliver(twin, event, timeout_s=timeout_s), events))
    return bool(events)


def deliver(twin: Twin, event: Doc, *, timeout_s: float) -> None:
    """Make one try, and on success the ordered repetitions too; then note what comes next."""
    if twin.store.get(event["kind"], event["object_id"]) is None:
        # A reset came between; the event went with its object.
        return
    ok = _try_once(twin, event, number=event["tries"] + 1, timeout_s=timeout_s)
    if ok:
        newer = json.loads(event["options"])["newer_body"]
        copies = max(event["copies"], 2 if newer else 1)
        for copy in range(2, copies + 1):
            _try_once(twin, event, number=event["tries"] + copy, timeout_s=timeout_s, newer=newer)
    _note(twin, event, ok=ok)


def envelope(twin: Twin, event: Doc, *, newer: bool = False) -> bytes:
    """Return the body for an event from the object's state at this moment."""
    payload_type, serialise = SERIALISERS[event["kind"]]
    doc = twin.store.get(event["kind"], event["object_id"])
    assert doc is not None
    data = {"payload_type": payload_type, **serialise(twin, doc)}
    if event["type"] == "subscription.renewed":
        data["payment_id"] = _payment_of(twin, event["object_id"])
    body = {
        "business_id": BUSINESS_ID,
        "type": event["type"],
        "timestamp": rfc3339(twin.clock.now() if newer else event["event_at"]),
        "data": data,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def sign(twin: Twin, webhook_id: str, body: bytes, *, bad: bool = False, age_s: int = 0) -> dict[str, str]:
    """Return the three Standard Webhooks headers.

    The timestamp is real time, so that moving the sandbox clock breaks no signature. After a rotation the body
    is signed with the new and, for 24 sandbox hours, with the old secret.
    """
    moment = datetime.now(UTC) - timedelta(seconds=age_s)
    keys = [_random_secret()] if bad else active_secrets(twin)
    signatures = [Webhook(key).sign(webhook_id, moment, body.decode()) for key in keys]
    return {
        "content-type": "application/json",
        "user-agent": "DodoPayments-Sandbox/1",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def active_secrets(twin: Twin) -> list[str]:
    """Return the secrets a delivery is signed with now, newest first."""
    target = twin.store.setting("webhook_target", {})
    now = twin.clock.now()
    current = target.get("secret")
    old = [entry["secret"] for entry in target.get("old_secrets", []) if entry["until"] > now]
    return [current, *old] if current else old


def deliveries(twin: Twin) -> list[Doc]:
    """Return every try so far, oldest first."""
    return [
        {
            "webhook_id": row["webhook_id"],
            "type": row["type"],
            "try": row["try"],
            "at": row["at"],
            "clock_at": row["clock_at"],
            "url": row["url"],
            "headers": json.loads(row["headers"]),
            "body": json.loads(row["body"]),
            "status": row["status"],
            "error": row["error"],
            "latency_ms": round(row["latency_ms"], 1),
        }
        for row in twin.store.rows("SELECT * FROM deliveries ORDER BY id")
    ]


def pending_events(twin: Twin) -> list[Doc]:
    """Return every event with its state, oldest first."""
    names = "webhook_id, type, kind, object_id, event_at, state, tries, due_at"
    return [dict(row) for row in twin.store.rows(f"SELECT {names} FROM events ORDER BY seq")]


def _try_once(twin: Twin, event: Doc, *, number: int, timeout_s: float, newer: bool = False) -> bool:
    options = json.loads(event["options"])
    body = envelope(twin, event, newer=newer)
    age_s = int(modes_of(twin)["old_timestamp_s"]) if options["old_timestamp"] else 0
    headers = sign(twin, event["webhook_id"], body, bad=options["bad_signature"], age_s=age_s)
    url = str(twin.store.setting("webhook_target", {}).get("url"))
    return _send(twin, Delivery(event, url, headers, body), number=number, timeout_s=timeout_s)


def _send(twin: Twin, delivery: Delivery, *, number: int, timeout_s: float) -> bool:
    at, started = wall_ms(), time.monotonic()
    status, error = None, None
    try:
        with requests.Session() as session:
            # A .netrc or a proxy of the machine must not touch what goes to the shop.
            session.trust_env = False
            answer = session.post(
                delivery.url,
                data=delivery.body,
                headers=delivery.headers,
                timeout=timeout_s,
                allow_redirects=False,
            )
        status = answer.status_code
    except requests.RequestException as failure:
        error = type(failure).__name__
    _log(twin, delivery, number=number, at=at, status=status, error=error, seconds=time.monotonic() - started)
    return status is not None and 200 <= status < 300


def _log(
    twin: Twin,
    delivery: Delivery,
    *,
    number: int,
    at: int,
    status: int | None,
    error: str | None,
    seconds: float,
) -> None:
    twin.store.insert(
        "INSERT INTO deliveries"
        " (webhook_id, type, try, at, clock_at, url, headers, body, status, error, latency_ms) VALUES"
        " (:webhook_id, :type, :try, :at, :clock_at, :url, :headers, :body, :status, :error, :latency_ms)",
        webhook_id=delivery.event["webhook_id"],
        type=delivery.event["type"],
        **{"try": number},
        at=at,
        clock_at=twin.clock.now(),
        url=delivery.url,
        headers=json.dumps(delivery.headers),
        body=delivery.body.decode(),
        status=status,
        error=error,
        latency_ms=seconds * 1000,
    )


def _note(twin: Twin, event: Doc, *, ok: bool) -> None:
    tries = event["tries"] + 1
    if ok:
        state, due_at = "delivered", event["due_at"]
    elif tries >= len(RETRY_DELAYS_S):
        state, due_at = "dead", event["due_at"]
    else:
        state, due_at = "due", twin.clock.now() + RETRY_DELAYS_S[tries] * 1000
    twin.store.run(
        "UPDATE events SET state = :state, tries = :tries, due_at = :due_at WHERE seq = :seq",
        state=state,
        tries=tries,
        due_at=due_at,
        seq=event["seq"],
    )


def _payment_of(twin: Twin, subscription_id: str) -> str | None:
    for payment in twin.store.find("payments", where={"status": "succeeded"}):
        if subscription_id in payment["subscription_ids"]:
            return str(payment["id"])
    return None


def _random_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()
