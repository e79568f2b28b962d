"""Everything by keyboard alone: the way through the shop, the order of Tab, the ring, and where focus goes."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import BUNDLE, FAILS_LATER, TEMPLATES, Shopper

COURSE, UPSELL = 5292, 10692
# A ring of three pixels around the whole of what is focused, with nothing on top of it, inside the window.
IS_SEEN = """(e) => {
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const isInside = box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth;
  const top = document.elementFromPoint(box.x + Math.min(box.width, 20) / 2, box.y + box.height / 2);
  return style.outlineStyle === "solid" && style.outlineWidth === "3px" && isInside && (e === top || e.contains(top));
}"""
NAME = "(e) => e.closest('[data-testid]')?.dataset.testid ?? e.textContent.trim()"


def tab_to(shopper: Shopper, hook: str) -> Shopper:
    """Press Tab until the focus is in the element with this hook; every stop on the way must be seen."""
    keyboard = shopper.page.keyboard
    for _ in range(40):
        keyboard.press("Tab")
        focused = shopper.page.locator(":focus")
        assert focused.evaluate(IS_SEEN), focused.evaluate(NAME)
        if focused.evaluate("(e, hook) => Boolean(e.closest(`[data-testid=${hook}]`))", hook):
            return shopper
    raise AssertionError(f"Tab never reaches {hook}")


def press_enter(shopper: Shopper) -> Shopper:
    shopper.page.keyboard.press("Enter")
    return shopper


def fill_in(shopper: Shopper) -> None:
    """Fill in the hosted page by keyboard."""
    keyboard = shopper.page.keyboard
    shopper.page.wait_for_url(re.compile("/session/"))
    values = {"email": shopper.email, "name": "Lan Nguyen", "country": "United States", "zipcode": "10001"}
    values |= {"card_number": "4242424242424242", "expiry": "06/32", "cvc": "123"}
    for name, value in values.items():
        while shopper.page.evaluate("document.activeElement.name") != name:
            keyboard.press("Tab")
        keyboard.type(value)
    while shopper.page.evaluate("document.activeElement.dataset.testid") != "pay":
        keyboard.press("Tab")
    keyboard.press("Enter")


@pytest.mark.criterion("N9")
def test_whole_journey_by_keyboard(shopper: Shopper) -> None:
    shopper.open("/")
    press_enter(tab_to(shopper, "product"))
    shopper.sees("ready")
    press_enter(tab_to(shopper, "buy"))
    fill_in(shopper)
    shopper.sees_offer(BUNDLE)

    press_enter(tab_to(shopper, "offer-accept"))
    shopper.sees("receipt", "paid")
    press_enter(tab_to(shopper, "outcome"))

    shopper.sees("thanks")
    assert shopper.paid() == [COURSE, UPSELL]


@pytest.mark.criterion("N9", "R35a")
def test_refusing_by_keyboard_takes_one_more_tab_than_accepting(shopper: Shopper) -> None:
    shopper.offered()
    tab_to(shopper, "offer-accept")
    shopper.page.keyboard.press("Tab")
    assert shopper.page.locator(":focus").evaluate(NAME) == "offer-decline"

    press_enter(shopper)

    shopper.sees_offer(TEMPLATES)
    assert shopper.charges() == []


@pytest.mark.criterion("R25c")
def test_focus_moves_to_what_an_answer_came_to(new_shopper: NewShopper) -> None:
    shopper = new_shopper().offered(card=FAILS_LATER)
    tab_to(shopper, "offer-accept")

    press_enter(shopper).sees("failed", "card-declined")

    expect(shopper.page.get_by_role("heading", level=1)).to_be_focused()
    expect(shopper.page.get_by_role("status")).to_have_text("Payment declined")
    assert shopper.page.title().startswith("Payment declined – ")
    # Reading on from there, the next stop is the way on.
    tab_to(shopper, "go-to-checkout")


def test_focus_moves_to_the_next_offer_after_a_no(new_shopper: NewShopper) -> None:
    shopper = new_shopper().offered()
    tab_to(shopper, "offer-decline")

    press_enter(shopper).sees_offer(TEMPLATES)

    expect(shopper.page.get_by_role("heading", level=1)).to_be_focused()
    expect(shopper.page.get_by_role("heading", level=1)).to_have_text("Only the Design templates")


def test_first_tab_offers_to_skip_to_the_content(shopper: Shopper) -> None:
    shopper.open("/")

    shopper.page.keyboard.press("Tab")
    expect(shopper.page.locator(":focus")).to_have_text("Skip to content")
    press_enter(shopper)
    shopper.page.keyboard.press("Tab")

    assert shopper.page.locator(":focus").evaluate(NAME) == "product"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_order_of_tab_is_the_order_of_reading(new_shopper: NewShopper, *, scheme: str) -> None:
    shopper = new_shopper(color_scheme=scheme, viewport={"width": 320, "height": 568}).offered()
    stops = []
    for _ in range(9):
        shopper.page.keyboard.press("Tab")
        focused = shopper.page.locator(":focus")
        assert focused.evaluate(IS_SEEN), focused.evaluate(NAME)
        stops.append(focused.evaluate(NAME))

    assert stops == [
        "Skip to content",
        "Encore",
        "Tiếng Việt",
        "offer",
        "method-choice",
        "offer-accept",
        "offer-decline",
        "offer",
        "Account",
    ]
