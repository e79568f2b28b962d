"""Whoever presses whatever at the same instant: one charge at most, one outcome, no 5xx (proof.md, group 8)."""

import random
import time
from collections.abc import Callable
from functools import partial

from encore.services import charging, funnels
from encore.services.shop import SEND_SLOTS
from encore.store import offer_instances
from tests.concurrency.crowd import Crowd, Offered, Tab, at_once, in_waves
from tests.sandbox_process import BUNDLE
from tests.services.world import CONSENT, World

POSTER = """
[[offers]]
id = "poster-{number}"
role = "upsell"
product = "poster-{number}"
title = {{ en = "Poster", vi = "Áp phích" }}

[[funnels]]
id = "poster-{number}"
priority = {priority}
[[funnels.steps]]
key = "poster"
offer = "poster-{number}"
"""
ACCEPT = "offer-accept"
DECLINE = "offer-decline"


def press(tab: Tab, hook: str = ACCEPT) -> Callable[[], int]:
    return partial(tab.press, hook)


def later(act: Callable[[], int], delay_s: float) -> Callable[[], int]:
    """The same act a little later: races are lost at different places."""

    def wait_and_act() -> int:
        _spin(delay_s)
        return act()

    return wait_and_act


def _spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        time.sleep(0)


def outcomes(world: World, offered: list[Offered]) -> list[str]:
    return [world.outcome(one.page) for one in offered if world.attempts(one.page)]


def test_six_clicks_from_two_tabs_charge_once(crowd: Crowd) -> None:
    """R6d"""
    offered = crowd.offers(32, name="clicks")
    races = [[press(tab) for tab in tabs for _ in range(3)] for tabs in crowd.tabs(offered)]

    statuses = in_waves(races)

    crowd.check(statuses)
    assert set(statuses) == {303}
    assert outcomes(crowd.world, offered) == ["charged"] * 32
    assert all(len(crowd.world.charges(one.page)) == 1 for one in offered)


def test_fifty_posts_of_one_acceptance_charge_once(crowd: Crowd) -> None:
    """R6d"""
    (one,) = crowd.offers(1, name="fifty")
    (tabs,) = crowd.tabs([one])

    statuses = at_once([press(tabs[index % 2]) for index in range(50)])

    crowd.check(statuses)
    assert set(statuses) == {303}
    assert len(crowd.world.charges(one.page)) == 1
    assert crowd.world.outcome(one.page) == "charged"


def test_two_orders_offering_one_product_charge_once(crowd: Crowd) -> None:
    """R6d: two instances, two browsers, one customer."""
    pairs = [crowd.offers(2, name=f"pair{index}", same_customer=True) for index in range(12)]
    races = [[press(crowd.tab(first, door=0)), press(crowd.tab(second, door=1))] for first, second in pairs]

    statuses = in_waves(races)

    crowd.check(statuses)
    for first, second in pairs:
        assert len(crowd.world.charges(first.page)) + len(crowd.world.charges(second.page)) == 1


def test_yes_against_no_has_one_answer(crowd: Crowd) -> None:
    """R36a: the same compare-and-set decides both."""
    offered = crowd.offers(24, name="yesno")
    races = [[press(yes), press(no, DECLINE), press(yes)] for yes, no in crowd.tabs(offered)]

    statuses = in_waves(races)

    crowd.check(statuses)
    for one in offered:
        is_declined = crowd.world.shop.store.row(
            "SELECT offer_id FROM suppressions WHERE offer_instance_id = :id", id=one.page.instance_id
        )
        assert len(crowd.world.charges(one.page)) == (0 if is_declined else 1)


def test_yes_against_expiry_has_one_answer(crowd: Crowd) -> None:
    offered = crowd.offers(12, name="late")
    tabs = crowd.tabs(offered)
    seeded = random.Random(8)
    store = crowd.world.shop.store
    with store.write():
        for one in offered:
            at = crowd.world.shop.now() + 300 + seeded.randrange(200)
            store.run("UPDATE offer_instances SET expires_at = :at WHERE id = :id", at=at, id=one.page.instance_id)

    statuses = in_waves([[later(press(tab), 0.3 + seeded.random() * 0.25) for tab in pair] for pair in tabs])

    crowd.check(statuses)
    for one in offered:
        instance = offer_instances.get_instance(store, one.page.instance_id)
        assert instance is not None
        assert len(crowd.world.charges(one.page)) == int(instance.state == "accepted")


