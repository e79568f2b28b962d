"""Webhook delivery: signed, retried on the sandbox clock, with a body built at the time of delivery."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from standardwebhooks.webhooks import Webhook

from ..core.clock import wall_ms
from ..core.endpoints import active_secrets, find_endpoint
from ..core.events import KILLED_STATUS, modes_of, set_modes
from ..core.ids import Ids
from ..core.store import Doc
from ..core.twin import Twin
from .payloads import envelope
from .sender import Sender, SendError

# The documented table: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h after the try before.
RETRY_DELAYS_S = (0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000)
TIMEOUT_S = 15.0


# Makes secrets that nobody knows; apart from the twin's ids, whose order a seed fixes.
_NOBODYS = Ids()


@dataclass(frozen=True)
class Delivery:
    """One try, ready to be sent."""

    event: Doc
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Result:
    """What came of a try: the status with the beginning of the answer, or the name of the error."""

    status: int | None = None
    response: str | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the endpoint took it; anything but a 2xx is a failure, a redirect too."""
        return self.status is not None and 200 <= self.status < 300


def deliver_due(twin: Twin, sender: Sender) -> bool:
    """Deliver what is due and may go out at once, in order of creation; True if there is more."""
    parallel = int(modes_of(twin)["parallel"])
    rows = twin.store.rows(
        "SELECT * FROM events WHERE state = 'due' AND due_at <= :now ORDER BY due_at, seq LIMIT :limit",
        now=twin.clock.now(),
        limit=parallel + 1,
    )
    events = [dict(row) for row in rows[:parallel]]
    if len(events) == 1:
        _deliver_or_give_up(twin, events[0], sender)
    elif events:
        with ThreadPoolExecutor(len(events)) as pool:
            list(pool.map(lambda event: _deliver_or_give_up(twin, event, sender), events))
    return len(rows) > parallel


def deliver(twin: Twin, event: Doc, sender: Sender) -> None:
    """Make one try, and on success the ordered repetitions too; note what comes next with the last of them."""
    endpoint = find_endpoint(twin, event["endpoint_id"])
    if endpoint is None or endpoint["disabled"] or not endpoint["url"]:
        _note(twin, event, state="untargeted", due_at=event["due_at"])
        return
    event = {**event, "options": msgspec.json.decode(event["options"])}
    copies = max(event["copies"], 2 if event["options"]["newer_body"] else 1)
    _die_if_ordered(twin, "before_send")
    for copy in range(1, copies + 1):
        if not _try_once(twin, event, endpoint, sender, copy=copy, is_last=copy == copies):
            return


