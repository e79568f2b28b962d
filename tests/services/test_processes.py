"""Presence: which senders have ended, on proof and not on time (charging.md, section 5)."""

import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from encore.services.processes import Presence, boot_id
from encore.store import processes
from encore.store.processes import Process
from tests.sandbox_process import ROOT, wait_for
from tests.services.world import World

NEIGHBOUR = """
import sys
from pathlib import Path
from encore.clock import Clock
from encore.services.processes import Presence
from encore.store import open_store
store = open_store(Path(sys.argv[1]))
presence = Presence(store, clock=Clock(), lock_dir=Path(sys.argv[2]))
print(presence.join("web"), flush=True)
sys.stdin.read()
"""


@contextmanager
def neighbour(world: World) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process of this installation, and its id."""
    data = world.shop.settings.data_dir
    command = [sys.executable, "-c", NEIGHBOUR, str(world.shop.settings.database_path), str(data / "locks")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def has_ended(world: World, sender_id: str | None) -> bool:
    return world.shop.presence.has_ended(sender_id, attempt_id="att_1", silent_ms=60_000)


def test_living_process_has_not_ended_however_long_it_is_silent(world: World) -> None:
    with neighbour(world) as (process, sender_id):
        process.send_signal(signal.SIGSTOP)
        world.clock.wall_s += 86_400

        assert not has_ended(world, sender_id)


def test_killed_process_has_ended_at_once(world: World) -> None:
    with neighbour(world) as (process, sender_id):
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert has_ended(world, sender_id)


def test_process_is_never_registered_inside_a_transaction(world: World) -> None:
    with pytest.raises(RuntimeError), world.shop.store.write():
        world.shop.presence.join("web")


def test_own_thread_has_ended_when_it_left_its_send(world: World) -> None:
    own = world.shop.presence.join("web")

    with world.shop.presence.sending("att_1"):
        assert not has_ended(world, own)
    assert has_ended(world, own)


def test_nobody_and_the_unknown_have_ended(world: World) -> None:
    assert has_ended(world, None)
    assert has_ended(world, "proc_unknown")


def test_process_of_an_earlier_start_of_the_machine_has_ended(world: World) -> None:
    _add_process(world, "proc_before", host=platform.node(), boot="another-boot")

    assert has_ended(world, "proc_before")


def test_process_on_another_machine_has_ended_only_after_long_silence(world: World) -> None:
    _add_process(world, "proc_far", host="another-machine", boot=boot_id())

    assert not has_ended(world, "proc_far")
    world.clock.wall_s += 61
    assert has_ended(world, "proc_far")


def _add_process(world: World, process_id: str, *, host: str, boot: str) -> None:
    now = world.shop.now()
    process = Process(id=process_id, kind="web", host=host, boot_id=boot, pid=1, started_at=now, heartbeat_at=now)
    with world.shop.store.write():
        processes.insert_process(world.shop.store, process)


def test_joining_twice_is_one_process(world: World) -> None:
    assert world.shop.presence.join("web") == world.shop.presence.join("worker")

    assert len(world.rows("processes")) == 1


def test_leaving_gives_the_lock_back(world: World) -> None:
    shop = world.shop
    other = Presence(shop.store, clock=world.clock, lock_dir=shop.settings.data_dir / "locks")
    sender_id = other.join("worker")
    assert not has_ended(world, sender_id)

    other.leave()

    assert has_ended(world, sender_id)


def test_process_with_a_send_under_way_does_not_leave(world: World) -> None:
    shop = world.shop
    other = Presence(shop.store, clock=world.clock, lock_dir=shop.settings.data_dir / "locks")
    sender_id = other.join("web")

    with other.sending("att_1"):
        other.leave()
        assert not has_ended(world, sender_id)
    other.leave()


def test_process_leaves_while_its_heartbeat_holds_the_store(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    page = world.offer()
    world.accept(page)
    with world.shop.store.write():
        world.shop.store.run("UPDATE attempts SET state = 'sending', socket_closed_at = NULL")
    presence, ended = world.shop.presence, Presence.has_ended
    leaving = threading.Thread(target=presence.leave, daemon=True)

    def leave_first(*given: Any, **named: Any) -> bool:
        leaving.start()
        # Gone on with when the other thread waits for the store, which this one holds.
        wait_for(lambda: presence.process_id is None, what="the leaving")
        return ended(*given, **named)

    monkeypatch.setattr(Presence, "has_ended", leave_first)
    presence.beat()

    leaving.join(10)
    assert not leaving.is_alive()
    assert world.rows("processes") == []


def test_heartbeat_closes_the_sends_of_threads_that_are_gone(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset")
    world.accept(page)
    with world.shop.store.write():
        world.shop.store.run("UPDATE attempts SET state = 'sending', socket_closed_at = NULL")

    with world.shop.presence.sending(world.attempt(page).id):
        world.shop.presence.beat()
        assert world.attempt(page).socket_closed_at is None
    world.shop.presence.beat()

    assert world.attempt(page).socket_closed_at is not None