def test_yes_against_a_price_change_never_costs_more(crowd: Crowd) -> None:
    """N1: the price asked again, the price charged and the price refunded agree with what was shown."""
    offered = crowd.offers(12, name="price")
    tabs = crowd.tabs(offered)
    higher = offered[0].page.quote.subtotal.minor + 700

    def reprice() -> int:
        crowd.world.reprice(BUNDLE, higher)
        return 200

    try:
        statuses = at_once([*(press(tab) for pair in tabs for tab in pair), reprice])
        crowd.check(statuses)
    finally:
        crowd.world.reprice(BUNDLE, higher - 700)
    shown = offered[0].page.quote.total.minor
    kept = {row["acceptance_id"]: row for row in crowd.world.rows("payments") if row["disposition"] == "kept"}
    for one in offered:
        assert len(crowd.world.charges(one.page)) == len(crowd.world.attempts(one.page))
        if crowd.world.attempts(one.page) and crowd.world.outcome(one.page) == "charged":
            assert kept[crowd.world.acceptance(one.page).id]["amount"] == shown


def test_yes_against_switching_off_has_one_answer(crowd: Crowd) -> None:
    """P12"""
    offered = crowd.offers(12, name="pause")
    tabs = crowd.tabs(offered)

    def pause() -> int:
        _spin(0.05)
        funnels.set_state(crowd.world.shop, ["complete-bundle"], state="paused")
        return 200

    try:
        statuses = at_once([*(press(tab) for pair in tabs for tab in pair), pause])
        crowd.check(statuses)
        assert all(len(crowd.world.charges(one.page)) == len(crowd.world.attempts(one.page)) for one in offered)
    finally:
        funnels.set_state(crowd.world.shop, ["complete-bundle"], state="live")


def test_ten_offers_at_once_stay_within_the_daily_number(crowd: Crowd) -> None:
    """R10f: three one-click charges a customer and day, however many tabs."""
    offered = [_offer_another_product(crowd, number) for number in range(10)]
    try:
        statuses = at_once([press(crowd.tab(one, door=index % 2)) for index, one in enumerate(offered)])
        crowd.check(statuses)
    finally:
        funnels.set_state(crowd.world.shop, [f"poster-{number}" for number in range(10)], state="paused")

    assert sum(len(crowd.world.charges(one.page)) for one in offered) == 3
    assert sorted(crowd.world.outcome(one.page) for one in offered) == ["charged"] * 3 + ["needs_checkout"] * 7


def _offer_another_product(crowd: Crowd, number: int) -> Offered:
    """Let the same customer be offered a product that no other order offers."""
    crowd.world.sell(f"Poster {number}", 1_500)
    crowd.world.publish(POSTER.format(number=number, priority=100 + number))
    (offered,) = crowd.offers(1, name="greedy", same_customer=True)
    return offered


def test_two_workers_send_each_queued_yes_once(crowd: Crowd) -> None:
    offered = crowd.offers(12, name="queue")
    for _ in range(SEND_SLOTS):
        assert crowd.world.shop.send_slots.acquire(blocking=False)
    try:
        for one in offered:
            result = charging.accept(
                crowd.world.shop,
                one.page.instance_id,
                buyer_key=_key_of(crowd.world, one),
                quote_hash=one.page.quote_hash,
                consent=CONSENT,
            )
            assert result == "taken"
        # Beside the worker that runs, four more hands at the same queue.
        at_once([partial(charging.send_queued, crowd.world.shop) for _ in range(4)])
    finally:
        for _ in range(SEND_SLOTS):
            crowd.world.shop.send_slots.release()

    crowd.check([])
    assert all(len(crowd.world.charges(one.page)) == 1 for one in offered)
    assert outcomes(crowd.world, offered) == ["charged"] * 12


def _key_of(world: World, offered: Offered) -> str:
    instance = offer_instances.get_instance(world.shop.store, offered.page.instance_id)
    assert instance is not None
    return instance.buyer_key


def test_both_tabs_open_one_checkout(crowd: Crowd) -> None:
    """R24c: after a card decline, two tabs at once lead to one session."""
    offered = crowd.offers(8, name="fallback")
    for one in offered:
        crowd.world.sandbox.next_payment("failed", "GENERIC_DECLINE")
        charging.accept(
            crowd.world.shop,
            one.page.instance_id,
            buyer_key=_key_of(crowd.world, one),
            quote_hash=one.page.quote_hash,
            consent=CONSENT,
        )
    races = [[press(tab, "go-to-checkout") for tab in pair] for pair in crowd.tabs(offered)]

    statuses = in_waves(races)

    crowd.check(statuses)
    assert set(statuses) == {303}
    for one in offered:
        hosted = [attempt for attempt in crowd.world.attempts(one.page) if attempt.kind == "hosted"]
        assert [attempt.state for attempt in hosted] == ["hosted_open"]
