"""A webhook is proven, stored, then answered; what it means is read again from the provider, once, in any order."""

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encore.errors import BadSignature
from encore.services import observe, webhooks
from encore.services.shop import Shop
from encore.store import alarms, attempts, orders, webhook_events
from encore.store.webhook_events import WebhookEvent
from tests.deliveries import event, sign
from tests.sandbox_process import SandboxProcess
from tests.services.world import LAN, MovableClock, World


def deliver(shop: Shop, body: bytes, *, webhook_id: str = "msg_1", **signed: Any) -> str:
    return webhooks.receive(shop, sign(shop, body, webhook_id=webhook_id, **signed), body)


def drain(shop: Shop) -> int:
    done = 0
    while webhooks.process_next(shop):
        done += 1
    return done


def stored(shop: Shop) -> list[WebhookEvent]:
    return webhook_events.list_events(shop.store, state=None, limit=100)


def paid_checkout(world: World) -> tuple[str, dict[str, Any]]:
    """Buy without coming back: the ref, and the payment as the provider has it."""
    ref = world.buy()
    payment_id = world.sandbox.payments()[-1]["id"]
    return ref, world.sandbox.get(f"/payments/{payment_id}")


# ---- At the door -------------------------------------------------------------------------------------------------


def test_a_signed_delivery_is_stored(shop: Shop) -> None:
    assert deliver(shop, event("payment.succeeded", payment_id="pay_1")) == "stored"

    (kept,) = stored(shop)
    assert (kept.webhook_id, kept.event_type, kept.state) == ("msg_1", "payment.succeeded", "received")


def test_the_same_delivery_fifty_times_is_one_row(shop: Shop) -> None:
    body = event("payment.succeeded", payment_id="pay_1")

    for _ in range(50):
        deliver(shop, body)

    assert len(stored(shop)) == 1


def test_a_newer_body_under_the_same_id_is_a_row_of_its_own(shop: Shop) -> None:
    deliver(shop, event("payment.processing", payment_id="pay_1"))
    deliver(shop, event("payment.processing", payment_id="pay_1", status="succeeded"))

    assert len(stored(shop)) == 2


