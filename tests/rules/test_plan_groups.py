"""Plan groups as merchants write them."""

from typing import Any

import pytest

from encore.rules.plan_groups import Difference, PlanGroup, gains, losses, read_plan_group, write_plan_group

TABLE: dict[str, Any] = {
    "id": "plans",
    "plans": [
        {"product": "pdt_basic", "points": [{"about": "projects", "en": "2 projects"}, {"en": "Mail"}]},
        {"product": "pdt_pro", "points": [{"about": "projects", "en": "10 projects"}, {"vi": "Hỗ trợ"}]},
    ],
}


def group(**changes: Any) -> PlanGroup:
    read = read_plan_group({**TABLE, **changes}, version=3)
    assert isinstance(read, PlanGroup), read
    return read


def faults(**changes: Any) -> list[tuple[str, str]]:
    read = read_plan_group({**TABLE, **changes}, version=1)
    assert not isinstance(read, PlanGroup)
    return [(fault.where, fault.key) for fault in read]


def test_a_group_reads_with_its_defaults() -> None:
    read = group()

    assert [plan.product_id for plan in read.plans] == ["pdt_basic", "pdt_pro"]
    assert (read.upgrade_mode, read.downgrade_mode) == ("difference_immediately", "difference_immediately")
    assert (read.downgrade_when, read.version) == ("next_billing_date", 3)


def test_up_is_later_in_the_list() -> None:
    read = group()

    assert read.direction("pdt_basic", "pdt_pro") == "up"
    assert read.direction("pdt_pro", "pdt_basic") == "down"
    assert read.direction("pdt_pro", "pdt_pro") == "same"
    assert read.direction("pdt_pro", "pdt_other") is None


def test_a_written_group_reads_as_itself() -> None:
    read = group(upgrade_mode="prorated_immediately", downgrade_when="immediately")

    assert read_plan_group(write_plan_group(read), version=3) == read


def test_points_are_told_in_a_language_that_is_written() -> None:
    points = group().plans[1].points

    assert [point.in_language("vi", fallback="en") for point in points] == ["10 projects", "Hỗ trợ"]
    assert [point.in_language("en", fallback="vi") for point in points] == ["10 projects", "Hỗ trợ"]


def test_points_about_one_thing_take_each_others_place() -> None:
    """R32"""
    basic, pro = group().plans

    def told(differences: tuple[Difference, ...]) -> list[tuple[str, str | None]]:
        return [
            (d.point.in_language("en", fallback="en"), d.other and d.other.in_language("en", fallback="en"))
            for d in differences
        ]

    assert told(gains(basic, pro)) == [("10 projects", "2 projects"), ("Hỗ trợ", None)]
    assert told(losses(basic, pro)) == [("2 projects", "10 projects"), ("Mail", None)]
    assert gains(basic, basic) == losses(pro, pro) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": ""}, ("plan_groups", "fault.id_missing")),
        ({"plans": [{"product": "pdt_basic"}]}, ("plan_groups.plans.plans", "fault.plans_expected")),
        ({"plans": "pdt_basic"}, ("plan_groups.plans.plans", "fault.plans_expected")),
        ({"plans": ["a", "b"]}, ("plan_groups.plans.plans", "fault.plans_expected")),
        ({"plans": [{"product": "a"}, {"product": "a"}]}, ("plan_groups.plans.plans", "fault.plan_twice")),
        ({"plans": [{"product": "a"}, {}]}, ("plan_groups.plans.plans", "fault.field_missing")),
        (
            {"plans": [{"product": "a"}, {"product": "b", "price": 1}]},
            ("plan_groups.plans.plans", "fault.unknown_field"),
        ),
        ({"upgrade_mode": "for_free"}, ("plan_groups.plans.upgrade_mode", "fault.word_not_allowed")),
        ({"downgrade_when": "never"}, ("plan_groups.plans.downgrade_when", "fault.word_not_allowed")),
        ({"colour": "red"}, ("plan_groups.plans.colour", "fault.unknown_field")),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert faults(**changes) == [expected]
