"""More was charged for dues than the page had named: it stands, the plan runs, and what is too much goes back once."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from encore.dodo.answers import NotSent
from encore.services import refunds
from encore.services.dues_pages import DuesPage
from encore.services.kinds import dues as kinds
from encore.store.subscriptions import Subscription
from tests.services.conftest import Open
from tests.services.plans import usd
from tests.services.points import PassPoint
from tests.services.test_dues import UPDATE, glance, on_hold, page, pay, settle_quietly
from tests.services.test_dues_owners import alarms, charge
from tests.services.world import World

SEND = "POST /refunds"


def overcharged(world: World) -> tuple[Subscription, DuesPage]:
    """Pay dues of 30, of which the provider's list had said 20."""
    row = on_hold(world)
    seen = kinds.seen
    with patch.object(kinds, "seen", lambda item: replace(seen(item), amount=usd(2000))):
        return row, pay(world, row)


def refund(world: World) -> dict[str, Any]:
    (found,) = [row for row in world.rows("refunds") if row["reason"] != "external"]
    return found


def given(world: World) -> list[int]:
    """Return what the provider has given back."""
    return [one["amount"] for one in world.sandbox.get("/refunds")["items"] if one["status"] == "succeeded"]


def requests(world: World) -> list[Any]:
    return world.sandbox.requests("POST", "/refunds")


def work(world: World, *, times: int = 3) -> None:
    """Let the worker look at refunds as often as it would within a minute or so."""
    for _ in range(times):
        world.tidy()
        world.clock.wall_s += 20


@pytest.mark.criterion("R26b")
def test_what_is_too_much_goes_back_and_the_plan_runs(world: World) -> None:
    row, paid = overcharged(world)
    assert (paid.state, paid.paid, paid.given_back) == ("recovered", usd(3000), usd(1000))
    assert world.breaches() == ()

    work(world)

    (sent,) = requests(world)
    assert [item["amount"] for item in sent["body"]["items"]] == [1000]
    assert (given(world), refund(world)["state"]) == ([1000], "done")
    assert (world.subscription(row.id).status, world.rows("orders")[-1]["state"]) == ("active", "granted")
    assert alarms(world) == {"dues_overcharged"}
    assert glance(world, paid.dues_id).given_back == usd(1000)
    assert set(world.breaches()) <= {"I4"}


def test_an_answer_lost_after_the_refund_is_found_and_not_made_again(world: World) -> None:
    overcharged(world)
    world.sandbox.fault(SEND, "reset", effect="before")

    work(world)

    assert (len(requests(world)), given(world), refund(world)["state"]) == (1, [1000], "done")
    assert set(world.breaches()) <= {"I4"}


def test_a_refund_without_an_answer_or_a_trace_is_a_persons_and_never_sent_again(world: World) -> None:
    _, paid = overcharged(world)
    world.sandbox.fault(SEND, "reset", effect="none")

    world.tidy()
    assert refund(world)["state"] == "unknown"
    work(world)

    assert (len(requests(world)), given(world), refund(world)["state"]) == (1, [], "manual")
    assert alarms(world) == {"dues_overcharged", "refund_needs_person"}
    assert glance(world, paid.dues_id).given_back is None
    assert "I12" in world.breaches()


def test_the_audit_is_silent_while_a_refund_waits_for_its_trace_as_long_as_it_does_live(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_QUARANTINE_S="900")
    overcharged(world)
    world.sandbox.fault(SEND, "reset", effect="none")
    waited_s = 0

    world.tidy()
    while refund(world)["state"] == "unknown":
        assert set(world.breaches()) <= {"I4"}
        world.clock.wall_s += 60
        waited_s += 60
        world.tidy()

    assert (refund(world)["state"], len(requests(world)), 900 <= waited_s <= 1260) == ("manual", 1, True)


