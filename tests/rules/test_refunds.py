"""Which lines of a payment give back a sum."""

import pytest

from encore.rules.refunds import split


@pytest.mark.parametrize(
    ("amount", "lines", "expected"),
    [
        (1000, [("a", 3000)], {"a": 1000}),
        (1000, [("a", 0), ("b", 600), ("c", 600)], {"b": 600, "c": 400}),
        (3000, [("a", 3000), ("b", 1)], {"a": 3000}),
        (1000, [("a", 999)], None),
        (1000, [], None),
    ],
)
def test_a_sum_is_taken_from_the_lines_in_their_order(
    amount: int, lines: list[tuple[str, int]], expected: dict[str, int] | None
) -> None:
    assert split(amount, lines) == expected
