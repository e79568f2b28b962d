"""Changing a plan in a real browser, with and without JavaScript, in both languages."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import CARD, Shopper
from tests.browser.test_accounts import SPEAKS, look, signs_in
from tests.installation import Installation

# New York takes 8 % tax on a plan.
UPGRADE, CREDIT = 5400, 5400


@pytest.fixture(params=SPEAKS)
def subscriber(request: pytest.FixtureRequest, new_shopper: NewShopper, shop: Installation) -> Shopper:
    """A signed-in subscriber of the lower plan, on its page."""
    scripts, language = SPEAKS[request.param]
    person = new_shopper(scripts=scripts, language=language).bought("basic-plan", card=CARD)
    return to_the_plan(signs_in(person, shop))


def to_the_plan(person: Shopper) -> Shopper:
    person.open("/account").by("subscription").get_by_role("link").click()
    return person


def chooses_other_plan(person: Shopper) -> Shopper:
    return person.press("choose-plan").sees("preview")


def due(person: Shopper) -> list[str | None]:
    return [element.get_attribute("data-minor") for element in person.by("amount-due").all()]


def current_plan(person: Shopper) -> str:
    return person.page.locator('[data-testid="plan"][data-current="true"] h3').inner_text()


@pytest.mark.criterion("R14b")
def test_upgrades_schedules_the_way_back_and_cancels_it(subscriber: Shopper) -> None:
    person = subscriber
    assert current_plan(person) == "Basic plan"

    chooses_other_plan(person)
    look(person)
    assert due(person) == [str(UPGRADE)]
    expect(person.button("confirm-change")).to_contain_text("54")
    person.press("confirm-change").sees("changed", "paid")
    look(person)
    assert person.paid()[-1] == UPGRADE
    if person.scripts:
        expect(person.page.get_by_role("heading", level=1)).to_be_focused()
    # A page opened again shows what was done, not the offer to do it.
    person.page.go_back()
    expect(person.by("confirm-change")).to_have_count(0)

    chooses_other_plan(to_the_plan(person))
    look(person)
    expect(person.by("credit")).to_have_attribute("data-minor", str(CREDIT))
    person.by("confirm-change").first.get_by_role("button").click()
    person.sees("scheduled", "answered")
    to_the_plan(person).sees("scheduled")
    expect(person.by("scheduled-change")).to_be_visible()
    look(person)
    person.press("cancel-scheduled").sees("active")
    expect(person.by("scheduled-change")).to_have_count(0)

    chooses_other_plan(person)
    person.by("confirm-change").nth(1).get_by_role("button").click()
    person.sees("changed", "paid")
    assert current_plan(to_the_plan(person)) == "Basic plan"
    assert len(person.paid()) == 2


def test_a_decline_and_the_bank_lead_back_to_the_same_step(subscriber: Shopper, shop: Installation) -> None:
    person = subscriber
    chooses_other_plan(person)
    shop.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    person.press("confirm-change").sees("failed", "card-declined")
    look(person)
    assert len(person.paid()) == 1

    person.press("refresh-quote").sees("preview")
    shop.sandbox.next_payment("requires_customer_action")
    person.press("confirm-change").sees("action_required", "needs-authentication")
    look(person)
    person.press("go-to-bank")
    person.page.wait_for_url(re.compile(r"//localhost:\d+/"))
    person.by("authenticate-approve").click()
    expect(person.by("authenticate-approve")).to_have_count(0)

    to_the_plan(person)
    assert current_plan(person) == "Pro plan"
    assert person.paid()[-1] == UPGRADE
