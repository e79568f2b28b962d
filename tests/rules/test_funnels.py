import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.funnels import (
    EDGES,
    THANKS,
    Edge,
    Funnel,
    Step,
    UnknownStep,
    check_version,
    get_step,
    has_room_for_page,
    is_downsell,
    may_show_suppressed,
    next_step,
    read_funnel,
    write_funnel,
)
from encore.rules.kinds import Fault, Offer
from encore.rules.money import Money
from tests.rules.samples import funnel, offer, ruled_funnel, usd

UP = Step("up", "bundle", on_declined="down")
DOWN = Step("down", "templates")
OFFERS = {offer_id: offer(offer_id, product=f"pdt_{offer_id}") for offer_id in ("bundle", "templates", "extra")}
PRICES = {"bundle": usd(2320), "templates": usd(900), "extra": usd(100)}


def faults(
    *steps: Step, offers: dict[str, Offer] = OFFERS, prices: dict[str, Money] = PRICES, **changes: Any
) -> set[str]:
    found = check_version(funnel(*steps, **changes), offers=offers, prices=prices)
    return {f"{fault.where.split('.')[-1]} {fault.key.removeprefix('fault.')}" for fault in found}


def test_a_decline_leads_to_the_downsell_and_then_thanks() -> None:
    two = funnel(UP, DOWN)

    assert next_step(two, "up", "declined") == DOWN
    assert next_step(two, "down", "declined") is None


@pytest.mark.criterion("R12d")
@pytest.mark.parametrize("edge", ["accepted", "failed"])
def test_a_card_decline_and_a_yes_have_edges_of_their_own(edge: Edge) -> None:
    assert next_step(funnel(UP, DOWN), "up", edge) is None
    leading: dict[str, Any] = {f"on_{edge}": "down"}
    assert next_step(funnel(replace(UP, **leading), DOWN), "up", edge) == DOWN


def test_an_unknown_step_is_not_thanks() -> None:
    with pytest.raises(UnknownStep):
        next_step(funnel(UP), "nowhere", "accepted")
    with pytest.raises(UnknownStep):
        next_step(funnel(UP), "up", "declined")


def test_a_downsell_is_what_a_decline_leads_to() -> None:
    assert not is_downsell(funnel(UP, DOWN), "up")
    assert is_downsell(funnel(UP, DOWN), "down")


@pytest.mark.criterion("R12c")
@pytest.mark.parametrize(
    ("cap", "step", "ups", "downs", "expected"),
    [
        (2, "up", 0, 0, True),
        (2, "down", 1, 0, True),
        (2, "down", 1, 1, False),
        (2, "up", 2, 0, False),
        (1, "down", 1, 0, False),
        (4, "down", 2, 1, True),
        (4, "down", 1, 2, False),
        (4, "up", 2, 1, False),
        (4, "up", 1, 2, True),
        (4, "down", 2, 2, False),
        (9, "up", 1, 3, False),
    ],
)
def test_pages_end_at_the_cap(cap: int, step: str, ups: int, downs: int, expected: bool) -> None:
    two = funnel(UP, DOWN, page_cap=cap)

    assert has_room_for_page(two, step_key=step, ups_shown=ups, downs_shown=downs) is expected


@pytest.mark.criterion("R12c")
@given(cap=st.integers(1, 9), ups=st.integers(0, 9), downs=st.integers(0, 9), step=st.sampled_from(["up", "down"]))
def test_never_more_than_four_pages(cap: int, ups: int, downs: int, step: str) -> None:
    if has_room_for_page(funnel(UP, DOWN, page_cap=cap), step_key=step, ups_shown=ups, downs_shown=downs):
        assert ups + downs + 1 <= min(cap, 4)


def may_show(*steps: Step, declined: str | None = "up", shown: frozenset[str] = frozenset()) -> bool:
    return may_show_suppressed(
        funnel(*steps), step_key="down", declined_step_key=declined, product_id="pdt_templates", downsells_shown=shown
    )


