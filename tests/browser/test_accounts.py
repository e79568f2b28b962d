"""Signing in by the link in the mail and what the account is for, with and without JavaScript, in both languages."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import faults_of
from tests.browser.conftest import NewShopper
from tests.browser.shopper import BUNDLE, OTHER_CARD, Shopper
from tests.installation import Installation

SPEAKS = {"scripts": (True, "en"), "no scripts": (False, "vi")}


@pytest.fixture(params=SPEAKS)
def person(request: pytest.FixtureRequest, new_shopper: NewShopper) -> Shopper:
    """A buyer of the course with JavaScript, then the same test in Vietnamese without."""
    scripts, language = SPEAKS[request.param]
    return new_shopper(scripts=scripts, language=language, allowed=("status of 4(04|09|22)",)).bought()


def asks_for_link(person: Shopper, shop: Installation, path: str = "/account") -> None:
    """Be sent to the sign-in, ask, and open the link from the mail."""
    person.open(path).sees("ready")
    person.page.locator("[name=email]").fill(person.email)
    person.press("sign-in").sees("sent")
    look(person)
    person.open(shop.wait_link(person.email)).sees("open")


def signs_in(person: Shopper, shop: Installation, path: str = "/account") -> Shopper:
    asks_for_link(person, shop, path)
    return person.press("sign-in-confirm")


def look(person: Shopper) -> None:
    """Let axe look at the page; it is a script itself."""
    if person.scripts:
        assert faults_of(person.page) == []


def read_file(person: Shopper, hook: str) -> tuple[str, bytes]:
    with person.page.expect_download() as started:
        person.by(hook).first.click()
    return started.value.suggested_filename, started.value.path().read_bytes()


@pytest.mark.criterion("P28")
def test_signs_in_reads_the_account_and_signs_out(person: Shopper, shop: Installation) -> None:
    person.open("/account").sees("ready")
    # The browser lets it pass, and we say what is missing.
    person.page.locator("[name=email]").fill("lan@x")
    person.press("sign-in").sees("bad_address")
    expect(person.page.get_by_role("alert")).to_be_visible()
    look(person)

    signs_in(person, shop).sees("ready")

    expect(person.by("order")).to_have_count(1)
    expect(person.by("entitlement")).to_have_text("Starter course")
    expect(person.by("method")).to_contain_text("4242")
    assert names_of_the_provider(person) == []
    person.open("/account").by("order").get_by_role("link").click()
    person.sees("order")
    look(person)
    name, document = read_file(person, "invoice")
    assert re.fullmatch(r"invoice-E-\d+-1\.pdf", name)
    assert document.startswith(b"%PDF-")

    person.press("sign-out").open("/account").sees("ready")

    expect(person.by("sign-in")).to_be_visible()
    person.open(f"/orders/{person.ref}").sees("other_browser")


def names_of_the_provider(person: Shopper) -> list[Any]:
    """Return what stands in the account's pages of the names that the provider gives customers, cards and plans."""
    found = []
    for path in ("/account", "/account/orders", "/account/methods"):
        person.open(path)
        look(person)
        found += re.findall(r"(?:cus|pm|sub)_\w+", person.page.content())
    return found


def test_removal_wants_a_fresh_link_and_is_told(person: Shopper, shop: Installation) -> None:
    signs_in(person, shop, "/account/methods").sees("list")
    with shop.store.write():
        shop.store.run("UPDATE sign_ins SET signed_in_at = signed_in_at - 1800000")

    person.press("remove-method").sees("again")
    look(person)
    assert len(shop.sandbox.methods(person.customer_id)) == 1
    person.page.locator("[name=email]").fill(person.email)
    person.press("sign-in").sees("sent")
    # It leads back to where it was asked for.
    person.open(shop.wait_link(person.email, number=1)).press("sign-in-confirm").sees("list")
    person.press("remove-method").sees("removed")

    look(person)
    expect(person.by("method")).to_have_count(0)
    assert shop.sandbox.methods(person.customer_id) == []
    if person.scripts:
        expect(person.page.get_by_role("heading", level=1)).to_be_focused()
        expect(person.page.get_by_role("status")).to_have_text("Payment method removed")
    # What was said once is not said again.
    person.open("/account/methods").sees("empty")


def test_card_of_a_subscription_bought_meanwhile_stays(person: Shopper, shop: Installation) -> None:
    signs_in(person, shop, "/account/methods").sees("list")
    shop.sandbox.buy("pdt_BasicPlan0000000000004", email=person.email)

    person.press("remove-method").sees("in_use").sees_words("Basic plan")
    look(person)

    assert len(shop.sandbox.methods(person.customer_id)) == 1
    # Now the page knows, and offers no button that cannot help.
    person.open("/account/methods").sees("list").sees_words("Basic plan")
    expect(person.by("remove-method")).to_have_count(0)


@pytest.mark.criterion("P4")
def test_signs_in_at_an_offer_and_pays_with_another_card(person: Shopper, shop: Installation) -> None:
    shop.sandbox.buy(email=person.email, card=OTHER_CARD)
    person.bought().sees_offer(BUNDLE).page.get_by_role(
        "link", name=re.compile("another saved card|thẻ khác đã lưu")
    ).click()
    person.page.locator("[name=email]").fill(person.email)
    person.press("sign-in").sees("sent")
    person.open(shop.wait_link(person.email)).press("sign-in-confirm").sees_offer(BUNDLE)

    person.by("method-choice").get_by_role("link").click()
    person.sees("choose_card")
    look(person)
    person.page.get_by_label(re.compile("Mastercard")).check()
    person.press("method-choice").sees("offer").sees_words("Mastercard •••• 4444")
    look(person)
    person.press("offer-accept").sees_in_the_end("receipt").sees_words("Mastercard •••• 4444")

    assert len(person.charges()) == 1
