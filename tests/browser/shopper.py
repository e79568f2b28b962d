"""A person at the shop with a real browser: what they open, press and read, and what they were charged.

The hosted pages are on another host name than the shop, so that every return really crosses sites. Everything is found
by the hooks of the page contract or by role and name, never by a CSS class.
"""

import re
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Self

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, WebError, expect

from encore.rules.quotes import QUOTE_FRESH_MS, freeze, thaw
from tests.installation import Buyer, Installation

CARD = "4242424242424242"
OTHER_CARD = "5555555555554444"
DECLINED_CARD = "4000000000000002"
FAILS_LATER = "4000000000000341"
AUTHENTICATES_LATER = "4000002760003184"
STAYS_PROCESSING = "4000000000000077"
BUNDLE, TEMPLATES = "complete-bundle", "design-templates"
_numbers = count(1)


def new_email() -> str:
    """Return an address that nobody in this run has used: the provider matches customers by it."""
    return f"lan{next(_numbers)}@example.com"


def age_quote(shop: Installation, instance_id: str) -> None:
    """Let a buyer have looked at an offer for so long that its price is asked for again before a charge."""
    with shop.store.write():
        row = shop.store.row("SELECT quote_json FROM offer_instances WHERE id = :id", id=instance_id)
        assert row is not None
        quote = thaw(row["quote_json"])
        aged = freeze(replace(quote, previewed_at=quote.previewed_at - QUOTE_FRESH_MS - 1))
        shop.store.run("UPDATE offer_instances SET quote_json = :aged WHERE id = :id", aged=aged, id=instance_id)


def let_ten_seconds_pass(shop: Installation) -> None:
    """Make every order older than the wait for its card to be listed."""
    with shop.store.write():
        shop.store.run("UPDATE orders SET created_at = created_at - 10000")


