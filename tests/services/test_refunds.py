"""Money back: ours once, others' counted, and what needs a person (charging.md, section 6)."""

from typing import Any

import pytest

from encore.rules.money import Money
from encore.services import observe, refunds
from encore.services.pages import OfferPage, ReturnPage
from encore.services.return_page import order_page
from encore.store import alarms
from tests.services.world import DAY_S, LAN, World

SEND = "POST /refunds"


def charged(world: World) -> tuple[OfferPage, str]:
    """An offer that was paid, and its payment."""
    page = world.offer()
    world.accept(page)
    assert world.outcome(page) == "charged"
    return page, str(world.attempt(page).provider_payment_id)


def overcharged(world: World) -> tuple[OfferPage, str]:
    """A payment that we owe back in full."""
    page = world.offer()
    world.accept_as_price_moves(page, page.quote.subtotal.minor + 500)
    assert world.outcome(page) == "refunded"
    return page, str(world.attempt(page).provider_payment_id)


def read(world: World, payment_id: str) -> None:
    observe.observe_payment(world.shop, payment_id, budget=world.shop.dodo.budget())


def refund(world: World) -> dict[str, Any]:
    """The one refund row of ours."""
    (row,) = [row for row in world.rows("refunds") if row["reason"] != "external"]
    return row


def order_of(world: World, page: OfferPage) -> ReturnPage:
    """The buyer's own page of the order and all its payments."""
    return order_page(world.shop, page.order.ref, buyer_key=LAN, language="en")


def access(world: World) -> list[bool]:
    return [row["revoked_at"] is None for row in world.rows("entitlements")]


# ---- Begun elsewhere --------------------------------------------------------------------------------------------


def test_full_refund_elsewhere_reverses_order_and_access(world: World) -> None:
    """R20"""
    page, payment_id = charged(world)

    world.sandbox.control("refunds", {"payment_id": payment_id})
    read(world, payment_id)
    read(world, payment_id)

    assert world.outcome(page) == "refunded"
    assert [row["state"] for row in world.rows("orders")] == ["granted", "reversed"]
    assert access(world) == [True, False]
    assert world.messages("refund_done") == [f"refund_done:{payment_id}"]
    assert [row["reason"] for row in world.rows("refunds")] == ["external"]
    assert world.breaches() == ()


def test_partial_refund_elsewhere_changes_amounts_only(world: World) -> None:
    """R20"""
    page, payment_id = charged(world)

    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 500})
    read(world, payment_id)

    assert (world.outcome(page), access(world)) == ("charged", [True, True])
    (row,) = [row for row in world.rows("payments") if row["id"] == payment_id]
    assert row["refunded"] == 500
    line = order_of(world, page).payments[1]
    assert (line.state, line.refunded) == ("paid", Money(500, "USD"))
    first = order_of(world, page).payments[0].amount
    assert order_of(world, page).today == (first + line.amount - Money(500, "USD"),)
    assert world.messages("refund_done") == []
    assert world.breaches() == ()


def test_rest_refunded_elsewhere_reverses_the_order(world: World) -> None:
    page, payment_id = charged(world)
    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 500})
    read(world, payment_id)

    world.sandbox.control("refunds", {"payment_id": payment_id})
    read(world, payment_id)

    assert (world.outcome(page), access(world)) == ("refunded", [True, False])
    assert len(world.messages("refund_done")) == 1
    assert world.breaches() == ()


def test_refund_elsewhere_is_found_without_a_webhook(world: World) -> None:
    page, payment_id = charged(world)
    world.sandbox.control("refunds", {"payment_id": payment_id})

    world.poll()

    assert world.outcome(page) == "refunded"


def test_second_partial_refund_is_found_without_a_webhook(world: World) -> None:
    """R19c: a list of payments says "partial" both times, so the list of refunds is read too."""
    page, payment_id = charged(world)
    amount = page.quote.total.minor
    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 100})
    world.poll()

    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 200})
    world.poll()
    assert [row["refunded"] for row in world.rows("payments") if row["id"] == payment_id] == [300]

    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": amount - 300})
    world.poll()
    assert world.outcome(page) == "refunded"
    assert world.breaches() == ()


def test_refund_that_ends_long_after_is_found_without_a_webhook(world: World) -> None:
    page, payment_id = charged(world)
    world.sandbox.control("switches", {"refund_outcome": "pending"})
    refund = world.sandbox.control("refunds", {"payment_id": payment_id})
    world.poll()
    assert world.outcome(page) == "charged"

    world.advance(7 * DAY_S)
    world.sandbox.control("settle", {"refund_id": refund["refund_id"], "status": "succeeded"})
    world.poll()

    assert world.outcome(page) == "refunded"


