"""A look at a list counts as evidence only if it was whole."""

from collections.abc import Callable, Sequence

import pytest

from encore.dodo.pages import PAGE_SIZE, Look, look, read_pages
from encore.errors import NotExecuted, Unavailable

Rows = list[str]


def reader(*passes: Sequence[Rows]) -> Callable[[int], Rows]:
    """Serve pages of the first pass, then of the second, and so on; page 0 starts a pass."""
    begun = -1

    def read_page(number: int) -> Rows:
        nonlocal begun
        begun += number == 0
        pages = passes[min(begun, len(passes) - 1)]
        return list(pages[number]) if number < len(pages) else []

    return read_page


def full(first: int = 0) -> Rows:
    return [f"pay_{number}" for number in range(first, first + PAGE_SIZE)]


def look_at(read_page: Callable[[int], Rows]) -> Look[str]:
    return look(lambda number, size: read_page(number), key=lambda row: row)


def test_one_short_page_is_clean_at_once() -> None:
    assert look_at(reader([["pay_1", "pay_2"]])) == Look(("pay_1", "pay_2"), is_clean=True)


def test_an_empty_list_is_clean() -> None:
    assert look_at(reader([[]])) == Look((), is_clean=True)


def test_several_pages_that_read_equal_twice_are_clean() -> None:
    found = look_at(reader([full(), ["pay_last"]]))

    assert found.is_clean
    assert found.items == (*full(), "pay_last")


def test_exactly_one_full_page_is_followed_to_its_end() -> None:
    asked: list[int] = []
    read_page = reader([full()])

    def counting(number: int) -> Rows:
        asked.append(number)
        return read_page(number)

    assert look_at(counting).is_clean
    assert asked == [0, 1, 0, 1]


def test_rows_that_move_between_passes_are_not_clean_but_kept() -> None:
    found = look_at(reader([full(), ["pay_old"]], [["pay_new", *full()[:-1]], [full()[-1], "pay_old"]]))

    assert not found.is_clean
    assert {"pay_new", "pay_old"} <= set(found.items)


def test_a_repeated_row_is_not_clean() -> None:
    # The row that came twice pushed another out of sight.
    assert not look_at(reader([[*full()[:-1], "pay_0"], ["pay_last"]])).is_clean


@pytest.mark.parametrize("error", [Unavailable("status_503"), NotExecuted("X", 422, "")])
@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_a_page_that_fails_makes_the_look_unclean(error: Exception, failing: int) -> None:
    read_page = reader([full(), ["pay_last"]])
    asked = 0

    def failing_once(number: int) -> Rows:
        nonlocal asked
        asked += 1
        if asked - 1 == failing:
            raise error
        return read_page(number)

    found = look_at(failing_once)

    assert not found.is_clean
    assert len(found.items) == (0, PAGE_SIZE, PAGE_SIZE + 1, PAGE_SIZE + 1)[failing]


def test_a_list_without_end_is_unavailable() -> None:
    pages = read_pages(lambda number: full(number * PAGE_SIZE))

    with pytest.raises(Unavailable, match="list_without_end"):
        list(pages)
    assert not look_at(lambda number: full(number * PAGE_SIZE)).is_clean


def test_a_row_lost_between_two_pages_is_found_by_the_second_pass() -> None:
    """A list that moves while it is read loses the row at the border; the second pass has its borders elsewhere."""
    rows = [f"pay_{number}" for number in range(150)]

    def moving(number: int, size: int) -> Rows:
        first = number * size + (1 if number else 0)
        return rows[first : first + size]

    found = look(moving, key=lambda row: row)

    assert not found.is_clean
    assert set(found.items) == set(rows)
