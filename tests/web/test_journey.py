"""The journey over real parts: the application, its store, and the sandbox as the process it is.

Forms are sent exactly as they stand in the pages; every page passes the lint on the way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import create_app
from encore.services import catalogue, demo
from encore.settings import load_settings
from encore.store import open_store, schema
from tests.html import Element, form_fields, read
from tests.sandbox_process import SandboxProcess, start_sandbox
from tests.web import factories
from tests.web.conftest import Visit

GOOD = "4242424242424242"
MASTERCARD = "5555555555554444"
DECLINES_LATER = "4000000000000341"
AUTHENTICATES_LATER = "4000002760003184"


@dataclass
class Stage:
    """A running shop and its provider."""

    app: Flask
    sandbox: SandboxProcess

    def browser(self) -> "Buyer":
        return Buyer(self)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    data = tmp_path_factory.mktemp("journey")
    with start_sandbox(data) as sandbox:
        settings = load_settings(
            {
                "ENCORE_DATA": str(data),
                "ENCORE_TESTING": "1",
                "ENCORE_LIMITS": "off",
                "ENCORE_DODO_TIER": "off",
                "DODO_PAYMENTS_BASE_URL": sandbox.url,
                "DODO_PAYMENTS_API_KEY": sandbox.key,
            }
        )
        store = open_store(settings.database_path)
        schema.upgrade(store, now=factories.NOW)
        store.close()
        app = create_app(settings)
        catalogue.sync(app.extensions["encore"])
        demo.seed(app.extensions["encore"])
        yield Stage(app, sandbox)
        app.extensions["encore"].close()


class Buyer:
    """A browser with an address of its own."""

    count = 0

    def __init__(self, stage: Stage) -> None:
        Buyer.count += 1
        self.email = f"buyer{Buyer.count}@example.com"
        self.stage = stage
        self.visit = Visit(stage.app, is_buyer=False)
        self.ref = ""

    def page(self, path: str) -> Element:
        answer = self.visit.get(path)
        assert answer.status_code == 200, answer.status
        return read(answer.get_data(as_text=True))

    def send(self, page: Element, test_id: str, *, htmx: str | None = None) -> TestResponse:
        form = page.test_id(test_id)
        return self.visit.post(form.attributes["action"], form_fields(form), htmx=htmx)

    def buy(self, card: str = GOOD) -> Element:
        """Buy the first product and come back; returns the return page."""
        started = self.send(self.page("/p/starter-course"), "buy")
        self.pay(started, card)
        return self.page(f"/r/{self.ref}")

    def pay(self, started: TestResponse, card: str = GOOD) -> None:
        assert started.status_code == 303
        session = urlsplit(started.location).path.rpartition("/")[2]
        back = self.stage.sandbox.pay(session, card=card, email=self.email)
        self.ref = urlsplit(back.headers["location"]).path.rpartition("/")[2]

    def charges(self) -> int:
        """How many requests that charge a saved card the provider got for this buyer's orders."""
        returns = f"/r/{self.ref}"
        return len([c for c in self.stage.sandbox.charges() if str(c["body"].get("return_url", "")).endswith(returns)])


def state_of(page: Element) -> str:
    return page.one("main").attributes["data-page-state"]


@pytest.mark.criterion("R38")
@pytest.mark.parametrize("htmx", [None, "offers-offer"], ids=["plain", "htmx"])
def test_buyer_accepts_with_one_click_and_is_charged_once(stage: Stage, htmx: str | None) -> None:
    buyer = stage.browser()
    offer = buyer.buy()

    first = buyer.send(offer, "offer-accept", htmx=htmx)
    again = [buyer.send(offer, "offer-accept", htmx=htmx) for _ in range(3)]

    if htmx is None:
        assert {answer.location for answer in (first, *again)} == {first.location}
        result = buyer.page(first.location)
    else:
        assert {answer.status_code for answer in (first, *again)} == {200}
        result = read(first.get_data(as_text=True))
    assert result.test_id("outcome").attributes["data-state"] == "paid"
    assert buyer.charges() == 1
    thanks = buyer.page(f"/r/{buyer.ref}")
    assert state_of(thanks) == "thanks"
    assert "Complete bundle" in thanks.test_id("thank-you").text


def test_amount_on_the_button_is_the_amount_charged(stage: Stage) -> None:
    buyer = stage.browser()
    offer = buyer.buy()
    shown = int(offer.test_id("offer").attributes["data-amount"])

    buyer.send(offer, "offer-accept")

    newest = stage.sandbox.get("/payments")["items"][0]
    assert (newest["status"], newest["total_amount"], newest["customer"]["email"]) == ("succeeded", shown, buyer.email)


