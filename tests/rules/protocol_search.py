"""The invariants a world of `protocol_model` must keep, and the search that visits every world there is."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass

from encore.rules.attempts import LIVE, LIVE_DIRECT
from tests.rules.protocol_model import WORKING, Limits, World, steps
from tests.rules.protocol_rules import Protocol


def breaches(world: World) -> Iterator[str]:
    """The invariants of charging.md, section 11, that a world breaks; some hold always, some once all was seen."""
    mine = [payment for payment in world.payments if not payment.is_renewal]
    standing = sum(payment.status == "succeeded" and payment.fate in ("seen", "kept", "manual") for payment in mine)
    if standing > 1 and not world.has_met_limit:
        yield "I2"
    if any(attempt.requests > 1 for attempt in world.attempts):
        yield "I4"
    if world.instance == "declined" and world.attempts:
        yield "I8"
    if any(payment.is_renewal and payment.fate == "returned" for payment in world.payments):
        yield "I11"
    if world.has_kept_after_no or not _fits(world):
        yield "I6"
    if _is_at_rest(world):
        yield from _breaches_at_rest(world, standing)


def _fits(world: World) -> bool:
    states = [attempt.state for attempt in world.attempts]
    direct = sum(a.kind == "one_click" and a.state in LIVE_DIRECT for a in world.attempts)
    live, paid = sum(state in LIVE for state in states), states.count("paid")
    match world.outcome:
        case None:
            return not states
        case "open":
            return (live, direct, paid) == (1, 1, 0)
        case "needs_checkout":
            return live <= 1 and direct == 0 and paid == 0
        case "charged" | "refunded":
            return (live, paid) == (0, 1)
        case "closed":
            return (live, paid) == (0, 0)


def _is_at_rest(world: World) -> bool:
    """Nobody is sending, nothing is under way, and every payment was seen as it is."""
    return all(a.sender not in WORKING and not a.under_way for a in world.attempts) and all(
        payment.seen == payment.status for payment in world.payments
    )


def _breaches_at_rest(world: World, standing: int) -> Iterator[str]:
    is_charged = world.outcome == "charged"
    if standing != int(is_charged):
        yield "I2"
    if world.granted != int(is_charged):
        yield "I3"
    for index, attempt in enumerate(world.attempts):
        if attempt.state in ("pending", "action_required") and attempt.kind == "one_click":
            own = [payment for payment in world.payments if payment.owner == index and not payment.is_renewal]
            if own and all(payment.status in ("succeeded", "failed") for payment in own):
                # Everything has ended and was seen, yet the buyer is told to wait: for ever.
                yield "I5"


# ---- The search ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What a search met: how many states, and for each invariant broken the shortest way there."""

    states: int
    breaches: dict[str, list[str]]


def search(limits: Limits, protocol: Protocol, *, until: str | None = None, at_most: int = 1_000_000) -> Found:
    """Visit every world that can be reached, nearest first; a world that breaks an invariant is not gone beyond.

    `until` ends the search when that invariant is broken. Raises RuntimeError beyond `at_most` states: a search that
    was cut short has shown nothing.
    """
    # The collector would walk a growing graph that holds no cycle, again and again.
    gc.disable()
    try:
        return _search(limits, protocol, until=until, at_most=at_most)
    finally:
        gc.enable()


def _search(limits: Limits, protocol: Protocol, *, until: str | None, at_most: int) -> Found:
    start = World(left=limits)
    came_from: dict[World, tuple[World, str] | None] = {start: None}
    queue, found = [start], dict[str, list[str]]()
    for world in queue:
        broken = [name for name in breaches(world) if name not in found]
        for name in broken:
            found[name] = _way_to(world, came_from)
        if until in found:
            break
        if broken or (until is None and found):
            continue
        for label, following in steps(world, protocol):
            if following not in came_from:
                came_from[following] = (world, label)
                queue.append(following)
        if len(queue) > at_most:
            raise RuntimeError(f"more than {at_most} states")
    return Found(states=len(came_from), breaches=found)


def _way_to(world: World, came_from: dict[World, tuple[World, str] | None]) -> list[str]:
    way: list[str] = []
    step = came_from[world]
    while step is not None:
        world, label = step
        way.append(label)
        step = came_from[world]
    return way[::-1]
