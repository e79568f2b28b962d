"""Impatient hands and broken networks: whatever is pressed, held, reloaded or cut off, one charge and one truth."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import NewShopper, provider_away
from tests.browser.shopper import BUNDLE, TEMPLATES, Shopper
from tests.installation import Installation

COURSE, UPSELL = 5292, 10692
# What Chromium and htmx say in the console when a connection fails.
LOST = ("net::ERR_", "Failed to fetch")


def charge_takes(shop: Installation, seconds: float) -> None:
    """Let the provider think about the next charge, so that hands and networks have time to do harm."""
    shop.sandbox.fault("POST /checkouts", f"slow:{seconds}", effect="before")


def charged_once(shopper: Shopper) -> None:
    assert len(shopper.charges()) == 1
    assert shopper.paid() == [COURSE, UPSELL]
    assert [yes["outcome"] for yes in shopper.acceptances()] == ["charged"]


# ---- Hands


@pytest.mark.criterion("R6d", "R10c")
@pytest.mark.parametrize(("clicks", "gap_ms"), [(2, 0), (2, 100), (2, 300), (3, 0), (3, 150)])
def test_clicking_again_charges_once(shopper: Shopper, shop: Installation, *, clicks: int, gap_ms: int) -> None:
    shopper.offered()
    charge_takes(shop, 0.4)
    x, y = middle_of(shopper, "offer-accept")

    shopper.page.mouse.click(x, y, click_count=clicks, delay=gap_ms)

    shopper.sees_in_the_end("receipt")
    charged_once(shopper)


def middle_of(shopper: Shopper, hook: str) -> tuple[float, float]:
    """Where a hand would press this button."""
    box = shopper.button(hook).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.criterion("R6d")
def test_enter_held_down_charges_once(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    charge_takes(shop, 0.4)
    shopper.button("offer-accept").focus()

    for _ in range(15):
        shopper.page.keyboard.down("Enter")
    shopper.page.keyboard.up("Enter")

    shopper.sees_in_the_end("receipt")
    charged_once(shopper)


def test_refusing_twice_does_not_refuse_the_downsell_too(clicker: Shopper) -> None:
    clicker.offered()
    x, y = middle_of(clicker, "offer-decline")

    clicker.page.mouse.click(x, y, click_count=2)

    clicker.sees_offer(TEMPLATES)
    assert [shown["state"] for shown in clicker.instances()] == ["declined", "shown"]


@pytest.mark.criterion("R6d")
def test_two_tabs_pressed_together_charge_once(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    other = shopper.another_tab().sees_offer(BUNDLE)
    charge_takes(shop, 0.5)

    with shopper.page.expect_request("**/accept"):
        shopper.button("offer-accept").click(no_wait_after=True)
    other.press("offer-accept")

    for tab in (shopper, other):
        tab.sees_in_the_end("receipt")
    charged_once(shopper)


def test_yes_in_one_tab_and_no_in_the_other_come_to_one_answer(shopper: Shopper) -> None:
    shopper.offered()
    other = shopper.another_tab().sees_offer(BUNDLE)

    shopper.press("offer-accept").sees("receipt", "paid")
    other.press("offer-decline")

    # The no came too late: it neither takes the payment back nor leads to a second offer.
    other.sees("thanks")
    charged_once(shopper)
    assert [shown["state"] for shown in shopper.instances()] == ["accepted"]


def test_pressing_pay_says_so_and_cannot_be_pressed_again(clicker: Shopper, shop: Installation) -> None:
    clicker.offered()
    charge_takes(shop, 1)

    clicker.press("offer-accept")

    expect(clicker.button("offer-accept")).to_have_text("Paying…")
    expect(clicker.button("offer-accept")).to_be_disabled()
    clicker.sees("receipt", "paid")


# ---- Back, forward, reload


@pytest.mark.criterion("R6d")
def test_back_and_forward_show_the_settled_state_and_never_a_fresh_offer(shopper: Shopper) -> None:
    shopper.offered().press("offer-accept").sees("receipt", "paid")
    shopper.page.get_by_role("link", name="Continue", exact=True).click()
    shopper.sees("thanks")

    for move in (shopper.page.go_back, shopper.page.go_back, shopper.page.go_forward, shopper.page.go_forward):
        move()
        if shopper.page.url.startswith(shopper.shop.url):
            expect(shopper.by("outcome")).to_have_attribute("data-state", "paid")
            expect(shopper.by("offer-accept")).to_have_count(0)
    charged_once(shopper)


def test_back_after_a_no_shows_what_followed_it(shopper: Shopper) -> None:
    shopper.offered().press("offer-decline").sees_offer(TEMPLATES)
    shopper.press("offer-decline").sees("thanks")
    shopper.open("/")

    shopper.page.go_back()

    shopper.sees("thanks")
    expect(shopper.by("offer")).to_have_count(0)


@pytest.mark.criterion("R6d")
def test_reloading_the_answer_to_a_post_charges_once(shopper: Shopper) -> None:
    shopper.offered().press("offer-accept").sees("receipt", "paid")

    for _ in range(3):
        shopper.page.reload()

    expect(shopper.by("outcome")).to_have_attribute("data-state", "paid")
    charged_once(shopper)


def test_reloading_the_offer_shows_the_same_one_with_the_same_deadline(shopper: Shopper) -> None:
    shopper.offered()
    deadline = shopper.page.get_by_text("This offer is open until").inner_text()
    instance = shopper.instance

    shopper.page.reload()

    shopper.sees_offer(BUNDLE)
    assert (shopper.page.get_by_text("This offer is open until").inner_text(), shopper.instance) == (deadline, instance)
    assert len(shopper.instances()) == 1


# ---- Broken connections


def test_click_while_offline_sends_nothing_and_can_be_repeated(new_shopper: NewShopper) -> None:
    shopper = new_shopper(allowed=LOST).offered()
    shopper.context.set_offline(True)
    shopper.press("offer-accept")
    expect(shopper.page.get_by_role("status")).to_contain_text("nothing is sent twice")
    assert shopper.charges() == []

    shopper.context.set_offline(False)
    # The page asks again by itself and finds the offer unanswered.
    expect(shopper.page.get_by_role("status")).to_have_text("")
    shopper.press("offer-accept").sees("receipt", "paid")

    charged_once(shopper)


def test_click_while_offline_without_scripts_can_be_repeated(new_shopper: NewShopper) -> None:
    shopper = new_shopper(scripts=False, allowed=LOST).offered()
    shopper.context.set_offline(True)
    with shopper.page.expect_event("requestfailed"):
        shopper.button("offer-accept").click(no_wait_after=True)

    shopper.context.set_offline(False)
    shopper.open(f"/r/{shopper.ref}").sees_offer(BUNDLE)
    shopper.press("offer-accept").sees("receipt", "paid")

    charged_once(shopper)


@pytest.mark.criterion("R6d", "N2")
def test_answer_that_never_reaches_the_browser_is_asked_for_and_not_sent_again(new_shopper: NewShopper) -> None:
    shopper = new_shopper(allowed=LOST).offered()
    sent: list[str] = []

    def lose(route: Route) -> None:
        sent.append(route.request.method)
        route.fetch()
        route.abort("connectionreset")

    shopper.page.route("**/accept", lose)
    shopper.press("offer-accept")

    expect(shopper.by("outcome")).to_have_attribute("data-state", "paid")
    assert sent == ["POST"]
    charged_once(shopper)


@pytest.mark.criterion("R6d")
def test_tab_closed_after_the_click_is_charged_once_and_told_on_return(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    charge_takes(shop, 0.4)
    with shopper.page.expect_request("**/accept"):
        shopper.button("offer-accept").click(no_wait_after=True)
    shopper.page.close()

    shopper.waits_for_attempt("paid")
    again = shopper.another_tab()

    again.sees("thanks", "paid").sees_words("Paid: Complete bundle.")
    charged_once(shopper)


@pytest.mark.criterion("R35c")
def test_tab_closed_without_an_answer_is_neither_yes_nor_no(shopper: Shopper) -> None:
    shopper.offered()
    shopper.page.close()

    again = shopper.another_tab().sees_offer(BUNDLE)

    assert again.charges() == []
    assert [shown["state"] for shown in again.instances()] == ["shown"]


def test_answer_slower_than_the_patience_of_the_shop_is_checked_not_failed(
    new_shopper: NewShopper, shop: Installation
) -> None:
    shopper = new_shopper().offered()
    charge_takes(shop, 6)
    with provider_away(shop):
        shopper.press("offer-accept").sees("checking", "checking")

    expect(shopper.page.get_by_role("main")).not_to_contain_text(re.compile("fail|declin", re.I))
    shopper.waits_for_attempt("paid").open(f"/o/{shopper.instance}").sees("receipt", "paid")
    charged_once(shopper)
