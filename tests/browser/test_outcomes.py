"""What one click may come to, besides the money path: each outcome says the truth and leaves the right ways on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewShopper, provider_away
from tests.browser.shopper import BUNDLE, OTHER_CARD, TEMPLATES, Shopper, age_quote, let_ten_seconds_pass
from tests.installation import Installation
from tests.sandbox_process import BUNDLE as BUNDLE_ID

COURSE, UPSELL = 5292, 10692
CHARGE = "POST /checkouts"


def lose_answer(shop: Installation, *, effect: str) -> None:
    """Let the next charge (`before`) or the next request for one (`none`) end in a broken connection."""
    shop.sandbox.fault(CHARGE, "reset", effect=effect)


def offers_no_way_to_pay(shopper: Shopper) -> None:
    """No button, form or link of this page leads to a payment."""
    for hook in ("offer-accept", "go-to-checkout", "continue-without", "buy", "buy-again"):
        expect(shopper.by(hook)).to_have_count(0)
    expect(shopper.page.get_by_role("button", name=re.compile("pay", re.I))).to_have_count(0)


# ---- Unknown


@pytest.mark.criterion("N2", "R24c", "R6d")
def test_answer_lost_after_the_charge_is_checked_and_then_told_as_paid(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    with provider_away(shop):
        lose_answer(shop, effect="before")
        shopper.press("offer-accept").sees("checking", "checking")
        shopper.sees_words("You will not be charged twice.")
        offers_no_way_to_pay(shopper)

        shopper.by("check-again").click()
        shopper.sees("checking", "checking")
        offers_no_way_to_pay(shopper)
        shopper.open(f"/r/{shopper.ref}").sees("checking", "checking")

    shopper.waits_for_attempt("paid").open(f"/o/{shopper.instance}").sees("receipt", "paid")
    assert len(shopper.charges()) == 1
    assert shopper.paid() == [COURSE, UPSELL]


def test_page_that_checks_learns_the_outcome_by_itself(clicker: Shopper, shop: Installation) -> None:
    clicker.page.clock.install()
    clicker.offered()
    with provider_away(shop):
        lose_answer(shop, effect="before")
        clicker.press("offer-accept").sees("checking", "checking")

    # Its next look is five seconds away, which nobody waits for here.
    clicker.waits_for_attempt("paid").page.clock.fast_forward(5_000)
    clicker.sees("receipt", "paid")
    expect(clicker.page.get_by_role("status")).to_have_text("Paid")
    assert len(clicker.charges()) == 1


@pytest.mark.criterion("N2", "R25b", "R27b")
def test_charge_that_never_arrived_is_told_and_paid_at_the_checkout(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    lose_answer(shop, effect="none")
    shopper.press("offer-accept").sees("checking", "checking")

    shopper.waits_for_attempt("absent").open(f"/o/{shopper.instance}").sees("not_charged", "needs-checkout")
    shopper.sees_words("The payment did not go through. You were not charged.")
    expect(shopper.by("offer-accept")).to_have_count(0)
    shopper.press("go-to-checkout").pay(card=OTHER_CARD)

    shopper.sees("thanks", "paid")
    assert shopper.paid() == [COURSE, UPSELL]


def test_payment_the_bank_takes_its_time_over_is_processing_then_paid(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    shop.sandbox.next_payment("processing")
    shopper.press("offer-accept").sees("processing", "processing")
    offers_no_way_to_pay(shopper)

    payment = [p for p in shop.sandbox.payments() if p["customer_id"] == shopper.customer_id][-1]
    shop.sandbox.control("settle", {"payment_id": payment["id"], "status": "succeeded"})
    if not shopper.scripts:
        shopper.by("check-again").click()

    shopper.sees("receipt", "paid")


@pytest.mark.criterion("R27a")
def test_queued_payment_can_be_cancelled_before_it_is_sent(shopper: Shopper, shop: Installation) -> None:
    shopper.offered()
    with call_budget_spent(shop):
        shopper.press("offer-accept").sees("processing", "processing")
        shopper.press("cancel-payment").sees("answered", "answered").sees_words("Nothing was charged for it.")

    assert shopper.charges() == []
    shopper.page.get_by_role("link", name="Continue", exact=True).click()
    shopper.sees("thanks")
    assert shopper.paid() == [COURSE]


@contextmanager
def call_budget_spent(shop: Installation) -> Iterator[None]:
    """Leave no call to the provider for the next seconds, as a busy day does."""
    block = "UPDATE rate_budget SET blocked_until = :until"
    with shop.store.write():
        shop.store.run(block, until=4_102_444_800_000)
    try:
        yield
    finally:
        with shop.store.write():
            shop.store.run(block, until=0)


# ---- No one-click


@pytest.mark.criterion("R5a", "R5b", "R24a")
def test_without_a_saved_card_the_button_leads_to_the_checkout(shopper: Shopper, shop: Installation) -> None:
    shop.sandbox.switch(saves_cards=False)
    try:
        shopper.bought().sees("waiting", "processing")
        let_ten_seconds_pass(shop)
        shopper.open(f"/r/{shopper.ref}").sees("no_method", "needs-checkout").sees_offer(BUNDLE)
    finally:
        shop.sandbox.switch(saves_cards=True)
    expect(shopper.by("offer-accept")).to_have_count(0)
    expect(shopper.button("go-to-checkout")).to_have_text("Continue to payment")

    shopper.press("go-to-checkout").pay()

    shopper.sees("thanks", "paid")
    assert shopper.paid() == [COURSE, UPSELL]
    assert shopper.charges() == []


def test_provider_that_does_not_list_cards_charges_nothing_and_says_so(
    new_shopper: NewShopper, shop: Installation
) -> None:
    shopper = new_shopper(allowed=("status of 503",)).offered()
    shop.sandbox.fault("GET /customers/{id}/payment-methods", "status:403")
    shopper.press("offer-accept").sees("limited", "needs-checkout")
    shop.sandbox.clear_faults()

    shopper.sees_words("Nothing was charged.")
    assert shopper.charges() == []
    shopper.page.get_by_role("link", name="Try again").click()
    shopper.sees_offer(BUNDLE).press("offer-accept").sees("receipt", "paid")


@pytest.mark.criterion("N1")
def test_price_that_moved_shows_both_figures_and_charges_nothing(new_shopper: NewShopper, shop: Installation) -> None:
    for scripts in (True, False):
        shopper = new_shopper(scripts=scripts, allowed=("status of 409",)).offered()
        with price_moved(shop, shopper, to=8_900):
            shopper.press("offer-accept").sees("quote_changed", "moved")

            shopper.sees_words("The amount changed from $106.92 to $96.12. Nothing was charged.")
            expect(shopper.by("offer")).to_have_attribute("data-amount", "9612")
            assert shopper.charges() == []
            shopper.press("offer-accept").sees("receipt", "paid")
        assert shopper.paid() == [COURSE, 9612]


@contextmanager
def price_moved(shop: Installation, shopper: Shopper, *, to: int) -> Iterator[None]:
    """Let the offer have been read for more than a minute, and its price be another one at the provider."""
    product = shop.sandbox.get(f"/products/{BUNDLE_ID}")
    age_quote(shop, shopper.instance)
    path = f"/products/{BUNDLE_ID}"
    assert shop.sandbox.call("PATCH", path, {"price": {**product["price"], "price": to}}).status_code == 200
    try:
        yield
    finally:
        assert shop.sandbox.call("PATCH", path, {"price": product["price"]}).status_code == 200


# ---- Too late


def test_offer_that_ended_says_when_and_charges_nothing(new_shopper: NewShopper, shop: Installation) -> None:
    for scripts in (True, False):
        shopper = new_shopper(scripts=scripts, allowed=("status of 410",)).offered()
        with shop.store.write():
            shop.store.run("UPDATE offer_instances SET expires_at = created_at WHERE id = :id", id=shopper.instance)

        shopper.press("offer-accept").sees("expired", "expired")

        expect(shopper.page.get_by_role("heading", level=1)).to_have_text(
            re.compile(r"This offer ended at \d+:\d\d.*\. Nothing was charged\.")
        )
        assert shopper.charges() == []
        shopper.page.get_by_role("link", name="Continue", exact=True).click()
        shopper.sees("thanks")


@pytest.mark.criterion("R8d")
def test_paused_offer_is_withdrawn_even_from_an_open_page(new_shopper: NewShopper, shop: Installation) -> None:
    shoppers = [new_shopper(scripts=scripts, allowed=("status of 410",)).offered() for scripts in (True, False)]
    assert shop.flask("offers", "pause", BUNDLE).returncode == 0
    try:
        for shopper in shoppers:
            shopper.press("offer-accept").sees("withdrawn", "expired").sees_words("This offer is no longer available.")
            assert shopper.charges() == []
    finally:
        assert shop.flask("offers", "resume", BUNDLE).returncode == 0


@pytest.mark.criterion("R36a", "R10c")
def test_no_on_one_device_answers_the_offer_on_every_other(new_shopper: NewShopper) -> None:
    first = new_shopper().offered()
    second = new_shopper(allowed=("status of 410",))
    second.email = first.email
    second.offered()

    first.press("offer-decline").sees_offer(TEMPLATES)
    second.press("offer-accept").sees("answered", "answered")

    assert first.charges() == []
    expect(second.page.get_by_role("link", name="Complete bundle in the shop")).to_be_visible()


@pytest.mark.criterion("P8", "R6d")
def test_product_bought_meanwhile_is_owned_and_bought_again_only_on_request(new_shopper: NewShopper) -> None:
    first = new_shopper().offered()
    second = new_shopper(allowed=("status of 409",))
    second.email = first.email
    second.offered()

    first.press("offer-accept").sees("receipt", "paid")
    second.press("offer-accept").sees("owned", "answered").sees_words("You already own this.")

    assert len(second.charges()) == 1
    expect(second.button("buy-again")).to_have_text("Pay $106.92 now")
    second.press("buy-again").sees("receipt", "paid")
    assert sorted(second.paid()) == [COURSE, COURSE, UPSELL, UPSELL]


def test_owned_product_says_so_in_the_shop(shopper: Shopper) -> None:
    shopper.offered().press("offer-accept").sees("receipt", "paid")

    shopper.open("/p/complete-bundle").sees("owned").sees_words("You already own this.")

    expect(shopper.button("buy-again")).to_be_visible()
    expect(shopper.by("buy")).to_have_count(0)
