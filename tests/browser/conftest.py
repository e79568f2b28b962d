"""One browser and one shop a worker; every module ends with an audit of all that its buyers did.

The sandbox is reached by another host name than the shop, with its own log as the audit's witness.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.shopper import Shopper
from tests.browser_binary import LAUNCH_ARGS, find_browser
from tests.installation import Installation, running_installation
from tests.sandbox_process import wait_for

NewShopper = Callable[..., Shopper]

# A slow machine is not a broken page: these are limits, nobody waits for them to pass.
LIMIT_MS = 15_000
LANGUAGES = {"en": "en-US", "vi": "vi-VN"}
# The provider has this long to answer a charge: a busy test machine must not look like a lost answer.
PATIENT = {"ENCORE_CHARGE_TIMEOUT_S": "5", "ENCORE_BUDGET_S": "8", "ENCORE_DODO_TIER": "2"}
# A fetch that was answered "declined" is told in Chromium's console, and nothing can keep it out of there.
_ALLOWED = ("status of 402",)
_LIVE = "('queued','sending','unknown','pending')"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(LAUNCH_ARGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def running_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("shop")
    with running_installation(folder, checkout_host="localhost", **PATIENT) as shop:
        shop.start_web()
        shop.start_worker()
        yield shop


@pytest.fixture(scope="module")
def shop(running_shop: Installation) -> Iterator[Installation]:
    yield running_shop
    running_shop.sandbox.clear_faults()
    # What a buyer has left half-way is settled first: the audit of a shop at rest must find nothing at all.
    wait_for(
        lambda: not running_shop.store.rows(f"SELECT id FROM attempts WHERE state IN {_LIVE}"),
        limit_s=20,
        what="every charge settled",
    )
    report = running_shop.audit()
    assert report["exit"] == 0, report


@pytest.fixture
def new_shopper(browser: Browser, shop: Installation) -> Iterator[NewShopper]:
    """Make people with a browser profile each; at the end nothing but `allowed` may stand in their consoles."""
    made: list[tuple[Shopper, tuple[str, ...]]] = []

    def make(*, scripts: bool = True, language: str = "en", allowed: tuple[str, ...] = (), **context: Any) -> Shopper:
        profile = browser.new_context(java_script_enabled=scripts, locale=LANGUAGES[language], **context)
        profile.set_default_timeout(LIMIT_MS)
        shopper = Shopper(shop, profile, scripts)
        made.append((shopper, (*_ALLOWED, *allowed)))
        return shopper

    yield make
    for shopper, allowed in made:
        shopper.context.close()
        loud = [line for line in shopper.noise if not re.search("|".join(allowed), line)]
        assert loud == []


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def shopper(request: pytest.FixtureRequest, new_shopper: NewShopper) -> Shopper:
    """A buyer with JavaScript, then the same test with one without."""
    return new_shopper(scripts=request.param)


@pytest.fixture
def clicker(new_shopper: NewShopper) -> Shopper:
    """A buyer with JavaScript."""
    return new_shopper()


@contextmanager
def provider_away(shop: Installation) -> Iterator[None]:
    """Let nobody learn what became of a payment: no list, no payment, no webhook."""
    shop.sandbox.lists(outage=True)
    shop.sandbox.webhooks(hold=True)
    try:
        yield
    finally:
        shop.sandbox.lists(outage=False)
        shop.sandbox.webhooks(hold=False)