@dataclass
class Shopper:
    """One browser profile with one window. `noise` is what its console and scripts complained about."""

    shop: Installation
    context: BrowserContext
    scripts: bool = True
    email: str = field(default_factory=new_email)
    ref: str = ""
    instance: str = ""
    noise: list[str] = field(default_factory=list)
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.context.on("console", self._note_console)
        self.context.on("weberror", self._note_error)
        self.page = self.context.new_page()

    # ---- Going and looking

    def open(self, path: str) -> Self:
        """Type an address of the shop."""
        self.page.goto(self.shop.url + path)
        return self

    def by(self, hook: str) -> Locator:
        """Find what carries this `data-testid`."""
        return self.page.get_by_test_id(hook)

    def button(self, hook: str) -> Locator:
        """Find the one button of the form with this hook."""
        return self.by(hook).get_by_role("button")

    def press(self, hook: str) -> Self:
        """Press the button of the form with this hook."""
        self.button(hook).click()
        return self

    def sees(self, state: str, outcome: str | None = None) -> Self:
        """Expect a page state and, where the contract has one, the outcome of the same page."""
        expect(self.page.locator("main")).to_have_attribute("data-page-state", state)
        if outcome is not None:
            expect(self.by("outcome")).to_have_attribute("data-state", outcome)
        return self

    def sees_in_the_end(self, state: str) -> Self:
        """Expect a page state that may follow another: with scripts the page goes on by itself, else by its link."""
        main = self.page.locator("main")
        if not self.scripts:
            expect(main).to_have_attribute("data-page-state", re.compile(f"{state}|processing|checking"))
            if main.get_attribute("data-page-state") != state:
                self.waits_for_attempt("paid").by("check-again").click()
        return self.sees(state)

    def sees_offer(self, offer: str) -> Self:
        """Expect an offer that can be answered."""
        expect(self.by("offer")).to_have_attribute("data-offer", offer)
        self.instance = self.by("offer").get_attribute("data-instance") or ""
        self.ref = self.ref or self.page.url.rsplit("/", 1)[1]
        return self

    def sees_words(self, words: str) -> Self:
        """Expect words on the page; a no-break space counts as a space."""
        expect(self.page.locator("main")).to_contain_text(re.compile(re.escape(words).replace(r"\ ", r"\s+")))
        return self

    def another_tab(self) -> "Shopper":
        """Open the order in one more tab of the same browser."""
        tab = replace(self)
        tab.page.goto(f"{self.shop.url}/r/{self.ref}")
        return tab

    # ---- Buying

    def buy(self, product: str = "Starter course", *, card: str = CARD) -> Self:
        """Buy in the shop as a person does: list, product, hosted page, and back across sites."""
        self.open("/")
        self.by("product").filter(has_text=product).click()
        self.press("buy")
        return self.pay(card=card)

    def pay(self, *, card: str = CARD) -> Self:
        """Fill in the hosted page and pay there."""
        self.page.wait_for_url(re.compile(r"//localhost:\d+/session/"))
        email = self.page.locator("[name=email]")
        if email.is_editable():
            email.fill(self.email)
        self.page.locator("[name=name]").fill("Lan Nguyen")
        country = self.page.locator("[name=country]")
        if country.is_editable():
            country.select_option("US")
            self.page.locator("[name=zipcode]").fill("10001")
        self.page.locator("[name=card_number]").fill(card)
        self.page.locator("[name=expiry]").fill("12/34")
        self.page.locator("[name=cvc]").fill("123")
        self.by("pay").click()
        return self

    def bought(self, slug: str = "starter-course", *, card: str = CARD) -> Self:
        """Be a buyer whose browser has just paid, without walking there: for tests of what comes after."""
        buyer = Buyer(self.shop, self.email, card)
        buyer.buy(slug)
        self.ref = buyer.ref
        return self.take_cookies_of(buyer).open(f"/r/{self.ref}")

    def take_cookies_of(self, buyer: Buyer) -> Self:
        """Be the browser of a buyer who came this far by plain HTTP."""
        self.context.add_cookies(
            [
                {"name": cookie.name, "value": cookie.value or "", "domain": "127.0.0.1", "path": "/"}
                for cookie in buyer.session.cookies
            ]
        )
        return self

    def offered(self, *, card: str = CARD) -> Self:
        """Be a buyer who sees the demo's offer."""
        return self.bought(card=card).sees_offer(BUNDLE)

    def waits_for_attempt(self, state: str) -> Self:
        """Wait until the shop has stored this about the try to charge the offer last seen."""
        self.shop.wait_row(
            "SELECT attempts.id FROM attempts JOIN acceptances ON acceptances.id = attempts.acceptance_id"
            " WHERE acceptances.offer_instance_id = :instance AND attempts.state = :state",
            instance=self.instance,
            state=state,
        )
        return self

    # ---- What it came to

    @property
    def customer_id(self) -> str:
        """The provider's id of whoever paid the order."""
        row = self.shop.wait_row(
            "SELECT customer_id FROM checkouts WHERE ref = :ref AND customer_id <> ''", ref=self.ref
        )
        return str(row["customer_id"])

    def charges(self) -> list[Any]:
        """Return the one-click charging requests the provider received for this customer."""
        customer = {"customer_id": self.customer_id}
        return [item for item in self.shop.sandbox.charges() if item["body"]["customer"] == customer]

    def paid(self) -> list[int]:
        """Return what was taken from this customer, payment by payment, in minor units, the first order included."""
        return [
            payment["total"]
            for payment in self.shop.sandbox.payments()
            if payment["customer_id"] == self.customer_id and payment["status"] == "succeeded"
        ]

    def acceptances(self) -> list[Any]:
        """Return this customer's yeses as they are stored."""
        return self.shop.store.rows("SELECT * FROM acceptances WHERE customer_id = :id", id=self.customer_id)

    def instances(self) -> list[Any]:
        """Return the offers this customer was shown, oldest first."""
        return self.shop.store.rows(
            "SELECT * FROM offer_instances WHERE customer_id = :id ORDER BY created_at, id", id=self.customer_id
        )

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.noise.append(f"{message.text} ({message.location.get('url', '')})")

    def _note_error(self, error: WebError) -> None:
        self.noise.append(f"script error: {error.error}")