def test_two_noes_lead_over_the_cheaper_offer_to_peace(stage: Stage) -> None:
    buyer = stage.browser()
    upsell = buyer.buy()

    buyer.send(upsell, "offer-decline")
    downsell = buyer.page(f"/r/{buyer.ref}")
    buyer.send(downsell, "offer-decline")
    thanks = buyer.page(f"/r/{buyer.ref}")

    amounts = [int(page.test_id("offer").attributes["data-amount"]) for page in (upsell, downsell)]
    assert amounts[1] < amounts[0]
    assert state_of(thanks) == "thanks"
    assert "Changed your mind?" in thanks.text
    assert buyer.charges() == 0


def test_declined_card_leads_to_the_checkout_and_back(stage: Stage) -> None:
    buyer = stage.browser()
    offer = buyer.buy(DECLINES_LATER)

    answer = buyer.send(offer, "offer-accept", htmx="offers-offer")
    failed = buyer.page(f"/r/{buyer.ref}")
    buyer.pay(buyer.send(failed, "go-to-checkout"))
    paid = buyer.page(f"/r/{buyer.ref}")

    assert answer.status_code == 402
    assert state_of(failed) == "failed"
    assert "You were not charged, and your order is complete." in failed.text
    assert "Paid: Complete bundle." in paid.text
    assert buyer.charges() == 1


def test_continue_without_leads_on_and_charges_nothing(stage: Stage) -> None:
    buyer = stage.browser()
    offer = buyer.buy(DECLINES_LATER)
    buyer.send(offer, "offer-accept")

    buyer.send(buyer.page(f"/r/{buyer.ref}"), "continue-without")

    after = buyer.page(f"/r/{buyer.ref}")
    assert state_of(after) in ("thanks", "offer")
    assert not after.has_test_id("continue-without")


def test_bank_that_asks_is_one_plain_form_away(stage: Stage) -> None:
    buyer = stage.browser()
    offer = buyer.buy(AUTHENTICATES_LATER)
    buyer.send(offer, "offer-accept")

    page = buyer.page(f"/r/{buyer.ref}")
    leaving = buyer.send(page, "go-to-checkout")

    assert state_of(page) == "action_required"
    assert leaving.status_code == 303
    assert leaving.location.startswith(f"{stage.sandbox.url}/authenticate/")


@pytest.mark.criterion("R10d")
def test_other_browser_sees_and_changes_nothing(stage: Stage) -> None:
    buyer, thief = stage.browser(), stage.browser()
    offer = buyer.buy()
    instance = offer.test_id("offer").attributes["data-instance"]
    own = form_fields(thief.page("/").test_id("sign-out"))

    pages = [thief.visit.get(path) for path in (f"/r/{buyer.ref}", f"/o/{instance}", f"/orders/{buyer.ref}")]
    stolen = {**form_fields(offer.test_id("offer-accept")), **own}
    answer = thief.visit.post(f"/o/{instance}/accept", stolen)

    assert {page.status_code for page in pages} == {404}
    assert not any(word in page.get_data(as_text=True) for page in pages for word in ("Starter", "4242", "example.com"))
    assert answer.location == "/p/complete-bundle"
    assert buyer.charges() == 0
    assert state_of(buyer.page(f"/r/{buyer.ref}")) == "offer"


def test_typed_address_of_another_buyer_shows_and_charges_none_of_their_cards(stage: Stage) -> None:
    buyer, second = stage.browser(), stage.browser()
    buyer.buy(GOOD)
    second.email = buyer.email

    page = second.buy(MASTERCARD)

    assert "4242" not in page.text
    if page.has_test_id("offer-accept"):
        assert "Mastercard •••• 4444" in page.test_id("method-choice").text
        second.send(page, "offer-accept")
    assert not [
        charge
        for charge in stage.sandbox.charges()
        if str(charge["body"].get("return_url")).endswith(second.ref) and "4242" in str(charge)
    ]


def test_signed_out_browser_has_left_its_order_behind(stage: Stage) -> None:
    buyer = stage.browser()
    offer = buyer.buy()

    buyer.send(offer, "sign-out")

    assert buyer.visit.get(f"/r/{buyer.ref}").status_code == 404


def test_forged_status_in_the_address_is_worth_nothing(stage: Stage) -> None:
    buyer = stage.browser()
    started = buyer.send(buyer.page("/p/starter-course"), "buy")
    ref = urlsplit(stage.sandbox.requests("POST", "/checkouts")[-1]["body"]["return_url"]).path

    answer = buyer.visit.get(f"{ref}?status=succeeded&payment_id=pay_forged&email=x%40example.com")

    assert started.status_code == 303
    assert answer.status_code == 303
    assert state_of(buyer.page(answer.location)) == "cancelled"
