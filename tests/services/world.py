"""One plausible world: a shop with the demo's offers on a store of its own, beside a sandbox that really runs.

A test changes only what it is about. Buyers are browsers (`buyer_key`); a customer is whom the sandbox matches by the
address they type.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from encore.clock import Clock
from encore.services import (
    audit,
    catalogue,
    charging,
    checkout,
    demo,
    fallback,
    funnels,
    mail,
    offer_files,
    offer_pages,
    offers,
    plan_changes,
    plan_pages,
    plan_quotes,
    poll,
    quoting,
    reconcile,
    refunds,
    return_page,
    subscriptions,
)
from encore.services.consent import Consent
from encore.services.pages import OfferPage, ReturnPage
from encore.services.plan_pages import QuotePage
from encore.services.shop import Shop, open_shop
from encore.settings import Settings, load_settings
from encore.store import acceptances, attempts, budgets, offer_instances, outbox, processes, schema
from encore.store import subscriptions as subscription_rows
from encore.store.acceptances import Acceptance
from encore.store.attempts import Attempt
from encore.store.offer_instances import OfferInstance
from encore.store.subscriptions import Subscription
from tests.sandbox_process import SandboxProcess

LAN = "a" * 64
MINH = "b" * 64
DAY_S = 24 * 3600
CONSENT = Consent(
    text="Complete bundle", button="Pay", language="en", template="offers/_offer.html", user_agent=None, ip=None
)
# Provider time-outs and the quarantine as tests have them: nothing waits for real minutes.
TEST_TIMES = {
    "ENCORE_CHARGE_TIMEOUT_S": "0.5",
    "ENCORE_BUDGET_S": "5",
    "ENCORE_QUARANTINE_S": "0.2",
    "ENCORE_LOOK_EVERY_S": "0.02",
}


# A second offer for a customer who has answered the demo's.
TEMPLATES_FIRST = """
[[offers]]
id = "only-templates"
role = "upsell"
product = "design-templates"
title = { en = "Design templates", vi = "Mẫu thiết kế" }