@pytest.mark.criterion("R36b")
def test_a_declined_product_is_shown_once_as_the_funnels_own_downsell() -> None:
    assert may_show(UP, DOWN)
    assert not may_show(UP, DOWN, shown=frozenset({"pdt_templates"}))
    assert may_show(UP, DOWN, shown=frozenset({"pdt_other"}))


def test_the_exception_is_for_a_decline_in_this_funnel_only() -> None:
    assert not may_show(UP, DOWN, declined=None)
    assert not may_show(replace(UP, on_declined=THANKS, on_failed="down"), DOWN)


@pytest.mark.criterion("R36b")
def test_the_exception_is_for_a_cheaper_downsell_only() -> None:
    assert not may_show(UP, replace(DOWN, is_dearer_confirmed=True))


def test_a_good_version_has_no_fault() -> None:
    assert faults(UP, DOWN) == set()


@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_to_nowhere_is_a_dead_end(edge: Edge) -> None:
    leading: dict[str, Any] = {f"on_{edge}": "nowhere"}

    assert faults(Step("up", "bundle", **leading)) == {"up dead_end"}


def test_a_step_nothing_leads_to_is_unreachable() -> None:
    assert faults(replace(UP, on_declined=THANKS), DOWN) == {"down unreachable"}


def test_steps_that_only_lead_to_each_other_are_unreachable_and_loop() -> None:
    found = faults(Step("up", "bundle"), Step("a", "templates", on_failed="b"), Step("b", "extra", on_failed="a"))

    assert found == {"a unreachable", "b unreachable", "a loop", "b loop"}


def test_a_way_back_is_a_loop() -> None:
    assert faults(UP, replace(DOWN, on_failed="up")) == {"up loop", "down loop"}
    assert faults(Step("up", "bundle", on_accepted="up")) == {"up loop"}


def test_a_step_key_names_one_step() -> None:
    assert faults(UP, DOWN, Step("down", "extra")) == {"down step_key_twice"}
    assert faults(Step(THANKS, "bundle")) == {"thanks step_key_twice"}


def test_an_offer_must_exist() -> None:
    assert faults(Step("up", "no_such_offer")) == {"up unknown_offer"}


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("field", ["title", "text", "terms"])
def test_words_in_both_languages_are_wanted(field: str, language: str) -> None:
    silent = offer("bundle", **{field: {language: "Bundle"}})

    found = check_version(funnel(), offers={"bundle": silent}, prices=PRICES)

    missing = {"en": "vi", "vi": "en"}[language]
    assert found == [
        Fault("funnels.after-course.up", "fault.words_missing", (("offer", "bundle"), ("language", missing)))
    ]


def test_a_value_point_in_one_language_is_a_fault() -> None:
    pointed = {"bundle": offer("bundle", points=[{"en": "Ten more"}])}

    assert faults(Step("up", "bundle"), offers=pointed) == {"up words_missing"}


@pytest.mark.criterion("R12b")
@pytest.mark.parametrize(
    ("downsell", "expected"),
    [
        (usd(2319), set()),
        (usd(2320), {"down downsell_not_cheaper"}),
        (usd(2321), {"down downsell_not_cheaper"}),
        (Money(1, "EUR"), {"down downsell_not_cheaper"}),
    ],
    ids=["less", "equal", "more", "other currency"],
)
def test_a_downsell_costs_less(downsell: Money, expected: set[str]) -> None:
    assert faults(UP, DOWN, prices={**PRICES, "templates": downsell}) == expected


@pytest.mark.criterion("R12b")
def test_a_dearer_downsell_may_be_confirmed() -> None:
    assert faults(UP, replace(DOWN, is_dearer_confirmed=True), prices={**PRICES, "templates": usd(9999)}) == set()


def test_a_downsell_without_a_known_price_is_a_fault() -> None:
    assert faults(UP, DOWN, prices={"bundle": usd(1)}) == {"down price_unknown"}
    assert faults(UP, DOWN, prices={"templates": usd(1)}) == {"down price_unknown"}


