"""What a payment at the provider means, whose it is, and when its absence is proven."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encore.rules.attempts import (
    MIN_CLEAN_MISSES,
    UNCLEAN_RETRY_MS,
    AttemptKind,
    is_absent,
    next_look_after,
    sight,
    whose_payment,
)

LIVE_LOOKS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 960.0)
QUARANTINE_MS = 900_000


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("cancelled", "failed"),
        ("requires_payment_method", "failed"),
        ("requires_customer_action", "requires_action"),
        ("processing", "processing"),
        ("requires_merchant_action", "processing"),
        ("requires_confirmation", "processing"),
        ("requires_capture", "processing"),
        ("partially_captured", "processing"),
        ("partially_captured_and_capturable", "processing"),
        (None, "processing"),
        ("", "processing"),
        ("Succeeded", "processing"),
        ("a_new_status", "processing"),
    ],
)
def test_status_is_sighted(status: str | None, expected: str) -> None:
    assert sight(status) == expected


def whose(
    *,
    is_mark_true: bool = True,
    sent: str | None = "cus_1",
    paying: str = "cus_1",
    stored: str | None = "cks_1",
    paid: str | None = "cks_1",
    charge_type: str | None = None,
    kind: AttemptKind = "one_click",
) -> str:
    return whose_payment(
        is_mark_true=is_mark_true,
        sent_customer_id=sent,
        paying_customer_id=paying,
        stored_session_id=stored,
        paid_session_id=paid,
        charge_type=charge_type,
        kind=kind,
    )


@pytest.mark.parametrize("charge_type", [None, "new"])
def test_marked_payment_of_the_same_customer_is_ours(charge_type: str | None) -> None:
    assert whose(charge_type=charge_type, stored=None) == "ours"


def test_a_forged_mark_is_nobodys_payment() -> None:
    assert whose(is_mark_true=False) == "nobody"
    assert whose(is_mark_true=False, charge_type="renewal") == "nobody"


def test_a_true_mark_on_another_customers_payment_is_nobodys() -> None:
    assert whose(paying="cus_2") == "nobody"


@pytest.mark.parametrize("charge_type", ["renewal", "on_demand", "plan_change"])
def test_a_renewal_with_inherited_metadata_is_never_a_duplicate(charge_type: str) -> None:
    assert whose(charge_type=charge_type) == "renewal"


@pytest.mark.parametrize("charge_type", ["a_new_type", ""])
def test_other_charge_types_are_ignored(charge_type: str) -> None:
    assert whose(charge_type=charge_type) == "nobody"


def test_a_plan_change_is_paid_by_its_own_type_of_payment_only() -> None:
    assert whose(kind="plan_change", charge_type="plan_change") == "ours"
    assert whose(kind="plan_change", charge_type="renewal") == "renewal"
    assert whose(kind="plan_change", charge_type=None) == "nobody"
    assert whose(kind="plan_change", charge_type="plan_change", paying="cus_2") == "nobody"


def test_hosted_without_customer_needs_its_own_session() -> None:
    assert whose(sent=None, paying="cus_new") == "ours"
    assert whose(sent=None, paid="cks_2") == "nobody"
    assert whose(sent=None, stored=None, paid=None) == "nobody"


def absent(**changes: bool | int) -> bool:
    facts = {"sender_ended": True, "clean_misses": 5, "quiet_ms": QUARANTINE_MS, "is_named_by_webhook": False}
    return is_absent(quarantine_ms=QUARANTINE_MS, **{**facts, **changes})  # type: ignore[arg-type]


def test_absent_needs_all_four_signs() -> None:
    assert absent()
    for ended, misses, quiet, named in itertools.product((0, 1), (4, 5), (QUARANTINE_MS - 1, QUARANTINE_MS), (0, 1)):
        proven = absent(sender_ended=bool(ended), clean_misses=misses, quiet_ms=quiet, is_named_by_webhook=bool(named))
        assert proven == ((ended, misses, quiet, named) == (1, 5, QUARANTINE_MS, 0))


def test_five_clean_misses_are_wanted() -> None:
    assert MIN_CLEAN_MISSES == 5


def look_after(age_ms: int, *, was_clean: bool = True, quiet_left_ms: int = 0) -> int:
    return next_look_after(age_ms, looks_s=LIVE_LOOKS_S, every_s=3600, was_clean=was_clean, quiet_left_ms=quiet_left_ms)


def test_looks_fall_at_their_ages_then_hourly() -> None:
    age_ms, ages = 0, []
    for _ in range(13):
        age_ms += look_after(age_ms)
        ages.append(age_ms // 1000)

    assert ages == [1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 960, 960 + 3600, 960 + 7200]


def test_sandbox_looks_every_half_second() -> None:
    assert next_look_after(0, looks_s=(), every_s=0.5, was_clean=True, quiet_left_ms=0) == 500
    assert next_look_after(60_000, looks_s=(), every_s=0.5, was_clean=False, quiet_left_ms=0) == 500


def test_a_look_into_an_outage_is_repeated_soon() -> None:
    assert look_after(400_000, was_clean=False) == UNCLEAN_RETRY_MS
    assert look_after(1_000, was_clean=False) == 1_000


def test_the_end_of_the_quiet_time_is_looked_at() -> None:
    assert look_after(960_000, quiet_left_ms=45_000) == 45_001
    assert look_after(960_000, quiet_left_ms=0) == 3_600_000


@given(
    age_ms=st.integers(0, 10**9),
    was_clean=st.booleans(),
    quiet_left_ms=st.integers(-(10**6), 10**7),
)
def test_next_look_is_ahead_and_within_the_hour(age_ms: int, was_clean: bool, quiet_left_ms: int) -> None:
    assert 0 < look_after(age_ms, was_clean=was_clean, quiet_left_ms=quiet_left_ms) <= 3_600_000


def test_extra_looks_do_not_push_the_others_away() -> None:
    asked_for = [look_after(age_ms) for age_ms in range(100, 1000, 100)]

    assert asked_for == [1000 - age_ms for age_ms in range(100, 1000, 100)]


def test_undisturbed_attempt_is_absent_by_its_eleventh_look() -> None:
    age_ms = quiet_ms = misses = 0
    while not absent(clean_misses=misses, quiet_ms=quiet_ms):
        wait_ms = look_after(age_ms, quiet_left_ms=QUARANTINE_MS - quiet_ms if misses else 0)
        age_ms += wait_ms
        # Quiet time is counted between looks: nothing before the first one.
        quiet_ms += wait_ms if misses else 0
        misses += 1

    assert misses <= 11
    assert age_ms <= QUARANTINE_MS + 120_000
