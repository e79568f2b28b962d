"""A crowd at the door: a whole installation with two web servers, and buyers who press at the same instant."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import requests

from blueprints.web import hash_cookie
from encore.ids import random_ref
from encore.services.pages import OfferPage
from encore.services.shop import open_shop
from encore.settings import load_settings
from tests.installation import Installation, free_port, read_form, running_installation
from tests.sandbox_process import wait_for
from tests.services.world import MovableClock, World

T = TypeVar("T")

# More than both servers have threads for (32): some presses wait in line, as they would in a rush.
WAVE = 48
_LIVE = "('queued','sending','unknown','pending')"


@dataclass
class Tab:
    """A browser's tab on an offer's page: its forms as they stand there, posted to one of the web servers."""

    address: str
    origin: str
    cookies: dict[str, str]
    html: str

    def press(self, hook: str) -> int:
        """Press the button with this hook and return the status; every press is a connection of its own."""
        action, fields = read_form(self.html, hook)
        answer = requests.post(
            self.address + action,
            data=fields,
            cookies=self.cookies,
            headers={"Origin": self.origin},
            allow_redirects=False,
            timeout=30,
        )
        return answer.status_code


@dataclass(frozen=True)
class Offered:
    """An offer on a buyer's screen; `cookie` is that browser's."""

    page: OfferPage
    cookie: str


@dataclass
class Crowd:
    """One installation: two web processes at `doors`, a worker, and the test's own hand in its store."""

    installation: Installation
    doors: tuple[str, str]
    world: World

    def offers(self, number: int, *, name: str, same_customer: bool = False) -> list[Offered]:
        """Let `number` browsers buy and see an offer, all before anyone answers."""

        def offer(index: int) -> Offered:
            cookie = random_ref()
            who = name if same_customer else f"{name}{index}"
            page = self.world.offer(email=f"{who}@example.com", key=hash_cookie(cookie))
            return Offered(page, cookie)

        if same_customer:
            return [offer(index) for index in range(number)]
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(offer, range(number)))

    def tab(self, offered: Offered, *, door: int = 0) -> Tab:
        """Open a tab on an offer."""
        session = requests.Session()
        session.cookies.set("encore_buyer", offered.cookie)
        answer = session.get(f"{self.doors[door]}/o/{offered.page.instance_id}", timeout=30)
        assert answer.status_code == 200, answer.text[:300]
        cookies = {cookie.name: str(cookie.value) for cookie in session.cookies}
        session.close()
        return Tab(self.doors[door], self.installation.url, cookies, answer.text)

    def tabs(self, offered: Sequence[Offered]) -> list[tuple[Tab, Tab]]:
        """Open two tabs on each offer, one at each door."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda one: (self.tab(one, door=0), self.tab(one, door=1)), offered))

    def wait_until_settled(self) -> None:
        """Wait until no charge is under way any more."""
        wait_for(
            lambda: self.world.shop.store.row(f"SELECT id FROM attempts WHERE state IN {_LIVE}") is None,
            limit_s=20,
            what="every outcome",
        )

    def most_requests_of_an_attempt(self) -> int:
        """Return the largest number of charging requests that the sandbox received for one attempt."""
        sent = Counter(row["body"]["metadata"]["attempt_id"] for row in self.world.sandbox.charges())
        return max(sent.values(), default=0)

    def check(self, statuses: Iterable[int]) -> None:
        """What holds after every race: no fault of ours, one request an attempt, books that agree."""
        assert {status for status in statuses if status >= 500} == set()
        self.wait_until_settled()
        self.world.tidy()
        assert self.most_requests_of_an_attempt() <= 1
        assert self.world.breaches() == ()


def at_once(acts: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of it at the same instant, in a thread each, and return what each came to."""
    barrier = threading.Barrier(len(acts))

    def do(act: Callable[[], T]) -> T:
        barrier.wait(timeout=30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(do, acts))


def in_waves(races: Sequence[Sequence[Callable[[], T]]]) -> list[T]:
    """Run whole races side by side, as many at once as the web processes take."""
    results: list[T] = []
    wave: list[Callable[[], T]] = []
    for race in races:
        if wave and len(wave) + len(race) > WAVE:
            results += at_once(wave)
            wave = []
        wave += race
    return results + at_once(wave) if wave else results


@contextmanager
def open_doors(folder: Path) -> Iterator[Crowd]:
    """Start an installation with two web processes and a worker."""
    with running_installation(folder) as installation:
        second = replace(installation, port=free_port(), web=None, worker=None, _stores=[])
        installation.start_web()
        second.start_web()
        installation.start_worker()
        clock = MovableClock()
        shop = open_shop(load_settings(installation.env), clock=clock)
        try:
            yield Crowd(installation, (installation.url, second.url), World(shop, installation.sandbox, clock))
        finally:
            shop.close()
            second.stop()