def test_a_step_beyond_the_page_cap_is_a_fault() -> None:
    third = Step("third", "extra")

    assert faults(UP, replace(DOWN, on_declined="third"), third) == {"third beyond_page_cap"}
    assert faults(UP, replace(DOWN, on_declined="third"), third, page_cap=3) == set()


keys = st.sampled_from(["up", "down", "third", THANKS, "nowhere"])
steps = st.builds(
    Step, keys, st.sampled_from(["bundle", "templates", "extra", "gone"]), keys, keys, keys, st.booleans()
)


@given(drawn=st.lists(steps, min_size=1, max_size=4), edges=st.lists(st.sampled_from(EDGES), min_size=4, max_size=4))
def test_every_path_of_a_checked_version_ends_in_thanks(drawn: list[Step], edges: list[Edge]) -> None:
    version = funnel(*drawn, page_cap=4)
    if check_version(version, offers=OFFERS, prices=PRICES):
        return

    step: Step | None = version.steps[0]
    for edge in edges:
        step = next_step(version, step.key, edge) if step else None

    assert step is None


@given(drawn=st.lists(steps, min_size=1, max_size=4))
def test_a_written_funnel_is_read_back_the_same(drawn: list[Step]) -> None:
    version = funnel(*drawn)

    assert read_funnel(json.loads(json.dumps(write_funnel(version))), version=1) == version


def test_rules_are_groups_of_conditions() -> None:
    any_of: list[dict[str, Any]] = [
        {"field": "product", "operator": "is", "value": ["pdt_course"]},
        {"field": "orders_so_far", "operator": "at_least", "value": 3},
    ]
    ruled = ruled_funnel(any_of, [{"field": "currency", "operator": "is", "value": "USD"}])

    assert [len(group) for group in ruled.rules] == [2, 1]
    assert read_funnel(write_funnel(ruled), version=1) == ruled


def test_a_funnel_says_little_and_gets_the_defaults() -> None:
    plain = read_funnel({"id": "f", "steps": [{"key": "up", "offer": "bundle"}]}, version=3)

    assert plain == Funnel("f", 3, 0, "order_paid", "return_page", (), (Step("up", "bundle"),), 2)
    assert get_step(plain, "up") == Step("up", "bundle")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"steps": []}, "fault.steps_expected"),
        ({"steps": ["up"]}, "fault.steps_expected"),
        ({"steps": [{"key": "up"}]}, "fault.field_missing"),
        ({"steps": [{"key": "up", "offer": "bundle", "undone": "thanks"}]}, "fault.unknown_field"),
        ({"rules": {}}, "fault.groups_expected"),
        ({"rules": [[]]}, "fault.groups_expected"),
        ({"rules": [[{"field": "shoe_size", "operator": "is", "value": "42"}]]}, "fault.unknown_condition"),
        ({"page_cap": 0}, "fault.number_expected"),
        ({"page_cap": 5}, "fault.number_expected"),
        ({"priority": -1}, "fault.number_expected"),
        ({"trigger": "limit_near"}, "fault.word_not_allowed"),
        ({"placement": "embed"}, "fault.word_not_allowed"),
        ({"timer": 5}, "fault.unknown_field"),
    ],
    ids=str,
)
def test_a_wrong_funnel_is_refused(change: dict[str, Any], key: str) -> None:
    table = {"id": "f", "steps": [{"key": "up", "offer": "bundle"}], **change}

    assert read_funnel(table, version=1) == [Fault(where=f"funnels.f.{next(iter(change))}", key=key)]


@pytest.mark.parametrize("table", [{}, {"id": ""}, {"id": 1}], ids=str)
def test_a_funnel_needs_an_id(table: dict[str, Any]) -> None:
    assert read_funnel(table, version=1) == [Fault(where="funnels", key="fault.id_missing")]
