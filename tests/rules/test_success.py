"""What an observed success means: the table of `charging.md`, section 7."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.attempts import (
    OUTCOMES,
    Keep,
    KeepAndRefund,
    LeaveToPerson,
    Return,
    SuccessMeaning,
    judge_success,
)
from encore.rules.money import Money
from tests.rules.samples import usd

CLOSED_AT = 1_000


def judge(**changes: Any) -> SuccessMeaning:
    plain: dict[str, Any] = {
        "kind": "one_click",
        "outcome": "open",
        "closed_at": None,
        "begun_at": 500,
        "undo_at": None,
        "amount_agreed": usd(2320),
        "amount_paid": usd(2320),
        "is_right_cart": True,
    }
    return judge_success(**{**plain, **changes})


@pytest.mark.parametrize("outcome", ["open", "needs_checkout"])
@pytest.mark.parametrize("kind", ["one_click", "hosted"])
def test_the_first_success_is_kept(kind: str, outcome: str) -> None:
    assert judge(kind=kind, outcome=outcome) == Keep()


@pytest.mark.parametrize("kind", ["one_click", "hosted"])
@pytest.mark.parametrize(("outcome", "reason"), [("charged", "already_charged"), ("refunded", "already_refunded")])
def test_a_second_success_is_returned(kind: str, outcome: str, reason: str) -> None:
    assert judge(kind=kind, outcome=outcome) == Return(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("begun_at", [CLOSED_AT - 1, CLOSED_AT, CLOSED_AT + 1])
def test_a_direct_success_after_the_no_is_returned(begun_at: int) -> None:
    assert judge(outcome="closed", closed_at=CLOSED_AT, begun_at=begun_at) == Return("declined_before")


@pytest.mark.parametrize(
    ("begun_at", "expected"),
    [
        (CLOSED_AT - 1, Return("declined_before")),
        (CLOSED_AT, Return("declined_before")),
        (CLOSED_AT + 1, Keep()),
    ],
    ids=["before", "same instant", "after"],
)
def test_only_a_hosted_payment_begun_after_the_no_is_a_new_yes(begun_at: int, expected: SuccessMeaning) -> None:
    assert judge(kind="hosted", outcome="closed", closed_at=CLOSED_AT, begun_at=begun_at) == expected


def test_closed_at_an_unknown_time_takes_no_payment() -> None:
    assert judge(kind="hosted", outcome="closed") == Return("declined_before")


def test_a_stored_undo_refunds_at_once() -> None:
    assert judge(undo_at=600) == KeepAndRefund("undo")


@pytest.mark.parametrize("kind", ["one_click", "hosted"])
def test_another_product_or_quantity_is_refunded(kind: str) -> None:
    assert judge(kind=kind, is_right_cart=False) == KeepAndRefund("other_cart")


def test_more_than_agreed_is_refunded() -> None:
    assert judge(amount_paid=usd(2321)) == KeepAndRefund("overcharged")


def test_another_currency_is_refunded_even_if_the_number_is_less() -> None:
    assert judge(amount_paid=Money(1, "EUR")) == KeepAndRefund("other_currency")


def test_less_than_agreed_is_kept_and_told() -> None:
    assert judge(amount_paid=usd(2319)) == Keep(is_less=True)


@pytest.mark.parametrize("paid", [usd(1), usd(9999), Money(2500, "EUR")], ids=["less", "more", "currency"])
def test_at_the_hosted_page_its_own_amount_is_agreed(paid: Money) -> None:
    assert judge(kind="hosted", amount_paid=paid) == Keep()
    assert judge(kind="hosted", amount_agreed=None, amount_paid=paid) == Keep()


def test_a_payment_without_a_row_is_left_to_a_person() -> None:
    assert judge(outcome=None) == LeaveToPerson("no_row")


@pytest.mark.parametrize(
    "change", [{"outcome": "charged"}, {"undo_at": 600}, {"is_right_cart": False}], ids=["return", "undo", "cart"]
)
def test_nothing_paid_is_never_refunded(change: dict[str, Any]) -> None:
    assert judge(amount_paid=usd(0), **change) == LeaveToPerson("zero_amount")


def test_a_free_acceptance_is_kept() -> None:
    assert judge(amount_agreed=usd(0), amount_paid=usd(0)) == Keep()


@given(
    kind=st.sampled_from(["one_click", "hosted"]),
    outcome=st.sampled_from(OUTCOMES),
    closed_at=st.none() | st.integers(0, 10),
    begun_at=st.integers(0, 10),
    undo_at=st.none() | st.integers(0, 10),
    paid=st.builds(Money, st.integers(0, 3), st.sampled_from(["USD", "EUR"])),
    is_right_cart=st.booleans(),
)
def test_nothing_kept_exceeds_what_was_agreed_or_follows_a_no(paid: Money, outcome: str, **facts: Any) -> None:
    meaning = judge(amount_agreed=usd(2), amount_paid=paid, outcome=outcome, **facts)

    if isinstance(meaning, Keep):
        assert outcome not in ("charged", "refunded")
        assert facts["is_right_cart"]
        assert facts["undo_at"] is None
        if facts["kind"] == "one_click":
            assert outcome != "closed"
            assert paid <= usd(2)
        elif outcome == "closed":
            assert facts["closed_at"] is not None
            assert facts["begun_at"] > facts["closed_at"]
    if isinstance(meaning, Return | KeepAndRefund):
        assert paid.minor > 0


@pytest.mark.parametrize("outcome", ["open", "closed"])
@pytest.mark.parametrize(
    ("paid", "expected"),
    [
        (usd(2320), Keep()),
        (usd(2319), Keep(is_less=True)),
        (usd(2321), Keep(is_more=True)),
        (Money(2320, "EUR"), Keep(is_more=True)),
    ],
)
def test_a_plan_change_is_kept_however_late(outcome: str, paid: Money, expected: Keep) -> None:
    assert judge(kind="plan_change", outcome=outcome, closed_at=CLOSED_AT, amount_paid=paid) == expected


def test_a_plan_change_paid_twice_is_left_to_a_person() -> None:
    assert judge(kind="plan_change", outcome="charged") == LeaveToPerson("paid_twice")
