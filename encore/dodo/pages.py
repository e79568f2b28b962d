"""Paging by hand: the provider's lists have no total and no "next", only a page shorter than asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from encore.errors import ProviderError, Unavailable

T = TypeVar("T")

PAGE_SIZE = 100  # the largest the provider gives
# The second pass cuts the list elsewhere, so that a row lost between two pages is not lost at the same place again.
_SECOND_PAGE_SIZE = 90
_MOST_PAGES = 500


@dataclass(frozen=True)
class Look(Generic[T]):
    """What one look at a list found, and the fault that ended it early, if one did.

    Only a clean look may count as evidence that something is absent.
    """

    items: tuple[T, ...]
    is_clean: bool
    fault: ProviderError | None = None


def read_pages(read_page: Callable[[int], Sequence[T]], *, page_size: int = PAGE_SIZE) -> Iterator[T]:
    """Yield the rows of page 0, 1, 2 .. to the first short one. Raises what `read_page` raises."""
    for page_number in range(_MOST_PAGES):
        page = read_page(page_number)
        yield from page
        if len(page) < page_size:
            return
    raise Unavailable("list_without_end")


def look(read_page: Callable[[int, int], Sequence[T]], *, key: Callable[[T], str]) -> Look[T]:
    """Read a whole list and say whether that reading can be trusted to be complete.

    `read_page` is given the page's number, from 0, and its size. Clean: every page was 200, valid and complete, and no
    row came twice. Rows move between pages while others are added, so a list of several pages must read the same two
    times. Whatever was found is returned even if the look is not clean: a payment that was seen is there.
    """
    found: dict[str, T] = {}
    passes: list[list[T]] = []
    for page_size in (PAGE_SIZE, _SECOND_PAGE_SIZE):
        seen: list[T] = []
        try:
            for item in read_pages(partial(_read_sized, read_page, page_size), page_size=page_size):
                seen.append(item)
                found[key(item)] = item
        except ProviderError as error:
            return Look(tuple(found.values()), is_clean=False, fault=error)
        if len({key(item) for item in seen}) != len(seen):
            return Look(tuple(found.values()), is_clean=False)
        passes.append(seen)
        if len(seen) < PAGE_SIZE:
            # All of it stood on one page.
            break
    return Look(tuple(found.values()), is_clean=passes[0] == passes[-1])


def _read_sized(read_page: Callable[[int, int], Sequence[T]], page_size: int, page_number: int) -> Sequence[T]:
    return read_page(page_number, page_size)