def test_of_two_workers_that_have_both_read_the_payment_one_sends(world: World) -> None:
    """The first is paused for longer than its lease between its last look and its request."""
    overcharged(world)
    read_lines = world.shop.dodo.payments.get_lines

    def pause(*args: Any, **more: Any) -> Any:
        found = read_lines(*args, **more)
        with patch.object(world.shop.dodo.payments, "get_lines", read_lines):
            world.clock.wall_s += 31
            world.tidy()
        return found

    with patch.object(world.shop.dodo.payments, "get_lines", pause):
        world.tidy()
    work(world)

    assert (len(requests(world)), given(world), refund(world)["state"]) == (1, [1000], "done")
    assert alarms(world) == {"dues_overcharged"}


def test_a_worker_that_wakes_an_hour_later_sends_nothing_beside_what_a_person_has_given_back(
    world: World, pass_point: PassPoint
) -> None:
    _, paid = overcharged(world)

    def sleep() -> None:
        world.clock.steady_s += 3600
        world.clock.wall_s += 3600
        world.tidy()
        world.sandbox.control("refunds", {"payment_id": refund(world)["payment_id"], "amount": 1000})

    pass_point("refund.due_committed", sleep)
    work(world)
    world.poll()

    assert (requests(world), given(world), refund(world)["state"]) == ([], [1000], "manual")
    assert glance(world, paid.dues_id).given_back == usd(1000)


def test_a_refund_that_an_event_showed_as_anothers_is_ours_by_its_answer(world: World, pass_point: PassPoint) -> None:
    """The event came before the answer, and told the sum in the merchant's currency."""
    overcharged(world)

    def hear_of_it() -> None:
        with patch.object(refunds, "_is_trace", lambda *_: False):
            world.poll()
        assert [row["reason"] for row in world.rows("refunds")] == ["dues_overcharged", "external"]

    pass_point("refund.posted", hear_of_it)
    work(world)

    (row,) = world.rows("refunds")
    assert (row["reason"], row["state"], given(world)) == ("dues_overcharged", "done", [1000])
    assert (alarms(world), set(world.breaches()) <= {"I4"}) == ({"dues_overcharged"}, True)


def test_of_what_the_providers_own_try_takes_nothing_goes_back_by_itself(world: World) -> None:
    """It counts as the dues, but nobody here has asked for it, and the card is the one of before."""
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")
    seen = kinds.seen
    with patch.object(kinds, "seen", lambda item: replace(seen(item), amount=usd(2000))):
        waiting = pay(world, row)
    charge(world, row, row.payment_method_id)
    world.poll()

    paid = page(world, waiting.dues_id)

    assert (paid.state, paid.paid, paid.given_back) == ("recovered", usd(3000), None)
    assert world.rows("refunds") == []
    (told,) = world.rows("alarms")
    assert (told["kind"], "not refunded" in told["detail"]) == ("dues_overcharged", True)


@pytest.mark.parametrize("fault", ["status:429:RATE_LIMITED", "no_server"])
def test_a_refund_that_was_not_executed_is_sent_again(world: World, fault: str) -> None:
    overcharged(world)
    if fault == "no_server":
        with patch.object(world.shop.dodo.refunds, "create", lambda body, **more: NotSent("connect")):
            world.tidy()
    else:
        world.sandbox.fault(SEND, fault)
        world.tidy()
    assert (refund(world)["state"], refund(world)["post_count"], given(world)) == ("due", 0, [])

    work(world)

    assert (given(world), refund(world)["state"]) == ([1000], "done")


@pytest.mark.parametrize("spoil", ["no parts", "refused", "elsewhere"])
def test_what_cannot_go_back_by_itself_is_a_persons(world: World, spoil: str) -> None:
    overcharged(world)
    payment_id = str(refund(world)["payment_id"])
    match spoil:
        case "no parts":
            world.sandbox.switch(partial_refunds=False)
        case "refused":
            world.sandbox.fault(SEND, "status:422:REFUND_WINDOW_EXPIRED")
        case _:
            world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 500})

    work(world)
    settle_quietly(world)

    assert refund(world)["state"] == "manual"
    assert "refund_needs_person" in alarms(world)
    assert given(world) == ([500] if spoil == "elsewhere" else [])
    assert len(requests(world)) == (1 if spoil == "refused" else 0)
