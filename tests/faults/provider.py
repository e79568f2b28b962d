"""A shop whose provider misbehaves: every fault word, buyers at once, and what each of them must come to.

In one process, on a real store and the real sandbox over HTTP; only time-outs are those of tests.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from encore.dodo import client as dodo_client
from encore.services import audit, charging, offer_pages, reconcile, refunds
from encore.services.audit import Breach, Witness
from encore.services.pages import OfferPage
from encore.services.shop import open_shop
from encore.store import attempts, offer_instances
from tests.sandbox_process import BUNDLE, start_sandbox, wait_for
from tests.services.world import MovableClock, World, make_installation, settings_for

T = TypeVar("T")
R = TypeVar("R")

CONFIRM = "POST /checkouts"
# A whole answer takes a few milliseconds here; what has not come in this time is lost.
CHARGE_TIMEOUT_S = 0.5
READ_TIMEOUT_S = 0.3
QUARANTINE_S = 1.0
LATE = f"late:{QUARANTINE_S / 2}"
# More at once only wait for each other: two processes share two cores.
_AT_ONCE = 6

# Faults after a connection, in the sandbox's words (proof.md, section 5). `;` sets Retry-After.
LOST = ("reset", "reset_before_read", "reset_mid_read", "timeout", "drip", "stall_after_headers")
SPOILED = (
    *("empty", "truncated", "html", "wrong_type", "missing_id", "null_id", "other_id", "nan", "1e400"),
    *("repeated_keys", "huge", "wrong_length", "status:201", "status:202", "status:204"),
)
ELSEWHERE = ("redirect:301", "redirect:302", "redirect:307")
UNCLEAR_STATUS = ("status:408", "status:409", "status:500", "status:502", "status:503", "status:504")
RETRY_AFTER = ("1", "86400", "-1", "Wed, 21 Oct 2099 07:28:00 GMT", "soon")
TOO_MANY = ("status:429", *(f"status:429;{text}" for text in RETRY_AFTER))
REFUSED = (
    *("status:400", "status:401", "status:403", "status:404", "status:410", "status:413", "status:415", "status:422"),
    "status:409:PREVIOUS_PAYMENT_PENDING",
    *TOO_MANY,
)
UNCLEAR = (*LOST, *SPOILED, *ELSEWHERE, *UNCLEAR_STATUS)
# An honest answer, a little later or with fields nobody knows.
HONEST = ("unknown_fields", "slow:0.05")
WORDS = (*UNCLEAR, *REFUSED, *HONEST)
# Faults that may leave what an answer is read for as it was: an id can be any text.
HARMLESS = ("other_id", *HONEST)


def order_fault(world: World, endpoint: str, word: str, *, effect: str = "none", **more: Any) -> None:
    """Order a fault by its word here; without a `match` it meets the next request, whoever sends it."""
    fault, _, retry_after = word.partition(";")
    world.sandbox.fault(endpoint, fault, effect=effect, retry_after=retry_after or None, **more)


@contextmanager
def quick_world(folder: Path) -> Iterator[World]:
    """Open a shop with the demo on a sandbox of its own; nothing waits as long as in earnest."""
    with start_sandbox(folder) as sandbox, pytest.MonkeyPatch.context() as patch:
        data = make_installation(sandbox, folder / "shop")
        settings = settings_for(
            sandbox,
            data,
            ENCORE_CHARGE_TIMEOUT_S=str(CHARGE_TIMEOUT_S),
            ENCORE_QUARANTINE_S=str(QUARANTINE_S),
            ENCORE_LOOK_EVERY_S="0.1",
        )
        clock = MovableClock()
        shop = open_shop(settings, clock=clock)
        patch.setattr(shop.dodo.client, "_timeouts", replace(shop.dodo.client.timeouts, read_s=READ_TIMEOUT_S))
        patch.setattr(dodo_client, "sleep", lambda seconds: None)
        # Here the storm is the test: the guards against storms have tests of their own.
        patch.setattr(charging, "_is_storm", lambda *_, **__: False)
        patch.setattr(refunds, "MOST_AUTOMATIC_A_DAY", 10_000)
        try:
            yield World(shop, sandbox, clock)
        finally:
            shop.close()


@dataclass(frozen=True)
class Shopper:
    """A buyer in a browser of their own, on the page of an offer."""

    email: str
    key: str
    page: OfferPage
    customer_id: str


def new_key() -> str:
    """Return a browser's key."""
    return secrets.token_hex(32)


def bring_shopper(world: World, name: str) -> Shopper:
    """Let somebody buy and come back to the offer."""
    key, email = new_key(), f"{name}@example.com"
    page = world.offer(email=email, key=key)
    instance = offer_instances.get_instance(world.shop.store, page.instance_id)
    assert instance is not None
    return Shopper(email, key, page, instance.customer_id)


def at_once(act: Callable[[T], R], subjects: Iterable[T]) -> list[R]:
    """Do something for all, several at a time; the first failure is raised."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(act, subjects))


@dataclass(frozen=True)
class Standing:
    """What can be seen of a shopper's yes at one moment; `page` is what a browser would be shown."""

    attempt: str | None
    outcome: str | None
    page: str
    has_pay_button: bool


# The states of `ux.md` whose page has a form that leads to a payment.
_PAYABLE = {"offer", "quote_changed", "no_method", "owned", "limited", "failed", "not_charged", "checkout_open"}


