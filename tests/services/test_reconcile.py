"""Settling what is unknown: found by its mark, or absent by four signs together, never by time (charging.md, 5)."""

import json

import pytest

from encore.services import bookkeeping, reconcile, webhooks
from encore.services.pages import OfferPage
from encore.store import alarms, attempts, offer_instances
from encore.store.offer_instances import OfferInstance
from tests.deliveries import sign
from tests.sandbox_process import BUNDLE, wait_for
from tests.services.conftest import Open
from tests.services.world import MINH, TEMPLATES_FIRST, World

CONFIRM = "POST /checkouts"
LIST = "GET /payments"


def lost(world: World, *, effect: str = "none") -> OfferPage:
    """A yes whose answer was lost; `none`: nothing was charged, `before`: it was."""
    page = world.offer()
    world.sandbox.fault(CONFIRM, "reset", effect=effect)
    world.accept(page)
    assert world.attempt(page).state == "unknown"
    return page


def watch(world: World, *, looks: int, each_s: float) -> None:
    """Look again and again, this long apart on the worker's steady clock."""
    for _ in range(looks):
        world.look()
        world.clock.steady_s += each_s


def patient(open_shop_with: Open) -> World:
    """A world whose quarantine no test lives through by accident."""
    return open_shop_with(ENCORE_QUARANTINE_S="100")


# ---- Found ------------------------------------------------------------------------------------------------------


def test_lost_charge_is_found_by_its_mark(world: World) -> None:
    """N2"""
    page = lost(world, effect="before")

    world.look()

    assert world.outcome(page) == "charged"
    assert (len(world.charges(page)), len(world.standing(BUNDLE))) == (1, 1)
    assert world.messages("outcome_paid") == [f"outcome_paid:{world.attempt(page).id}"]
    assert world.breaches() == ()


def test_buyer_who_asks_settles_it_at_once(world: World) -> None:
    page = lost(world, effect="before")

    assert world.page(page).state == "receipt"


def test_charge_of_another_offer_is_not_taken_for_this_one(world: World) -> None:
    other = world.offer(key=MINH)
    world.accept(other, key=MINH)
    world.publish(TEMPLATES_FIRST)
    page = lost(world)

    world.look()

    assert world.attempt(page).state == "unknown"


def test_late_charge_is_honoured_while_the_buyer_still_wants_it(world: World) -> None:
    """Absent, and then it is there after all: without another payment it is the buyer's yes."""
    page = lost(world, effect="late:1.5")
    watch(world, looks=8, each_s=1)
    assert world.outcome(page) == "needs_checkout"

    wait_for(lambda: world.standing(BUNDLE), what="the late charge")
    world.poll()

    assert world.outcome(page) == "charged"
    assert len(world.standing(BUNDLE)) == 1
    assert world.breaches() == ()


def test_late_charge_goes_back_when_the_checkout_was_paid(world: World) -> None:
    """The limit that charging.md names: found, and refunded once."""
    page = lost(world, effect="late:1.5")
    watch(world, looks=8, each_s=1)
    world.pay_at(world.open_checkout(page))
    world.look()

    wait_for(lambda: len(world.standing(BUNDLE)) == 2, what="the late charge")
    world.poll()
    world.tidy()

    assert len(world.standing(BUNDLE)) == 1
    assert [row["state"] for row in world.rows("refunds")] == ["done"]
    assert world.breaches() == ()


# ---- Absent -----------------------------------------------------------------------------------------------------


def test_uncharged_yes_becomes_absent_and_is_told_once(world: World) -> None:
    """R24c: and only then is there another way to pay."""
    page = lost(world)

    watch(world, looks=8, each_s=1)

    assert (world.attempt(page).state, world.outcome(page)) == ("absent", "needs_checkout")
    assert world.page(page).state == "not_charged"
    assert world.messages("outcome_not_charged") == [f"outcome_not_charged:{world.attempt(page).id}"]
    assert world.open_checkout(page)
    assert len(world.charges(page)) == 1
    assert world.breaches() == ()


