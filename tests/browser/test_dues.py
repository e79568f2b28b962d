"""Paying what a subscription on hold owes in a real browser; without JavaScript the web tests do it by plain forms."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import CARD, OTHER_CARD, Shopper
from tests.browser.test_accounts import look, signs_in
from tests.browser.test_plans import to_the_plan
from tests.installation import Buyer, Installation


@pytest.fixture
def holder(new_shopper: NewShopper, shop: Installation) -> Shopper:
    """A signed-in subscriber with two cards, on the page of their plan, which is on hold."""
    person = new_shopper(allowed=("status of 402",)).bought("basic-plan", card=CARD)
    Buyer(shop, person.email, OTHER_CARD).buy("design-templates")
    signs_in(person, shop)
    row = shop.wait_row(
        "SELECT subscriptions.* FROM subscriptions JOIN customers ON customers.id = subscriptions.customer_id"
        " WHERE customers.email = :email",
        email=person.email,
    )
    shop.sandbox.fail_renewal(row["provider_subscription_id"])
    return to_the_plan(person).sees("on_hold")


@pytest.mark.criterion("R26b")
def test_pays_what_is_owed_after_a_decline_with_a_new_card(holder: Shopper, shop: Installation) -> None:
    person = holder
    look(person)
    expect(person.by("dues")).to_contain_text("$32.40 is due")
    shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    person.press("pay-dues").sees("failed", "card-declined")
    look(person)
    expect(person.page.get_by_role("heading", level=1)).to_be_focused()

    person.by("pay-again").click()
    person.sees("on_hold").press("pay-new-card")
    person.page.wait_for_url(re.compile(r"/pay/"))
    person.page.locator("[name=card_number]").fill(OTHER_CARD)
    person.page.locator("[name=expiry]").fill("06/32")
    person.page.locator("[name=cvc]").fill("123")
    person.page.keyboard.press("Enter")
    person.page.wait_for_url(re.compile(r"/dues/\w+$"))
    person.sees("recovered", "paid")
    look(person)

    # A page opened again shows what was done, not the offer to do it.
    to_the_plan(person).sees("active")
    expect(person.by("pay-dues")).to_have_count(0)
    assert person.paid()[-1] == 3240
