"""Seats and add-ons: changed by the same path as the plan, kept by default, and what goes is said before it goes."""

from typing import Any

import pytest

from encore.rules.plan_changes import Addon
from encore.services import plan_quotes
from encore.services.plan_quotes import NotQuoted, Quoted
from encore.store import offer_instances
from encore.store.subscriptions import Subscription
from tests.sandbox_process import BASIC, PRO
from tests.sandbox_process import BRAND_KIT as KIT
from tests.sandbox_process import EXTRA_PROJECT as PROJECT
from tests.services.plans import changes, group, paid, subscribe, usd, whole
from tests.services.world import LAN, World


def held(world: World, row: Subscription) -> dict[str, int]:
    """Return a subscription's add-ons as the provider has them."""
    found = world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")["addons"]
    return {addon["addon_id"]: addon["quantity"] for addon in found}


def with_addons(world: World, slug: str, **addons: int) -> Subscription:
    """Return a subscription that has add-ons: project=2, kit=1."""
    row = subscribe(world, slug)
    ids = {"project": PROJECT, "kit": KIT}
    world.confirm(world.preview(row, slug, addons={ids[name]: count for name, count in addons.items()}))
    return world.subscription(row.id)


def test_seats_are_changed_by_the_same_path(world: World) -> None:
    """R15e"""
    row = subscribe(world)

    page = world.preview(row, "basic-plan", quantity=3)
    after = world.confirm(page)

    assert (page.direction, page.quote.due) == ("up", usd(6000))
    assert (after.state, world.subscription(row.id).quantity) == ("changed", 3)
    pro = world.preview(world.subscription(row.id))
    assert pro.quote.wish.quantity == 3
    whole(world)


@pytest.mark.criterion("R15e")
def test_add_ons_are_added_by_the_same_path(world: World) -> None:
    row = subscribe(world)

    page = world.preview(row, "basic-plan", addons={PROJECT: 2})
    after = world.confirm(page)

    assert (page.direction, page.quote.due, page.quote.renewal) == ("up", usd(2000), usd(5000))
    assert [(addon.name, addon.before, addon.after) for addon in page.addons] == [("Extra project", 0, 2)]
    assert (after.state, after.paid, held(world, row)) == ("changed", usd(2000), {PROJECT: 2})
    assert paid(world, row) == [2000]
    whole(world)


@pytest.mark.criterion("R14f")
def test_add_ons_that_are_not_named_are_kept(world: World) -> None:
    row = with_addons(world, "basic-plan", project=2)

    seats = world.confirm(world.preview(row, "basic-plan", quantity=2))
    plan = world.confirm(world.preview(world.subscription(row.id), "pro-plan"))

    assert [addon.after for page in (seats, plan) for addon in page.addons] == [2, 2]
    assert held(world, row) == {PROJECT: 2}


@pytest.mark.criterion("R15e")
def test_removing_every_add_on_is_a_way_down_with_its_warning(world: World) -> None:
    row = with_addons(world, "pro-plan", project=2, kit=1)

    page = world.preview(row, "pro-plan", addons={PROJECT: 0, KIT: 0})
    now = page.alternative
    assert now is not None
    after = world.confirm(now)

    assert (page.direction, page.quote.is_scheduled) == ("down", True)
    assert [(addon.name, addon.before, addon.after) for addon in page.addons] == [
        ("Brand kit", 1, 0),
        ("Extra project", 2, 0),
    ]
    assert changes(world, row)[-1]["body"]["addons"] == []
    assert (now.quote.credit_added, after.state, held(world, row)) == (usd(3500), "changed", {})
    whole(world)


def test_add_ons_that_the_other_plan_does_not_take_are_listed_and_go(world: World) -> None:
    row = with_addons(world, "pro-plan", project=2, kit=1)

    page = world.preview(row, "basic-plan")
    assert page.alternative is not None
    world.confirm(page.alternative)

    assert {addon.name: (addon.before, addon.after) for addon in page.addons} == {
        "Brand kit": (1, 0),
        "Extra project": (2, 2),
    }
    assert held(world, row) == {PROJECT: 2}
    whole(world)


