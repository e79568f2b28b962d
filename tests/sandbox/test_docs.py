"""docs/operator/sandbox.md, with sandbox-api.md, is an inventory: every word, switch, route and card stands in it."""

import re
from pathlib import Path

import pytest

from sandbox.control.demo import ADDONS, CATALOGUE
from sandbox.control.scenarios import SCENARIOS
from sandbox.core.cards import CARDS
from sandbox.core.clock import Clock
from sandbox.core.events import MODE_DEFAULTS
from sandbox.core.ids import Ids
from sandbox.core.store import Store
from sandbox.core.twin import SWITCHES, Options, Twin
from sandbox.http.faults import KILL_POINTS, WORDS
from sandbox.http.gateway import is_wire
from sandbox.http.lists import DEFAULTS as LISTS
from sandbox.routes import create_router
from tests.sandbox_process import ROOT

PAGE = "".join((ROOT / "docs/operator" / name).read_text() for name in ("sandbox.md", "sandbox-api.md"))


@pytest.mark.parametrize("name", [*WORDS, *KILL_POINTS, *SWITCHES, *LISTS, *MODE_DEFAULTS, *SCENARIOS])
def test_every_word_is_described(name: str) -> None:
    assert f"`{name}" in PAGE or f" {name}" in PAGE or f"{name}," in PAGE


@pytest.mark.parametrize("product_id", [row[0] for row in (*CATALOGUE, *ADDONS)])
def test_every_demo_product_is_listed(product_id: str) -> None:
    assert f"`{product_id}`" in PAGE


@pytest.mark.parametrize("last4", [card.last4 for card in CARDS])
def test_every_card_is_listed(last4: str) -> None:
    assert last4 in PAGE


def test_every_route_is_listed(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.sqlite3")
    twin = Twin(store=store, clock=Clock(store), ids=Ids(), options=Options(public_url="http://sandbox.test"))
    routes = create_router(twin).routes
    store.close()

    for route in routes:
        template = re.sub(r"{\w+}", "{id}", route.template)
        if is_wire(template):
            assert f"\n| `{route.method} {template}` | " in PAGE, template
        elif template not in ("/", "/static/{id}", "/static/products/{id}"):
            assert listed(template), template


def listed(template: str) -> bool:
    known = PAGE.replace("{payment_id}", "{id}").replace("{kind}", "{id}").replace("`, `/", "`/_sandbox/")
    return re.search(rf"{re.escape(template)}(?![\w/{{])", known) is not None


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_says_what_its_default_follows(name: str) -> None:
    row = re.search(rf"^\| `{name}` \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE)

    assert row is not None
    assert re.match(r"(docs|OpenAPI|SDK|ours)\b", row[1])
