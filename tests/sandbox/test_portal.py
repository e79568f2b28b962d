"""The customer portal, without JavaScript: what a customer sees, and that each button presses the wire's own route."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.sandbox.pages import Page, page
from tests.sandbox.subscriptions import make_plan, subscribe
from tests.sandbox_process import BASIC, PRO, SandboxProcess, wait_for

MASTERCARD = "5555555555554444"
FAILS_LATER = "4000000000000341"
MONTH_S = 32 * 86_400


class Portal:
    """A customer with a plan, and the address of the portal session that was opened for them."""

    def __init__(
        self, sandbox: SandboxProcess, plan: str = BASIC, *, card: str = "4242424242424242", return_url: str = ""
    ) -> None:
        self.sandbox = sandbox
        self.subscription_id = subscribe(sandbox, plan, card=card)
        self.customer_id = self.subscription()["customer"]["customer_id"]
        query = f"?return_url={return_url}" if return_url else ""
        self.path = urlsplit(
            sandbox.post(f"/customers/{self.customer_id}/customer-portal/session{query}", None)["link"]
        ).path

    def subscription(self) -> Any:
        return self.sandbox.get(f"/subscriptions/{self.subscription_id}")

    def page(self, **options: Any) -> Page:
        return page(self.sandbox, self.path, **options)

    def press(self, action: str, **form: str) -> requests.Response:
        form = {"subscription_id": self.subscription_id, **form}
        return self.sandbox.call("POST", self.path, data={"action": action, **form})

    def method_id(self, last4: str) -> str:
        methods = self.sandbox.methods(self.customer_id)
        return str(next(m["payment_method_id"] for m in methods if m["card"]["last4_digits"] == last4))


@pytest.fixture
def portal(sandbox: SandboxProcess) -> Portal:
    return Portal(sandbox, return_url="http://127.0.0.1:9/account")


def test_portal_shows_plan_card_payments_and_the_way_back(portal: Portal) -> None:
    shown = portal.page()

    plan, back = shown.by_testid("subscription"), shown.by_testid("return")
    assert plan is not None
    assert plan["data-status"] == "active"
    assert "Basic plan" in shown.text
    assert "Visa •••• 4242" in shown.text
    assert back is not None
    assert back["href"] == "http://127.0.0.1:9/account"
    assert len(shown.all_by_testid("payment")) == 1


def test_invoice_opens_without_a_key_for_its_customer_only(sandbox: SandboxProcess, portal: Portal) -> None:
    link = portal.page().by_testid("invoice")
    other = sandbox.buy(email="other@example.com")["payment_id"]
    assert link is not None

    own = requests.get(sandbox.url + str(link["href"]), timeout=10)
    foreign = requests.get(f"{sandbox.url}{portal.path}/invoices/{other}", timeout=10)

    assert own.headers["content-type"] == "application/pdf"
    assert own.content.startswith(b"%PDF-")
    assert foreign.status_code == 404


def test_cancelling_waits_for_the_period_and_can_be_taken_back(portal: Portal) -> None:
    answer = portal.press("cancel")
    cancelling = portal.subscription()
    shown = page(portal.sandbox, answer.headers["location"])
    portal.press("keep")

    assert cancelling["status"] == "active"
    assert cancelling["cancel_at_next_billing_date"]
    assert cancelling["cancelled_by"]["actor_type"] == "customer"
    assert shown.by_testid("done") is not None
    assert shown.by_testid("keep") is not None
    assert not portal.subscription()["cancel_at_next_billing_date"]


def test_paused_plan_is_resumed(sandbox: SandboxProcess, portal: Portal) -> None:
    sandbox.call("PATCH", f"/subscriptions/{portal.subscription_id}", {"status": "paused"})
    assert portal.page().by_testid("resume") is not None

    portal.press("resume")

    assert portal.subscription()["status"] == "active"


def test_scheduled_change_is_called_off(sandbox: SandboxProcess, portal: Portal) -> None:
    change = {
        "product_id": PRO,
        "quantity": 1,
        "proration_billing_mode": "full_immediately",
        "effective_at": "next_billing_date",
    }
    sandbox.call("POST", f"/subscriptions/{portal.subscription_id}/change-plan", change)
    assert "Changes to Pro plan on" in portal.page().text

    portal.press("keep_plan")

    assert portal.subscription()["scheduled_change"] is None


def test_card_of_a_plan_cannot_be_removed_but_another_can(sandbox: SandboxProcess, portal: Portal) -> None:
    sandbox.buy(card=MASTERCARD)

    used = portal.press("remove_card", payment_method_id=portal.method_id("4242"))
    portal.press("remove_card", payment_method_id=portal.method_id("4444"))

    assert used.status_code == 409
    assert "This card pays for a subscription" in used.text
    assert [method["card"]["last4_digits"] for method in sandbox.methods(portal.customer_id)] == ["4242"]


def test_saved_card_is_put_on_the_plan(sandbox: SandboxProcess, portal: Portal) -> None:
    sandbox.buy(card=MASTERCARD)
    wanted = portal.method_id("4444")
    assert wanted in portal.page().text

    portal.press("use_card", payment_method_id=wanted)

    assert portal.subscription()["payment_method_id"] == wanted


def test_new_card_is_typed_on_a_page_that_leads_back(sandbox: SandboxProcess, portal: Portal) -> None:
    link = urlsplit(portal.press("new_card").headers["location"]).path
    asked = page(sandbox, link)

    back = sandbox.call("POST", link, data={"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}).headers[
        "location"
    ]

    due = asked.by_testid("amount-due")
    assert due is not None
    assert due["data-minor"] == "0"
    assert urlsplit(back).path == portal.path
    assert parse_qs(urlsplit(back).query)["status"] == ["succeeded"]
    assert portal.subscription()["payment_method_id"] == portal.method_id("4444")
    assert portal.subscription()["status"] == "active"


@pytest.mark.parametrize("saved", [True, False], ids=["saved card", "new card"])
def test_dues_of_a_plan_on_hold_are_paid(sandbox: SandboxProcess, saved: bool) -> None:
    portal = Portal(sandbox, card=FAILS_LATER)
    sandbox.buy(card=MASTERCARD)
    sandbox.clock(MONTH_S)
    wait_for(lambda: portal.subscription()["status"] == "on_hold", what="a renewal that failed")
    # A portal session lives for a day.
    portal.path = urlsplit(sandbox.post(f"/customers/{portal.customer_id}/customer-portal/session", None)["link"]).path
    assert "Your last payment failed. $30.00 is due" in portal.page().text

    if saved:
        answer = portal.press("use_card", payment_method_id=portal.method_id("4444"))
    else:
        link = urlsplit(portal.press("new_card").headers["location"]).path
        card = {"card_number": "4242424242424242", "expiry": "06/32", "cvc": "123"}
        answer = sandbox.call("POST", link, data=card)

    assert answer.status_code == 303
    assert portal.subscription()["status"] == "active"
    paid = sandbox.get("/payments", customer_id=portal.customer_id)["items"][0]
    assert (paid["status"], paid["total_amount"]) == ("succeeded", 3000)


def test_another_customers_plan_cannot_be_touched(sandbox: SandboxProcess, portal: Portal) -> None:
    other = subscribe(sandbox, BASIC, email="other@example.com")

    answers = [portal.press(action, subscription_id=other) for action in ("cancel", "resume", "new_card", "use_card")]

    assert {answer.status_code for answer in answers} == {404}
    assert not sandbox.get(f"/subscriptions/{other}")["cancel_at_next_billing_date"]


def test_expired_and_unknown_links_say_so(sandbox: SandboxProcess, portal: Portal) -> None:
    sandbox.clock(86_400)

    expired, pressed = sandbox.call("GET", portal.path), portal.press("cancel")
    unknown = sandbox.call("GET", "/portal/session/nobody")

    assert (expired.status_code, Page(expired.text).state) == (410, "expired")
    assert pressed.status_code == 410
    assert (unknown.status_code, Page(unknown.text).state) == (404, "unknown")
    assert not portal.subscription()["cancel_at_next_billing_date"]


def test_portal_speaks_the_customers_language_else_the_browsers(sandbox: SandboxProcess, portal: Portal) -> None:
    vietnamese = {"accept-language": "vi"}

    by_browser = portal.page(headers=vietnamese)
    sandbox.call("PATCH", f"/customers/{portal.customer_id}", {"preferred_locale": "en"})
    by_customer = portal.page(headers=vietnamese)

    assert '<html lang="vi">' in by_browser.text
    assert "Đang hoạt động" in by_browser.text
    assert '<html lang="en">' in by_customer.text


# ---- Payment links


def update_link(portal: Portal, **body: str) -> str:
    path = f"/subscriptions/{portal.subscription_id}/update-payment-method"
    return urlsplit(portal.sandbox.post(path, {"type": "new", **body})["payment_link"]).path


def test_payment_link_returns_with_the_payments_status(portal: Portal) -> None:
    link = update_link(portal, return_url="http://127.0.0.1:9/back?keep=1")

    back = portal.sandbox.call("POST", link, data={"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}).headers[
        "location"
    ]

    query = parse_qs(urlsplit(back).query)
    assert query["keep"] == ["1"]
    assert query["subscription_id"] == [portal.subscription_id]
    assert query["status"] == ["succeeded"]
    assert query["payment_id"][0].startswith("pay_")


def test_payment_link_asks_for_what_credit_leaves(sandbox: SandboxProcess) -> None:
    dear, cheap = make_plan(sandbox, 10_000), make_plan(sandbox, 9_500)
    portal = Portal(sandbox, dear, card=FAILS_LATER)
    change = {"product_id": cheap, "quantity": 1, "proration_billing_mode": "difference_immediately"}
    sandbox.call("POST", f"/subscriptions/{portal.subscription_id}/change-plan", change)
    assert "$5.00 credit pays for coming renewals" in portal.page().text
    sandbox.clock(MONTH_S)
    wait_for(lambda: portal.subscription()["status"] == "on_hold", what="a renewal that failed")
    link = update_link(portal)

    due = page(sandbox, link).by_testid("amount-due")
    sandbox.call("POST", link, data={"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"})

    assert due is not None
    assert due["data-minor"] == "9000"
    assert sandbox.get("/payments")["items"][0]["total_amount"] == 9000
    assert portal.subscription()["status"] == "active"


def test_licence_key_is_in_the_portal(sandbox: SandboxProcess, portal: Portal) -> None:
    product = {"name": "Tool", "tax_category": "saas", "license_key_enabled": True,
               "price": {"type": "one_time_price", "currency": "USD", "price": 900, "discount": 0,
                         "purchasing_power_parity": False}}  # fmt: skip
    sandbox.buy(sandbox.post("/products", product)["product_id"])
    (key,) = sandbox.get("/license_keys", customer_id=portal.customer_id)["items"]

    shown = portal.page()

    assert shown.by_testid("license-key") is not None
    assert key["key"] in shown.text


def test_bad_card_on_a_payment_link_is_named(portal: Portal) -> None:
    link = update_link(portal)

    answer = portal.sandbox.call("POST", link, data={"card_number": "4111111111111111", "expiry": "06/20", "cvc": "x"})

    assert answer.status_code == 422
    for field in ("card_number", "expiry", "cvc"):
        assert f'href="#{field}"' in answer.text


def test_payment_link_is_paid_once_and_expires(portal: Portal) -> None:
    used, left = update_link(portal), update_link(portal)
    card = {"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}

    first = portal.sandbox.call("POST", used, data=card)
    second = portal.sandbox.call("POST", used, data=card)
    portal.sandbox.clock(2 * 86_400)
    late = portal.sandbox.call("POST", left, data=card)

    assert first.headers["location"] == used
    assert Page(second.text).state == "paid"
    assert (late.status_code, Page(late.text).state) == (410, "expired")
    assert portal.sandbox.call("GET", "/pay/pay_nobody").status_code == 404
