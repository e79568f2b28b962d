"""Every state of every buyer page, made by real buyers in a shop of its own, to be looked at in many ways.

Pages follow from rows, so a state made once by plain HTTP can be opened again and again, in any browser that carries
its buyer's cookies. The shop's quarantine never ends here: what is unknown stays unknown.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from playwright.sync_api import BrowserContext

from encore.clock import Clock
from encore.store import card_changes
from tests.browser.shopper import (
    AUTHENTICATES_LATER,
    CARD,
    DECLINED_CARD,
    FAILS_LATER,
    OTHER_CARD,
    STAYS_PROCESSING,
    age_quote,
    let_ten_seconds_pass,
    new_email,
)
from tests.installation import Buyer, Installation, running_installation
from tests.sandbox.subscriptions import make_plan
from tests.sandbox_process import BRAND_KIT, EXTRA_PROJECT, PRO
from tests.sandbox_process import BUNDLE as BUNDLE_ID

# What is shown, and the page state it must be in: the names that tests are made of.
STATES = {
    "shop": "ready",
    "product": "ready",
    "product-recurring": "ready",
    "product-trial": "ready",
    "product-owned": "owned",
    "product-subscribed": "subscribed",
    "product-archived": "archived",
    "help": "ready",
    "missing": "error",
    "neutral": "other_browser",
    "cancelled": "cancelled",
    "waiting": "waiting",
    "still-processing": "still_processing",
    "payment-failed": "payment_failed",
    "offer": "offer",
    "offer-long": "offer",
    "offer-dong": "offer",
    "downsell": "offer",
    "no-method": "no_method",
    "moved": "quote_changed",
    "answered": "answered",
    "expired": "expired",
    "withdrawn": "withdrawn",
    "plan-offer": "offer",
    "plan-offer-moved": "quote_changed",
    "plan-offer-failed": "failed",
    "plan-offer-no-method": "no_method",
    "owned": "owned",
    "processing": "processing",
    "checking": "checking",
    "action-required": "action_required",
    "receipt": "receipt",
    "returned": "returned",
    "failed": "failed",
    "not-charged": "not_charged",
    "checkout-open": "checkout_open",
    "thanks": "thanks",
    "thanks-paid": "thanks",
    "thanks-trial": "thanks",
    "order": "order",
    "sign-in": "ready",
    "choose-card": "choose_card",
    "account": "ready",
    "account-methods": "list",
    "plan": "active",
    "plan-trial": "trial",
    "plan-upgrade": "preview",
    "plan-downgrade": "preview",
    "plan-add-ons": "active",
    "plan-add-ons-removed": "preview",
    "plan-scheduled": "scheduled",
    "plan-lower-option": "preview",
    "recommendation": "offer",
    "choose-quantity": "choose_quantity",
    "plan-cards": "choose_card",
    "plan-on-hold": "on_hold",
    "plan-waits-for-bank": "on_hold",
    "plan-card-charged": "active",
    "dues-failed": "failed",
    "dues-paid-again": "recovered",
}
LONG_NAME = "Hand-bound archive edition of all twelve lessons, in a slipcase"
DONG_NAME = "Khuôn cắt bao bì"
OLD_NAME = "Poster of last year"
_ENV = {
    "ENCORE_SHOP_NAME": "Paper & Co",
    "ENCORE_QUARANTINE_S": "86400",
    "ENCORE_CHARGE_TIMEOUT_S": "5",
    "ENCORE_BUDGET_S": "8",
}
_OFFERS = """
[[offers]]
id = "archive"
role = "upsell"
product = "LONG_SLUG"

[offers.title]
en = "Keep the hand-bound archive edition of all twelve lessons, in a slipcase"
vi = "Giữ trọn bản lưu trữ đóng tay của cả mười hai bài học, kèm hộp đựng"