def test_refund_of_the_first_order_reverses_that_order_only(world: World) -> None:
    page, _ = charged(world)
    first = world.rows("orders")[0]["payment_id"]

    world.sandbox.control("refunds", {"payment_id": first})
    read(world, first)

    assert [row["state"] for row in world.rows("orders")] == ["reversed", "granted"]
    assert world.outcome(page) == "charged"
    assert world.breaches() == ()


# ---- Disputes ---------------------------------------------------------------------------------------------------


def test_dispute_is_flagged_and_changes_no_access(world: World) -> None:
    page, payment_id = charged(world)

    world.sandbox.control("disputes", {"payment_id": payment_id})
    read(world, payment_id)
    read(world, payment_id)

    assert [row["kind"] for row in world.rows("alarms")] == ["dispute"]
    assert (world.outcome(page), access(world)) == ("charged", [True, True])
    assert world.rows("refunds") == []


def test_lost_dispute_counts_as_a_full_refund(world: World) -> None:
    """R20"""
    page, payment_id = charged(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})

    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "lost"})
    read(world, payment_id)

    assert (world.outcome(page), access(world)) == ("refunded", [True, False])
    assert (world.page(page).state, world.page(page).return_state) == ("returned", "by_bank")
    order = order_of(world, page)
    assert [line.state for line in order.payments] == ["paid", "lost"]
    assert order.today == (order.payments[0].amount,)
    assert world.breaches() == ()


def test_won_dispute_leaves_the_order(world: World) -> None:
    page, payment_id = charged(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    read(world, payment_id)

    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "won"})
    assert [alarm.kind for alarm in alarms.list_standing(world.shop.store)] == ["dispute"]
    read(world, payment_id)

    assert (world.outcome(page), access(world)) == ("charged", [True, True])
    assert alarms.list_standing(world.shop.store) == []


def test_dispute_and_its_end_weeks_later_are_found_without_a_webhook(world: World) -> None:
    """R19c"""
    page, payment_id = charged(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    world.poll()
    assert [row["kind"] for row in world.rows("alarms")] == ["dispute"]

    world.advance(20 * DAY_S)
    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "lost"})
    world.poll()
    world.tidy()

    assert (world.outcome(page), access(world)) == ("refunded", [True, False])
    assert world.breaches() == ()


def test_two_disputes_of_a_payment_count_as_the_worse(world: World) -> None:
    _page, payment_id = charged(world)
    first = world.sandbox.control("disputes", {"payment_id": payment_id, "amount": 100})
    world.sandbox.control("disputes", {"payment_id": payment_id, "amount": 100})
    world.sandbox.control("disputes", {"dispute_id": first["dispute_id"], "outcome": "won"})
    read(world, payment_id)
    read(world, payment_id)

    assert [row["dispute_status"] for row in world.rows("payments") if row["id"] == payment_id] == ["dispute_opened"]
    assert ["payment.disputed" in row["entry_json"] for row in world.rows("ledger")].count(True) == 1


# ---- Ours -------------------------------------------------------------------------------------------------------


def test_owed_refund_is_sent_once_and_told_once(world: World) -> None:
    page, payment_id = overcharged(world)
    assert (world.page(page).state, world.page(page).return_state) == ("returned", "due")

    refunds.send_due(world.shop)
    refunds.send_due(world.shop)
    read(world, payment_id)

    assert (refund(world)["state"], refund(world)["post_count"]) == ("done", 1)
    assert len(world.sandbox.requests("POST", "/refunds")) == 1
    assert world.messages("refund_done") == [f"refund_done:{payment_id}"]
    assert (world.page(page).state, world.page(page).return_state) == ("returned", "done")
    assert world.breaches() == ()


@pytest.mark.parametrize("effect", ["none", "before"])
@pytest.mark.parametrize("fault", ["reset", "status:500", "truncated"])
def test_lost_refund_answer_is_looked_up_and_sent_again(world: World, fault: str, effect: str) -> None:
    """A full refund may be sent again: the provider refuses a second one."""
    overcharged(world)
    world.sandbox.fault(SEND, fault, effect=effect)

    refunds.send_due(world.shop)
    assert refund(world)["state"] == "unknown"
    world.advance(2)
    refunds.send_due(world.shop)

    assert refund(world)["state"] == "done"
    (made,) = world.sandbox.control("objects/refunds")["items"]
    assert made["status"] == "succeeded"
    assert world.breaches() == ()


