"""Broken: the first look that finds nothing makes a charge absent (Q = 0)."""

from collections.abc import Callable

from encore.services import reconcile


def apply(patch: Callable[[object, str, object], None]) -> None:
    """Take the quarantine away: any clean look is proof."""
    patch(reconcile, "is_absent", lambda *, clean_misses, **_: clean_misses >= 1)
