"""A signed-in browser with a plan, and the ways to each state of a quote of its change."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from encore.services import subscriptions
from tests.attacks.stage import Stage
from tests.html import Element, form_fields
from tests.sandbox_process import PRO


class Subscriber:
    """A signed-in browser with a plan."""

    # Oregon has no sales tax.
    def __init__(self, stage: Stage, slug: str = "basic-plan", *, zipcode: str = "97201", **form: str) -> None:
        self.stage = stage
        self.browser = stage.browser()
        started = self.browser.send(self.browser.page(f"/p/{slug}"), "buy")
        session = urlsplit(started.location).path.rpartition("/")[2]
        back = stage.sandbox.pay(session, email=self.browser.email, country="US", zipcode=zipcode, **form)
        self.browser.page(urlsplit(back.headers["location"]).path)
        while subscriptions.read_due(stage.shop):
            pass
        self.browser.sign_in()
        (link,) = self.browser.page("/account").all(data_testid="subscription")
        self.path = str(next(a for a in link.all("a")).attributes["href"])

    @property
    def provider_id(self) -> str:
        row = self.stage.one("SELECT * FROM subscriptions WHERE id = :id", id=self.path.rpartition("/")[2])
        return str(row["provider_subscription_id"])

    def plan(self) -> Element:
        return self.browser.page(self.path)

    def choose(self, product_id: str = PRO, **options: Any) -> TestResponse:
        """Press "See the price" of a plan."""
        return self.browser.post(f"{self.path}/preview", {"product": product_id}, **options)

    def quote(self, product_id: str = PRO) -> Element:
        chosen = self.choose(product_id)
        assert chosen.status_code == 303, chosen.get_data(as_text=True)
        return self.browser.page(chosen.location)

    def confirm(self, page: Element, number: int = 0, **options: Any) -> TestResponse:
        """Press a confirm button of a quote's page."""
        form = page.all(data_testid="confirm-change")[number]
        return self.browser.open("POST", form.attributes["action"], data=form_fields(form), **options)

    def changes(self) -> list[Any]:
        return self.stage.sandbox.requests("POST", f"/subscriptions/{self.provider_id}/change-plan")


def outcomes(page: Element) -> list[str]:
    return [str(element.attributes["data-state"]) for element in page.all(data_testid="outcome")]


def minor(page: Element) -> list[str]:
    return [str(element.attributes["data-minor"]) for element in page.all(data_testid="amount-due")]


# ---- The states: each function leads to the one it is called after ----


def quote_changed(buyer: Subscriber) -> str:
    page = buyer.quote()
    reprice(buyer.stage, 9000)
    try:
        return str(buyer.confirm(page).location)
    finally:
        reprice(buyer.stage, 8000)


def reprice(stage: Stage, price: int) -> None:
    current = stage.sandbox.get(f"/products/{PRO}")["price"]
    stage.sandbox.call("PATCH", f"/products/{PRO}", {"price": {**current, "price": price}})


def quote_expired(buyer: Subscriber) -> str:
    page = buyer.quote()
    buyer.stage.clock.wall_s += 601
    return str(buyer.confirm(page).location)


def pending_change(buyer: Subscriber) -> str:
    other = str(buyer.choose().location)
    processing(buyer)
    return other


def processing(buyer: Subscriber) -> str:
    buyer.stage.sandbox.next_payment("processing")
    return str(buyer.confirm(buyer.quote()).location)


def checking(buyer: Subscriber) -> str:
    page = buyer.quote()
    buyer.stage.sandbox.fault("POST /subscriptions/{id}/change-plan", "reset", effect="none")
    return str(buyer.confirm(page).location)


def action_required(buyer: Subscriber) -> str:
    page = buyer.quote()
    buyer.stage.sandbox.next_payment("requires_customer_action")
    return str(buyer.confirm(page).location)


def failed(buyer: Subscriber) -> str:
    page = buyer.quote()
    buyer.stage.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    return str(buyer.confirm(page).location)


def not_charged(buyer: Subscriber) -> str:
    page = buyer.quote()
    buyer.stage.sandbox.fault("POST /subscriptions/{id}/change-plan", "status:422")
    return str(buyer.confirm(page).location)


def changed(buyer: Subscriber) -> str:
    return str(buyer.confirm(buyer.quote()).location)


STATES: tuple[Callable[[Subscriber], str], ...] = (
    *(quote_changed, quote_expired, pending_change, processing, checking),
    *(action_required, failed, not_charged, changed),
)
