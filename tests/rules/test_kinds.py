import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.kinds import (
    EXPIRY_MIN,
    KINDS,
    MAX_QUANTITY,
    ROLES,
    Fault,
    Offer,
    read_moment,
    read_offer,
    write_offer,
)
from tests.rules.samples import NOON, offer, offer_table

words = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
spoken = st.dictionaries(st.sampled_from(["en", "vi"]), words, min_size=1)
offers = st.builds(
    Offer,
    id=words,
    version=st.just(1),
    kind=st.just("one_time"),
    role=st.sampled_from(ROLES),
    product_id=words,
    quantity=st.integers(1, MAX_QUANTITY),
    discount_code=st.none() | words,
    titles=spoken,
    texts=st.just({}) | spoken,
    points=st.lists(spoken, max_size=6).map(tuple),
    expires_after_min=st.none() | st.integers(*EXPIRY_MIN),
    allows_buy_again=st.booleans(),
    terms=st.just({}) | spoken,
    deadline_at=st.none() | st.integers(0, 2**32).map(lambda second: second * 1000),
)


@given(written=offers)
def test_a_written_offer_is_read_back_the_same(written: Offer) -> None:
    assert read_offer(write_offer(written), version=1) == written


@given(written=offers)
def test_a_written_offer_survives_json(written: Offer) -> None:
    assert read_offer(json.loads(json.dumps(write_offer(written))), version=1) == written


def test_an_offer_says_little_and_gets_the_defaults() -> None:
    plain = offer()

    assert (plain.kind, plain.quantity, plain.expires_after_min) == ("one_time", 1, None)
    assert (plain.discount_code, plain.allows_buy_again, plain.deadline_at) == (None, False, None)


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("role", "freebie", "fault.word_not_allowed"),
        ("product", "", "fault.text_expected"),
        ("product", 7, "fault.text_expected"),
        ("quantity", 0, "fault.number_expected"),
        ("quantity", MAX_QUANTITY + 1, "fault.number_expected"),
        ("quantity", True, "fault.number_expected"),
        ("quantity", 1.5, "fault.number_expected"),
        ("discount_code", "  ", "fault.text_expected"),
        ("title", "Bundle", "fault.words_expected"),
        ("title", {}, "fault.words_expected"),
        ("title", {"fr": "Paquet"}, "fault.words_expected"),
        ("title", {"en": ""}, "fault.text_expected"),
        ("title", {"en": "x" * 501}, "fault.text_expected"),
        ("points", "one", "fault.points_expected"),
        ("points", [{"en": "x"}] * 7, "fault.points_expected"),
        ("points", ["x"], "fault.words_expected"),
        ("expires_after_min", 4, "fault.number_expected"),
        ("expires_after_min", 1441, "fault.number_expected"),
        ("buy_again", 1, "fault.flag_expected"),
        ("deadline", "tomorrow", "fault.moment_expected"),
        ("deadline", "2026-12-24T18:00:00", "fault.moment_expected"),
        ("price", 900, "fault.unknown_field"),
    ],
)
def test_a_wrong_field_is_named_with_its_fault(field: str, value: object, key: str) -> None:
    assert read_offer(offer_table(**{field: value}), version=1) == [Fault(where=f"offers.bundle.{field}", key=key)]


def test_every_fault_is_listed_at_once() -> None:
    faults = read_offer({"id": "bundle", "quantity": 0, "colour": "red"}, version=1)

    assert isinstance(faults, list)
    assert {fault.where.removeprefix("offers.bundle.") for fault in faults} == {
        "role",
        "product",
        "quantity",
        "title",
        "colour",
    }


@pytest.mark.parametrize("table", [{}, {"id": ""}, {"id": 7}], ids=str)
def test_an_offer_needs_an_id(table: dict[str, Any]) -> None:
    assert read_offer(table, version=1) == [Fault(where="offers", key="fault.id_missing")]


@pytest.mark.parametrize("kind", ["subscription", "", 7])
def test_an_unknown_kind_is_refused(kind: object) -> None:
    assert read_offer(offer_table(kind=kind), version=1) == [
        Fault(where="offers.bundle", key="fault.unknown_kind", values=(("kind", str(kind)),))
    ]


def test_an_offered_plan_change_has_fields_of_its_own() -> None:
    table = {
        "id": "pro",
        "kind": "plan_change",
        "role": "upsell",
        "product": "pro-plan",
        "mode": "full_immediately",
        "timing": "next_billing_date",
        "title": {"en": "Go Pro", "vi": "Lên Pro"},
    }

    offer = read_offer(table, version=1)

    assert set(KINDS) == {"one_time", "plan_change"}
    assert isinstance(offer, Offer)
    assert (offer.mode, offer.timing, offer.quantity, offer.discount_code) == (
        "full_immediately",
        "next_billing_date",
        1,
        None,
    )
    assert write_offer(offer) == table


def test_a_deadline_is_one_instant_in_every_zone() -> None:
    assert read_moment("2026-11-25T12:00:00Z") == read_moment("2026-11-25T19:00:00+07:00") == NOON


def test_words_fall_back_to_the_shops_language() -> None:
    vietnamese = offer(title={"vi": "Trọn bộ"}, text={"vi": "Tất cả"}, terms={"vi": "Một lần"})

    assert vietnamese.words_in("en", fallback="vi") == (
        {"title": "Trọn bộ", "gain": "Tất cả", "terms": "Một lần"},
        "vi",
    )
    assert vietnamese.words_in("en", fallback="en")[1] == "vi"
    assert offer().words_in("vi", fallback="en")[0]["title"] == "Trọn bộ"


def test_value_points_are_those_of_the_language() -> None:
    pointed = offer(points=[{"en": "Ten more", "vi": "Thêm mười"}, {"en": "Only English"}])

    assert pointed.value_points_in("vi") == ("Thêm mười",)
    assert pointed.value_points_in("en") == ("Ten more", "Only English")