def standing_of(world: World, shopper: Shopper) -> Standing:
    """Read the rows as they are, without asking the provider."""
    instance = offer_instances.get_instance(world.shop.store, shopper.page.instance_id)
    assert instance is not None
    page = offer_pages.render_instance(world.shop, instance, language="en")
    tries = world.attempts(shopper.page)
    return Standing(
        attempt=tries[-1].state if tries else None,
        outcome=world.outcome(shopper.page) if tries else None,
        page=page.state,
        has_pay_button=page.state in _PAYABLE,
    )


def look_until_settled(world: World) -> None:
    """Look as the worker does, in real time, each attempt when it is due, until no charge is unknown any more."""
    while attempts.list_attempts(world.shop.store, state="unknown", limit=1):
        wait_for(lambda: attempts.list_due(world.shop.store, now=world.shop.now(), limit=1), what="the next look")
        reconcile.look_due(world.shop, world.quarantine)


def settle_everything(world: World) -> None:
    """Do what the worker does until nothing is left to do: looks, the poll, and the refunds that are due."""
    look_until_settled(world)
    world.poll()
    for _ in range(100):
        if not refunds.send_due(world.shop):
            return
    raise AssertionError("refunds without end")


def breaches(world: World) -> dict[str, tuple[Breach, ...]]:
    """Audit the shop with the sandbox's log as witness; returns what is broken, by invariant."""
    witness = Witness(requests=tuple(world.sandbox.requests()), deliveries=tuple(world.sandbox.deliveries()))
    report = audit.run(world.shop, witness=witness)
    return {finding.invariant: finding.breaches for finding in report.findings if finding.breaches}


def charges_by_customer(world: World) -> dict[str, int]:
    """Count the charging requests that the sandbox received, by customer."""
    counts: dict[str, int] = {}
    for request in world.sandbox.charges():
        customer_id = str(request["body"]["customer"].get("customer_id"))
        counts[customer_id] = counts.get(customer_id, 0) + 1
    return counts


def standing_by_customer(world: World) -> dict[str, int]:
    """Count the provider's successful payments for the offered product that were not refunded, by customer."""
    counts: dict[str, int] = {}
    for payment in world.standing(BUNDLE):
        counts[payment["customer_id"]] = counts.get(payment["customer_id"], 0) + 1
    return counts


# ---- Calls that move no money -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """One endpoint with the moment at which its answer goes wrong; `S` is whoever is in it.

    `prepare` brings somebody there, `match` aims the fault at them (None: it meets whoever asks next, so they come
    one by one), `strike` does what calls the endpoint, and `heal` goes on after the provider has healed. What both
    return is what `judge` is given, with the word of the fault; it says what is wrong. `strikes` is how often.
    """

    name: str
    endpoint: str
    prepare: Callable[[World, str], Any]
    match: Callable[[World, Any], dict[str, Any]] | None
    strike: Callable[[World, Any], Any]
    heal: Callable[[World, Any], Any]
    judge: Callable[[str, Any, Any], list[str]]
    words: tuple[str, ...] = WORDS
    effect: str = "none"
    strikes: int = 1

    def effect_of(self, word: str) -> str:
        """An answer that is as good as an honest one tells of something that happened; else it would be a lie."""
        return "before" if word in HARMLESS else self.effect


def play_scenes(world: World, scenes: Iterable[Scene]) -> dict[tuple[str, str], list[str]]:
    """Play every scene with every word; returns what is wrong, by scene and word."""
    cells = [(scene, word) for scene in scenes for word in scene.words]
    subjects = at_once(lambda cell: cell[0].prepare(world, f"{cell[0].name}{cell[0].words.index(cell[1])}"), cells)
    parts = list(zip(cells, subjects, strict=True))
    seen = {cell: _strike_alone(world, *cell, subject) for cell, subject in parts if cell[0].match is None}
    for (scene, word), subject in parts:
        if scene.match is not None:
            match = scene.match(world, subject)
            order_fault(world, scene.endpoint, word, match=match, effect=scene.effect_of(word), times=1000)
    aimed = [(cell, subject) for cell, subject in parts if cell[0].match is not None]
    for number in range(max((scene.strikes for scene, _ in cells), default=1)):
        # Between two looks of the same watcher time must pass, on the clock that watches.
        world.clock.steady_s += QUARANTINE_S / 3 if number else 0
        due = [(cell, subject) for cell, subject in aimed if number < cell[0].strikes]
        results = at_once(lambda part: part[0][0].strike(world, part[1]), due)
        seen |= {cell: result for (cell, _), result in zip(due, results, strict=True)}
    world.sandbox.clear_faults()
    results = at_once(lambda part: part[0][0].heal(world, part[1]), aimed)
    healed = {cell: result for (cell, _), result in zip(aimed, results, strict=True)}
    for cell, subject in parts:
        if cell not in healed:
            healed[cell] = cell[0].heal(world, subject)
    return {(scene.name, word): scene.judge(word, seen[scene, word], healed[scene, word]) for (scene, word), _ in parts}


def _strike_alone(world: World, scene: Scene, word: str, subject: Any) -> Any:
    order_fault(world, scene.endpoint, word, effect=scene.effect_of(word))
    try:
        return scene.strike(world, subject)
    finally:
        world.sandbox.clear_faults()
