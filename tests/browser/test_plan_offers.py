"""A higher plan offered after the first order, in a real browser: declined by the bank, another card, and changed."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import CARD, OTHER_CARD
from tests.browser.test_accounts import look
from tests.installation import Installation


def test_takes_the_plan_with_another_card_after_the_bank_said_no(new_shopper: NewShopper, shop: Installation) -> None:
    """N15 R25b R26c"""
    person = new_shopper().bought("basic-plan", card=CARD)
    person.sees_offer("pro-plan")
    due = person.by("amount-due").get_attribute("data-minor")
    look(person)

    shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    person.press("offer-accept").sees("failed", "card-declined")
    expect(person.page.get_by_role("heading", level=1)).to_be_focused()
    look(person)
    person.press("change-card")
    person.page.wait_for_url(re.compile(r"//localhost:\d+/"))
    person.page.locator("[name=card_number]").fill(OTHER_CARD)
    person.page.locator("[name=expiry]").fill("12/34")
    person.page.locator("[name=cvc]").fill("123")
    person.by("pay").click()

    person.sees_offer("pro-plan")
    expect(person.page.locator("main")).to_contain_text(OTHER_CARD[-4:])
    person.press("offer-accept").sees("changed", "paid")
    look(person)
    # Giving a card leaves a payment of nothing at the provider.
    assert [str(minor) for minor in person.paid() if minor][1:] == [due]
    # A page opened again shows what was done, not the offer to do it.
    person.page.go_back()
    expect(person.by("offer-accept")).to_have_count(0)
    person.open(f"/r/{person.ref}")
    expect(person.by("thank-you")).to_be_visible()