def test_four_misses_prove_nothing(world: World) -> None:
    page = lost(world)

    watch(world, looks=4, each_s=60)

    assert (world.attempt(page).state, world.attempt(page).clean_misses) == ("unknown", 4)


def test_misses_without_the_quiet_time_prove_nothing(open_shop_with: Open) -> None:
    world = patient(open_shop_with)
    page = lost(world)

    watch(world, looks=9, each_s=10)
    assert world.attempt(page).state == "unknown"

    watch(world, looks=3, each_s=10)
    assert world.attempt(page).state == "absent"


def test_wall_clock_is_no_quiet_time(open_shop_with: Open) -> None:
    world = patient(open_shop_with)
    page = lost(world)

    for _ in range(10):
        world.look()
        world.clock.wall_s += 3600

    assert world.attempt(page).state == "unknown"
    assert world.attempt(page).quiet_ms < 60_000


def test_quiet_time_is_only_what_one_worker_watched(open_shop_with: Open) -> None:
    """A restart between two looks is a gap nobody has watched."""
    world = patient(open_shop_with)
    page = lost(world)

    for _ in range(10):
        world.quarantine = reconcile.Quarantine()
        world.look()
        world.clock.steady_s += 60

    assert (world.attempt(page).state, world.attempt(page).quiet_ms) == ("unknown", 0)


def test_list_that_lags_is_no_miss(world: World) -> None:
    """It lacks a payment that we know, so it may lack the one we look for."""
    page = lost(world, effect="before")
    world.sandbox.control("lists", {"lag_s": 300})

    watch(world, looks=8, each_s=60)
    assert (world.attempt(page).state, world.attempt(page).clean_misses) == ("unknown", 0)

    world.sandbox.control("lists", {"lag_s": 0})
    world.look()
    assert world.outcome(page) == "charged"


@pytest.mark.parametrize("fault", ["status:503", "truncated", "html", "wrong_type"])
def test_look_without_a_whole_answer_is_no_miss(world: World, fault: str) -> None:
    page = lost(world)
    watch(world, looks=3, each_s=1)
    before = world.attempt(page).clean_misses

    world.sandbox.fault(LIST, fault, times=10)
    world.look()

    assert world.attempt(page).clean_misses == before
    assert world.attempt(page).state == "unknown"


def test_gap_in_the_watch_starts_the_quiet_time_anew(open_shop_with: Open) -> None:
    world = patient(open_shop_with)
    page = lost(world)
    watch(world, looks=2, each_s=30)
    quiet_ms = world.attempt(page).quiet_ms

    world.sandbox.fault(LIST, "reset", times=10)
    world.look()
    world.sandbox.clear_faults()
    world.clock.steady_s += 90
    world.look()

    assert world.attempt(page).quiet_ms == quiet_ms


def test_looks_that_the_buyer_asks_for_prove_nothing(world: World) -> None:
    page = lost(world)

    for _ in range(8):
        world.page(page)
        world.clock.steady_s += 60

    assert (world.attempt(page).state, world.attempt(page).clean_misses) == ("unknown", 0)


def test_webhook_that_names_the_attempt_bars_absent(world: World) -> None:
    page = lost(world)
    acceptance, attempt = world.acceptance(page), world.attempt(page)
    metadata = bookkeeping.attribution(
        world.shop, _instance(world, page), role="upsell", attempt_id=attempt.id, customer_id=acceptance.customer_id
    )
    data = {"payload_type": "Payment", "payment_id": "pay_1", "metadata": metadata}
    body = {
        "type": "payment.processing",
        "business_id": "bus_1",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {**data, "customer": {"customer_id": acceptance.customer_id}},
    }
    raw = json.dumps(body).encode()
    webhooks.receive(world.shop, sign(world.shop, raw), raw)

    watch(world, looks=12, each_s=60)

    assert world.attempt(page).webhook_named_at is not None
    assert (world.attempt(page).state, world.outcome(page)) == ("unknown", "open")


