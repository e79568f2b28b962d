"""Every fault that can befall the one POST that charges, with every effect it may have had (proof.md, section 5).

All cells share one shop: first every buyer is brought to their offer, then each meets their fault, then the provider
heals and what a worker does settles them. Each test judges its own buyer; `audit` judges all of them together.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from encore.dodo import Dodo, checkouts
from encore.services.audit import Breach
from tests.broken import exception_type_classifier, retrying_client, timeout_is_failed
from tests.dodo.broken_conversations import tls_drip, tls_garbage, tls_reset, tls_silence
from tests.dodo.raw_server import Behaviour, RawServer
from tests.faults.provider import (
    CONFIRM,
    HONEST,
    LATE,
    REFUSED,
    UNCLEAR,
    Shopper,
    Standing,
    at_once,
    breaches,
    bring_shopper,
    charges_by_customer,
    order_fault,
    quick_world,
    settle_everything,
    standing_by_customer,
    standing_of,
)
from tests.services.world import World

EFFECTS = ("none", "before", LATE, "twice")
# What happens before a connection stands: nothing can have been sent.
UNCONNECTED = ("refused", "unknown_host", "connect_timeout", "tls_garbage", "tls_reset", "tls_silence", "tls_drip")


@dataclass(frozen=True)
class Cell:
    """One fault with one effect."""

    fault: str
    effect: str

    @property
    def name(self) -> str:
        effect = "late" if self.effect == LATE else self.effect
        return f"{effect}-{self.fault}"

    @property
    def is_charged(self) -> bool:
        """Whether money moved, whatever the answer said."""
        return self.effect != "none"

    @property
    def answered(self) -> tuple[str, ...]:
        """The states that charging.md, section 4, allows after the answer."""
        if self.fault in UNCONNECTED:
            return ("not_sent",)
        if self.fault in REFUSED:
            return ("rejected",)
        if (self.fault, self.effect) == ("other_id", "twice"):
            # The newest other payment may be the second one that this very request has made.
            return ("unknown", "paid")
        return ("paid",) if self.fault in HONEST else ("unknown",)

    @property
    def settled(self) -> tuple[str, str]:
        """Attempt and outcome once the provider has healed."""
        if self.is_charged:
            return "paid", "charged"
        return {"unknown": "absent"}.get(self.answered[0], self.answered[0]), "needs_checkout"


# An honest answer tells of something that happened: with another effect it would be a lie and no fault.
CELLS = (
    *(Cell(fault, effect) for effect in EFFECTS for fault in (*UNCLEAR, *REFUSED)),
    *(Cell(fault, effect) for effect in ("before", "twice") for fault in HONEST),
    *(Cell(fault, "none") for fault in UNCONNECTED),
)
PAGES = {"unknown": "checking", "rejected": "not_charged", "not_sent": "not_charged", "paid": "receipt"}


@dataclass(frozen=True)
class Seen:
    """What one cell came to: right after the answer, and when the provider had healed."""

    answered: Standing
    settled: Standing
    charges: int
    standing: int


@dataclass(frozen=True)
class Grid:
    """What all cells came to."""

    seen: dict[Cell, Seen]
    breaches: dict[str, tuple[Breach, ...]]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with quick_world(tmp_path_factory.mktemp("grid")) as world:
        yield play(world, CELLS)


def play(world: World, cells: tuple[Cell, ...], *, name: str = "cell") -> Grid:
    """Bring a buyer to each cell, let its fault strike, heal the provider, and see what each came to."""
    shoppers = dict(zip(cells, at_once(lambda n: bring_shopper(world, f"{name}{n}"), range(len(cells))), strict=True))
    together = [cell for cell in cells if not must_be_alone(cell)]
    standings = at_once(lambda cell: strike(world, cell, shoppers[cell]), together)
    answered = dict(zip(together, standings, strict=True))
    for cell in cells:
        if must_be_alone(cell):
            answered[cell] = strike(world, cell, shoppers[cell])
    settle_everything(world)
    charges, standing = charges_by_customer(world), standing_by_customer(world)
    seen = {
        cell: Seen(
            answered=answered[cell],
            settled=standing_of(world, shopper),
            charges=charges.get(shopper.customer_id, 0),
            standing=standing.get(shopper.customer_id, 0),
        )
        for cell, shopper in shoppers.items()
    }
    return Grid(seen, breaches(world))


def must_be_alone(cell: Cell) -> bool:
    """Tell whether a fault cannot be aimed at one buyer: it strikes before anybody knows who asks, or names another."""
    return strikes_early(cell) or cell.fault in (*UNCONNECTED, "other_id")


def strikes_early(cell: Cell) -> bool:
    """Tell whether the connection is dropped before the request has been read."""
    return cell.fault in ("reset_before_read", "reset_mid_read") and cell.effect == "none"


def strike(world: World, cell: Cell, shopper: Shopper) -> Standing:
    """Let a buyer press the button and the fault meet the POST; returns what is known directly after the answer."""
    if cell.fault in UNCONNECTED:
        with unreachable(cell.fault) as url, confirming_at(world, url):
            world.accept(shopper.page, key=shopper.key)
    else:
        match = None if strikes_early(cell) else {"customer_id": shopper.customer_id}
        order_fault(world, CONFIRM, cell.fault, effect=cell.effect, match=match)
        world.accept(shopper.page, key=shopper.key)
    return standing_of(world, shopper)


@contextmanager
def confirming_at(world: World, url: str) -> Iterator[None]:
    """Lead the charging POST, and nothing else, to another address."""
    here = world.shop.dodo
    there = Dodo(
        base_url=url, api_key="test-key", clock=world.clock, timeouts=here.client.timeouts, forbid=lambda: None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(here.checkouts, "confirm", there.checkouts.confirm)
        yield


@contextmanager
def unreachable(fault: str) -> Iterator[str]:
    """Yield an address at which no connection ever stands."""
    with ExitStack() as open_now:
        yield _ADDRESSES[fault](open_now)


def _refused(open_now: ExitStack) -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def _unknown_host(open_now: ExitStack) -> str:
    look_up = socket.getaddrinfo

    def fail(host: str, *more: Any, **named: Any) -> Any:
        if host == "provider.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return look_up(host, *more, **named)

    open_now.enter_context(pytest.MonkeyPatch.context()).setattr(socket, "getaddrinfo", fail)
    return "http://provider.invalid"


def _connect_timeout(open_now: ExitStack) -> str:
    """A server that never accepts, its queue full."""
    address = open_now.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0)).getsockname()
    for _ in range(3):
        waiting = open_now.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(address)
    return f"http://127.0.0.1:{address[1]}"


def _tls(behaviour: Behaviour) -> Callable[[ExitStack], str]:
    return lambda open_now: open_now.enter_context(RawServer(behaviour)).url.replace("http:", "https:")


_ADDRESSES: dict[str, Callable[[ExitStack], str]] = {
    "refused": _refused,
    "unknown_host": _unknown_host,
    "connect_timeout": _connect_timeout,
    "tls_garbage": _tls(tls_garbage),
    "tls_reset": _tls(tls_reset),
    "tls_silence": _tls(tls_silence),
    "tls_drip": _tls(tls_drip),
}


def judge(cell: Cell, seen: Seen) -> list[str]:
    """Say what is wrong with what a cell came to, each fault with the invariant it breaks."""
    wrong = []
    if seen.charges > 1 or (cell.fault in UNCONNECTED and seen.charges):
        wrong.append(f"I4: {seen.charges} charging requests arrived")
    if seen.answered.attempt not in cell.answered:
        wrong.append(f"I2: after the answer the attempt is {seen.answered.attempt}, not {cell.answered}")
    if seen.answered.page != PAGES.get(str(seen.answered.attempt)):
        wrong.append(f"I2: the page says {seen.answered.page} while the attempt is {seen.answered.attempt}")
    if seen.answered.attempt == "unknown" and seen.answered.has_pay_button:
        wrong.append("I2: a second way to pay is shown while the first is unknown")
    if seen.standing != int(cell.is_charged):
        wrong.append(f"I2: {seen.standing} payments stand, {int(cell.is_charged)} should")
    if (seen.settled.attempt, seen.settled.outcome) != cell.settled:
        wrong.append(f"I6: settled as {seen.settled.attempt}, {seen.settled.outcome}, not {cell.settled}")
    return wrong


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_fault_of_a_charge_comes_out_right(grid: Grid, cell: Cell) -> None:
    assert judge(cell, grid.seen[cell]) == []


def test_audit_is_clean_after_every_fault(grid: Grid) -> None:
    assert grid.breaches == {}


# ---- Each guard off: the grid must tell --------------------------------------------------------------------------

_TELLING = (Cell("timeout", "before"), Cell("drip", "before"), Cell("reset", "none"))


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with quick_world(tmp_path_factory.mktemp("spare")) as world:
        yield world


@pytest.mark.broken
@pytest.mark.parametrize(
    ("build", "invariant"),
    [(retrying_client, "I4"), (exception_type_classifier, "I2"), (timeout_is_failed, "I2")],
    ids=["retrying_client", "exception_type_classifier", "timeout_is_failed"],
)
def test_broken_build_is_caught(
    spare: World, monkeypatch: pytest.MonkeyPatch, build: ModuleType, invariant: str
) -> None:
    # What the build replaces is named here first, so that it is put back afterwards.
    monkeypatch.setattr(checkouts, "classify", checkouts.classify)
    monkeypatch.setattr(checkouts.Checkouts, "confirm", checkouts.Checkouts.confirm)
    build.install(spare.shop.settings.database_path)

    seen = play(spare, _TELLING, name=build.__name__.rsplit(".", 1)[1]).seen

    wrong = [text for cell in _TELLING for text in judge(cell, seen[cell])]
    assert any(text.startswith(invariant) for text in wrong), wrong
