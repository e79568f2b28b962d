"""The whole way of a trial with its licence key, over real parts: shop, checkout, return, thank-you page and account.

Every page passes the lint; both languages, and both things Dodo may leave of a free trial.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from encore.services import subscriptions
from tests.attacks.stage import Browser, Stage, open_stage, state_of
from tests.html import Element

SLUG = "font-club"
# An untaxed state, so that the figures are those of the shop.
OREGON = {"country": "US", "zipcode": "97201"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("trials")) as opened:
        yield opened


def begin(stage: Stage, browser: Browser) -> str:
    """Go from the shop to the provider's page, give a card and come back; returns the order's reference."""
    started = browser.send(browser.page(f"/p/{SLUG}"), "buy")
    session = urlsplit(started.location).path.rpartition("/")[2]
    back = stage.sandbox.pay(session, email=browser.email, **OREGON)
    return urlsplit(back.headers["location"]).path.rpartition("/")[2]


def customer_of(stage: Stage, browser: Browser) -> str:
    return str(stage.one("SELECT * FROM customers WHERE email = :email", email=browser.email)["id"])


def key_of(stage: Stage, browser: Browser) -> str:
    (key,) = stage.sandbox.get(f"/license_keys?customer_id={customer_of(stage, browser)}")["items"]
    return str(key["key"])


def trial_of(page: Element) -> tuple[str, str]:
    shown = page.test_id("trial")
    return str(shown.attributes["data-state"]), shown.text


@pytest.mark.criterion("R1d", "P10")
@pytest.mark.parametrize("leaves", ["zero_payment", "no_payment"])
def test_a_trial_from_the_shop_to_the_account(stage: Stage, leaves: str) -> None:
    stage.sandbox.switch(free_trial=leaves)
    browser = stage.browser()
    product = browser.page(f"/p/{SLUG}")
    assert "14-day free trial" in product.text
    assert "Then $15.00 a month. If you begin today, the first payment of it is on" in product.text
    assert "nothing is charged today" in product.text

    ref = begin(stage, browser)
    thanks = browser.page(f"/r/{ref}")

    assert state_of(thanks) == "thanks"
    assert thanks.test_id("order-total").text == "$0.00"
    assert trial_of(thanks)[0] == "running"
    assert "then $15.00 a month" in trial_of(thanks)[1]
    assert "Nothing was charged" in thanks.text
    key = key_of(stage, browser)
    assert thanks.test_id("license-key").text == key
    assert key in browser.page(f"/orders/{ref}").text

    while subscriptions.read_due(stage.shop):
        pass
    browser.sign_in()
    account = browser.page("/account")

    assert "Trial until" in account.test_id("subscription").text
    assert account.test_id("license-key").text == f"•••• {key[-4:]}"
    plan = browser.page(str(account.test_id("subscription").all("a")[0].attributes["href"]))
    assert state_of(plan) == "trial"
    assert "The first payment is on that day." in plan.text
    assert plan.test_id("method").text == "Will be paid with Visa •••• 4242"
    paid = stage.sandbox.get(f"/payments?customer_id={customer_of(stage, browser)}")["items"]
    assert [payment["total_amount"] for payment in paid] == [0] * (leaves == "zero_payment")


def test_a_trial_that_ends_without_a_payment_names_no_card_that_paid(stage: Stage) -> None:
    browser = stage.browser()
    browser.page("/r/" + begin(stage, browser))
    while subscriptions.read_due(stage.shop):
        pass
    browser.sign_in()
    plan = browser.page(str(browser.page("/account").test_id("subscription").all("a")[0].attributes["href"]))
    assert plan.has_test_id("method")

    cancel = browser.page(str(plan.test_id("cancel-subscription").attributes["href"]))
    after = browser.page(browser.send(cancel, "confirm-cancel").location)

    assert (state_of(after), after.has_test_id("method")) == ("cancelling", False)
    assert "Nothing more is charged" in after.text


def test_the_same_in_vietnamese_says_what_comes_after(stage: Stage) -> None:
    browser = stage.browser()
    browser.get("/?lang=vi")
    assert "Dùng thử miễn phí 14 ngày" in browser.page(f"/p/{SLUG}").text

    thanks = browser.page(f"/r/{begin(stage, browser)}")

    assert "Dùng thử đến" in trial_of(thanks)[1]
    assert "Khóa bản quyền" in thanks.test_id("grant").text
    assert "Bạn không bị trừ tiền" in thanks.text


def test_another_browser_sees_neither_trial_nor_key(stage: Stage) -> None:
    browser, thief = stage.browser(), stage.browser()
    ref = begin(stage, browser)
    browser.page(f"/r/{ref}")
    key = key_of(stage, browser)

    answers = [thief.get(path) for path in (f"/r/{ref}", f"/orders/{ref}")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert not any(key in answer.get_data(as_text=True) for answer in answers)


def test_trial_is_listed_with_what_follows(stage: Stage) -> None:
    (card,) = [one for one in stage.browser().page("/").all(data_testid="product") if SLUG in one.attributes["href"]]

    assert "14-day free trial, then $15.00 a month" in card.text


@pytest.mark.criterion("P8")
def test_a_held_plan_is_changed_and_never_sold_a_second_time(stage: Stage) -> None:
    browser = stage.browser()
    open_before = browser.page(f"/p/{SLUG}")
    browser.page("/r/" + begin(stage, browser))
    assert state_of(browser.page(f"/p/{SLUG}")) == "subscribed", "before the worker has read the subscription, too"
    while subscriptions.read_due(stage.shop):
        pass

    page = browser.page(f"/p/{SLUG}")
    assert (state_of(page), page.has_test_id("buy"), page.has_test_id("buy-again")) == ("subscribed", False, False)
    sessions = len(stage.sandbox.requests("POST", "/checkouts"))
    again = browser.send(open_before, "buy")
    assert (again.status_code, again.location) == (303, f"/p/{SLUG}")
    assert len(stage.sandbox.requests("POST", "/checkouts")) == sessions

    browser.sign_in()
    plan = browser.page(str(browser.page(f"/p/{SLUG}").test_id("change-plan").attributes["href"]))
    assert state_of(plan) == "trial"
    other = stage.browser()
    assert state_of(other.page(f"/p/{SLUG}")) == "ready", "a plan is nobody else's"


@pytest.mark.criterion("P8")
def test_another_plan_of_the_group_is_reached_by_a_change_while_one_is_held(stage: Stage) -> None:
    browser = stage.browser()
    started = browser.send(browser.page("/p/basic-plan"), "buy")
    back = stage.sandbox.pay(started.location.rpartition("/")[2], email=browser.email, **OREGON)
    browser.page(urlsplit(back.headers["location"]).path)
    while subscriptions.read_due(stage.shop):
        pass

    page = browser.page("/p/pro-plan")
    assert state_of(page) == "subscribed"
    assert "It can be changed to this one" in page.text

    with stage.shop.store.write():
        stage.shop.store.run("UPDATE subscriptions SET status = 'cancelled'")
    assert state_of(browser.page("/p/pro-plan")) == "ready", "what is over holds nobody"
