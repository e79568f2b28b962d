"""Plan groups as merchants write them: plans in order, so that "up" has a meaning, and what each one gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from encore.rules.kinds import (
    Fault,
    OfferField,
    Words,
    read_fields,
    read_flag,
    read_one_of,
    read_text,
    read_words,
)
from encore.rules.plan_changes import AT_RENEWAL, MODES, NOW, Mode, When

Direction = Literal["up", "down", "same"]
# A choice of more plans is no choice; pages stay readable at 320 px.
MOST_PLANS = 20
MOST_POINTS = 20


@dataclass(frozen=True, slots=True)
class Point:
    """Something a plan gives, in the merchant's languages.

    Points `about` the same thing take each other's place: "2 projects" is not lost with "10 projects".
    """

    words: Words
    about: str | None = None

    def in_language(self, language: str, *, fallback: str) -> str:
        """Return the words in a language, else in the shop's, else in whichever they are written."""
        return self.words.get(language) or self.words.get(fallback) or next(iter(self.words.values()))


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of a group and what it gives."""

    product_id: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a change of plan gives or takes; the other plan's point about it stands beside it, if any."""

    point: Point
    other: Point | None


def gains(before: Plan, after: Plan) -> tuple[Difference, ...]:
    """Return what `after` gives and `before` does not, with what it takes the place of."""
    return tuple(
        Difference(point, _about_the_same(point, before)) for point in after.points if point not in before.points
    )


def losses(before: Plan, after: Plan) -> tuple[Difference, ...]:
    """Return what `before` gives and `after` does not, with what takes its place."""
    return gains(after, before)


def _about_the_same(point: Point, plan: Plan) -> Point | None:
    return next((other for other in plan.points if point.about and other.about == point.about), None)


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """Plans from the lowest to the highest, and how a change between them is billed unless an offer says otherwise.

    `downgrade_when` is which of the two ways down is offered first, and with `downgrade_both` the other beside it.
    `lower_option`: whoever asks for a lower plan is shown the one above it first, where there is one between.
    """

    id: str
    version: int
    plans: tuple[Plan, ...]
    upgrade_mode: Mode
    downgrade_mode: Mode
    downgrade_when: When
    downgrade_both: bool = True
    lower_option: bool = True

    def place_of(self, product_id: str) -> int | None:
        """Return where a plan stands in the group, None if it is not one of it."""
        return next((place for place, plan in enumerate(self.plans) if plan.product_id == product_id), None)

    def plan(self, product_id: str) -> Plan | None:
        """Return a plan of the group."""
        place = self.place_of(product_id)
        return None if place is None else self.plans[place]

    def direction(self, from_product_id: str, to_product_id: str) -> Direction | None:
        """Return whether a change leads up or down; None unless both are plans of this group."""
        before, after = self.place_of(from_product_id), self.place_of(to_product_id)
        if before is None or after is None:
            return None
        return "same" if before == after else "up" if after > before else "down"

    def plans_between(self, from_product_id: str, to_product_id: str) -> tuple[Plan, ...]:
        """Return the plans that a way down passes over, the nearest to the asked one first."""
        before, after = self.place_of(from_product_id), self.place_of(to_product_id)
        return () if before is None or after is None else self.plans[after + 1 : before]


def _read_points(value: object) -> tuple[Point, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_POINTS:
        raise ValueError("fault.points_expected")
    points = []
    for table in value:
        if not isinstance(table, Mapping):
            raise ValueError("fault.points_expected")
        words = {name: text for name, text in table.items() if name != "about"}
        about = None if "about" not in table else read_text(table["about"])
        points.append(Point(words=read_words(words), about=about))
    return tuple(points)


_PLAN_FIELDS = (
    OfferField("product", read_text, is_required=True),
    OfferField("points", _read_points, default=()),
)


def _read_plans(value: object) -> tuple[Plan, ...]:
    if not isinstance(value, list | tuple) or not 2 <= len(value) <= MOST_PLANS:
        raise ValueError("fault.plans_expected")
    plans = []
    for table in value:
        if not isinstance(table, Mapping):
            raise ValueError("fault.plans_expected")
        values, faults = read_fields(_PLAN_FIELDS, table, where="plan", known=())
        if faults:
            raise ValueError(faults[0].key)
        plans.append(Plan(product_id=values["product"], points=values["points"]))
    if len({plan.product_id for plan in plans}) != len(plans):
        raise ValueError("fault.plan_twice")
    return tuple(plans)


GROUP_FIELDS = (
    OfferField("plans", _read_plans, is_required=True),
    # The buyer pays the difference and nothing else: the one mode whose amount does not move by the second.
    OfferField("upgrade_mode", read_one_of(*MODES), default="difference_immediately"),
    OfferField("downgrade_mode", read_one_of(*MODES), default="difference_immediately"),
    OfferField("downgrade_when", read_one_of(AT_RENEWAL, NOW), default=AT_RENEWAL),
    OfferField("downgrade_both", read_flag, default=True),
    OfferField("lower_option", read_flag, default=True),
)


def read_plan_group(table: Mapping[str, object], *, version: int) -> PlanGroup | list[Fault]:
    """Read a group's table as its published `version`, or say everything that is wrong with it."""
    group_id = table.get("id")
    if not isinstance(group_id, str) or not group_id:
        return [Fault(where="plan_groups", key="fault.id_missing")]
    values, faults = read_fields(GROUP_FIELDS, table, where=f"plan_groups.{group_id}", known=("id",))
    if faults:
        return faults
    return PlanGroup(id=group_id, version=version, **values)


def write_plan_group(group: PlanGroup) -> dict[str, Any]:
    """Write a group as the table `read_plan_group` reads, without its version; JSON and TOML can hold it."""
    return {
        "id": group.id,
        "plans": [
            {"product": plan.product_id, "points": [_write_point(point) for point in plan.points]}
            for plan in group.plans
        ],
        "upgrade_mode": group.upgrade_mode,
        "downgrade_mode": group.downgrade_mode,
        "downgrade_when": group.downgrade_when,
        "downgrade_both": group.downgrade_both,
        "lower_option": group.lower_option,
    }


def _write_point(point: Point) -> dict[str, str]:
    return dict(point.words) if point.about is None else {"about": point.about, **point.words}
