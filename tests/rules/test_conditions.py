from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.conditions import FIELDS, Condition, evaluate, read_condition, write_condition
from tests.rules.samples import NOON, facts, usd

EUROS = {"minor": 1, "currency": "EUR"}
CASES: list[tuple[str, str, Any, dict[str, Any], bool]] = [
    ("product", "is", "pdt_course", {}, True),
    ("product", "is", ["pdt_other", "pdt_course"], {}, True),
    ("product", "is", ["pdt_other"], {}, False),
    ("product", "is_not", ["pdt_other"], {}, True),
    ("product", "is_not", ["pdt_course"], {}, False),
    ("owned_product", "is", ["pdt_bundle"], {"owned_products": frozenset({"pdt_bundle"})}, True),
    ("owned_product", "is", ["pdt_bundle"], {}, False),
    ("owned_product", "is_not", ["pdt_bundle"], {}, True),
    ("owned_product", "is_not", ["pdt_bundle"], {"owned_products": frozenset({"pdt_bundle"})}, False),
    ("currency", "is", "USD", {}, True),
    ("currency", "is", "EUR", {}, False),
    ("currency", "is_not", "EUR", {}, True),
    ("currency", "is_not", ["USD", "EUR"], {}, False),
    ("country", "is", ["VN", "US"], {}, True),
    ("country", "is", ["US"], {"country": None}, False),
    ("country", "is_not", ["US"], {"country": None}, True),
    ("country", "is_not", ["US"], {}, False),
    ("language", "is", "vi", {}, False),
    ("language", "is", "vi", {"language": "vi"}, True),
    ("language", "is_not", "vi", {}, True),
    ("language", "is_not", "vi", {"language": "vi"}, False),
    ("returning", "is", True, {}, False),
    ("returning", "is", False, {}, True),
    ("returning", "is", True, {"orders_so_far": 2}, True),
    ("orders_so_far", "at_least", 3, {"orders_so_far": 3}, True),
    ("orders_so_far", "at_least", 3, {"orders_so_far": 2}, False),
    ("orders_so_far", "at_most", 1, {}, True),
    ("orders_so_far", "at_most", 0, {}, False),
    ("amount", "at_least", {"minor": 4900, "currency": "USD"}, {}, True),
    ("amount", "at_least", {"minor": 4901, "currency": "USD"}, {}, False),
    ("amount", "at_least", EUROS, {}, False),
    ("amount", "at_most", {"minor": 4900, "currency": "USD"}, {}, True),
    ("amount", "at_most", {"minor": 4899, "currency": "USD"}, {}, False),
    ("amount", "at_most", {"minor": 10**9, "currency": "EUR"}, {}, False),
    ("date", "from", "2026-11-25", {}, True),
    ("date", "from", "2026-11-26", {}, False),
    ("date", "until", "2026-11-25", {}, True),
    ("date", "until", "2026-11-24", {}, False),
    ("date", "until", "2026-11-25", {"now": NOON + 12 * 3_600_000}, False),
    ("sample", "below", 100, {}, True),
    ("sample", "below", 0, {}, False),
]


def condition(field: str, operator: str, value: object) -> Condition:
    return read_condition({"field": field, "operator": operator, "value": value})


@pytest.mark.parametrize(("field", "operator", "value", "changes", "expected"), CASES)
def test_condition_holds(field: str, operator: str, value: object, changes: dict[str, Any], expected: bool) -> None:
    assert evaluate(condition(field, operator, value), facts(**changes)).is_ok is expected


def test_every_operator_is_seen_to_hold_and_to_fail() -> None:
    pairs = {(name, operator) for name, field in FIELDS.items() for operator in field.operators}

    assert {(field, operator, holds) for field, operator, _, _, holds in CASES} == {
        (*pair, holds) for pair in pairs for holds in (True, False)
    }


@pytest.mark.parametrize(("field", "operator", "value"), [case[:3] for case in CASES])
def test_a_written_condition_is_read_back_the_same(field: str, operator: str, value: object) -> None:
    read = condition(field, operator, value)

    assert read_condition(write_condition(read)) == read


def test_a_reason_names_what_was_wanted_and_seen() -> None:
    reason = evaluate(condition("product", "is", ["pdt_b", "pdt_a"]), facts())

    assert reason.key == "condition.product.is"
    assert dict(reason.values) == {"wanted": "pdt_a, pdt_b", "seen": "pdt_course"}


def test_a_reason_names_amounts_in_minor_units() -> None:
    reason = evaluate(condition("amount", "at_least", EUROS), facts(total=usd(5)))

    assert dict(reason.values) == {"wanted": "1 EUR", "seen": "5 USD"}


def test_a_toml_date_is_a_date() -> None:
    assert condition("date", "from", date(2026, 11, 25)) == condition("date", "from", "2026-11-25")


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("product", "fault.condition_expected"),
        ({"field": "product", "operator": "is"}, "fault.condition_expected"),
        ({"field": "product", "operator": "is", "value": "x", "extra": 1}, "fault.condition_expected"),
        ({"field": "shoe_size", "operator": "is", "value": "x"}, "fault.unknown_condition"),
        ({"field": ["product"], "operator": "is", "value": "x"}, "fault.unknown_condition"),
        ({"field": "product", "operator": "at_least", "value": "x"}, "fault.unknown_operator"),
        ({"field": "product", "operator": ["is"], "value": "x"}, "fault.unknown_operator"),
        ({"field": "product", "operator": "is", "value": []}, "fault.list_expected"),
        ({"field": "product", "operator": "is", "value": [1]}, "fault.list_expected"),
        ({"field": "returning", "operator": "is", "value": "yes"}, "fault.flag_expected"),
        ({"field": "orders_so_far", "operator": "at_least", "value": -1}, "fault.number_expected"),
        ({"field": "orders_so_far", "operator": "at_least", "value": True}, "fault.number_expected"),
        ({"field": "amount", "operator": "at_least", "value": 100}, "fault.money_expected"),
        (
            {"field": "amount", "operator": "at_least", "value": {"minor": 1.5, "currency": "USD"}},
            "fault.money_expected",
        ),
        ({"field": "date", "operator": "from", "value": "25/11/2026"}, "fault.date_expected"),
        ({"field": "date", "operator": "from", "value": 20261125}, "fault.date_expected"),
        ({"field": "sample", "operator": "below", "value": 101}, "fault.percent_expected"),
    ],
    ids=str,
)
def test_a_wrong_condition_is_refused(table: object, key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}$"):
        read_condition(table)


@given(customer_id=st.text(max_size=30), percent=st.integers(0, 99))
def test_a_wider_sample_keeps_the_narrower_ones_customers(customer_id: str, percent: int) -> None:
    order = facts(customer_id=customer_id)

    if evaluate(condition("sample", "below", percent), order).is_ok:
        assert evaluate(condition("sample", "below", percent + 1), order).is_ok


def test_a_sample_takes_about_its_share() -> None:
    half = condition("sample", "below", 50)

    taken = sum(evaluate(half, facts(customer_id=f"cus_{n}")).is_ok for n in range(2000))

    assert 900 < taken < 1100
