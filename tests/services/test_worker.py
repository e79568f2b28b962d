"""The worker does what no buyer waits for; one job that fails holds up no other, and SIGTERM ends it in order."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from encore.errors import Unavailable
from encore.services import catalogue, mail, webhooks, worker
from encore.services.shop import Shop
from encore.store import StoreFull, alarms, meta, processes
from tests.deliveries import event, sign
from tests.sandbox_process import COURSE, ROOT, SandboxProcess, wait_for
from tests.services.world import MovableClock, World, environment_for

# The worker's command with one lane, and a SIGTERM in the one moment in which it could be lost: the main thread goes
# from the signal to its wait in C, so that it comes to no step of Python in between.
SIGNAL_BEFORE_THE_WAIT = """
import ctypes, operator, os, signal, sys, threading
from functools import partial
from encore.services import worker
from flask.cli import main

def run(shop, *, stop):
    running = threading.Lock()
    running.acquire()

    def lane():
        print("heard" if stop.wait(5) else "lost")
        running.release()

    threading.Thread(target=lane).start()
    end_me = partial(ctypes.CDLL(None).kill, os.getpid(), signal.SIGTERM)
    list(map(operator.call, (end_me, running.acquire)))

worker.run = run
sys.argv = ["flask", "--app", "app", "worker"]
main()
"""


def fail(*_: Any, **__: Any) -> Any:
    raise Unavailable("test")


def test_once_does_everything_that_is_due(world: World) -> None:
    world.buy()
    payment = world.sandbox.get(f"/payments/{world.sandbox.payments()[-1]['id']}")
    body = event("payment.succeeded", **payment)
    webhooks.receive(world.shop, sign(world.shop, body), body)

    assert worker.run_once(world.shop) > 0

    assert len(world.rows("orders")) == 1
    assert [row["state"] for row in world.rows("outbox")] == ["sent"]


def test_without_any_webhook_the_worker_reaches_the_same_state(world: World) -> None:
    """Proves: R19c"""
    world.buy()

    worker.run_once(world.shop)

    assert len(world.rows("orders")) == 1


def test_a_job_that_fails_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.buy()
    for name in ("sync", "is_stale"):
        monkeypatch.setattr(catalogue, name, fail)
    monkeypatch.setattr(webhooks, "process_next", lambda shop: 1 / 0)

    worker.run_once(world.shop)

    assert len(world.rows("orders")) == 1


def test_a_job_that_goes_on_failing_raises_an_alarm(shop: Shop, clock: MovableClock) -> None:
    job = worker.Job("broken", fail)
    lane = worker.Lane(shop, [job])
    lane.do(job)
    assert alarms.list_standing(shop.store) == []

    clock.steady_s += 61
    lane.do(job)

    assert [(alarm.kind, alarm.object) for alarm in alarms.list_standing(shop.store)] == [
        ("worker_job_failing", "broken")
    ]


def test_the_alarm_ends_with_the_first_success(shop: Shop, clock: MovableClock) -> None:
    results: list[Any] = [fail, fail, lambda: 0]
    job = worker.Job("moody", lambda: results.pop(0)())
    lane = worker.Lane(shop, [job])
    lane.do(job)
    clock.steady_s += 61
    lane.do(job)

    lane.do(job)

    assert alarms.list_standing(shop.store) == []


def test_the_alarm_of_a_worker_that_was_restarted_ends_too(shop: Shop, clock: MovableClock) -> None:
    before = worker.Lane(shop, [worker.Job("moody", fail)])
    before.do(worker.Job("moody", fail))
    clock.steady_s += 61
    before.do(worker.Job("moody", fail))
    assert len(alarms.list_standing(shop.store)) == 1

    well = worker.Job("moody", lambda: 0)
    worker.Lane(shop, [well]).do(well)

    assert alarms.list_standing(shop.store) == []


def test_a_store_that_is_busy_at_the_first_success_does_not_end_the_lane(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> bool:
        raise StoreFull("database is locked")

    job = worker.Job("well", lambda: 1)
    lane = worker.Lane(shop, [job])
    with monkeypatch.context() as patch:
        patch.setattr(worker.bookkeeping, "clear_alarm", refuse)
        assert lane.do(job) == 0

    assert lane.do(job) == 1


def test_a_restart_does_not_read_a_fresh_catalogue_again(shop: Shop, sandbox: SandboxProcess) -> None:
    catalogue.sync(shop)
    before = len(sandbox.requests("GET", "/products"))
    stop = threading.Event()

    running = threading.Thread(target=worker.run, args=(shop,), kwargs={"stop": stop})
    running.start()
    wait_for(lambda: meta.get_number(shop.store, "polled_at"), what="the first poll")
    stop.set()
    running.join()

    assert len(sandbox.requests("GET", "/products")) == before


def test_a_slow_mail_server_does_not_delay_an_event(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.sync(shop)
    is_held, may_go, stop = threading.Event(), threading.Event(), threading.Event()

    def hold(shop: Shop) -> bool:
        is_held.set()
        may_go.wait(10)
        return False

    monkeypatch.setattr(mail, "send_next", hold)
    running = threading.Thread(target=worker.run, args=(shop,), kwargs={"stop": stop})
    running.start()
    assert is_held.wait(10)
    body = event("payout.success")
    webhooks.receive(shop, sign(shop, body), body)

    wait_for(lambda: shop.store.row("SELECT state FROM webhook_events WHERE state = 'done'"), what="the event")

    stop.set()
    may_go.set()
    running.join()


def test_sigterm_ends_the_worker_in_order(sandbox: SandboxProcess, shop: Shop) -> None:
    catalogue.sync(shop)
    data = shop.settings.data_dir
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "worker"],
        cwd=ROOT,
        env={**os.environ, **environment_for(sandbox, data)},
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: processes.get_latest_heartbeat(shop.store, "worker"), what="the worker")

    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)

    assert process.returncode == 0, said.decode()
    assert processes.get_latest_heartbeat(shop.store, "worker") is None


def test_signal_in_the_moment_before_the_worker_waits_is_heard(sandbox: SandboxProcess, shop: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_BEFORE_THE_WAIT],
        cwd=ROOT,
        env={**os.environ, **environment_for(sandbox, shop.settings.data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("heard\n", 0), done.stderr


def test_a_new_product_is_found_without_anybody_asking(shop: Shop, sandbox: SandboxProcess) -> None:
    """Proves: R2a"""
    sandbox.call("PATCH", f"/products/{COURSE}", {"name": "First course"})

    worker.run_once(shop)

    assert catalogue.list_products(shop)[0].name == "First course"
