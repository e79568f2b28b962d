"""How a claimed charge is sent: by the worker from the queue, within its window, by a sender that counts as alive."""

import threading

import pytest

from encore.services import charging
from encore.services.shop import MoneyMovesInTransaction
from encore.store import attempts, offer_instances, open_store
from tests.services.conftest import Open
from tests.services.points import PassPoint
from tests.services.world import LAN, MINH, World

CONFIRM = "POST /checkouts"


# ---- Queue ------------------------------------------------------------------------------------------------------


def test_empty_budget_queues_and_the_worker_sends(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()
    world.worker_beats()

    assert world.accept(page) == "taken"
    assert (world.attempt(page).state, world.page(page).state) == ("queued", "processing")
    assert world.page(page).can_cancel
    assert world.charges(page) == []

    world.unblock_budget()
    assert charging.send_queued(world.shop) == 1

    assert world.outcome(page) == "charged"
    assert len(world.charges(page)) == 1


def test_queued_for_half_a_minute_is_not_sent(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()
    world.worker_beats()
    world.accept(page)

    world.advance(30)
    world.unblock_budget()
    charging.send_queued(world.shop)

    assert (world.attempt(page).state, world.outcome(page)) == ("not_sent", "needs_checkout")
    assert world.charges(page) == []


def test_queued_yes_can_be_taken_back(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()
    world.worker_beats()
    world.accept(page)

    charging.cancel(world.shop, page.instance_id, buyer_key=LAN)
    world.unblock_budget()
    charging.send_queued(world.shop)

    assert (world.attempt(page).state, world.outcome(page)) == ("not_sent", "closed")
    assert world.charges(page) == []


def test_cancel_after_the_send_does_nothing(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(page)

    charging.cancel(world.shop, page.instance_id, buyer_key=LAN)

    assert world.attempt(page).state == "pending"


def test_without_a_worker_nothing_is_queued(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_DODO_TIER="2")
    page = world.offer()
    world.block_budget()

    assert world.accept(page) == "limited"

    assert world.attempts(page) == []
    assert world.rows("offer_instances")[0]["state"] == "shown"


def test_no_free_slot_and_no_worker_takes_nothing(world: World) -> None:
    """A queued yes would wait for nobody."""
    page = world.offer()
    for _ in range(8):
        assert world.shop.send_slots.acquire(blocking=False)

    assert world.accept(page) == "limited"

    assert world.attempts(page) == []


def test_no_free_slot_queues_for_the_worker(world: World) -> None:
    page = world.offer()
    world.worker_beats()
    for _ in range(8):
        assert world.shop.send_slots.acquire(blocking=False)

    assert world.accept(page) == "taken"
    assert world.attempt(page).state == "queued"

    charging.send_queued(world.shop)
    assert world.outcome(page) == "charged"


def test_a_rush_that_waits_is_sent_side_by_side(world: World, pass_point: PassPoint) -> None:
    """One after the other, a slow provider would let the last of them wait out their time."""
    world.worker_beats()
    for _ in range(8):
        assert world.shop.send_slots.acquire(blocking=False)
    pages = [world.offer(email="lan@example.com"), world.offer(key=MINH, email="minh@example.com")]
    assert [world.accept(pages[0]), world.accept(pages[1], key=MINH)] == ["taken", "taken"]
    both_written = threading.Barrier(2, timeout=10)

    def wait_for_the_other() -> None:
        pass_point("send.written", both_written.wait)
        both_written.wait()

    pass_point("send.written", wait_for_the_other)

    assert charging.send_queued(world.shop) == 2

    assert [world.outcome(page) for page in pages] == ["charged", "charged"]
    assert [len(world.charges(page)) for page in pages] == [1, 1]


# ---- The send window and the sender -----------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["wall", "wall_back", "steady"])
def test_send_after_the_window_is_withheld(world: World, pass_point: PassPoint, clock: str) -> None:
    """A process that slept must not charge a buyer who was long told something else (charging.md, 1, step 4)."""
    page = world.offer()

    def sleep() -> None:
        world.clock.wall_s += {"wall": 9.0, "wall_back": -9.0, "steady": 0.0}[clock]
        world.clock.steady_s += 9.0 if clock == "steady" else 0.0

    pass_point("send.connected", sleep)

    world.accept(page)

    assert (world.attempt(page).state, world.attempt(page).reason) == ("not_sent", "window")
    assert world.outcome(page) == "needs_checkout"
    assert world.charges(page) == []


def test_sender_counts_as_alive_from_claim_to_answer(world: World, pass_point: PassPoint) -> None:
    """Its own heartbeat must not call a thread gone that is about to send."""
    page = world.offer()
    seen: list[int | None] = []

    def beat() -> None:
        world.shop.presence.beat()
        (attempt,) = attempts.list_attempts(world.shop.store, state="sending", limit=5)
        seen.append(attempt.socket_closed_at)

    pass_point("claim.committed", beat)

    world.accept(page)

    assert seen == [None]
    assert world.outcome(page) == "charged"


def test_webhook_before_the_answer_is_not_overwritten(world: World, pass_point: PassPoint) -> None:
    """The payment was observed while the answer was on its way: settling only adds ids."""
    page = world.offer()
    pass_point("send.answered", world.poll)

    world.accept(page)

    assert world.outcome(page) == "charged"
    assert world.attempt(page).state == "paid"
    assert len(world.rows("payments")) == 2
    assert len(world.messages("receipt")) == 2


def test_full_store_claims_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    page = world.offer()
    monkeypatch.setattr(world.shop.store, "has_room", lambda: False)

    assert world.accept(page) == "unavailable"
    assert world.attempts(page) == []


def test_provider_is_never_called_inside_a_transaction(world: World) -> None:
    budget = world.shop.dodo.budget()

    with world.shop.store.write(), pytest.raises(MoneyMovesInTransaction):
        world.shop.dodo.checkouts.confirm({"confirm": True}, before_first_byte=lambda: True)
    with world.shop.store.write(), pytest.raises(MoneyMovesInTransaction):
        world.shop.dodo.payments.get("pay_1", budget=budget)

    assert world.sandbox.charges() == []


def test_what_was_read_before_a_call_is_read_again_after_it(world: World) -> None:
    page, shop = world.offer(), world.shop
    other = open_store(shop.store.path)

    def state() -> str:
        instance = offer_instances.get_instance(shop.store, page.instance_id)
        assert instance is not None
        return instance.state

    with shop.store.look():
        assert state() == "shown"
        with other.write():
            offer_instances.mark_declined(other, page.instance_id, now=shop.now())
        assert state() == "shown"
        shop.dodo.products.list_all(budget=shop.dodo.budget())
        assert state() == "declined"

    other.close()