def spoiled_signature(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Webhook-Signature": "v1," + "A" * 43 + "="}


def another_id(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Webhook-Id": "msg_2"}


def without_headers(headers: dict[str, str]) -> dict[str, str]:
    return {}


@pytest.mark.parametrize("spoil", [spoiled_signature, another_id, without_headers])
def test_what_is_not_proven_is_refused_and_stores_nothing(
    shop: Shop, spoil: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    body = event("payment.succeeded", payment_id="pay_1")

    with pytest.raises(BadSignature):
        webhooks.receive(shop, spoil(sign(shop, body)), body)

    assert stored(shop) == []
    assert sum(webhooks.get_rejections(shop).counts.values()) == 1


@pytest.mark.parametrize("age_s", [302, -302])
def test_a_stale_delivery_is_refused(shop: Shop, age_s: float) -> None:
    with pytest.raises(BadSignature):
        deliver(shop, event("payment.succeeded", payment_id="pay_1"), age_s=age_s)


def test_many_stale_deliveries_tell_that_the_clock_is_wrong(shop: Shop) -> None:
    for _ in range(20):
        with pytest.raises(BadSignature):
            deliver(shop, event("payment.succeeded", payment_id="pay_1"), age_s=400)
    assert [alarm.kind for alarm in alarms.list_standing(shop.store)] == ["clock_skew"]

    deliver(shop, event("payment.succeeded", payment_id="pay_1"))

    assert alarms.list_standing(shop.store) == []


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"type":"payment.succeeded"}', b'{"type":"","data":{}}'])
def test_a_signed_body_nobody_can_read_is_a_dead_letter(shop: Shop, body: bytes) -> None:
    deliver(shop, body)

    (kept,) = stored(shop)
    assert (kept.state, kept.event_type) == ("dead", "unreadable")
    assert [alarm.kind for alarm in alarms.list_standing(shop.store)] == ["webhook_dead"]


# ---- What it means -----------------------------------------------------------------------------------------------


def test_every_event_type_of_the_contract_is_known() -> None:
    examples = json.loads(Path("tests/contract/webhook-examples-1.113.0.json").read_text("utf-8"))
    named = set(examples.get("events", examples))

    assert {name for name in named if "." in name} <= webhooks.KNOWN_TYPES
    assert len(webhooks.KNOWN_TYPES) == 48


@pytest.mark.parametrize("event_type", sorted(webhooks.KNOWN_TYPES))
def test_every_event_type_of_the_contract_is_accepted(world: World, event_type: str) -> None:
    deliver(world.shop, event(event_type, payment_id="pay_nobody"))
    drain(world.shop)

    (kept,) = stored(world.shop)
    is_acted_on = event_type.startswith(webhooks.ACTED_ON)
    assert kept.state == ("received" if is_acted_on else "done")
    assert alarms.list_standing(world.shop.store) == []


def test_an_unknown_type_is_kept_and_flagged(shop: Shop) -> None:
    """Proves: R19e"""
    deliver(shop, event("payment.levitated", payment_id="pay_1"))
    drain(shop)

    (kept,) = stored(shop)
    assert (kept.state, kept.note) == ("done", "unknown type")


def test_an_event_grants_the_order_that_was_paid(world: World) -> None:
    """Proves: R20"""
    ref, payment = paid_checkout(world)

    deliver(world.shop, event("payment.succeeded", **payment))
    drain(world.shop)

    assert world.come_back(ref).order is not None
    assert [kept.state for kept in stored(world.shop)] == ["done"]
    assert world.messages("receipt") == [f"receipt:{orders.get_of_payment(world.shop.store, payment['payment_id']).id}"]  # type: ignore[union-attr]


def test_a_body_is_never_believed(world: World) -> None:
    """Proves: R19d"""
    world.buy(card_number="4000000000000002")
    payment = world.sandbox.get(f"/payments/{world.sandbox.payments()[-1]['id']}")
    assert payment["status"] == "failed"

    deliver(world.shop, event("payment.succeeded", **{**payment, "status": "succeeded"}))
    drain(world.shop)

    assert world.rows("orders") == []


def test_a_forged_mark_on_a_real_payment_grants_nothing(world: World) -> None:
    metadata = {"checkout_id": "chk_1", "checkout_sig": "0" * 64}
    payment = world.sandbox.buy(email="eve@example.com", metadata=metadata)

    deliver(world.shop, event("payment.succeeded", **payment))
    drain(world.shop)

    assert world.rows("orders") == []


def test_order_and_repetition_change_nothing(world: World) -> None:
    """Proves: R19c"""
    _, payment = paid_checkout(world)
    kinds = ["payment.processing", "payment.succeeded", "payment.failed", "refund.succeeded", "payment.succeeded"]
    seed = 20260101
    shuffled = random.Random(seed)
    for turn in range(10):
        shuffled.shuffle(kinds)
        for number, kind in enumerate(kinds):
            deliver(world.shop, event(kind, **payment), webhook_id=f"msg_{turn}_{number}")
        drain(world.shop)

    (order,) = world.rows("orders")
    assert order["state"] == "granted", f"seed {seed}"
    assert len(world.messages("receipt")) == 1


def test_a_refund_made_elsewhere_reverses_the_order(world: World) -> None:
    _, payment = paid_checkout(world)
    deliver(world.shop, event("payment.succeeded", **payment))
    drain(world.shop)
    refund = world.sandbox.post("/refunds", {"payment_id": payment["payment_id"]})

    deliver(world.shop, event("refund.succeeded", **refund), webhook_id="msg_2")
    drain(world.shop)

    (order,) = world.rows("orders")
    assert order["state"] == "reversed"


def test_an_event_for_an_unknown_order_waits_and_is_tried_again(world: World) -> None:
    """Proves: R19g"""
    deliver(world.shop, event("payment.succeeded", payment_id="pay_unknown"))

    assert drain(world.shop) == 1
    (kept,) = stored(world.shop)
    assert (kept.state, kept.tries) == ("received", 1)
    world.advance(1.1)
    assert drain(world.shop) == 1
    assert stored(world.shop)[0].tries == 2


def test_after_twelve_tries_it_is_a_dead_letter_and_told(world: World) -> None:
    deliver(world.shop, event("payment.succeeded", payment_id="pay_unknown"))

    tries = 0
    while stored(world.shop)[0].state == "received":
        tries += drain(world.shop)
        world.advance(6 * 3600)

    assert tries == 12
    (kept,) = stored(world.shop)
    assert kept.state == "dead"
    assert [alarm.kind for alarm in alarms.list_standing(world.shop.store)] == ["webhook_dead"]


def test_a_payment_of_another_shop_of_the_merchant_raises_no_alarm(world: World) -> None:
    payment = world.sandbox.buy(email="other@example.com")
    deliver(world.shop, event("payment.succeeded", **payment))

    while stored(world.shop)[0].state == "received":
        drain(world.shop)
        world.advance(6 * 3600)

    (kept,) = stored(world.shop)
    assert (kept.state, kept.note) == ("done", "unknown order")
    assert alarms.list_standing(world.shop.store) == []


def test_a_provider_that_is_away_is_asked_again(world: World) -> None:
    _, payment = paid_checkout(world)
    deliver(world.shop, event("payment.succeeded", **payment))
    world.sandbox.fault("GET /payments/{id}", "status:500", times=1)
    drain(world.shop)
    assert world.rows("orders") == []

    world.advance(1.1)
    drain(world.shop)

    assert len(world.rows("orders")) == 1


def test_a_limit_of_the_provider_counts_as_no_try(world: World) -> None:
    _, payment = paid_checkout(world)
    deliver(world.shop, event("payment.succeeded", **payment))
    world.sandbox.fault("GET /payments/{id}", "status:429", times=50)

    webhooks.process_next(world.shop)

    (kept,) = stored(world.shop)
    assert (kept.state, kept.tries) == ("received", 0)


def test_our_own_fault_does_not_hold_up_other_events(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, payment = paid_checkout(world)

    def stumble(*_: Any, **__: Any) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(observe, "observe_payment", stumble)
    deliver(world.shop, event("payment.succeeded", **payment))
    deliver(world.shop, event("payout.success"), webhook_id="msg_2")

    drain(world.shop)

    assert {kept.webhook_id: kept.state for kept in stored(world.shop)} == {"msg_1": "received", "msg_2": "done"}


def test_another_business_grants_nothing(open_shop_with: Callable[..., World]) -> None:
    """Proves: R19f"""
    world = open_shop_with(DODO_PAYMENTS_BUSINESS_ID="bus_ours")
    _, payment = paid_checkout(world)

    deliver(world.shop, event("payment.succeeded", **payment))
    drain(world.shop)

    (kept,) = stored(world.shop)
    assert (kept.state, kept.note) == ("done", "another business")
    assert world.rows("orders") == []


def test_a_dead_worker_leaves_its_event_to_the_next(shop: Shop, clock: MovableClock) -> None:
    deliver(shop, event("payout.success"))
    with shop.store.write():
        webhook_events.claim_due(shop.store, now=shop.now(), lease_until=shop.now() + 30_000)
    assert not webhooks.process_next(shop)

    clock.wall_s += 31

    assert webhooks.process_next(shop)
    assert stored(shop)[0].state == "done"


def test_two_workers_process_each_event_once(world: World) -> None:
    _, payment = paid_checkout(world)
    for number in range(10):
        deliver(world.shop, event("payment.succeeded", **payment), webhook_id=f"msg_{number}")

    workers = [threading.Thread(target=drain, args=(world.shop,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert {kept.tries for kept in stored(world.shop)} == {1}
    assert len(world.rows("orders")) == 1


def test_a_dead_letter_can_be_processed_again(world: World) -> None:
    _, payment = paid_checkout(world)
    deliver(world.shop, event("payment.succeeded", **payment))
    (kept,) = stored(world.shop)
    with world.shop.store.write():
        webhook_events.mark_state(world.shop.store, kept, state="dead", note="x", now=world.shop.now())

    (again,) = webhooks.process(world.shop, "msg_1")

    assert again.state == "done"
    assert len(world.rows("orders")) == 1


def test_the_worker_prepares_the_page_of_a_buyer_who_is_not_back_yet(world: World) -> None:
    """The return page then makes no provider call."""
    ref, payment = paid_checkout(world)
    deliver(world.shop, event("payment.succeeded", **payment))
    drain(world.shop)
    before = len(world.sandbox.requests())

    assert world.offered(ref).state == "offer"

    assert len(world.sandbox.requests()) == before


def test_a_webhook_that_names_an_attempt_forbids_calling_it_absent(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", effect="before", times=1)
    world.accept(page)
    attempt = world.attempt(page)
    payment = world.sandbox.get(f"/payments/{world.sandbox.payments()[-1]['id']}")

    deliver(world.shop, event("payment.succeeded", **payment))

    named = attempts.get_attempt(world.shop.store, attempt.id)
    assert named is not None
    assert named.webhook_named_at is not None


def test_a_forged_mark_names_no_attempt(world: World) -> None:
    page = world.offer()
    world.sandbox.fault("POST /checkouts", "reset", times=1)
    world.accept(page)
    attempt = world.attempt(page)
    metadata = {"attempt_id": attempt.id, "attempt_sig": "0" * 64}
    customer = {"customer_id": world.acceptance(page).customer_id}

    deliver(world.shop, event("payment.succeeded", payment_id="pay_1", metadata=metadata, customer=customer))

    same = attempts.get_attempt(world.shop.store, attempt.id)
    assert same is not None
    assert same.webhook_named_at is None


def test_the_sandboxes_own_deliveries_verify(world: World, sandbox: SandboxProcess) -> None:
    """What really arrives is signed with the shared key; here it is only taken from the sandbox's log."""
    world.buy(key=LAN)
    assert all(webhook["type"] in webhooks.KNOWN_TYPES for webhook in sandbox.deliveries())
