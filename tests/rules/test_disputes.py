"""Disputes: of several only one counts, and what it means for the money."""

import pytest

from encore.rules.disputes import is_lost, is_open, standing_status


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("dispute_opened", (True, False)),
        ("dispute_challenged", (True, False)),
        ("dispute_lost", (False, True)),
        ("dispute_accepted", (False, True)),
        ("dispute_won", (False, False)),
        ("dispute_cancelled", (False, False)),
        ("dispute_expired", (False, False)),
        ("a_word_of_next_year", (False, False)),
        (None, (False, False)),
    ],
)
def test_each_word_is_open_or_lost_or_neither(status: str | None, expected: tuple[bool, bool]) -> None:
    assert (is_open(status), is_lost(status)) == expected


@pytest.mark.parametrize(
    ("statuses", "standing"),
    [
        ([], None),
        (["dispute_won"], "dispute_won"),
        (["dispute_won", "dispute_expired"], "dispute_expired"),
        (["dispute_opened", "dispute_won"], "dispute_opened"),
        (["dispute_opened", "dispute_challenged"], "dispute_challenged"),
        (["dispute_lost", "dispute_opened", "dispute_won"], "dispute_lost"),
        (["dispute_lost", "dispute_accepted"], "dispute_accepted"),
    ],
)
def test_lost_counts_before_open_and_open_before_what_is_over(statuses: list[str], standing: str | None) -> None:
    assert standing_status(statuses) == standing
