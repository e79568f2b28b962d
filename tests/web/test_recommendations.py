"""Recommendations over real parts: cards, their own offer, the quantity's step, bad input and foreign browsers."""

from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from encore.services import subscriptions
from tests.attacks.stage import Browser, Stage, open_stage, state_of
from tests.html import Element, form_fields, read
from tests.sandbox_process import BUNDLE, COURSE, TEMPLATES

ALL = [BUNDLE, TEMPLATES, COURSE]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("recommendations")) as opened:
        yield opened


def subscriber(stage: Stage) -> Browser:
    """A signed-in browser that has bought the Basic plan and nothing else."""
    browser = stage.browser()
    started = browser.send(browser.page("/p/basic-plan"), "buy")
    back = stage.sandbox.pay(started.location.rpartition("/")[2], email=browser.email)
    assert back.status_code == 303
    browser.page("/r/" + stage.one("SELECT ref FROM checkouts ORDER BY created_at DESC, rowid DESC")["ref"])
    while subscriptions.read_due(stage.shop):
        pass
    return browser.sign_in()


def cards(page: Element) -> list[str]:
    return [str(card.attributes["data-product"]) for card in page.all(data_testid="recommendation")]


def press(browser: Browser, product_id: str = TEMPLATES) -> TestResponse:
    """Press the button of a card of the account page."""
    page = browser.page("/account")
    card = next(c for c in page.all(data_testid="recommendation") if c.attributes["data-product"] == product_id)
    (form,) = card.all("form")
    return browser.open("POST", form.attributes["action"], data=form_fields(form))


def opened(browser: Browser, product_id: str = TEMPLATES) -> Element:
    """Press a card's button and read the offer it leads to."""
    answer = press(browser, product_id)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    page = browser.page(answer.location)
    browser.instance = page.test_id("offer").attributes["data-instance"]
    return page


def charges(browser: Browser) -> int:
    returns = f"/o/{browser.instance}"
    return len([c for c in browser.stage.sandbox.charges() if str(c["body"]["return_url"]).endswith(returns)])


@pytest.mark.criterion("R7a")
def test_cards_stand_in_the_account_and_below_the_plan(stage: Stage) -> None:
    browser = subscriber(stage)
    account = browser.page("/account")
    assert cards(account) == ALL
    assert "$20.00" in account.all(data_testid="recommendation")[1].text

    (row,) = account.all(data_testid="subscription")
    plan = str(next(a for a in row.all("a")).attributes["href"])
    assert cards(browser.page(plan)) == ALL


@pytest.mark.criterion("R7a", "R7b")
def test_a_card_quantity_and_click_by_plain_forms(stage: Stage) -> None:
    browser = subscriber(stage)
    page = opened(browser)
    assert (state_of(page), page.test_id("offer").attributes["data-amount"]) == ("offer", "2160")
    assert "order is complete" not in page.text

    step = browser.page(str(page.test_id("change-quantity").attributes["href"]))
    assert state_of(step) == "choose_quantity"
    chosen = browser.send(step, "quantity-choice", quantity="3")
    assert (chosen.status_code, chosen.location) == (303, f"/o/{browser.instance}")
    three = browser.page(chosen.location)
    assert three.test_id("offer").attributes["data-amount"] == "6480"

    paid = browser.send(three, "offer-accept")

    done = browser.page(paid.location)
    assert (state_of(done), charges(browser)) == ("receipt", 1)
    order = browser.page(onward(done))
    assert "Design templates × 3" in order.text
    assert cards(browser.page("/account")) == [BUNDLE, COURSE]
    assert stage.breaches() == ()


def onward(page: Element) -> str:
    return str(next(a for a in page.all("a") if a.text == "Continue").attributes["href"])


def test_no_leads_back_to_the_account_without_the_card(stage: Stage) -> None:
    browser = subscriber(stage)
    page = opened(browser)

    answer = browser.send(page, "offer-decline")

    assert (answer.status_code, answer.location) == (303, "/account")
    assert cards(browser.page("/account")) == [BUNDLE, COURSE]


@pytest.mark.parametrize("text", ["0", "6", "-1", "1.5", "", "two", "1e3", "2147483648"])
def test_a_wrong_quantity_is_told_and_changes_nothing(stage: Stage, text: str) -> None:
    browser = bad_input(stage)
    with stage.unchanged(but=("sign_ins",)):
        answer = browser.act("quantity", quantity=text)

    assert answer.status_code == 422
    page = read(answer.get_data(as_text=True))
    assert "Please choose a whole number from 1 to 5. Nothing was changed." in page.text
    assert page.one("input", type="number").attributes["aria-invalid"] == "true"


_bad_input: dict[int, Browser] = {}


