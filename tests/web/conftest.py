"""The real application on a store of its own; what services answer is set by each test.

`visit` is the only client tests get: every answer it returns has passed the HTML lint.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from encore.ids import random_ref
from encore.services import card_choice, catalogue, charging, checkout, fallback, held_plans, offers, return_page
from encore.services.pages import OfferPage, ProductCard, ReturnPage
from encore.settings import Settings, load_settings
from encore.store import open_store, schema
from tests.html import lint
from tests.web import factories

URL = "http://127.0.0.1:5000"


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data: Path = tmp_path_factory.mktemp("data")
    # Nothing listens on the provider's port: whatever would call it fails at once.
    env = {"ENCORE_DATA": str(data), "ENCORE_SHOP_NAME": "Paper & Co", "ENCORE_TESTING": "1", "SANDBOX_PORT": "9"}
    made = load_settings(env)
    store = open_store(made.database_path)
    schema.upgrade(store, now=factories.NOW)
    store.close()
    return made


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["encore"].close()


class World:
    """What the services answer. Each fact may be replaced; `calls` records every act a handler asked for."""

    def __init__(self) -> None:
        self.products: list[ProductCard] = [factories.course(), factories.design_templates()]
        self.owned: set[str] = set()
        self.is_stale = False
        self.offer: OfferPage | None = factories.offer_page()
        self.after: OfferPage | None = None
        self.returned: ReturnPage = factories.return_page()
        self.started: checkout.StartResult = checkout.Started("http://127.0.0.1:9/session/cks_1")
        self.accepted: charging.AcceptResult = "taken"
        self.checkout_url: str | None = "http://127.0.0.1:9/session/cks_2"
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def act(self, name: str, answer: Any = None, **facts: Any) -> Any:
        self.calls.append((name, facts))
        if self.after is not None:
            self.offer = self.after
        return answer


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    def by_slug(shop: object, slug: str) -> ProductCard | None:
        return next((card for card in made.products if card.slug == slug), None)

    def owned(shop: object, product_id: str, *, buyer_key: str | None, **_: Any) -> bool:
        return buyer_key is not None and product_id in made.owned

    def offer(shop: object, instance_id: str, *, buyer_key: str | None, language: str) -> OfferPage | None:
        return made.offer if buyer_key and made.offer and made.offer.instance_id == instance_id else None

    def returned(shop: object, ref: str, *, buyer_key: str | None, **_: Any) -> ReturnPage:
        is_bound = buyer_key is not None and ref == factories.REF
        return made.returned if is_bound else factories.return_page("other_browser")

    def again(shop: object, ref: str, *, buyer_key: str | None) -> checkout.StartResult:
        is_bound = buyer_key is not None and ref == factories.REF
        result: checkout.StartResult = made.act("pay_again", made.started, ref=ref) if is_bound else checkout.NotSold()
        return result

    def public(shop: object, instance_id: str) -> ProductCard | None:
        return factories.design_templates() if instance_id == factories.INSTANCE else None

    def replace(module: Any, name: str, answer: Any) -> None:
        assert callable(getattr(module, name)), f"{module.__name__}.{name} is gone"
        monkeypatch.setattr(module, name, answer)

    replace(catalogue, "list_products", lambda shop: [c for c in made.products if not c.is_archived])
    replace(catalogue, "get_product", by_slug)
    replace(catalogue, "is_stale", lambda shop: made.is_stale)
    replace(catalogue, "is_owned", owned)
    replace(held_plans, "find", lambda shop, product_id, **facts: None)
    replace(offers, "page", offer)
    replace(card_choice, "page", offer)
    replace(card_choice, "choose", lambda shop, oid, **facts: made.act("card", "chosen", **facts))
    replace(offers, "public_product", public)
    replace(offers, "decline", lambda shop, oid, **facts: made.act("decline", None, **facts))
    replace(fallback, "continue_without", lambda shop, oid, **facts: made.act("continue", None, **facts))
    replace(fallback, "open_checkout", lambda shop, oid, **facts: made.act("checkout", made.checkout_url, **facts))
    replace(charging, "accept", lambda shop, oid, **facts: made.act("accept", made.accepted, **facts))
    replace(charging, "cancel", lambda shop, oid, **facts: made.act("cancel", None, **facts))
    replace(checkout, "start", lambda shop, **facts: made.act("start", made.started, **facts))
    replace(checkout, "pay_again", again)
    replace(return_page, "status", returned)
    replace(return_page, "order_page", returned)
    return made


class Visit:
    """A browser that reads each page as strictly as our lint, and sends forms as they stand in the page."""

    def __init__(self, app: Flask, *, language: str = "en", is_buyer: bool = True) -> None:
        self.client: FlaskClient = app.test_client()
        self.language = language
        if is_buyer:
            self.client.set_cookie("encore_buyer", random_ref(), domain="127.0.0.1")

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open("GET", path, **options)

    def post(self, path: str, form: dict[str, str] | None = None, **options: Any) -> TestResponse:
        return self.open("POST", path, data=form or {}, **options)

    def open(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, htmx: str | None = None, **options: Any
    ) -> TestResponse:
        """Send a request; `htmx` is the id of the target that asks for a fragment."""
        sent = {"Accept-Language": self.language, "Accept": "text/html", **(headers or {})}
        if htmx is not None:
            sent |= {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": f"section#{htmx}"}
        answer = self.client.open(path, method=method, headers=sent, base_url=URL, buffered=True, **options)
        if answer.mimetype == "text/html" and answer.get_data() and answer.status_code not in (301, 302, 303, 308):
            lint(answer.get_data(as_text=True), is_fragment=htmx is not None)
        return answer


@pytest.fixture
def visit(app: Flask, world: World) -> Visit:
    return Visit(app)


@pytest.fixture
def stranger(app: Flask, world: World) -> Visit:
    return Visit(app, is_buyer=False)
