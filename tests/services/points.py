"""Acts in the very middle of a click: what happens when a thread passes a crash point."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from encore import crash_point as crash_points

PassPoint = Callable[[str, Callable[[], Any]], None]


@contextmanager
def watched_points() -> Iterator[PassPoint]:
    """Take the place of every crash point; yields what sets the act for the first pass of one."""
    acts: dict[str, Callable[[], Any]] = {}
    real = crash_points.crash_point

    def pass_by(name: str) -> None:
        act = acts.pop(name, None)
        if act is not None:
            act()

    holders = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("encore.") and getattr(module, "crash_point", None) is real
    ]
    for module in holders:
        setattr(module, "crash_point", pass_by)  # noqa: B010
    try:
        yield acts.__setitem__
    finally:
        for module in holders:
            setattr(module, "crash_point", real)  # noqa: B010
