"""The whole journey as a person walks it, with JavaScript and without: what the page says and what was taken agree."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import (
    AUTHENTICATES_LATER,
    BUNDLE,
    DECLINED_CARD,
    FAILS_LATER,
    OTHER_CARD,
    STAYS_PROCESSING,
    TEMPLATES,
    Shopper,
)

# With the tax of the demo's address (New York): the course, the bundle and the templates.
COURSE, UPSELL, DOWNSELL = 5292, 10692, 2160


@pytest.mark.criterion("R1a", "R6a", "R28", "P3", "P9")
def test_buying_then_one_click_charges_the_amount_of_the_button(shopper: Shopper) -> None:
    shopper.buy().sees("offer").sees_offer(BUNDLE)
    amount = int(shopper.by("offer").get_attribute("data-amount") or 0)
    button = shopper.button("offer-accept").inner_text()

    shopper.press("offer-accept").sees("receipt", "paid")

    assert button == f"Pay ${amount / 100:.2f} now"
    assert shopper.paid() == [COURSE, amount]
    assert len(shopper.charges()) == 1
    shopper.sees_words("Receipt sent to l").sees_words(f"${amount / 100:.2f}")
    shopper.page.get_by_role("link", name="Continue", exact=True).click()
    shopper.sees("thanks").sees_words(f"${(COURSE + amount) / 100:.2f}")
    expect(shopper.by("thank-you")).to_be_visible()


@pytest.mark.criterion("R12a", "R36b", "R36c", "R35c")
def test_two_refusals_lead_to_the_downsell_and_then_to_peace(shopper: Shopper) -> None:
    shopper.buy().sees_offer(BUNDLE)

    shopper.press("offer-decline").sees_offer(TEMPLATES)
    shopper.press("offer-decline").sees("thanks")

    assert shopper.paid() == [COURSE]
    assert shopper.charges() == []
    expect(shopper.page.get_by_role("link", name=re.compile("in the shop$"))).to_have_count(2)
    shopper.open(f"/r/{shopper.ref}").sees("thanks")


@pytest.mark.criterion("R12a", "R12d")
def test_downsell_is_charged_after_the_offer_was_refused(shopper: Shopper) -> None:
    shopper.buy().sees_offer(BUNDLE)

    shopper.press("offer-decline").sees_offer(TEMPLATES)
    shopper.press("offer-accept").sees("receipt", "paid")

    assert shopper.paid() == [COURSE, DOWNSELL]
    shopper.page.get_by_role("link", name="Continue", exact=True).click()
    shopper.sees("thanks").sees_words("Complete bundle in the shop")


@pytest.mark.criterion("R24a", "R24b", "R25a", "R25b", "R26a", "R27b", "R21")
def test_card_declined_by_the_bank_is_paid_at_the_checkout(shopper: Shopper) -> None:
    shopper.buy(card=FAILS_LATER).sees_offer(BUNDLE)

    shopper.press("offer-accept").sees("failed", "card-declined")
    shopper.sees_words("You were not charged, and your order is complete.")
    expect(shopper.by("offer-accept")).to_have_count(0)
    shopper.press("go-to-checkout").pay(card=OTHER_CARD)

    # Back at the same step of the funnel, which the payment has answered.
    shopper.sees("thanks").sees_words("Paid: Complete bundle.")
    assert sorted(shopper.paid()) == [COURSE, UPSELL]
    assert len(shopper.charges()) == 1


@pytest.mark.criterion("R26c", "R24b")
def test_fallback_carries_no_customer_and_shows_no_saved_card(shopper: Shopper) -> None:
    shopper.offered(card=FAILS_LATER).press("offer-accept").sees("failed", "card-declined")

    shopper.press("go-to-checkout")

    shopper.page.wait_for_url(re.compile(r"//localhost:\d+/session/"))
    assert shopper.page.locator("input[name=method]").count() == 0
    expect(shopper.page.get_by_text("Complete bundle")).to_be_visible()
    body = [r["body"] for r in shopper.shop.sandbox.requests("POST", "/checkouts") if r["body"].get("metadata")][-1]
    assert "customer_id" not in body["customer"]
    assert body["metadata"]["offer_id"] == BUNDLE


def test_card_declined_by_the_bank_can_be_left_at_that(shopper: Shopper) -> None:
    shopper.offered(card=FAILS_LATER).press("offer-accept").sees("failed", "card-declined")

    shopper.press("continue-without").sees("thanks")

    assert shopper.paid() == [COURSE]
    # Leaving a failed payment is no "no": the product may be offered again another day.
    assert shopper.shop.store.rows("SELECT * FROM suppressions WHERE customer_id = :id", id=shopper.customer_id) == []


@pytest.mark.criterion("P5", "R24a")
def test_bank_confirmation_leads_back_to_the_same_step_and_is_paid(shopper: Shopper) -> None:
    shopper.buy(card=AUTHENTICATES_LATER).sees_offer(BUNDLE)

    shopper.press("offer-accept").sees("action_required", "needs-authentication")
    shopper.press("go-to-checkout").by("authenticate-approve").click()

    shopper.sees("thanks").sees_words("Paid: Complete bundle.")
    assert shopper.paid() == [COURSE, UPSELL]
    assert len(shopper.charges()) == 1


def test_bank_confirmation_that_fails_is_told_as_a_card_decline(shopper: Shopper) -> None:
    shopper.offered(card=AUTHENTICATES_LATER).press("offer-accept").sees("action_required", "needs-authentication")

    shopper.press("go-to-checkout").by("authenticate-fail").click()

    shopper.sees("failed", "card-declined").sees_words("You were not charged")
    assert shopper.paid() == [COURSE]


@pytest.mark.criterion("R24a")
def test_bank_confirmation_without_a_link_is_paid_at_the_checkout(shopper: Shopper) -> None:
    shopper.offered()
    shopper.shop.sandbox.next_payment("requires_customer_action", payment_link=False)

    shopper.press("offer-accept").sees("not_charged", "needs-checkout")
    shopper.press("go-to-checkout").pay()

    shopper.sees("thanks", "paid")
    assert shopper.paid() == [COURSE, UPSELL]
    assert len(shopper.charges()) == 1


@pytest.mark.criterion("P5")
def test_bank_confirmation_left_by_the_back_button_can_be_resumed(shopper: Shopper) -> None:
    shopper.offered(card=AUTHENTICATES_LATER).press("offer-accept").sees("action_required")
    shopper.press("go-to-checkout")
    expect(shopper.by("authenticate-approve")).to_be_visible()

    shopper.page.go_back()
    shopper.sees("action_required", "needs-authentication")
    shopper.press("go-to-checkout").by("authenticate-approve").click()

    shopper.sees("thanks")
    assert shopper.paid() == [COURSE, UPSELL]


def test_payment_that_fails_on_the_hosted_page_says_so_and_can_be_tried_again(shopper: Shopper) -> None:
    shopper.buy(card=DECLINED_CARD)
    shopper.by("return").click()

    shopper.sees("payment_failed", "card-declined").sees_words("You were not charged.")
    shopper.press("go-to-checkout").pay()

    shopper.sees_offer(BUNDLE)
    assert shopper.paid() == [COURSE]


def test_leaving_the_hosted_page_charges_nothing_and_says_so(shopper: Shopper) -> None:
    shopper.open("/p/starter-course").press("buy")
    shopper.by("cancel").click()

    shopper.sees("cancelled").sees_words("You left the checkout. Nothing was charged.")
    shopper.press("go-to-checkout").pay()
    shopper.sees_offer(BUNDLE)


@pytest.mark.criterion("R28")
def test_payment_not_yet_known_is_asked_for_five_times_and_then_promises_an_email(new_shopper: NewShopper) -> None:
    shopper = new_shopper()
    looks: list[str] = []
    shopper.page.on("request", lambda r: looks.append(r.url) if "/wait/" in r.url else None)
    shopper.page.clock.install()
    shopper.buy(card=STAYS_PROCESSING).sees("waiting", "processing")

    for looked in range(1, 6):
        with shopper.page.expect_response(re.compile(f"/wait/{looked}$")):
            shopper.page.clock.run_for(2_100)

    shopper.sees("still_processing", "processing").sees_words("we will e-mail you")
    shopper.page.clock.run_for(60_000)
    assert [url.rsplit("/", 1)[1] for url in looks] == ["1", "2", "3", "4", "5"]


def test_waiting_without_scripts_has_a_link_and_never_reloads_by_itself(new_shopper: NewShopper) -> None:
    shopper = new_shopper(scripts=False)
    shopper.buy(card=STAYS_PROCESSING).sees("waiting", "processing")

    for _ in range(5):
        shopper.by("check-again").click()

    shopper.sees("still_processing", "processing")
    assert shopper.page.locator("meta[http-equiv=refresh]").count() == 0


def test_recurring_product_is_sold_too(shopper: Shopper) -> None:
    # The highest of its group: a lower one is followed by the offer of it.
    shopper.buy("Pro plan").sees("thanks")

    expect(shopper.by("order-summary")).to_contain_text("Pro plan")