def _instance(world: World, page: OfferPage) -> OfferInstance:
    found = offer_instances.get_instance(world.shop.store, page.instance_id)
    assert found is not None
    return found


def test_sender_in_a_living_process_bars_absent(world: World) -> None:
    page = lost(world)
    with world.shop.store.write():
        world.shop.store.run("UPDATE attempts SET socket_closed_at = NULL")

    with world.shop.presence.sending(world.attempt(page).id):
        watch(world, looks=12, each_s=60)

    assert (world.attempt(page).state, world.outcome(page)) == ("unknown", "open")


# ---- Under way --------------------------------------------------------------------------------------------------


def test_send_that_never_came_back_is_unknown_after_a_while(world: World) -> None:
    page = lost(world)
    with world.shop.store.write():
        world.shop.store.run("UPDATE attempts SET state = 'sending', socket_closed_at = NULL")

    with world.shop.presence.sending(world.attempt(page).id):
        world.look()
        assert world.attempt(page).state == "sending"
        world.advance(26)
        world.look()

    assert world.attempt(page).state == "unknown"


def test_dead_process_ends_its_sends(world: World) -> None:
    page = lost(world)
    with world.shop.store.write():
        world.shop.store.run("UPDATE attempts SET state = 'sending', socket_closed_at = NULL, sender_id = 'proc_gone'")

    world.look()

    assert (world.attempt(page).state, world.attempt(page).socket_closed_at is not None) == ("unknown", True)


def test_one_look_at_a_time(world: World) -> None:
    page = lost(world)
    now = world.shop.now()
    with world.shop.store.write():
        assert attempts.claim_lease(world.shop.store, world.attempt(page).id, now=now, until=now + 30_000)
    asked = len(world.sandbox.requests("GET", "/payments"))

    world.look()
    assert len(world.sandbox.requests("GET", "/payments")) == asked

    world.advance(31)
    world.look()
    assert len(world.sandbox.requests("GET", "/payments")) == asked + 1


def test_unknown_for_an_hour_raises_one_alarm(open_shop_with: Open) -> None:
    world = patient(open_shop_with)
    lost(world)
    world.clock.wall_s += 3601

    world.look()
    world.look()

    assert [row["kind"] for row in world.rows("alarms")] == ["unknown_too_old"]
    assert len(world.messages("alarm")) == 1


def test_alarm_of_an_unknown_ends_when_it_is_known(open_shop_with: Open) -> None:
    world = patient(open_shop_with)
    page = lost(world, effect="before")
    world.sandbox.lists(outage=True)
    world.clock.wall_s += 3601
    world.look()
    assert [alarm.kind for alarm in alarms.list_standing(world.shop.store)] == ["unknown_too_old"]

    world.sandbox.lists(outage=False)
    world.look()

    assert world.outcome(page) == "charged"
    assert alarms.list_standing(world.shop.store) == []


def test_poll_alone_reaches_the_same_end(world: World) -> None:
    """R19c: no webhook, no look, no buyer."""
    page = lost(world, effect="before")

    world.poll()

    assert world.outcome(page) == "charged"
    assert world.breaches() == ()


def test_poll_reads_only_what_is_news(world: World) -> None:
    world.accept(world.offer())
    world.poll()
    asked = len(world.sandbox.requests())

    world.poll()

    lists = ["/payments", "/refunds", "/disputes", "/subscriptions", "/license_keys"]
    assert [request["path"] for request in world.sandbox.requests()[asked:]] == lists


def test_payments_of_others_are_left_alone(world: World) -> None:
    """The account may sell elsewhere too."""
    world.sandbox.buy(email="stranger@example.com")

    world.poll()

    assert (world.rows("payments"), world.rows("orders")) == ([], [])
    assert world.breaches() == ()
