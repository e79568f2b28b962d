"""A higher plan offered to who has just bought a lower one: changed in place, one net charge, never a second plan."""

import pytest

from encore.services import fallback, funnels, offers
from encore.store import offer_instances, orders
from tests.sandbox_process import BASIC, PRO
from tests.services.plan_offers import (
    OFFER,
    OTHER,
    accept,
    again,
    again_at,
    bought,
    change_posts,
    declined_by_bank,
    give_card,
    offered,
    shown,
    subscription,
)
from tests.services.plans import CHANGE_PLAN, paid, usd, whole
from tests.services.world import LAN, World

# ---- Yes -------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("N15")
def test_a_yes_changes_the_plan_in_place_by_one_net_charge(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)

    assert (page.state, page.change.quote.due, page.change.renewal.price) == ("offer", usd(5000), usd(8000))
    assert (page.change.before.id, page.change.after.id) == (BASIC, PRO)
    assert page.sum_with_order == usd(8000)
    assert accept(world, page) == "taken"

    assert (again(world, page).state, again(world, page).change.paid) == ("changed", usd(5000))
    assert paid(world, subscription(world)) == [5000]
    assert len(change_posts(world)) == 1
    assert [s["product_id"] for s in world.sandbox.get("/subscriptions")["items"]] == [PRO]
    assert world.sandbox.control("objects/refunds")["items"] == []
    whole(world)
    assert orders.list_owned_products(world.shop.store, subscription(world).customer_id) == {PRO}
    back = world.come_back(ref)
    assert (back.state, [line.amount for line in back.payments], back.today) == (
        "thanks",
        [usd(3000), usd(5000)],
        (usd(8000),),
    )
    assert back.settled is not None
    assert back.settled.state == "changed"
    assert len(world.messages("plan_changed")) == 1


def test_the_request_carries_the_quote_and_where_it_comes_from(world: World) -> None:
    """R11a R15a"""
    ref = bought(world)
    accept(world, offered(world, ref))

    (request,) = change_posts(world)
    order = world.rows("orders")[0]
    assert request["body"]["on_payment_failure"] == "prevent_change"
    assert request["body"]["proration_billing_mode"] == "difference_immediately"
    metadata = request["body"]["metadata"]
    assert (metadata["role"], metadata["offer_id"], metadata["placement"]) == ("upsell", "pro", "return_page")
    assert metadata["first_order"] == order["id"]


@pytest.mark.parametrize(
    ("fields", "due", "state"),
    [
        ('mode = "full_immediately"', 8000, "changed"),
        ('mode = "do_not_bill"', 0, "changed"),
        ('timing = "next_billing_date"', 8000, "scheduled"),
    ],
)
def test_an_offer_names_its_own_mode_and_time(world: World, fields: str, due: int, state: str) -> None:
    page = shown(world, fields=fields)

    assert page.change.quote.due == usd(due)
    accept(world, page)

    assert again(world, page).state == state
    assert paid(world, subscription(world)) == ([due] if state == "changed" and due else [])
    whole(world)


# ---- No, and what the bank or nobody says ----------------------------------------------------------------------


def test_a_no_leads_to_the_downsell_and_is_remembered(world: World) -> None:
    """R12a R36a"""
    ref = bought(world)
    page = offered(world, ref)

    offers.decline(world.shop, page.instance_id, buyer_key=LAN)
    after = world.come_back(ref)

    assert after.offer is not None
    assert after.offer.offer_id == "templates-instead"
    assert again(world, page).state == "answered"
    assert change_posts(world) == []
    assert PRO in offer_instances.list_suppressed_products(world.shop.store, subscription(world).customer_id)
    whole(world)


def test_a_declined_card_leaves_the_plan_and_its_page_waits_for_the_buyer(world: World) -> None:
    """R25b"""
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    accept(world, page)

    after = again(world, page)
    assert (after.state, after.reason, after.can_retry) == ("failed", "card_decline.insufficient_funds", True)
    back = world.come_back(ref)
    assert back.offer is not None
    assert back.offer.state == "failed"
    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is None
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)
    assert world.come_back(ref).state == "thanks"
    assert again(world, page).state == "answered"
    assert subscription(world).product_id == BASIC
    assert offer_instances.list_suppressed_products(world.shop.store, subscription(world).customer_id) == frozenset()
    whole(world)


def test_after_a_failure_the_price_is_asked_anew_once(world: World) -> None:
    """R26b R27b"""
    ref, page = declined_by_bank(world)

    second = again_at(world, page)
    assert second == again_at(world, page)
    retried = offered(world, ref)
    assert (retried.instance_id, retried.state, retried.can_retry) == (second, "offer", False)
    accept(world, retried)

    assert again(world, retried).state == "changed"
    back = world.come_back(ref)
    assert (back.state, [line.product_name for line in back.payments]) == ("thanks", ["Basic plan", "Pro plan"])
    assert (len(change_posts(world)), paid(world, subscription(world))) == (2, [5000])
    assert change_posts(world)[1]["body"]["metadata"]["first_order"] == world.rows("orders")[0]["id"]
    whole(world)


def test_a_second_failure_is_the_last(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)
    for _ in range(2):
        world.sandbox.next_payment("failed", "GENERIC_DECLINE")
        accept(world, page)
        again_at(world, page)
        page = offered(world, ref)

    assert (page.state, page.can_retry) == ("failed", False)
    assert len(change_posts(world)) == 2
    whole(world)