[[offers]]
id = "cutters"
role = "upsell"
product = "DONG_SLUG"
title = { en = "Add the cutting dies", vi = "Thêm bộ khuôn cắt" }
text = { en = "Fifteen dies, ready to print.", vi = "Mười lăm khuôn, sẵn sàng để in." }

[[offers]]
id = "members"
role = "upsell"
product = "design-templates"
title = { en = "Add the Design templates", vi = "Thêm bộ Mẫu thiết kế" }
"""


@dataclass(frozen=True)
class Exhibit:
    """A page in a known state: its path, and the cookies of the browser it belongs to."""

    name: str
    path: str
    state: str
    cookies: tuple[tuple[str, str], ...] = ()

    def admit(self, context: BrowserContext) -> None:
        """Let this browser be the buyer of the page, and nobody else."""
        context.clear_cookies()
        if self.cookies:
            context.add_cookies(
                [{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"} for name, value in self.cookies]
            )


@dataclass
class Gallery:
    """The shop and its exhibits by name."""

    shop: Installation
    exhibits: dict[str, Exhibit]

    def url(self, name: str, *, language: str = "en") -> str:
        """Return the address of an exhibit in a language."""
        return f"{self.shop.url}{self.exhibits[name].path}?lang={language}"


@contextmanager
def open_gallery(folder: Path) -> Iterator[Gallery]:
    """Set up the shop and make every exhibit."""
    with running_installation(folder, checkout_host="localhost", **_ENV) as shop:
        _stock(shop, folder)
        shop.start_web()
        shop.start_worker()
        made = _Maker(shop).make_all()
        # What follows is only looked at: a worker would go on asking after the unknown one.
        shop.kill("worker")
        assert {exhibit.name: exhibit.state for exhibit in made} == STATES
        yield Gallery(shop, {exhibit.name: exhibit for exhibit in made})


def _stock(shop: Installation, folder: Path) -> None:
    """Sell what makes pages difficult: a long name, no picture, a currency without decimals."""
    for name, currency, minor in ((LONG_NAME, "EUR", 12_345), (DONG_NAME, "VND", 1_290_000), (OLD_NAME, "USD", 900)):
        _create_product(shop, name, currency, minor)
    _run(shop, "dodo", "sync")
    slugs = {row["name"]: row["slug"] for row in shop.store.rows("SELECT name, slug FROM products")}
    offers = _OFFERS.replace("LONG_SLUG", slugs[LONG_NAME]).replace("DONG_SLUG", slugs[DONG_NAME])
    for funnel, product in (("archive", "type-atlas"), ("cutters", slugs["Sách bao bì"]), ("members", "pro-plan")):
        offers += f'\n[[funnels]]\nid = "{funnel}"\npriority = 5\n'
        offers += f'rules = [[{{ field = "product", operator = "is", value = ["{product}"] }}]]\n'
        offers += f'[[funnels.steps]]\nkey = "only"\noffer = "{funnel}"\n'
    file = folder / "offers.toml"
    file.write_text(offers, "utf-8")
    _run(shop, "offers", "import", str(file))


def _create_product(shop: Installation, name: str, currency: str, minor: int) -> None:
    price = {"type": "one_time_price", "currency": currency, "price": minor, "discount": 0}
    body = {"name": name, "description": "", "price": {**price, "purchasing_power_parity": False}}
    shop.sandbox.post("/products", {**body, "tax_category": "digital_products"})


def _put_a_plan_between(shop: Installation) -> None:
    """Publish the shipped plans with one between them, so that a way down passes over it."""
    make_plan(shop.sandbox, 5000, name="Studio plan")
    _run(shop, "dodo", "sync")
    shipped = (files("encore.services") / "recipes" / "plans.toml").read_text("utf-8")
    first, last = shipped.rsplit("[[plan_groups.plans]]", 1)
    points = '[{ about = "projects", en = "5 projects", vi = "5 dự án" }, { en = "Templates", vi = "Mẫu" }]'
    file = shop.folder / "plans.toml"
    file.write_text(
        f'{first}[[plan_groups.plans]]\nproduct = "studio-plan"\npoints = {points}\n\n[[plan_groups.plans]]{last}',
        "utf-8",
    )
    _run(shop, "offers", "import", str(file))


def _run(shop: Installation, *arguments: str) -> None:
    done = shop.flask(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class _Walker(Buyer):
    """A buyer who keeps the page they are on."""

    page: str = ""

    def buy(self, slug: str = "starter-course") -> str:
        self.page = super().buy(slug)
        return self.page

    @property
    def instance(self) -> str:
        """The offer on the page."""
        found = re.search(r'data-instance="([^"]+)"', self.page)
        assert found is not None, self.page[:400]
        return found[1]

    def press(self, hook: str) -> None:
        """Post a form of the page and go where it leads."""
        answer = self.post_form(self.page, hook)
        assert answer.status_code == 303, answer.text[:300]
        if answer.headers["location"].startswith("/"):
            self.page = self.get(answer.headers["location"])


class _Maker:
    """Walks one buyer after another into the states of `STATES`."""

    def __init__(self, shop: Installation) -> None:
        self._shop = shop
        self._made: list[Exhibit] = []

    def make_all(self) -> list[Exhibit]:
        """Return every exhibit."""
        self._make_shop_pages()
        self._make_payments()
        self._make_offers()
        self._make_answers()
        self._make_charges()
        self._make_fallbacks()
        self._make_accounts()
        self._make_plans()
        self._make_recommendations()
        self._make_dues()
        self._make_plan_offers()
        self._withdraw()
        return self._made

    def _add(self, name: str, path: str, buyer: Buyer | None = None) -> None:
        cookies = tuple((c.name, c.value or "") for c in buyer.session.cookies) if buyer else ()
        self._made.append(Exhibit(name=name, path=path, state=STATES[name], cookies=cookies))

    def _make_shop_pages(self) -> None:
        self._add("shop", "/")
        self._add("product", "/p/starter-course")
        self._add("product-recurring", "/p/pro-plan")
        self._add("product-trial", "/p/font-club")
        self._add("help", "/help")
        self._add("missing", "/p/nothing-of-that-name")
        self._add("neutral", f"/r/{'A' * 43}")

    def _make_payments(self) -> None:
        left = self._start()
        self._add("cancelled", f"/r/{left.ref}", left)
        slow = self._start(pays_with=STAYS_PROCESSING)
        self._add("waiting", f"/r/{slow.ref}", slow)
        self._add("still-processing", f"/r/{slow.ref}/wait/5", slow)
        declined = self._start(pays_with=DECLINED_CARD)
        self._add("payment-failed", f"/r/{declined.ref}", declined)

    def _start(self, *, pays_with: str | None = None) -> _Walker:
        """Begin a checkout and perhaps pay, without looking at the return page yet."""
        buyer = _Walker(self._shop, new_email())
        started = buyer.post_form(buyer.get("/p/starter-course"), "buy")
        session_id = started.headers["location"].rsplit("/", 1)[1]
        row = self._shop.wait_row("SELECT ref FROM checkouts WHERE provider_session_id = :id", id=session_id)
        buyer.ref = row["ref"]
        if pays_with is not None:
            self._shop.sandbox.pay(session_id, card=pays_with, email=buyer.email)
        return buyer

    def _offered(self, slug: str = "starter-course", *, card: str = CARD, email: str | None = None) -> _Walker:
        """Buy and see an offer."""
        buyer = _Walker(self._shop, email or new_email(), card)
        buyer.buy(slug)
        return buyer

    def _make_offers(self) -> None:
        for name, slug in (("offer", "starter-course"), ("offer-long", "type-atlas"), ("offer-dong", "sach-bao-bi")):
            buyer = self._offered(slug)
            self._add(name, f"/r/{buyer.ref}", buyer)
        self._shop.sandbox.switch(saves_cards=False)
        bare = self._offered()
        let_ten_seconds_pass(self._shop)
        bare.get(f"/r/{bare.ref}")
        self._shop.sandbox.switch(saves_cards=True)
        self._add("no-method", f"/r/{bare.ref}", bare)

    def _make_answers(self) -> None:
        twice = self._offered()
        first = twice.instance
        twice.press("offer-decline")
        twice.press("offer-decline")
        self._add("answered", f"/o/{first}", twice)
        self._add("thanks", f"/r/{twice.ref}", twice)
        once = self._offered()
        once.press("offer-decline")
        self._add("downsell", f"/r/{once.ref}", once)
        late = self._offered()
        with self._shop.store.write():
            self._shop.store.run("UPDATE offer_instances SET expires_at = created_at WHERE id = :id", id=late.instance)
        self._add("expired", f"/o/{late.instance}", late)
        self._make_moved()

    def _make_moved(self) -> None:
        buyer = self._offered()
        age_quote(self._shop, buyer.instance)
        path = f"/products/{BUNDLE_ID}"
        price = self._shop.sandbox.get(path)["price"]
        self._shop.sandbox.call("PATCH", path, {"price": {**price, "price": 8_900}})
        self._add("moved", f"/o/{buyer.instance}", buyer)
        buyer.press("offer-accept")
        self._shop.sandbox.call("PATCH", path, {"price": price})

    def _make_charges(self) -> None:
        paid = self._offered()
        twin = self._offered(email=paid.email)
        self._accept("receipt", paid)
        self._add("thanks-paid", f"/r/{paid.ref}", paid)
        self._add("order", f"/orders/{paid.ref}", paid)
        self._add("product-owned", "/p/complete-bundle", paid)
        self._add("owned", f"/o/{twin.instance}", twin)
        self._accept("action-required", self._offered(card=AUTHENTICATES_LATER))
        slow = self._offered()
        self._shop.sandbox.next_payment("processing")
        self._accept("processing", slow)
        lost = self._offered()
        self._shop.sandbox.fault("POST /checkouts", "reset")
        self._accept("checking", lost)
        self._make_returned()

    def _make_returned(self) -> None:
        buyer = self._offered()
        instance = buyer.instance
        self._accept("returned", buyer)
        payment = self._shop.sandbox.payments()[-1]
        self._shop.sandbox.control("refunds", {"payment_id": payment["id"], "reason": "asked for"})
        outcome = "SELECT id FROM acceptances WHERE offer_instance_id = :id AND outcome = 'refunded'"
        self._shop.wait_row(outcome, id=instance)

    def _make_fallbacks(self) -> None:
        self._accept("failed", self._offered(card=FAILS_LATER))
        refused = self._offered()
        self._shop.sandbox.fault("POST /checkouts", "status:422:INVALID_REQUEST_BODY")
        self._accept("not-charged", refused)
        buyer = self._offered(card=FAILS_LATER)
        self._accept("checkout-open", buyer)
        buyer.press("go-to-checkout")

    def _make_accounts(self) -> None:
        self._add("sign-in", "/account/sign-in")
        member = self._offered("basic-plan", card=OTHER_CARD)
        # A second card, which is good for this month only, paid for the course and for the bundle after it.
        buyer = _Walker(self._shop, member.email, expiry=datetime.now(UTC).strftime("%m/%y"))
        buyer.buy()
        buyer.press("offer-accept")
        # One order more than the first page of an account shows; the last is made below.
        for slug in ("design-templates", "type-atlas"):
            buyer.buy(slug)
        # What Dodo could not deliver stands in the account, too.
        failed = {"grant.payment_id": self._shop.sandbox.payments()[-1]["id"]}
        self._shop.sandbox.control("triggers", {"type": "entitlement_grant.failed", "set": failed})
        buyer.sign_in()
        choosing = _Walker(self._shop, member.email, expiry=buyer.expiry)
        choosing.buy("sach-bao-bi")
        choosing.sign_in()
        self._add("choose-card", f"/o/{choosing.instance}/cards", choosing)
        self._add("account", "/account", buyer)
        self._add("account-methods", "/account/methods", buyer)

    def _make_plans(self) -> None:
        for slug, plan, chosen in (("basic-plan", "plan", "plan-upgrade"), ("pro-plan", None, "plan-downgrade")):
            buyer, path = self._subscribed(slug)
            if plan:
                self._add(plan, path, buyer)
                self._add("product-subscribed", "/p/pro-plan", buyer)
                self._add("plan-cards", f"{path}/cards", buyer)
            answer = buyer.post_form(buyer.get(path), "choose-plan")
            self._add(chosen, answer.headers["location"], buyer)
        buyer, path = self._subscribed("pro-plan")
        for addon in (EXTRA_PROJECT, BRAND_KIT):
            answer = buyer.post_form(buyer.get(path), "change-seats", addon=addon, addon_quantity="2")
            buyer.post_form(buyer.get(answer.headers["location"]), "confirm-change")
        self._add("plan-add-ons", path, buyer)
        # Basic takes no brand kit.
        answer = buyer.post_form(buyer.get(path), "choose-plan")
        self._add("plan-add-ons-removed", answer.headers["location"], buyer)
        buyer, path = self._subscribed("font-club")
        self._add("thanks-trial", f"/r/{buyer.ref}", buyer)
        self._add("plan-trial", path, buyer)
        buyer, path = self._subscribed("pro-plan")
        answer = buyer.post_form(buyer.get(path), "choose-plan")
        buyer.post_form(buyer.get(answer.headers["location"]), "confirm-change")
        self._add("plan-scheduled", path, buyer)
        _put_a_plan_between(self._shop)
        buyer, path = self._subscribed("pro-plan")
        answer = buyer.post_form(buyer.get(path), "choose-plan")
        self._add("plan-lower-option", answer.headers["location"], buyer)

    def _make_recommendations(self) -> None:
        buyer, _ = self._subscribed("basic-plan")
        account = buyer.get("/account")
        card = account[account.index('data-offer="account-templates"') :]
        path = buyer.post_form(card, "open-recommendation").headers["location"]
        buyer.post_form(buyer.get(f"{path}/quantity"), "quantity-choice", quantity="3")
        self._add("recommendation", path, buyer)
        self._add("choose-quantity", f"{path}/quantity", buyer)

    def _make_dues(self) -> None:
        buyer, path = self._on_hold()
        self._add("plan-on-hold", path, buyer)
        buyer, path = self._on_hold()
        self._shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
        answer = buyer.post_form(buyer.get(path), "pay-dues")
        self._add("dues-failed", answer.headers["location"], buyer)
        self._make_dues_of_dodo()

    def _make_dues_of_dodo(self) -> None:
        """What the provider does by itself with what a plan owes: it asks the bank, or takes the payment up again."""
        sandbox = self._shop.sandbox
        buyer, path = self._on_hold()
        name = f"/subscriptions/{self._provider_id(path)}"
        sandbox.next_payment("requires_customer_action")
        method = {"type": "existing", "payment_method_id": sandbox.get(name)["payment_method_id"]}
        sandbox.post(f"{name}/update-payment-method", method)
        self._add("plan-waits-for-bank", path, buyer)
        buyer, path = self._on_hold()
        listed = sandbox.get("/payments", subscription_id=self._provider_id(path))["items"]
        failed = next(payment["payment_id"] for payment in listed if payment["status"] == "failed")
        answer = buyer.post_form(buyer.get(path), "pay-dues")
        sandbox.control("settle", {"payment_id": failed, "status": "succeeded"})
        self._shop.wait_row("SELECT * FROM alarms WHERE kind = 'dues_paid_twice'")
        self._add("dues-paid-again", answer.headers["location"], buyer)
        # As if the plan had gone on hold between the look and the request.
        buyer, path = self._on_hold()
        name = self._provider_id(path)
        with self._shop.store.write():
            change = card_changes.CardChange(id="cch_1", subscription_id=name, asked_at=Clock().now())
            card_changes.insert_change(self._shop.store, change)
        sandbox.post(f"/subscriptions/{name}/update-payment-method", method | {"payment_method_id": self._card(name)})
        self._shop.wait_row("SELECT * FROM alarms WHERE kind = 'charged_by_card_change'")
        self._add("plan-card-charged", path, buyer)

    def _card(self, subscription_id: str) -> str:
        customer_id = self._shop.sandbox.get(f"/subscriptions/{subscription_id}")["customer"]["customer_id"]
        return str(self._shop.sandbox.methods(customer_id)[0]["payment_method_id"])

    def _provider_id(self, path: str) -> str:
        row = self._shop.wait_row("SELECT * FROM subscriptions WHERE id = :id", id=path.rpartition("/")[2])
        return str(row["provider_subscription_id"])

    def _on_hold(self) -> tuple[_Walker, str]:
        """Return a subscriber with two cards whose renewal was declined, and the path of their plan's page."""
        buyer, path = self._subscribed("basic-plan")
        _Walker(self._shop, buyer.email, OTHER_CARD).buy("design-templates")
        self._shop.sandbox.fail_renewal(self._provider_id(path))
        return buyer, path

    def _make_plan_offers(self) -> None:
        buyer = self._offered("basic-plan")
        self._add("plan-offer", f"/r/{buyer.ref}", buyer)
        failed = self._offered("basic-plan")
        self._shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
        self._accept("plan-offer-failed", failed)
        moved = self._offered("basic-plan")
        path = f"/products/{PRO}"
        price = self._shop.sandbox.get(path)["price"]
        self._shop.sandbox.call("PATCH", path, {"price": {**price, "price": 9_000}})
        self._accept("plan-offer-moved", moved)
        self._shop.sandbox.call("PATCH", path, {"price": price})
        self._take_to_another_card()

    def _take_to_another_card(self) -> None:
        """Let the account of somebody who is offered a plan pay for the one they have with another card."""
        buyer = self._offered("basic-plan")
        self._offered(card="5555555555554444", email=buyer.email)
        sold = self._shop.wait_row(
            "SELECT subscriptions.* FROM subscriptions JOIN checkouts"
            " ON checkouts.subscription_id = subscriptions.provider_subscription_id WHERE checkouts.ref = :ref",
            ref=buyer.ref,
        )
        saved = self._shop.sandbox.methods(sold["customer_id"])
        name = next(one["payment_method_id"] for one in saved if one["card"]["last4_digits"] == "4444")
        body = {"type": "existing", "payment_method_id": name}
        self._shop.sandbox.post(f"/subscriptions/{sold['provider_subscription_id']}/update-payment-method", body)
        self._accept("plan-offer-no-method", buyer)

    def _subscribed(self, slug: str) -> tuple[_Walker, str]:
        """Return a signed-in subscriber and the path of their plan's page."""
        buyer = _Walker(self._shop, new_email())
        buyer.buy(slug)
        found = re.search(r'href="(/account/subscriptions/\w+)"', buyer.sign_in())
        assert found is not None
        return buyer, found[1]

    def _withdraw(self) -> None:
        buyer = self._offered("pro-plan")
        self._add("withdrawn", f"/o/{buyer.instance}", buyer)
        _run(self._shop, "offers", "pause", "members")
        products = self._shop.store.rows("SELECT id, name, slug FROM products")
        old = next(row for row in products if row["name"] == OLD_NAME)
        self._shop.sandbox.call("DELETE", f"/products/{old['id']}")
        _run(self._shop, "dodo", "sync")
        self._add("product-archived", f"/p/{old['slug']}")

    def _accept(self, name: str, buyer: _Walker) -> None:
        """Let a buyer accept the offer on the page, which leads to the exhibit `name`."""
        self._add(name, f"/o/{buyer.instance}", buyer)
        buyer.press("offer-accept")
