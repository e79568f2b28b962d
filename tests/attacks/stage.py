"""The whole shop for an attacker: the real application and store, the sandbox as a process, and browsers.

A browser sends what it is told, forged or not; `unchanged` proves that nothing came of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from encore import tokens
from encore.ids import new_id
from encore.services import audit, catalogue, demo, mail, sign_ins, webhooks
from encore.services.shop import Shop
from encore.settings import Settings, load_settings
from encore.store import open_store, schema
from tests import deliveries
from tests.html import Element, form_fields, lint, read
from tests.sandbox_process import SandboxProcess, start_sandbox
from tests.services.world import MovableClock

VISA = "4242424242424242"
MASTERCARD = "5555555555554444"
DECLINES_LATER = "4000000000000341"
AUTHENTICATES_LATER = "4000002760003184"
MINUTE_S, DAY_S = 60, 24 * 3600
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "section#offers-offer"}

Dump = dict[str, list[dict[str, Any]]]


@dataclass
class Stage:
    """A running shop and its provider."""

    app: Flask
    sandbox: SandboxProcess
    clock: MovableClock
    _buyers: int = field(default=0, repr=False)

    @property
    def shop(self) -> Shop:
        found: Shop = self.app.extensions["encore"]
        return found

    @property
    def settings(self) -> Settings:
        return self.shop.settings

    def browser(self) -> "Browser":
        """A browser that has never been here."""
        self._buyers += 1
        return Browser(self, self.app.test_client(), email=f"buyer{self._buyers}@example.com")

    def buyer(self, card: str = VISA, *, email: str | None = None, **form: str) -> "Browser":
        """A browser that has bought the course and stands before its offer."""
        made = self.browser()
        made.email = email or made.email
        made.buy(card, **form)
        return made

    def dump(self, *, but: tuple[str, ...] = ()) -> Dump:
        """Return every row of every table, those of `but` left out, and heartbeats, which nobody's request makes."""
        store, left_out = self.shop.store, {*but, "processes"}
        tables = [row["name"] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: store.rows(f"SELECT * FROM {name}") for name in tables if name not in left_out}

    @contextmanager
    def unchanged(self, *, but: tuple[str, ...] = ()) -> Iterator[None]:
        """Prove that no row and nothing at the provider changes inside; it is not even asked to."""
        before, wire = self.dump(but=but), self.wire_posts()
        yield
        assert self.dump(but=but) == before
        assert self.wire_posts() == wire

    def wire_posts(self) -> int:
        """How many requests that could make something the provider got."""
        return len([request for request in self.sandbox.requests() if request["method"] != "GET"])

    @contextmanager
    def later(self, seconds: float) -> Iterator[None]:
        """Let time have passed inside."""
        self.clock.wall_s += seconds
        try:
            yield
        finally:
            self.clock.wall_s -= seconds

    def token(self, instance: str, act: str, **changed: Any) -> str:
        """An offer token as this shop signs it; `changed` are arguments of `make_offer_token`."""
        facts = {"instance_id": instance, "act": act, "audience": self.settings.public_url, **changed}
        keys = facts.pop("keys", self.settings.secret_keys)
        return tokens.make_offer_token(keys, **facts)

    def deliver(self, event_type: str, **data: Any) -> None:
        """Let a signed delivery arrive, and the worker process it."""
        body, webhook_id = deliveries.event(event_type, **data), new_id("msg")
        answer = self.app.test_client().post(
            "/webhooks/dodo",
            data=body,
            headers=deliveries.sign(self.shop, body, webhook_id=webhook_id),
            content_type="application/json",
            base_url=self.settings.public_url,
        )
        assert answer.status_code == 204
        webhooks.process(self.shop, webhook_id)

    def link_for(self, address: str) -> str:
        """Return the path of the newest sign-in link that was mailed to an address, the worker's part done."""
        while sign_ins.write_next(self.shop):
            pass
        sent = [m for m in mail.list_messages(self.shop) if m.kind == "sign_in" and m.recipient == address]
        return next(word for word in sent[0].text.split() if "/account/sign-in/link/" in word).partition("5000")[2]

    def breaches(self) -> tuple[str, ...]:
        """The invariants that the audit finds broken, the sandbox's own log as witness."""
        # What waits for its next try is tried, as a worker would have done long ago.
        while webhooks.process_next(self.shop) or mail.send_next(self.shop):
            pass
        witness = audit.Witness(requests=tuple(self.sandbox.requests()), deliveries=tuple(self.sandbox.deliveries()))
        return audit.run(self.shop, witness=witness).names("breach")

    def one(self, sql: str, **params: object) -> dict[str, Any]:
        """Return the row that must be there."""
        found = self.shop.store.row(sql, **params)
        assert found is not None, sql
        return found


