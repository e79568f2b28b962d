"""A recommendation in a real browser, with JavaScript and without: card, quantity, click, and its order."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import Shopper
from tests.browser.test_accounts import SPEAKS, look, signs_in
from tests.installation import Installation


@pytest.fixture(params=SPEAKS)
def member(request: pytest.FixtureRequest, new_shopper: NewShopper, shop: Installation) -> Shopper:
    """A signed-in buyer of the Basic plan, on the account page."""
    scripts, language = SPEAKS[request.param]
    person = new_shopper(scripts=scripts, language=language, allowed=("status of 422",)).bought("basic-plan")
    return signs_in(person, shop).open("/account")


@pytest.mark.criterion("R7a", "R7b")
def test_takes_three_of_a_card_with_one_click(member: Shopper) -> None:
    person = member
    expect(person.by("recommendation")).to_have_count(3)
    look(person)
    card = person.page.locator('[data-testid="recommendation"][data-offer="account-templates"]')
    card.get_by_role("button").click()
    person.sees("offer")
    person.instance = person.by("offer").get_attribute("data-instance") or ""
    look(person)

    person.by("change-quantity").click()
    person.sees("choose_quantity")
    look(person)
    person.page.locator("[name=quantity]").fill("9")
    person.press("quantity-choice")
    expect(person.page.get_by_role("alert")).to_be_visible()
    look(person)
    person.page.locator("[name=quantity]").fill("3")
    person.press("quantity-choice").sees("offer")
    expect(person.by("offer")).to_have_attribute("data-amount", "6480")
    if person.scripts:
        expect(person.page.get_by_role("heading", level=1)).to_be_focused()

    person.press("offer-accept").sees_in_the_end("receipt").sees_words("Design templates")
    look(person)
    assert person.paid()[-1] == 6480
    # A page opened again shows what was done, not the offer to do it.
    person.page.go_back()
    expect(person.by("offer-accept")).to_have_count(0)

    person.open("/account")
    expect(person.by("recommendation")).to_have_count(2)
    person.by("order").first.get_by_role("link").click()
    person.sees("order").sees_words("Design templates × 3")