def test_another_card_given_on_the_providers_page_pays_and_any_other_does_not(world: World) -> None:
    """R26c: a browser that has only paid charges a card it has shown to hold."""
    ref, page = declined_by_bank(world)
    give_card(world, page)

    second = again_at(world, page)

    retried = offered(world, ref)
    assert retried.instance_id == second
    assert retried.quote.method is not None
    assert retried.quote.method.last4 == OTHER[-4:]
    accept(world, retried)
    assert again(world, retried).state == "changed"
    whole(world)


def test_a_card_given_after_the_price_was_shown_again_pays_the_second_try(world: World) -> None:
    """R26b: the page of the first try still leads to the provider's."""
    ref, page = declined_by_bank(world)
    second = again_at(world, page)
    give_card(world, page)
    world.read_subscriptions()

    assert again_at(world, page) == second
    retried = offered(world, ref)
    assert retried.quote.method is not None
    assert (retried.state, retried.quote.method.last4) == ("quote_changed", OTHER[-4:])
    accept(world, retried)
    assert again(world, retried).state == "changed"
    whole(world)


def test_who_goes_on_from_the_first_try_is_not_asked_again_by_the_second(world: World) -> None:
    """R12d"""
    ref, page = declined_by_bank(world)
    again_at(world, page)
    second = offered(world, ref)
    assert second.state == "offer"

    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    assert world.come_back(ref).state == "thanks"
    assert again(world, second).state == "answered"
    assert accept(world, second) == "taken"
    assert len(change_posts(world)) == 1
    whole(world)


@pytest.mark.parametrize("waits_s", [0, 3600])
def test_the_failed_edge_follows_from_the_first_try_whatever_became_of_the_second(world: World, waits_s: int) -> None:
    """R12d"""
    ref = bought(world)
    world.publish(OFFER.format(fields="").replace('declined = "templates"', 'failed = "templates"'))
    page = offered(world, ref)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    accept(world, page)
    again_at(world, page)
    world.advance(waits_s)
    world.tidy()

    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    after = world.come_back(ref)
    assert after.offer is not None
    assert after.offer.offer_id == "templates-instead"


def test_a_paused_next_step_ends_the_funnel(world: World) -> None:
    """R6e"""
    ref = bought(world)
    page = offered(world, ref)
    funnels.set_state(world.shop, ["templates-instead"], state="paused")

    offers.decline(world.shop, page.instance_id, buyer_key=LAN)

    assert world.come_back(ref).state == "thanks"


def test_the_bank_step_leads_to_the_bank_and_back(world: World) -> None:
    """P5"""
    page = shown(world)
    world.sandbox.next_payment("requires_customer_action")

    accept(world, page)

    assert again(world, page).state == "action_required"
    assert fallback.open_checkout(world.shop, page.instance_id, buyer_key=LAN) is not None
    (attempt,) = world.rows("attempts")
    world.sandbox.control("settle", {"payment_id": attempt["provider_payment_id"], "status": "succeeded"})
    assert again(world, page).state == "changed"
    whole(world)


def test_leaving_the_bank_step_takes_the_failed_edge(world: World) -> None:
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("requires_customer_action")
    accept(world, page)

    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)

    assert world.come_back(ref).state == "thanks"
    assert subscription(world).product_id == BASIC


def test_a_lost_answer_is_checked_and_never_sent_again(world: World) -> None:
    page = shown(world)
    world.sandbox.fault(CHANGE_PLAN, "reset", effect="before")
    accept(world, page)

    assert again(world, page).state in ("checking", "changed")
    world.look()
    assert again(world, page).state == "changed"
    assert (len(change_posts(world)), paid(world, subscription(world))) == (1, [5000])
    whole(world)


# ---- The price promise -----------------------------------------------------------------------------------------


def test_a_price_raised_since_it_was_shown_charges_nothing(world: World) -> None:
    """N1"""
    page = shown(world)
    world.reprice(PRO, 9000)

    assert accept(world, page) == "moved"

    after = again(world, page)
    assert (after.state, after.change.quote.due) == ("quote_changed", usd(6000))
    assert after.change.moved_from is not None
    assert after.change.moved_from.due == usd(5000)
    assert change_posts(world) == []
    assert accept(world, after) == "taken"
    assert paid(world, subscription(world)) == [6000]
    whole(world)


def test_figures_older_than_ten_minutes_are_shown_anew(world: World) -> None:
    """R14c"""
    page = shown(world)
    world.advance(601)

    assert accept(world, page) == "moved"

    after = again(world, page)
    assert (after.state, after.change.quote.due) == ("quote_changed", page.change.quote.due)
    assert change_posts(world) == []
    world.advance(601)
    assert accept(world, again(world, page)) == "taken"
    assert len(change_posts(world)) == 1


def test_without_a_price_nothing_can_be_pressed_through(world: World) -> None:
    """R14d"""
    page = shown(world)
    world.sandbox.fault(CHANGE_PLAN + "/preview", "status:500", times=100)
    assert accept(world, page) == "unavailable"
    world.advance(601)

    assert again(world, page).state == "limited"
    assert change_posts(world) == []