def test_refund_already_made_elsewhere_is_done_without_a_request(world: World) -> None:
    _, payment_id = overcharged(world)
    world.sandbox.control("refunds", {"payment_id": payment_id})

    refunds.send_due(world.shop)

    assert refund(world)["state"] == "done"
    assert world.sandbox.requests("POST", "/refunds") == []
    assert world.breaches() == ()


def test_refund_owed_shrinks_by_what_was_refunded_elsewhere(world: World) -> None:
    _, payment_id = overcharged(world)
    world.sandbox.control("refunds", {"payment_id": payment_id, "amount": 700})

    refunds.send_due(world.shop)

    (row,) = [row for row in world.rows("payments") if row["id"] == payment_id]
    assert (refund(world)["state"], refund(world)["amount"]) == ("done", row["amount"] - 700)
    assert row["refunded"] == row["amount"]
    assert world.breaches() == ()


def test_refund_that_takes_time_is_followed_to_its_end(world: World) -> None:
    world.sandbox.switch(refund_outcome="pending")
    _, payment_id = overcharged(world)
    refunds.send_due(world.shop)
    assert refund(world)["state"] == "pending"

    (made,) = world.sandbox.control("objects/refunds")["items"]
    world.sandbox.control("settle", {"refund_id": made["id"], "status": "succeeded"})
    world.advance(301)
    refunds.send_due(world.shop)

    assert refund(world)["state"] == "done"
    assert len(world.sandbox.requests("POST", "/refunds")) == 1
    assert world.messages("refund_done") == [f"refund_done:{payment_id}"]


def test_refund_after_the_window_needs_a_person(world: World) -> None:
    overcharged(world)
    world.advance(31 * DAY_S)

    refunds.send_due(world.shop)

    assert refund(world)["state"] == "manual"
    assert "refund_needs_person" in [row["kind"] for row in world.rows("alarms")]


def test_dispute_already_lost_is_not_refunded_as_well(world: World) -> None:
    """The bank has given the money back: ours would pay it twice."""
    _, payment_id = overcharged(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "accepted"})

    refunds.send_due(world.shop)

    assert refund(world)["state"] == "manual"
    assert world.sandbox.requests("POST", "/refunds") == []


def test_late_read_does_not_open_a_lost_dispute_again(world: World) -> None:
    page, payment_id = charged(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    old = world.shop.dodo.payments.get(payment_id, budget=world.shop.dodo.budget())
    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "lost"})
    read(world, payment_id)

    observe.settle_payment(world.shop, old)

    assert (world.page(page).return_state, access(world)) == ("by_bank", [True, False])
    assert alarms.list_standing(world.shop.store) == []


def test_refund_made_by_a_person_ends_the_alarm(world: World) -> None:
    page, payment_id = overcharged(world)
    dispute = world.sandbox.control("disputes", {"payment_id": payment_id})
    refunds.send_due(world.shop)
    assert refund(world)["state"] == "manual"

    world.sandbox.control("disputes", {"dispute_id": dispute["dispute_id"], "outcome": "won"})
    world.sandbox.control("refunds", {"payment_id": payment_id})
    read(world, payment_id)

    assert world.page(page).return_state == "done"
    assert "refund_needs_person" not in [alarm.kind for alarm in alarms.list_standing(world.shop.store)]
    assert world.sandbox.requests("POST", "/refunds") == []


def test_disputed_payment_is_not_refunded_by_itself(world: World) -> None:
    _, payment_id = overcharged(world)
    world.sandbox.control("disputes", {"payment_id": payment_id})

    refunds.send_due(world.shop)

    assert refund(world)["state"] == "manual"
    assert world.sandbox.requests("POST", "/refunds") == []


def test_twenty_refunds_a_day_and_then_a_person(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refunds, "MOST_AUTOMATIC_A_DAY", 1)
    overcharged(world)
    refunds.send_due(world.shop)
    page = world.offer(email="minh@example.com")
    world.accept_as_price_moves(page, page.quote.subtotal.minor + 900)

    refunds.send_due(world.shop)

    assert [row["state"] for row in world.rows("refunds")] == ["done", "manual"]
    assert len(world.sandbox.requests("POST", "/refunds")) == 1


def test_refund_waits_while_calls_are_blocked(world: World) -> None:
    overcharged(world)
    world.sandbox.fault(SEND, "status:429", retry_after="30")

    refunds.send_due(world.shop)
    assert refund(world)["state"] == "due"

    world.advance(60)
    refunds.send_due(world.shop)
    assert refund(world)["state"] == "done"