def bad_input(stage: Stage) -> Browser:
    """One browser with an open offer for all the bad input of a stage: nothing of it may change anything."""
    if id(stage) not in _bad_input:
        browser = subscriber(stage)
        opened(browser)
        _bad_input[id(stage)] = browser
    return _bad_input[id(stage)]


@pytest.mark.criterion("R10b")
@pytest.mark.parametrize("field", ["quantity", "product", "price", "method", "customer_id"])
def test_a_form_that_names_what_the_row_decides_is_refused(stage: Stage, field: str) -> None:
    browser = bad_input(stage)
    with stage.unchanged(but=("sign_ins",)):
        assert browser.act("accept", **{field: "1"}).status_code == 400
        assert browser.post("/account/recommendations/account-course", {field: "1"}).status_code == 400


@pytest.mark.parametrize("offer_id", ["nothing", "complete-bundle", "@plan_change", "x" * 300])
def test_an_unknown_card_is_not_found(stage: Stage, offer_id: str) -> None:
    browser = bad_input(stage)
    with stage.unchanged(but=("sign_ins",)):
        assert browser.post(f"/account/recommendations/{offer_id}").status_code == 404


def test_htmx_gets_the_step_and_what_follows_in_place(stage: Stage) -> None:
    browser = bad_input(stage)
    token = {"offer_token": stage.token(browser.instance, "quantity")}
    wrong = browser.post(f"/o/{browser.instance}/quantity", {**token, "quantity": "9"}, is_htmx=True)
    assert (wrong.status_code, 'id="offers-choose_quantity"' in wrong.get_data(as_text=True)) == (422, True)

    right = browser.post(f"/o/{browser.instance}/quantity", {**token, "quantity": "1"}, is_htmx=True)
    assert (right.status_code, 'id="offers-offer"' in right.get_data(as_text=True)) == (200, True)


@pytest.mark.criterion("R10d")
def test_a_browser_that_has_only_paid_under_the_address_gets_nothing(stage: Stage) -> None:
    owner = bad_input(stage)
    thief = stage.buyer(email=owner.email)
    thief.instance = owner.instance
    with stage.unchanged(but=("sign_ins",)):
        assert thief.get("/account").status_code == 303
        assert thief.post("/account/recommendations/account-course").location == "/account/sign-in"
        for path in ("", "/status", "/cards", "/quantity"):
            foreign, unknown = thief.get(f"/o/{owner.instance}{path}"), thief.get(f"/o/oi_nothing{path}")
            assert (foreign.status_code, unknown.status_code) == (404, 404)
            assert state_of(read(foreign.get_data(as_text=True))) == "other_browser"
        for act in ("accept", "decline", "quantity", "card", "checkout", "continue", "cancel"):
            assert thief.act(act).status_code == 404, act


def test_signing_out_ends_it(stage: Stage) -> None:
    browser = subscriber(stage)
    page = opened(browser)

    browser.send(browser.page("/account"), "sign-out")

    assert browser.get(f"/o/{browser.instance}").status_code == 404
    form = page.test_id("offer-accept")
    fields = {**form_fields(form), "csrf_token": browser.csrf()}
    assert browser.post(form.attributes["action"], fields).status_code == 404
    assert charges(browser) == 0


def test_a_price_that_cannot_be_had_is_told_on_the_account_page(stage: Stage) -> None:
    browser = subscriber(stage)
    stage.sandbox.fault("POST /checkouts/preview", "status:500", times=20)
    try:
        answer = press(browser, COURSE)
    finally:
        stage.sandbox.clear_faults()

    assert answer.status_code == 503
    assert "Nothing was charged." in read(answer.get_data(as_text=True)).text


def test_a_yes_that_is_not_settled_has_its_way_back_in_the_account(stage: Stage) -> None:
    browser = subscriber(stage)
    page = opened(browser)
    stage.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    failed = browser.page(browser.send(page, "offer-accept").location)
    assert state_of(failed) == "failed"
    assert "order is complete" not in failed.text

    account = browser.page("/account")

    assert cards(account) == [BUNDLE, COURSE]
    (way,) = [a for a in account.all("a") if a.text == "See how it stands"]
    assert way.attributes["href"] == f"/o/{browser.instance}"


def test_reading_a_recommendation_keeps_the_account_alive(stage: Stage) -> None:
    browser = subscriber(stage)
    opened(browser, COURSE)
    with stage.shop.store.write():
        stage.shop.store.run("UPDATE offer_instances SET expires_at = expires_at + 7200000")

    with stage.later(20 * 60):
        browser.page(f"/o/{browser.instance}")
    with stage.later(40 * 60):
        browser.page(f"/o/{browser.instance}")
    with stage.later(71 * 60):
        assert browser.get(f"/o/{browser.instance}").status_code == 404