def test_nothing_goes_because_of_an_old_list_of_add_ons(world: World) -> None:
    row = with_addons(world, "basic-plan", project=2)
    with world.shop.store.write():
        world.shop.store.run("DELETE FROM plan_addons WHERE product_id = :id", id=PRO)

    assert [addon.after for addon in world.preview(row).addons] == [2]


def test_figures_are_shown_again_for_the_same_wish_whatever_became_of_the_add_ons_meanwhile(world: World) -> None:
    row = with_addons(world, "pro-plan", project=2, kit=1)
    old = world.preview(row, "basic-plan")
    elsewhere = world.preview(row, "pro-plan", addons={KIT: 0}).alternative
    assert elsewhere is not None
    world.confirm(elsewhere)
    instance = offer_instances.get_instance(world.shop.store, old.quote_id)
    assert instance is not None

    again = plan_quotes.preview_again(world.shop, instance, world.subscription(row.id), buyer_key=LAN, language="en")

    assert isinstance(again, Quoted)
    assert world.quote(again.instance_id).quote.wish.addons == (Addon(PROJECT, 2),)


def test_a_scheduled_removal_waits_for_the_renewal(world: World) -> None:
    row = with_addons(world, "basic-plan", project=1)

    after = world.confirm(world.preview(row, "basic-plan", addons={PROJECT: 0}))

    assert (after.state, held(world, row)) == ("scheduled", {PROJECT: 1})
    world.advance(31 * 86_400)
    whole(world)
    assert (held(world, row), world.subscription(row.id).addons_json) == ({}, "[]")


@pytest.mark.parametrize(
    ("addons", "reason"),
    [
        ({KIT: 1}, "bad_addon"),
        ({"adn_of_nobody": 1}, "bad_addon"),
        ({"adn_of_nobody": 0}, "same_plan"),
        ({"": 1}, "bad_addon"),
        ({PROJECT: -1}, "bad_addon_quantity"),
        ({PROJECT: 10_001}, "bad_addon_quantity"),
        ({PROJECT: 0}, "same_plan"),
    ],
)
def test_each_wrong_add_on_has_its_own_answer_and_nothing_is_asked(
    world: World, addons: dict[str, int], reason: Any
) -> None:
    row = subscribe(world)

    assert world.try_preview(row, "basic-plan", addons=addons) == NotQuoted(reason)
    assert world.sandbox.requests("POST", f"/subscriptions/{row.provider_subscription_id}/change-plan/preview") == []


def test_a_way_down_with_more_seats_is_billed_by_its_totals(world: World) -> None:
    """A way down that bills nothing until the renewal must not give away seats until then."""
    group(world, downgrade_mode="do_not_bill", downgrade_when="immediately")
    row = subscribe(world, "pro-plan")

    dearer, cheaper = (world.preview(row, "basic-plan", quantity=seats) for seats in (4, 2))

    assert (dearer.direction, dearer.quote.due, dearer.alternative) == ("up", usd(4000), None)
    assert (cheaper.direction, cheaper.quote.due) == ("down", usd(0))


def test_add_ons_sold_no_more_may_be_kept_and_given_up(world: World) -> None:
    row = with_addons(world, "basic-plan", project=2)
    world.sandbox.call("DELETE", f"/addons/{PROJECT}")
    world.sync()

    assert world.confirm(world.preview(row, "basic-plan", quantity=2)).state == "changed"
    given_up = world.preview(world.subscription(row.id), "basic-plan", addons={PROJECT: 0})
    assert [(addon.name, addon.after) for addon in given_up.addons] == [("Extra project", 0)]
    assert given_up.quote.wish.product_id == BASIC
