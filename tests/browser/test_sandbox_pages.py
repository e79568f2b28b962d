"""The sandbox's own pages in a real browser: what a script adds, what axe finds, and that nothing is cut at 320 px."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import faults_of
from tests.browser.conftest import LANGUAGES
from tests.sandbox_process import BASIC, COURSE, SandboxProcess, start_sandbox

FITS = "document.documentElement.scrollWidth <= innerWidth"
FLAGS = {"require_phone_number": True, "require_tax_id": True, "require_cardholder_name": True}
FIELDS = [
    {"key": "size", "label": "Size", "field_type": "dropdown", "options": ["S", "M"], "required": True},
    {"key": "gift", "label": "Gift", "field_type": "boolean"},
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def window(browser: Browser, sandbox: SandboxProcess) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 800}, base_url=sandbox.url)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=sandbox.url)
    yield context.new_page()
    context.close()


def checkout(sandbox: SandboxProcess, *products: str, **body: object) -> str:
    cart = [{"product_id": product_id, "quantity": 1} for product_id in products]
    return "/session/" + str(sandbox.post("/checkouts", {"product_cart": cart, **body})["session_id"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_are_without_a_finding_and_fit_a_small_window(
    sandbox: SandboxProcess, window: Page, *, language: str
) -> None:
    plan = sandbox.buy(BASIC, email=f"{language}@example.com")
    customer_id = plan["customer"]["customer_id"]
    portal = sandbox.post(f"/customers/{customer_id}/customer-portal/session", None)["link"]
    new_card = sandbox.post(f"/subscriptions/{plan['subscription_id']}/update-payment-method", {"type": "new"})
    asking = checkout(sandbox, COURSE, BASIC, feature_flags=FLAGS, custom_fields=FIELDS, cancel_url="http://shop.test/")
    known = {"customer": {"customer_id": customer_id}, "show_saved_payment_methods": True}
    declined, paid, waiting = (checkout(sandbox, COURSE, **known) for _ in range(3))
    for path, card in ((declined, "4000000000000002"), (paid, "4242424242424242"), (waiting, "4000002500003155")):
        sandbox.pay(path.rsplit("/", 1)[1], card=card)

    # The home speaks English only.
    home = ["/"] if language == "en" else []
    for path in (asking, declined, paid, waiting, portal, new_card["payment_link"], *home):
        window.goto(f"{path}?lang={language}")
        assert window.evaluate(FITS), path
        # The home has many parts and no colour of its own: the other pages look at the dark ones for it.
        assert faults_of(window, in_dark=path != "/") == [], path


def test_home_follows_what_happens_and_keeps_what_a_person_does(sandbox: SandboxProcess, window: Page) -> None:
    window.goto("/")
    window.get_by_label("Only customer").fill("cus_half_typed")
    window.get_by_text("Another outcome").click()

    payment = sandbox.buy()

    row = window.get_by_role("link", name=payment["payment_id"])
    expect(row).to_be_visible()
    row.focus()
    sandbox.buy()
    expect(window.locator("#payment-rows tbody tr")).to_have_count(len(sandbox.payments()[:10]))
    expect(row).to_be_focused()
    expect(window.get_by_label("Only customer")).to_have_value("cus_half_typed")
    expect(window.get_by_label("Outcome", exact=True)).to_be_visible()


def test_home_orders_by_keyboard_without_leaving_the_page(sandbox: SandboxProcess, window: Page) -> None:
    window.goto("/")
    reason = window.get_by_label("Reason", exact=True)
    reason.focus()
    reason.press("I")
    expect(reason).to_have_value("INCORRECT_CVC")
    window.keyboard.press("Tab")
    window.keyboard.press("Enter")

    expect(window.locator("#charge-rules")).to_contain_text("failed, INCORRECT_CVC")
    expect(window.get_by_test_id("fail-next")).to_be_focused()
    assert sandbox.buy()["error_code"] == "INCORRECT_CVC"

    window.get_by_test_id("pause").click()
    expect(window.get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    window.get_by_role("button", name="Copy 4000000000000341").click()
    expect(window.get_by_text("Copied")).to_be_visible()
    assert window.evaluate("navigator.clipboard.readText()") == "4000000000000341"


def test_checkout_follows_country_code_and_card_button(sandbox: SandboxProcess, window: Page) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 5000, "code": "HALF"})
    window.goto(checkout(sandbox, COURSE))

    window.locator("[name=country]").select_option("DE")
    expect(window.get_by_test_id("checkout-total")).to_have_attribute("data-minor", "5831")
    expect(window.get_by_test_id("pay")).to_have_text("Pay $58.31")
    expect(window.get_by_role("status")).to_contain_text("$58.31")
    window.get_by_text("I have a discount code").click()
    window.locator("[name=discount_code]").fill("half")
    window.keyboard.press("Tab")
    expect(window.get_by_test_id("checkout-total")).to_have_attribute("data-minor", "2916")
    window.get_by_test_id("fill-0341").click()
    expect(window.locator("[name=card_number]")).to_have_value("4000000000000341")
    window.locator("[name=email]").fill("lan@example.com")
    window.locator("[name=name]").fill("Lan")
    window.locator("[name=zipcode]").fill("10115")
    window.get_by_test_id("pay").click()

    expect(window.locator("main")).to_have_attribute("data-page-state", "paid")
    expect(window.locator("main")).to_contain_text(re.compile(r"\$29\.16"))


def test_portal_by_keyboard_and_without_a_script(sandbox: SandboxProcess, browser: Browser) -> None:
    plan = sandbox.buy(BASIC, email="keys@example.com")
    link = sandbox.post(f"/customers/{plan['customer']['customer_id']}/customer-portal/session", None)["link"]
    context = browser.new_context(java_script_enabled=False)
    window = context.new_page()
    window.goto(link)

    window.get_by_test_id("cancel").focus()
    window.keyboard.press("Enter")
    expect(window.get_by_test_id("done")).to_have_text("Cancelled for the end of the period.")
    window.get_by_test_id("new_card").click()
    window.locator("[name=card_number]").fill("5555555555554444")
    window.locator("[name=expiry]").fill("06/32")
    window.locator("[name=cvc]").fill("123")
    window.keyboard.press("Enter")

    expect(window.get_by_test_id("subscription")).to_contain_text("Mastercard •••• 4444")
    context.close()