@dataclass
class Browser:
    """A browser with a cookie jar, and the order it came by, if any."""

    stage: Stage
    client: FlaskClient
    email: str
    ref: str = ""
    instance: str = ""

    def open(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, is_htmx: bool = False, **options: Any
    ) -> TestResponse:
        """Send a request; HTML that comes back has passed the lint."""
        sent = {"Accept": "text/html", **(HTMX if is_htmx else {}), **(headers or {})}
        options.setdefault("base_url", self.stage.settings.public_url)
        answer = self.client.open(path, method=method, headers=sent, buffered=True, **options)
        if answer.mimetype == "text/html" and answer.get_data() and answer.status_code not in range(300, 400):
            html = answer.get_data(as_text=True)
            lint(html, is_fragment=not html.startswith("<!doctype"))
        return answer

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open("GET", path, **options)

    def post(self, path: str, form: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """Post a form with this browser's own form token; `csrf_token` in the form replaces it."""
        return self.open("POST", path, data={"csrf_token": self.csrf(), **(form or {})}, **options)

    def csrf(self) -> str:
        """The form token of this browser's session."""
        return form_fields(self.page("/help").test_id("sign-out"))["csrf_token"]

    def page(self, path: str) -> Element:
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status}"
        return read(answer.get_data(as_text=True))

    def send(self, page: Element, test_id: str, **more: str) -> TestResponse:
        """Send a form as it stands in a page."""
        form = page.test_id(test_id)
        return self.open("POST", form.attributes["action"], data={**form_fields(form), **more})

    def cookies(self) -> dict[str, str]:
        """What this browser holds for the shop."""
        found = (self.client.get_cookie(name, domain="127.0.0.1") for name in ("encore_buyer", "encore_session"))
        return {cookie.key: cookie.value for cookie in found if cookie is not None}

    def buy(self, card: str = VISA, *, slug: str = "starter-course", **form: str) -> Element:
        """Buy and come back; returns the return page, which must hold an offer."""
        started = self.send(self.page(f"/p/{slug}"), "buy")
        assert started.status_code == 303, started.status
        session = urlsplit(started.location).path.rpartition("/")[2]
        back = self.stage.sandbox.pay(session, card=card, email=self.email, **form)
        assert back.status_code == 303, back.text
        self.ref = urlsplit(back.headers["location"]).path.rpartition("/")[2]
        page = self.page(f"/r/{self.ref}")
        self.instance = page.test_id("offer").attributes["data-instance"]
        return page

    def ask_for_link(self, address: str | None = None, **form: str) -> str:
        """Ask for a sign-in link in this browser; returns the path of the link that was mailed."""
        asked = self.send(self.page("/account/sign-in"), "sign-in", email=address or self.email, **form)
        assert asked.status_code == 303, asked.status
        return self.stage.link_for(address or self.email)

    def sign_in(self, address: str | None = None, *, link: str | None = None) -> "Browser":
        """Sign in by the link that is mailed to an address, this buyer's own if none is given."""
        followed = self.get(link or self.ask_for_link(address))
        assert followed.status_code == 303, followed.status
        done = self.send(self.page(followed.location), "sign-in-confirm")
        assert done.status_code == 303, done.status
        return self

    def offer(self) -> Element:
        return self.page(f"/o/{self.instance}")

    def act(self, act: str, **form: str) -> TestResponse:
        """Do an act on this browser's own offer, with its true token."""
        fields = {"offer_token": self.stage.token(self.instance, act), **form}
        if act == "accept":
            fields.setdefault("quote_hash", self.row()["quote_hash"])
        return self.post(f"/o/{self.instance}/{act}", fields)

    def row(self) -> dict[str, Any]:
        """The row of this browser's offer."""
        return self.stage.one("SELECT * FROM offer_instances WHERE id = :id", id=self.instance)

    def charges(self) -> list[Any]:
        """The requests to charge a saved card that the provider got for this browser's order."""
        returns = f"/r/{self.ref}"
        return [c for c in self.stage.sandbox.charges() if str(c["body"].get("return_url", "")).endswith(returns)]


def state_of(page: Element) -> str:
    return page.one("main").attributes["data-page-state"]


@contextmanager
def open_stage(folder: Path, *, provider_url: str | None = None, **changed: str) -> Iterator[Stage]:
    """Start a sandbox and a shop on it, with the demo; `provider_url` is a way to the sandbox over somebody else."""
    with start_sandbox(folder) as sandbox, staged(sandbox, folder, provider_url=provider_url, **changed) as stage:
        yield stage


@contextmanager
def staged(
    sandbox: SandboxProcess, folder: Path, *, provider_url: str | None = None, **changed: str
) -> Iterator[Stage]:
    """Open a shop with the demo on a sandbox that runs."""
    settings = load_settings(
        {
            "ENCORE_DATA": str(folder / "shop"),
            "ENCORE_TESTING": "1",
            "ENCORE_LIMITS": "off",
            "ENCORE_DODO_TIER": "off",
            "DODO_PAYMENTS_BASE_URL": provider_url or sandbox.url,
            # Over somebody else buyers are still sent to the sandbox's own pages.
            **({"ENCORE_CHECKOUT_ORIGINS": sandbox.url} if provider_url else {}),
            **changed,
        }
    )
    store = open_store(settings.database_path)
    schema.upgrade(store, now=1)
    store.close()
    clock = MovableClock()
    app = create_app(settings, clock=clock)
    try:
        catalogue.sync(app.extensions["encore"])
        demo.seed(app.extensions["encore"])
        yield Stage(app, sandbox, clock)
    finally:
        app.extensions["encore"].close()