def sign(secrets: list[str], webhook_id: str, body: bytes, *, age_s: int = 0) -> dict[str, str]:
    """Return the Standard Webhooks headers, with one signature for each secret.

    The timestamp is real time, so that moving the sandbox clock breaks no signature.
    """
    moment = datetime.now(UTC) - timedelta(seconds=age_s)
    signatures = [Webhook(secret).sign(webhook_id, moment, body.decode()) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "DodoPayments-Sandbox/1",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _deliver_or_give_up(twin: Twin, event: Doc, sender: Sender) -> None:
    try:
        deliver(twin, event, sender)
    except Exception as error:
        # The edge of a job: an event whose body cannot be made must not stop those behind it.
        print(f"sandbox: gave up {event['type']} {event['webhook_id']}: {error!r}", flush=True)
        nothing = Delivery(event, url="", headers={}, body=b"null")
        with twin.store.write():
            if _note(twin, event, state="dead", due_at=event["due_at"]):
                _log(twin, nothing, Result(error=repr(error)), number=event["tries"] + 1, at=wall_ms(), seconds=0)


def _try_once(twin: Twin, event: Doc, endpoint: Doc, sender: Sender, *, copy: int, is_last: bool) -> bool:
    """Send one copy, then log and note it; False if no other is to follow."""
    options = event["options"]
    sender.wait_turn(endpoint["id"], endpoint["rate_limit"])
    body = envelope(twin, event, newer=copy > 1 and options["newer_body"])
    if body is None:
        # A reset came between; the event went with its object.
        return False
    age_s = int(modes_of(twin)["old_timestamp_s"]) if options["old_timestamp"] else 0
    secrets = [_NOBODYS.webhook_secret()] if options["bad_signature"] else active_secrets(twin, endpoint)
    headers = {**endpoint["headers"], **sign(secrets, event["webhook_id"], body, age_s=age_s)}
    delivery = Delivery(event, endpoint["url"], headers, body)
    at, started = wall_ms(), time.monotonic()
    result = _send(delivery, sender)
    seconds = time.monotonic() - started
    if copy == 1:
        _die_if_ordered(twin, "after_send")
    is_failure = copy == 1 and not result.is_success
    with twin.store.write():
        if is_failure:
            is_known = _note_failure(twin, event)
        elif is_last:
            is_known = _note(twin, event, state="delivered", due_at=event["due_at"])
        else:
            is_known = _is_known(twin, event)
        if is_known:
            _log(twin, delivery, result, number=event["tries"] + copy, at=at, seconds=seconds)
    return is_known and not is_failure


def _is_known(twin: Twin, event: Doc) -> bool:
    """Whether the event is there still: a reset or a restore does not wait for a slow shop."""
    ids = {"webhook_id": event["webhook_id"], "endpoint_id": event["endpoint_id"]}
    sql = "SELECT 1 FROM events WHERE webhook_id = :webhook_id AND endpoint_id = :endpoint_id"
    return twin.store.row(sql, **ids) is not None


def _send(delivery: Delivery, sender: Sender) -> Result:
    try:
        answer = sender.post(delivery.url, delivery.body, delivery.headers)
    except SendError as failure:
        return Result(error=str(failure))
    return Result(status=answer.status, response=answer.body.decode("utf-8", "replace"))


def _log(twin: Twin, delivery: Delivery, result: Result, *, number: int, at: int, seconds: float) -> None:
    twin.store.insert(
        "INSERT INTO deliveries (webhook_id, endpoint_id, type, try, at, clock_at, url, headers, body, status,"
        " response, error, latency_ms) VALUES (:webhook_id, :endpoint_id, :type, :try, :at, :clock_at, :url, :headers,"
        " :body, :status, :response, :error, :latency_ms)",
        webhook_id=delivery.event["webhook_id"],
        endpoint_id=delivery.event["endpoint_id"],
        type=delivery.event["type"],
        **{"try": number},
        at=at,
        clock_at=twin.clock.now(),
        url=delivery.url,
        headers=msgspec.json.encode(delivery.headers).decode(),
        body=delivery.body.decode(),
        status=result.status,
        response=result.response,
        error=result.error,
        latency_ms=seconds * 1000,
    )


def _die_if_ordered(twin: Twin, point: str) -> None:
    if modes_of(twin)["kill"] == point:
        # Once only: started again, the sandbox delivers.
        set_modes(twin, {"kill": None})
        os._exit(KILLED_STATUS)


def _note_failure(twin: Twin, event: Doc) -> bool:
    tries = event["tries"] + 1
    if tries >= twin.switch("webhook_tries"):
        return _note(twin, event, state="dead", due_at=event["due_at"])
    wait_s = RETRY_DELAYS_S[min(tries, len(RETRY_DELAYS_S) - 1)]
    return _note(twin, event, state="due", due_at=twin.clock.now() + wait_s * 1000)


def _note(twin: Twin, event: Doc, *, state: str, due_at: int) -> bool:
    """Say what comes next for an event; False if it is not there any more, as `_is_known` tells."""
    changed = twin.store.run(
        # By its own ids: after a reset or a restore, its number may be another event's.
        "UPDATE events SET state = :state, tries = :tries, due_at = :due_at"
        " WHERE webhook_id = :webhook_id AND endpoint_id = :endpoint_id",
        state=state,
        tries=event["tries"] + (state != "untargeted"),
        due_at=due_at,
        webhook_id=event["webhook_id"],
        endpoint_id=event["endpoint_id"],
    )
    return changed > 0
