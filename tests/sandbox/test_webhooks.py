"""Delivery: signed, in order, retried by the documented table on the sandbox clock."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sandbox.control.demo import start_over
from sandbox.control.snapshots import restore, save
from sandbox.core.clock import Clock
from sandbox.core.endpoints import set_first_endpoint
from sandbox.core.events import emit, set_modes
from sandbox.core.ids import Ids
from sandbox.core.store import Store
from sandbox.core.twin import Options, Twin
from sandbox.resources import payouts
from sandbox.webhooks.delivery import deliver
from sandbox.webhooks.sender import Answer, Sender
from tests.listener import SECRET, Listener
from tests.sandbox_process import COURSE, SandboxProcess, wait_for

OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLXRlc3Rz"
RETRY_DELAYS_S = [5, 300, 1800, 7200, 18_000, 36_000, 36_000]


@pytest.fixture(scope="module")
def running_listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture
def listener(sandbox: SandboxProcess, running_listener: Listener) -> Listener:
    running_listener.clear()
    sandbox.webhooks(url=running_listener.url, secret=SECRET)
    return running_listener


def wait_for_arrivals(listener: Listener, count: int) -> None:
    wait_for(lambda: len(listener.arrivals) >= count, what=f"{count} arrivals")


def states(sandbox: SandboxProcess) -> list[str]:
    return [event["state"] for event in sandbox.control("deliveries")["events"]]


def test_delivery_is_signed_and_prompt(sandbox: SandboxProcess, listener: Listener) -> None:
    payment = sandbox.buy()

    wait_for_arrivals(listener, 1)

    event = listener.events()[0]
    assert (event["type"], event["data"]["payment_id"]) == ("payment.succeeded", payment["payment_id"])
    wait_for(lambda: states(sandbox) == ["delivered"], what="the delivery")
    delivery = sandbox.deliveries()[0]
    assert (delivery["status"], delivery["try"]) == (204, 1)
    assert delivery["latency_ms"] > 0


def test_signature_keeps_real_time_when_the_clock_moves(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.clock(30 * 86_400)
    payment = sandbox.buy()

    wait_for_arrivals(listener, 1)

    # `events()` verifies, and refuses a timestamp more than five minutes off.
    assert listener.events()[0]["data"]["created_at"] == payment["created_at"]


def test_failed_tries_follow_the_documented_table(sandbox: SandboxProcess, listener: Listener) -> None:
    listener.status = 500
    sandbox.buy()
    wait_for_arrivals(listener, 1)

    for number, delay_s in enumerate(RETRY_DELAYS_S, start=2):
        wait_for(lambda tries=number - 1: tried(sandbox) == tries, what=f"note of try {number - 1}")
        sandbox.clock(delay_s - 2)
        assert len(listener.arrivals) == number - 1
        sandbox.clock(2)
        wait_for_arrivals(listener, number)

    wait_for(lambda: states(sandbox) == ["dead"], what="the end of the tries")
    assert len({arrival.headers["webhook-id"] for arrival in listener.arrivals}) == 1
    assert [delivery["try"] for delivery in sandbox.deliveries()] == list(range(1, 9))


def test_number_of_tries_is_a_switch(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.switch(webhook_tries=10)
    listener.status = 500
    sandbox.buy()

    for number in range(1, 11):
        wait_for(lambda tries=number: tried(sandbox) == tries, what=f"note of try {number}")
        sandbox.clock(36_000)

    assert states(sandbox) == ["dead"]
    assert len(listener.arrivals) == 10


def tried(sandbox: SandboxProcess) -> int:
    return int(sandbox.control("deliveries")["events"][0]["tries"])


def test_body_is_the_state_at_the_time_of_delivery(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(hold=True)
    payment = sandbox.buy(card="4000000000000077")
    sandbox.control("settle", {"payment_id": payment["payment_id"], "status": "succeeded"})

    sandbox.webhooks(hold=False)
    wait_for_arrivals(listener, 2)

    assert [(e["type"], e["data"]["status"]) for e in listener.events()] == [
        ("payment.processing", "succeeded"),
        ("payment.succeeded", "succeeded"),
    ]


def hold_three(sandbox: SandboxProcess) -> list[str]:
    sandbox.webhooks(hold=True)
    return [sandbox.buy()["payment_id"] for _ in range(3)]


@pytest.mark.parametrize("order", ["fifo", "reverse"])
def test_held_events_are_released_in_the_order_asked(sandbox: SandboxProcess, listener: Listener, order: str) -> None:
    bought = hold_three(sandbox)
    assert states(sandbox) == ["held"] * 3

    sandbox.webhooks(hold=False, order=order)
    wait_for_arrivals(listener, 3)

    arrived = [event["data"]["payment_id"] for event in listener.events()]
    assert arrived == (bought if order == "fifo" else bought[::-1])


def test_shuffle_delivers_all_of_them(sandbox: SandboxProcess, listener: Listener) -> None:
    bought = hold_three(sandbox)

    sandbox.webhooks(release=True, order="shuffle")
    wait_for_arrivals(listener, 3)

    assert sorted(event["data"]["payment_id"] for event in listener.events()) == sorted(bought)


def test_release_can_name_the_events(sandbox: SandboxProcess, listener: Listener) -> None:
    hold_three(sandbox)
    last = sandbox.control("deliveries")["events"][-1]

    sandbox.webhooks(release=[last["webhook_id"]])
    wait_for_arrivals(listener, 1)

    assert listener.events()[0]["data"]["payment_id"] == last["object_id"]


def test_dropped_events_never_arrive(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(drop=1)

    sandbox.buy()
    kept = sandbox.buy()
    wait_for_arrivals(listener, 1)

    assert listener.events()[0]["data"]["payment_id"] == kept["payment_id"]
    wait_for(lambda: states(sandbox) == ["dropped", "delivered"], what="both states")


def test_repeat_sends_the_same_id_again(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(repeat=50)

    sandbox.buy()
    wait_for_arrivals(listener, 50)

    assert len({(arrival.headers["webhook-id"], arrival.body) for arrival in listener.arrivals}) == 1


def test_newer_body_comes_under_the_same_id(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(newer_body=1)

    sandbox.buy()
    wait_for_arrivals(listener, 2)

    assert len({arrival.headers["webhook-id"] for arrival in listener.arrivals}) == 1
    assert len({arrival.body for arrival in listener.arrivals}) == 2


def test_bad_signature_is_refused_by_a_verifier(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(bad_signature=True)
    sandbox.buy()
    wait_for_arrivals(listener, 1)

    with pytest.raises(WebhookVerificationError, match="signature"):
        listener.events()


def test_old_timestamp_is_refused_by_a_verifier(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(old_timestamp=1)
    sandbox.buy()
    wait_for_arrivals(listener, 1)

    with pytest.raises(WebhookVerificationError, match="old"):
        listener.events()


def test_rotation_keeps_the_old_secret_for_a_day(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(rotate=OTHER_SECRET)
    sandbox.buy()
    wait_for_arrivals(listener, 1)
    sandbox.clock(86_401)
    sandbox.buy()
    wait_for_arrivals(listener, 2)

    during, after = listener.arrivals
    assert verifies(SECRET, during)
    assert verifies(OTHER_SECRET, during)
    assert verifies(OTHER_SECRET, after)
    assert not verifies(SECRET, after)


def verifies(secret: str, arrival: Any) -> bool:
    try:
        Webhook(secret).verify(arrival.body, arrival.headers)
    except WebhookVerificationError:
        return False
    return True


def test_orders_can_be_for_some_types_only(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(drop=True, types=["payment.failed"])

    sandbox.buy(card="4000000000000002")
    sandbox.buy()
    wait_for_arrivals(listener, 1)

    assert listener.types() == ["payment.succeeded"]


def test_any_event_can_be_sent_for_an_object(sandbox: SandboxProcess, listener: Listener) -> None:
    payment = sandbox.buy()

    sandbox.webhooks(send={"type": "payment.brand_new", "payment_id": payment["payment_id"]})
    wait_for_arrivals(listener, 2)

    assert listener.types() == ["payment.succeeded", "payment.brand_new"]


def test_event_of_an_object_known_by_webhooks_only_can_be_sent(sandbox: SandboxProcess, listener: Listener) -> None:
    payout_id = sandbox.control("triggers", {"type": "payout.created"})["object_id"]

    sandbox.webhooks(send={"type": "payout.on_hold", "payout_id": payout_id})
    wait_for_arrivals(listener, 2)

    assert listener.types() == ["payout.created", "payout.on_hold"]
    assert listener.events()[1]["data"]["payout_id"] == payout_id


def test_delivered_event_can_be_sent_again(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.buy()
    wait_for(lambda: states(sandbox) == ["delivered"], what="the delivery")
    webhook_id = listener.arrivals[0].headers["webhook-id"]

    sandbox.webhooks(again=webhook_id)
    wait_for_arrivals(listener, 2)

    assert listener.arrivals[1].headers["webhook-id"] == webhook_id


def test_redirect_is_a_failure_and_is_not_followed(sandbox: SandboxProcess, listener: Listener) -> None:
    listener.statuses = [302]
    sandbox.buy()

    wait_for(lambda: sandbox.deliveries(), what="the first try")

    wait_for(lambda: tried(sandbox) == 1, what="the note of it")
    assert states(sandbox) == ["due"]
    assert len(listener.arrivals) == 1


def test_shop_that_is_away_gets_the_event_later(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(url="http://127.0.0.1:9/away")
    sandbox.buy()
    wait_for(lambda: tried(sandbox) == 1, what="the first try")
    assert sandbox.deliveries()[0]["error"] == "ConnectionError"

    sandbox.webhooks(url=listener.url)
    sandbox.clock(5)
    wait_for_arrivals(listener, 1)

    assert listener.types() == ["payment.succeeded"]


def test_events_in_a_row_share_a_connection(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.webhooks(repeat=3)
    sandbox.buy()

    wait_for_arrivals(listener, 3)

    assert len({arrival.port for arrival in listener.arrivals}) == 1


def test_shop_that_hangs_up_after_each_answer_gets_every_event_at_its_first_try(
    sandbox: SandboxProcess, listener: Listener
) -> None:
    listener.hangs_up = True
    sandbox.webhooks(hold=True)
    for _ in range(5):
        sandbox.buy()
    sandbox.webhooks(hold=False)

    wait_for(lambda: states(sandbox) == ["delivered"] * 5, what="every delivery")

    assert [delivery["error"] for delivery in sandbox.deliveries()] == [None] * 5
    assert len({arrival.port for arrival in listener.arrivals}) == 5


def test_nothing_is_delivered_without_a_target(sandbox: SandboxProcess) -> None:
    sandbox.buy()

    assert states(sandbox) == ["untargeted"]


def test_unfinished_checkout_announces_nothing(sandbox: SandboxProcess, listener: Listener) -> None:
    sandbox.post("/checkouts", {"product_cart": [{"product_id": COURSE, "quantity": 1}]})

    assert sandbox.control("deliveries") == {"items": [], "events": []}


class SlowShop(Sender):
    """A sender whose answers come after something else has happened."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(timeout_s=10)
        self._meanwhile = meanwhile

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        answer = super().post(url, body, headers)
        self._meanwhile()
        return answer


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    """A sandbox without its process: only so can a test reset it in the middle of a delivery."""
    store = Store(tmp_path / "sandbox.sqlite3")
    yield Twin(store=store, clock=Clock(store), ids=Ids(), options=Options(public_url="http://sandbox.test"))
    store.close()


