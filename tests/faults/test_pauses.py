"""A sender that stops in the middle of a charge and wakes up too late, at every point of web and worker.

What has not been sent when the window closes is never sent, what has been sent is charged once, and nobody is told
"not charged" while a paused sender may still write.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from encore.services import reconcile
from encore.store import budgets
from tests.installation import Buyer, Installation, free_port, outcome_of, running_installation
from tests.sandbox_process import wait_for

WINDOW_S = 1.2
PAUSE_S = 1.1 * WINDOW_S
SEND_POINTS = ("send.connected", "send.window_checked", "send.written", "send.answered")
CASES = [("web", point) for point in SEND_POINTS] + [("worker", point) for point in (*SEND_POINTS, "queue.claimed")]
# Before the window is checked for the last time, nothing has left; after it, the request counts as sent.
UNSENT = ("send.connected", "queue.claimed")
_FAR_MS = 3_600_000
_PAYABLE = ("offer-accept", "go-to-checkout", "continue-without")


@dataclass
class Pause:
    """One charge whose sender was paused: what was seen of it until the sender had woken and ended."""

    buyer: Buyer
    html: str
    order_id: str
    seen: set[str] = field(default_factory=set)
    pages: list[str] = field(default_factory=list)
    attempt: dict[str, Any] = field(default_factory=dict)
    charges: int = 0


@dataclass(frozen=True)
class Woken:
    """All pauses, each sender awake again, and what the audit says."""

    shop: Installation
    pauses: dict[tuple[str, str], Pause]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def woken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Woken]:
    env = {
        "ENCORE_SEND_WINDOW_S": str(WINDOW_S),
        # The watchdog must not end the pause, nor the time the buyer's request may take.
        "ENCORE_CHARGE_TIMEOUT_S": "8",
        "ENCORE_BUDGET_S": "12",
        "ENCORE_DODO_TIER": "2",
    }
    with running_installation(tmp_path_factory.mktemp("pauses"), **env) as shop:
        pauses = _pause_web(shop)
        pauses |= {(process, point): _pause_worker(shop, point) for process, point in CASES if process == "worker"}
        yield Woken(shop, pauses, shop.audit())


def _pause_web(shop: Installation) -> dict[tuple[str, str], Pause]:
    """Pause a web process of its own at each point, all at the same time, with a worker that never pauses beside."""
    twins = {point: _twin(shop) for point in SEND_POINTS}
    starts = [threading.Thread(target=start) for start in (shop.start_web, shop.start_worker)]
    for point, twin in twins.items():
        starts.append(threading.Thread(target=twin.start_web, kwargs={"ENCORE_PAUSE_AT": f"{point}:{PAUSE_S}"}))
    try:
        _run(starts)
        pauses = {point: _bring(twin, f"{point}@example.com") for point, twin in twins.items()}
        _run([threading.Thread(target=_click_and_watch, args=(shop, pause)) for pause in pauses.values()])
    finally:
        for twin in twins.values():
            twin.kill("web")
        shop.kill("worker")
    for pause in pauses.values():
        # From here on the buyer speaks to the process that is left.
        pause.buyer.shop = shop
    return {("web", point): pause for point, pause in pauses.items()}


def _twin(shop: Installation) -> Installation:
    """Another place for a web process on the same store."""
    port = free_port()
    return replace(shop, port=port, env={**shop.env, "PORT": str(port)}, web=None, worker=None)


def _pause_worker(shop: Installation, point: str) -> Pause:
    """Let a charge wait in the queue, and the worker that takes it pause at a point."""
    pause = _bring(shop, f"queued-{point}@example.com")
    shop.start_worker(ENCORE_PAUSE_AT=f"{point}:{PAUSE_S}")
    try:
        _block_calls(shop)
        pause.buyer.post_form(pause.html, "offer-accept")
        assert _attempt(shop, pause)["state"] == "queued"
        _unblock_calls(shop)
        _watch(shop, pause)
    finally:
        shop.kill("worker")
    return pause


def _bring(shop: Installation, email: str) -> Pause:
    buyer = Buyer(shop, email)
    html = buyer.buy()
    row = shop.store.row(
        "SELECT o.id FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref", ref=buyer.ref
    )
    assert row is not None
    return Pause(buyer, html, str(row["id"]))


def _click_and_watch(shop: Installation, pause: Pause) -> None:
    """Click, click again while the first click is held, and watch until the sender has ended."""
    first = threading.Thread(target=pause.buyer.post_form, args=(pause.html, "offer-accept"))
    first.start()
    shop.wait_row("SELECT 1 FROM attempts a" + _OF_ORDER, order_id=pause.order_id)
    second = pause.buyer.post_form(pause.html, "offer-accept")
    assert second.status_code == 303, second.text[:500]
    pause.pages.append(pause.buyer.get(second.headers["location"]))
    _watch(shop, pause)
    first.join()


_OF_ORDER = (
    " JOIN acceptances c ON c.id = a.acceptance_id JOIN offer_instances i ON i.id = c.offer_instance_id"
    " WHERE i.source_ref = :order_id"
)


def _attempt(shop: Installation, pause: Pause) -> dict[str, Any]:
    row = shop.store.row("SELECT a.* FROM attempts a" + _OF_ORDER, order_id=pause.order_id)
    assert row is not None
    return row


def _watch(shop: Installation, pause: Pause) -> None:
    """Note every state until the charge has ended and its sender too."""

    def has_ended() -> bool:
        pause.attempt = _attempt(shop, pause)
        pause.seen.add(pause.attempt["state"])
        return (
            pause.attempt["state"] in ("paid", "not_sent", "absent") and pause.attempt["socket_closed_at"] is not None
        )

    wait_for(has_ended, limit_s=20, what="the end of the paused sender")
    pause.charges = len(shop.sandbox.charges(first_order=pause.order_id))


def _block_calls(shop: Installation) -> None:
    """Let no call of the shared budget be left, so that a yes has to wait for a worker."""
    heard = shop.wait_row("SELECT max(heartbeat_at) AS at FROM processes")
    with shop.store.write():
        budgets.block_calls(shop.store, until=heard["at"] + _FAR_MS)


def _unblock_calls(shop: Installation) -> None:
    with shop.store.write():
        shop.store.run("UPDATE rate_budget SET blocked_until = 0")


def _run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.criterion("N2")
@pytest.mark.parametrize(("process", "point"), CASES)
def test_paused_sender_charges_once_or_never(woken: Woken, process: str, point: str) -> None:
    pause = woken.pauses[process, point]

    assert "absent" not in pause.seen
    if point in UNSENT:
        assert (pause.attempt["state"], pause.attempt["reason"], pause.charges) == ("not_sent", "window", 0)
    else:
        assert (pause.attempt["state"], pause.charges) == ("paid", 1)


@pytest.mark.parametrize("point", SEND_POINTS)
def test_second_click_during_a_pause_shows_no_other_way_to_pay(woken: Woken, point: str) -> None:
    (page,) = woken.pauses["web", point].pages

    assert outcome_of(page) in ("processing", "paid")
    assert not any(f'data-testid="{hook}"' in page for hook in _PAYABLE)


@pytest.mark.parametrize(("process", "point"), CASES)
def test_buyer_of_a_paused_sender_is_told_the_truth(woken: Woken, process: str, point: str) -> None:
    pause = woken.pauses[process, point]

    page = pause.buyer.get(f"/r/{pause.buyer.ref}")

    if point in UNSENT:
        assert outcome_of(page) == "needs-checkout"
        assert "You were not charged." in page
    else:
        assert outcome_of(page) == "paid"


def test_audit_is_clean_after_every_pause(woken: Woken) -> None:
    assert {i["invariant"]: i["breaches"] for i in woken.report["invariants"] if i["breaches"]} == {}
    assert woken.report["exit"] == 0, woken.report["errors"]


# ---- The guards off, and the sender that is silent for too long --------------------------------------------------


def _pause_at_last_check(shop: Installation, email: str) -> Pause:
    """Pause a sender after its last look at the clock, and let it seem silent for longer than any send may take."""
    twin = _twin(shop)
    twin.start_web(ENCORE_PAUSE_AT=f"send.window_checked:{2 * PAUSE_S}")
    pause = _bring(twin, email)
    click = threading.Thread(target=pause.buyer.post_form, args=(pause.html, "offer-accept"))
    click.start()
    try:
        shop.wait_row("SELECT 1 FROM attempts a" + _OF_ORDER, order_id=pause.order_id)
        with shop.store.write():
            shop.store.run(
                "UPDATE attempts SET claimed_at = claimed_at - :silent, next_check_at = 0 WHERE id = :id",
                silent=reconcile.SENDING_STALE_MS,
                id=_attempt(shop, pause)["id"],
            )
        _watch(shop, pause)
    finally:
        click.join()
        twin.kill("web")
    return pause


def test_absent_waits_for_a_paused_sender(woken: Woken) -> None:
    shop = woken.shop
    shop.start_worker()
    try:
        pause = _pause_at_last_check(shop, "silent@example.com")
    finally:
        shop.kill("worker")

    assert "unknown" in pause.seen
    assert "absent" not in pause.seen
    assert (pause.attempt["state"], pause.charges) == ("paid", 1)


@pytest.mark.broken
def test_broken_build_lease_is_death_is_caught(woken: Woken) -> None:
    """I2: "you were not charged" is said, with another way to pay, and the charge follows."""
    shop = woken.shop
    shop.start_worker(app="tests.faults.broken_app", BROKEN_BUILD="lease_is_death")
    try:
        pause = _pause_at_last_check(shop, "dead@example.com")
    finally:
        shop.kill("worker")

    assert "absent" in pause.seen
    assert len(shop.sandbox.charges(first_order=pause.order_id)) == 1


@pytest.mark.broken
def test_broken_build_no_send_window_is_caught(woken: Woken) -> None:
    """I4: a request that should never have left arrives after the window."""
    twin = _twin(woken.shop)
    env = {"BROKEN_BUILD": "no_send_window", "ENCORE_PAUSE_AT": f"send.connected:{PAUSE_S}"}
    twin.start_web(app="tests.faults.broken_app", **env)
    try:
        pause = _bring(twin, "late@example.com")
        _click_and_watch(woken.shop, pause)
    finally:
        twin.kill("web")

    assert (pause.attempt["state"], pause.charges) == ("paid", 1)