[[funnels]]
id = "templates-first"
priority = 99
[[funnels.steps]]
key = "templates"
offer = "only-templates"
"""


class MovableClock(Clock):
    """The machine's clocks, and how far a test has moved each of them."""

    def __init__(self) -> None:
        self.wall_s = 0.0
        self.steady_s = 0.0

    def now(self) -> int:
        return super().now() + round(self.wall_s * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + self.steady_s

    def boottime(self) -> float:
        return super().boottime() + self.steady_s


def settings_for(sandbox: SandboxProcess, data: Path, **more: str) -> Settings:
    """Read settings as a process started for this test would."""
    return load_settings(environment_for(sandbox, data, **more))


def environment_for(sandbox: SandboxProcess, data: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process on this data directory and sandbox."""
    return {
        "ENCORE_DATA": str(data),
        "SANDBOX_PORT": str(sandbox.port),
        "ENCORE_TESTING": "1",
        "ENCORE_DODO_TIER": "off",
        **TEST_TIMES,
        **more,
    }


def make_installation(sandbox: SandboxProcess, data: Path) -> Path:
    """Make the data directory of a shop with schema, catalogue and the demo's offers; tests work on copies of it."""
    shop = open_shop(settings_for(sandbox, data))
    schema.upgrade(shop.store, now=shop.now())
    catalogue.sync(shop)
    assert demo.seed(shop) == "seeded"
    # What is shown to who has just bought a plan has tests of its own.
    funnels.set_state(shop, ["basic-plan-to-pro-plan"], state="paused")
    shop.close()
    return data


@dataclass
class World:
    """A shop, its provider and the means to act as buyer, worker and merchant."""

    shop: Shop
    sandbox: SandboxProcess
    clock: MovableClock
    quarantine: reconcile.Quarantine = field(default_factory=reconcile.Quarantine)

    # The buyer.

    def buy(self, *, email: str = "lan@example.com", key: str = LAN, slug: str = "starter-course", **form: str) -> str:
        """Buy in the shop and pay at the sandbox's page; returns the order's reference."""
        started = checkout.start(self.shop, slug=slug, quantity=1, buyer_key=key, language="en")
        assert isinstance(started, checkout.Started), started
        paid = self.sandbox.pay(started.url.rsplit("/", 1)[1], email=email, **form)
        assert paid.status_code == 303, paid.text
        found = self.shop.store.row("SELECT ref FROM checkouts WHERE checkout_url = :url", url=started.url)
        assert found is not None
        return str(found["ref"])

    def subscribe(
        self, slug: str = "basic-plan", *, email: str = "lan@example.com", key: str = LAN, **form: str
    ) -> Subscription:
        """Buy a plan in the shop, come back, and let the worker read what was sold; returns the subscription's row."""
        ref = self.buy(email=email, key=key, slug=slug, **form)
        self.come_back(ref, key=key)
        self.read_subscriptions()
        found = self.shop.store.row(
            "SELECT subscriptions.id FROM subscriptions JOIN checkouts"
            " ON checkouts.subscription_id = subscriptions.provider_subscription_id WHERE checkouts.ref = :ref",
            ref=ref,
        )
        assert found is not None
        return self.subscription(found["id"])

    def subscription(self, subscription_id: str) -> Subscription:
        """Return a subscription as the rows have it."""
        found = subscription_rows.get_subscription(self.shop.store, subscription_id)
        assert found is not None
        return found

    def read_subscriptions(self) -> None:
        """Read the subscriptions that something has happened to, as the worker does."""
        while subscriptions.read_due(self.shop):
            pass

    def preview(
        self,
        row: Subscription,
        slug: str = "pro-plan",
        *,
        quantity: int | None = None,
        addons: dict[str, int] | None = None,
        may_show_lower: bool = False,
    ) -> QuotePage:
        """Choose a plan on the plan page, which must be quoted."""
        result = self.try_preview(row, slug, quantity=quantity, addons=addons, may_show_lower=may_show_lower)
        assert isinstance(result, plan_quotes.Quoted), result
        return self.quote(result.instance_id)

    def try_preview(
        self,
        row: Subscription,
        slug: str = "pro-plan",
        *,
        quantity: int | None = None,
        addons: dict[str, int] | None = None,
        may_show_lower: bool = False,
    ) -> plan_quotes.Quoted | plan_quotes.NotQuoted:
        """Choose a plan on the plan page."""
        product = catalogue.get_product(self.shop, slug)
        return plan_quotes.preview(
            self.shop,
            row,
            product_id=product.id if product else slug,
            quantity=quantity,
            addons=addons,
            may_show_lower=may_show_lower,
            buyer_key=LAN,
            language="en",
        )

    def quote(self, quote_id: str) -> QuotePage:
        """Open a quote's page as the rows have it."""
        instance = offer_instances.get_instance(self.shop.store, quote_id)
        assert instance is not None
        return plan_pages.quote_page(self.shop, instance, language="en")

    def confirm(self, page: QuotePage) -> QuotePage:
        """Press the confirm button of a quote as it was shown; returns the page that follows."""
        result = self.try_confirm(page)
        assert not isinstance(result, plan_quotes.NotQuoted), result
        return self.quote(result.instance_id if isinstance(result, plan_quotes.Quoted) else page.quote_id)

    def try_confirm(self, page: QuotePage) -> plan_changes.Confirmed | plan_quotes.Quoted | plan_quotes.NotQuoted:
        """Press the confirm button of a quote as it was shown."""
        instance = offer_instances.get_instance(self.shop.store, page.quote_id)
        assert instance is not None
        return plan_changes.confirm(self.shop, instance, quote_hash=page.quote_hash, consent=CONSENT)

    def come_back(self, ref: str, *, key: str = LAN) -> ReturnPage:
        """Open the return page."""
        return return_page.status(self.shop, ref, buyer_key=key, language="en")

    def offered(self, ref: str, *, key: str = LAN) -> OfferPage:
        """Open the return page, which must hold an offer."""
        page = self.come_back(ref, key=key)
        if page.state == "waiting":
            # The card that paid is not listed: the page gives it ten seconds before it offers the checkout.
            self.advance(10)
            page = self.come_back(ref, key=key)
        assert page.offer is not None, page.state
        return page.offer

    def offer(self, *, key: str = LAN, email: str = "lan@example.com", **form: str) -> OfferPage:
        """Buy and come back: the offer with its one-click button."""
        page = self.offered(self.buy(email=email, key=key, **form), key=key)
        assert page.state == "offer", page.state
        return page

    def accept(self, page: OfferPage, *, key: str = LAN, buy_again: bool = False) -> charging.AcceptResult:
        """Press the pay button of a page as it was shown."""
        return charging.accept(
            self.shop,
            page.instance_id,
            buyer_key=key,
            quote_hash=page.quote_hash,
            consent=CONSENT,
            buy_again=buy_again,
        )

    def page(self, page: OfferPage, *, key: str = LAN) -> OfferPage:
        """Open the offer's page again."""
        found = offers.page(self.shop, page.instance_id, buyer_key=key, language="en")
        assert found is not None
        return found

    def glance(self, page: OfferPage) -> OfferPage:
        """Return the offer's page as the rows have it, without asking the provider."""
        instance = offer_instances.get_instance(self.shop.store, page.instance_id)
        assert instance is not None
        return offer_pages.render_instance(self.shop, instance, language="en")

    def open_checkout(self, page: OfferPage, *, key: str = LAN) -> str:
        """Press the button that leads to the provider's page; returns its address."""
        url = fallback.open_checkout(self.shop, page.instance_id, buyer_key=key)
        assert url is not None
        return url

    def pay_at(self, url: str, *, email: str = "lan@example.com", **form: str) -> None:
        """Pay a hosted session at the address we lead to."""
        paid = self.sandbox.pay(url.rsplit("/", 1)[1], email=email, **form)
        assert paid.status_code == 303, paid.text

    # The worker.

    def look(self) -> None:
        """Look at every live attempt, as the worker does when each is due."""
        for attempt in attempts.list_attempts(self.shop.store, state=None, limit=1000):
            if attempt.next_check_at is not None:
                reconcile.look(self.shop, attempt.id, quarantine=self.quarantine)

    def poll(self) -> None:
        """Read the provider's latest payments, as the worker does every five minutes."""
        poll.poll(self.shop)

    def tidy(self) -> None:
        """Do the worker's other work: what has run out, refunds and messages that are due."""
        offers.expire_due(self.shop)
        fallback.close_due(self.shop)
        refunds.send_due(self.shop)
        while mail.send_next(self.shop):
            pass

    def breaches(self) -> tuple[str, ...]:
        """Return the invariants that are broken, the sandbox's own log as witness."""
        report = audit.run(self.shop, witness=self.witness())
        return report.names("breach")

    def witness(self) -> audit.Witness:
        """Return what the sandbox has received and delivered."""
        logs = {"requests": self.sandbox.requests(), "deliveries": self.sandbox.deliveries()}
        return audit.read_witness(json.dumps(logs))

    def advance(self, seconds: float, *, asleep: bool = False) -> None:
        """Move our wall clock and the provider's; `asleep` leaves the steady clocks where they are."""
        self.clock.wall_s += seconds
        if not asleep:
            self.clock.steady_s += seconds
        self.sandbox.clock(seconds)

    def worker_beats(self) -> None:
        """Let a worker have spoken just now, in a process that is not ours."""
        now = self.shop.now()
        with self.shop.store.write():
            processes.insert_process(
                self.shop.store,
                processes.Process(
                    id="proc_worker",
                    kind="worker",
                    host="elsewhere",
                    boot_id="elsewhere",
                    pid=1,
                    started_at=now,
                    heartbeat_at=now,
                ),
            )

    def block_budget(self) -> None:
        """Let no call of the shared budget be left for a while."""
        with self.shop.store.write():
            budgets.block_calls(self.shop.store, until=self.shop.now() + 1000 * DAY_S)

    def unblock_budget(self) -> None:
        with self.shop.store.write():
            self.shop.store.run("UPDATE rate_budget SET blocked_until = 0")

    # What is written.

    def acceptance(self, page: OfferPage) -> Acceptance:
        found = acceptances.get_of_instance(self.shop.store, page.instance_id)
        assert found is not None
        return found

    def attempts(self, page: OfferPage) -> list[Attempt]:
        found = acceptances.get_of_instance(self.shop.store, page.instance_id)
        return attempts.list_of_acceptance(self.shop.store, found.id) if found else []

    def attempt(self, page: OfferPage) -> Attempt:
        """Return the newest attempt of an offer."""
        return self.attempts(page)[-1]

    def outcome(self, page: OfferPage) -> str:
        return self.acceptance(page).outcome

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.shop.store.rows(f"SELECT * FROM {table} ORDER BY rowid")

    def messages(self, kind: str) -> list[str]:
        """Return the dedup keys of the messages of a kind: what a buyer is told, once each."""
        found = outbox.list_messages(self.shop.store, limit=1000)
        return [message.dedup_key for message in found if message.kind == kind]

    def charges(self, page: OfferPage) -> list[Any]:
        """Return the charging requests that the sandbox received for an offer."""
        offered = self.shop.store.row(
            "SELECT offer_id, source_ref FROM offer_instances WHERE id = :id", id=page.instance_id
        )
        assert offered is not None
        return self.sandbox.charges(offer_id=offered["offer_id"], first_order=offered["source_ref"])

    def standing(self, product_id: str) -> list[Any]:
        """Return the provider's successful payments for a product that no full refund has taken back."""
        refunds: list[Any] = self.sandbox.control("objects/refunds")["items"]
        returned = {row["payment_id"] for row in refunds if row["status"] != "failed" and not row["is_partial"]}
        return [
            payment
            for payment in self.sandbox.payments()
            if payment["status"] == "succeeded"
            and payment["id"] not in returned
            and any(line["product_id"] == product_id for line in payment["lines"])
        ]

    def accept_as_price_moves(self, page: OfferPage, minor: int) -> charging.AcceptResult:
        """Press accept while the price changes after the last question and before the charge: no question sees it."""
        ask = quoting.recheck

        def recheck(shop: Shop, instance: OfferInstance) -> Literal["same", "moved"]:
            answer = ask(shop, instance)
            self.reprice(page.product.id, minor)
            return answer

        with patch.object(quoting, "recheck", recheck):
            return self.accept(page)

    # The merchant.

    def reprice(self, product_id: str, minor: int) -> None:
        """Change a product's price at the provider."""
        price = self.sandbox.get(f"/products/{product_id}")["price"]
        answer = self.sandbox.call("PATCH", f"/products/{product_id}", {"price": {**price, "price": minor}})
        assert answer.status_code == 200, answer.text

    def sync(self) -> None:
        """Read the provider's catalogue, as the worker does every ten minutes."""
        catalogue.sync(self.shop)

    def sell(self, name: str, minor: int) -> str:
        """Let the provider's catalogue have one more product; returns its id."""
        price = {"type": "one_time_price", "currency": "USD", "price": minor, "discount": 0}
        body = {"name": name, "price": price, "tax_category": "digital_products"}
        product_id: str = self.sandbox.post("/products", body)["product_id"]
        catalogue.sync(self.shop)
        return product_id

    def publish(self, text: str) -> None:
        """Publish offers and funnels from a file's text."""
        result = offer_files.import_text(self.shop, text)
        assert isinstance(result, offer_files.Imported), result


def open_world(sandbox: SandboxProcess, installation: Path, data: Path, more: Mapping[str, str]) -> World:
    """Open a shop on a copy of an installation, or on the copy that another world of this test has made."""
    if not data.exists():
        shutil.copytree(installation, data)
    clock = MovableClock()
    return World(open_shop(settings_for(sandbox, data, **more), clock=clock), sandbox, clock)