@pytest.mark.parametrize("status", [204, 500])
@pytest.mark.parametrize("new_world", ["reset", "restore"])
def test_delivery_that_ends_in_a_new_world_leaves_nothing_there(
    twin: Twin, running_listener: Listener, monkeypatch: pytest.MonkeyPatch, new_world: str, status: int
) -> None:
    # Nothing stays open behind the test.
    monkeypatch.setattr("sandbox.webhooks.sender.KEPT_S", 0)
    running_listener.clear()
    running_listener.status = status
    set_first_endpoint(twin, {"url": running_listener.url, "secret": SECRET})
    set_modes(twin, {"repeat": 3})
    payout = payouts.create(twin)
    save(twin, "before")
    webhook_id = emit(twin, "payout.success", kind="payouts", object_id=payout["id"])
    event = dict(twin.store.rows("SELECT * FROM events WHERE webhook_id = :webhook_id", webhook_id=webhook_id)[0])

    shop = SlowShop(lambda: start_over(twin) if new_world == "reset" else restore(twin, "before"))
    deliver(twin, event, shop)
    shop.close_idle()

    assert len(running_listener.arrivals) == 1
    assert twin.store.rows("SELECT * FROM deliveries") == []
    assert [row["tries"] for row in twin.store.rows("SELECT tries FROM events")] == [0] * (new_world == "restore")
