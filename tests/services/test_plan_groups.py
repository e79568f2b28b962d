"""Plan groups: published from the merchant's file, and what is said of them only where it was counted."""

import json

import pytest

from blueprints.ops.commands.faults import sentence
from encore.services import offer_files, plan_groups, plan_pages
from tests.factories import order_again
from tests.sandbox_process import BASIC, PRO
from tests.services.world import DAY_S, World


def table(*slugs: str, name: str = "plans") -> str:
    return f'[[plan_groups]]\nid = "{name}"\n' + "".join(f'[[plan_groups.plans]]\nproduct = "{s}"\n' for s in slugs)


def faults(world: World, text: str) -> list[tuple[int | None, str]]:
    refused = offer_files.import_text(world.shop, text)
    assert isinstance(refused, offer_files.Refused)
    assert all(sentence(at.fault) != at.fault.key for at in refused.faults)
    return [(at.line, at.fault.key) for at in refused.faults]


def test_the_demo_has_its_plans_in_order(world: World) -> None:
    group = plan_groups.group_of(world.shop, BASIC)

    assert group is not None
    assert [plan.product_id for plan in group.plans] == [BASIC, PRO]
    assert plan_groups.group_of(world.shop, "pdt_none") is None


def test_the_same_text_again_changes_nothing_and_other_text_is_a_new_version(world: World) -> None:
    text = table("basic-plan", "pro-plan")

    changes = [offer_files.import_text(world.shop, part) for part in (text, text, table("pro-plan", "basic-plan"))]

    seen = [(c.changes[0].what, c.changes[0].version) for c in changes if isinstance(c, offer_files.Imported)]
    assert seen == [("changed", 2), ("unchanged", 2), ("changed", 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (table("basic-plan", "starter-course"), [(1, "fault.product_once")]),
        (table("basic-plan", "no-such-plan"), [(1, "fault.unknown_product")]),
        (table("basic-plan"), [(1, "fault.plans_expected")]),
        (table("basic-plan", "basic-plan"), [(1, "fault.plan_twice")]),
        (table("basic-plan", "pro-plan", name="others"), [(1, "fault.plan_elsewhere")] * 2),
        (table("basic-plan", "pro-plan", name="Not An Id"), [(None, "fault.bad_id")]),
        ('plan_groups = "all"', [(None, "fault.tables_expected")]),
    ],
    ids=["sold once", "unknown", "one plan", "twice", "in another group", "bad id", "no table"],
)
def test_each_fault_of_a_file_is_named_and_nothing_is_published(
    world: World, text: str, expected: list[tuple[int | None, str]]
) -> None:
    before = world.rows("plan_groups")

    found = faults(world, text)

    assert [key for _, key in found][: len(expected)] == [key for _, key in expected]
    assert world.rows("plan_groups") == before


@pytest.mark.criterion("R34")
def test_most_chosen_is_counted_and_hidden_below_thirty(world: World) -> None:
    ref = world.buy(slug="pro-plan")
    world.come_back(ref)
    world.read_subscriptions()
    (row,) = world.rows("subscriptions")

    def told() -> list[tuple[str, int, int]]:
        page = plan_pages.plan_page(world.shop, world.subscription(row["id"]), language="en")
        assert page is not None
        return [
            (card.product.id, card.most_chosen.orders, card.most_chosen.days) for card in page.plans if card.most_chosen
        ]

    assert told() == []
    order_again(world.shop.store, ref, times=28)
    assert told() == []
    order_again(world.shop.store, ref, times=1)
    assert told() == [(PRO, 30, 90)]
    world.advance(91 * DAY_S)
    assert told() == []


def test_a_stored_group_is_what_was_written(world: World) -> None:
    (row,) = world.rows("plan_groups")

    assert json.loads(row["definition_json"])["upgrade_mode"] == "difference_immediately"
