"""The worker: everything that happens without a buyer waiting, in three lanes so that nothing slow delays money.

A lane does its jobs in turn, again and again. A job that fails is logged and waits a little longer each time; the
others go on. SIGTERM lets each lane finish the job it is at.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from encore.errors import ProviderError
from encore.services import (
    bookkeeping,
    catalogue,
    charging,
    checkout,
    fallback,
    mail,
    offers,
    plan_ends,
    poll,
    reconcile,
    refunds,
    sign_ins,
    subscriptions,
    webhooks,
)
from encore.services.shop import Shop
from encore.store import StoreFull, meta

log = structlog.get_logger("encore.worker")

# How long a lane with nothing to do waits before it looks again. On the sandbox somebody is watching.
_IDLE_S = 0.4
_IDLE_SANDBOX_S = 0.1
# Even a job that always finds something, such as one that waits for call budget, leaves the processor to others.
_BUSY_S = 0.01
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
# A provider that is away for a minute is no news; a job that fails for longer is.
_ALARM_AFTER_S = 60.0
_ALARM = "worker_job_failing"
_DAY_S = 86_400.0
_EXPIRY_EVERY_S = 1.0
_SWEPT_AT = "swept_at"


@dataclass(frozen=True)
class Job:
    """Something to do again and again. `run` returns how much it did; `every_s` is 0 for "as soon as there is work".

    `last_at` names the stored time (epoch milliseconds) of the last success, so that a restart does not repeat it.
    """

    name: str
    run: Callable[[], int]
    every_s: float = 0.0
    last_at: str | None = None


class Lane:
    """Some jobs in turn, with what this lane knows of each: when it is due again and since when it fails."""

    def __init__(self, shop: Shop, jobs: list[Job]) -> None:
        self._shop = shop
        self._jobs = jobs
        self._due = {job.name: self._first_due(job) for job in jobs}
        # A process that just began knows nothing of what its predecessor raised: the first success clears that too.
        self._unproven = set(self._due)
        self._failing_since: dict[str, float] = {}
        self._retry_s: dict[str, float] = {}

    def run_until(self, stop: threading.Event) -> None:
        """Do the jobs until `stop`, waiting a little whenever there was nothing to do."""
        idle_s = _IDLE_SANDBOX_S if self._shop.settings.is_sandbox else _IDLE_S
        while not stop.is_set():
            did = 0
            for job in self._jobs:
                if stop.is_set():
                    return
                if self._shop.clock.monotonic() >= self._due[job.name]:
                    did += self.do(job)
            stop.wait(_BUSY_S if did else idle_s)

    def do(self, job: Job) -> int:
        """Do one job once; a failure is logged, remembered and told, and never goes further."""
        try:
            did = job.run()
            self._note_success(job)
        except (ProviderError, StoreFull) as error:
            log.warning("job.failed", job=job.name, error=str(error))
            self._note_failure(job, error)
            return 0
        except Exception as error:
            log.exception("job.failed", job=job.name)
            self._note_failure(job, error)
            return 0
        return did

    def _first_due(self, job: Job) -> float:
        now = self._shop.clock.monotonic()
        last_at = meta.get_number(self._shop.store, job.last_at) if job.last_at else None
        if last_at is None:
            return now
        age_s = max(0.0, (self._shop.now() - last_at) / 1000)
        return now + max(0.0, job.every_s - age_s)

    def _note_success(self, job: Job) -> None:
        self._due[job.name] = self._shop.clock.monotonic() + job.every_s
        self._retry_s.pop(job.name, None)
        if self._failing_since.pop(job.name, None) is None and job.name not in self._unproven:
            return
        bookkeeping.clear_alarm(self._shop, _ALARM, object_id=job.name)
        self._unproven.discard(job.name)

    def _note_failure(self, job: Job, error: Exception) -> None:
        now = self._shop.clock.monotonic()
        wait_s = self._retry_s.get(job.name, _FIRST_RETRY_S)
        self._due[job.name] = now + wait_s
        self._retry_s[job.name] = min(2 * wait_s, _LONGEST_RETRY_S)
        since = self._failing_since.setdefault(job.name, now)
        if now - since < _ALARM_AFTER_S:
            return
        try:
            with self._shop.store.write():
                detail = f"for {now - since:.0f} s: {type(error).__name__}"
                bookkeeping.raise_alarm(self._shop, _ALARM, object_id=job.name, detail=detail)
        except StoreFull:
            log.warning("alarm.not_stored", job=job.name)


def run(shop: Shop, *, stop: threading.Event) -> None:
    """Work until `stop` is set, then close the shop; returns when every lane has finished the job it was at."""
    shop.presence.join("worker")
    log.info("worker.started")
    lanes = [Lane(shop, jobs) for jobs in _lanes(shop)]
    threads = [threading.Thread(target=lane.run_until, args=(stop,), name=f"lane-{n}") for n, lane in enumerate(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.close()
    log.info("worker.stopped")


def run_once(shop: Shop) -> int:
    """Do every job once, whether it is due or not, and return how much was done."""
    shop.presence.join("worker")
    did = 0
    for jobs in _lanes(shop):
        lane = Lane(shop, jobs)
        did += sum(lane.do(job) for job in jobs)
    shop.presence.leave()
    return did


def _lanes(shop: Shop) -> list[list[Job]]:
    # The first lane may hold a socket for 13 s a charge, the last for minutes a page of payments or a slow mail
    # server; what buyers and Dodo wait for stands between them and is quick.
    quarantine = reconcile.Quarantine()
    settings = shop.settings
    return [
        [Job("queued", lambda: charging.send_queued(shop))],
        [
            Job("inbox", lambda: _drain(lambda: webhooks.process_next(shop))),
            Job("attempts", lambda: reconcile.look_due(shop, quarantine)),
            Job("subscriptions", lambda: subscriptions.read_due(shop) + plan_ends.put_back_due(shop)),
            Job("checkouts", lambda: checkout.look_due(shop)),
            Job("refunds", lambda: refunds.send_due(shop)),
            Job("expiry", lambda: offers.expire_due(shop) + fallback.close_due(shop), every_s=_EXPIRY_EVERY_S),
        ],
        [
            Job("sign-in", lambda: _drain(lambda: sign_ins.write_next(shop))),
            Job("outbox", lambda: _drain(lambda: mail.send_next(shop))),
            Job("catalogue", lambda: _sync(shop), every_s=settings.catalogue_every_s, last_at=catalogue.SYNCED_AT),
            Job("poll", lambda: poll.poll(shop), every_s=settings.poll_every_s, last_at=poll.POLLED_AT),
            Job("sweep", lambda: _sweep(shop), every_s=_DAY_S, last_at=_SWEPT_AT),
        ],
    ]


def _drain(step: Callable[[], bool], most: int = 20) -> int:
    """Repeat a step while it finds something, but leave room for the lane's other jobs."""
    done = 0
    while done < most and step():
        done += 1
    return done


def _sync(shop: Shop) -> int:
    return len(catalogue.sync(shop).archived)


def _sweep(shop: Shop) -> int:
    swept = sign_ins.sweep(shop) + poll.sweep(shop)
    with shop.store.write():
        meta.mark_value(shop.store, _SWEPT_AT, value=shop.now())
    return swept
