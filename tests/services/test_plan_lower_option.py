"""Whoever asks for a lower plan may be shown one in between first, once; what was asked for stays one click away."""

import pytest

from encore.services import plan_quotes
from encore.store import offer_instances
from tests.sandbox.subscriptions import make_plan
from tests.sandbox_process import BASIC, PRO
from tests.services.plans import changes, subscribe
from tests.services.world import LAN, World


def three_plans(world: World, *lines: str) -> str:
    """Publish Basic, a plan at 50 between, and Pro; returns the one between."""
    between = make_plan(world.sandbox, 5000)
    world.sync()
    points = {BASIC: '{ en = "2 projects" }', between: '{ en = "By telephone" }', PRO: '{ en = "10 projects" }'}
    tables = [
        f'[[plan_groups.plans]]\nproduct = "{product_id}"\npoints = [{point}]' for product_id, point in points.items()
    ]
    world.publish("\n".join(("[[plan_groups]]", 'id = "plans"', *lines, *tables)))
    return between


@pytest.mark.criterion("R13a", "R13c")
def test_a_plan_between_is_shown_first_and_once(world: World) -> None:
    between = three_plans(world)
    row = subscribe(world, "pro-plan")

    page = world.preview(row, "basic-plan", may_show_lower=True)

    assert page.lower_option is not None
    assert page.lower_option.product.id == between
    assert [line.text for line in page.lower_option.keeps] == ["By telephone"]
    # What was asked for is on the same page, both ways of it.
    assert (page.after.id, page.state) == (BASIC, "preview")
    assert page.alternative is not None
    # Nowhere else in this request: not for the other way, not after it was chosen, not with fresh figures.
    assert world.quote(page.alternative.quote_id).lower_option is None
    assert world.preview(row, between).lower_option is None
    instance = offer_instances.get_instance(world.shop.store, page.quote_id)
    assert instance is not None
    again = plan_quotes.preview_again(world.shop, instance, row, buyer_key=LAN, language="en")
    assert isinstance(again, plan_quotes.Quoted)
    assert world.quote(again.instance_id).lower_option is None
    world.reprice(BASIC, 3500)
    moved = world.confirm(page)
    assert (moved.state, moved.lower_option) == ("quote_changed", None)


def test_what_a_quote_keeps_of_it_is_no_business_of_the_provider(world: World) -> None:
    """R11a"""
    row = subscribe(world)
    page = world.preview(row, "pro-plan")

    world.confirm(page)

    (request,) = changes(world, row)
    assert request["body"]["metadata"]["step"] == ""


def test_no_plan_between_is_shown_where_there_is_none_or_the_merchant_wants_none(world: World) -> None:
    row = subscribe(world, "pro-plan")
    assert world.preview(row, "basic-plan", may_show_lower=True).lower_option is None

    three_plans(world, "lower_option = false")
    assert world.preview(row, "basic-plan", may_show_lower=True).lower_option is None

    archived = three_plans(world)
    world.sandbox.call("DELETE", f"/products/{archived}")
    world.sync()
    assert world.preview(row, "basic-plan", may_show_lower=True).lower_option is None
