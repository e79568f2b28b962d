"""Errors: the shape fits who asks, the words fit the language, and nobody is told more than helps."""

import re

import pytest
from flask import Flask

from encore.errors import NotExecuted, Unavailable
from encore.store import StoreFull
from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import Visit, World

PAGE = f"/o/{factories.INSTANCE}"
SECRET = "sk_live_planted_secret"


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("encore.services.charging.accept", broken)
    monkeypatch.setattr("encore.services.catalogue.list_products", broken)


def fields_of(visit: Visit) -> dict[str, str]:
    return form_fields(read(visit.get(PAGE).get_data(as_text=True)).test_id("offer-accept"))


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError(SECRET), 500),
        (Unavailable(SECRET), 503),
        (NotExecuted(SECRET, 402, SECRET), 503),
        (StoreFull(SECRET), 503),
    ],
    ids=["bug", "provider away", "provider refused", "store full"],
)
@pytest.mark.parametrize("htmx", [None, "offers-offer"])
def test_broken_accept_says_that_we_are_checking(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, language: str, htmx: str | None
) -> None:
    visit.language = language
    fields = fields_of(visit)
    fail(monkeypatch, error)

    answer = visit.post(f"{PAGE}/accept", fields, htmx=htmx)

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == status
    words = {"en": "please do not pay again", "vi": "vui lòng đừng thanh toán lần nữa"}[language]
    assert words in page.text
    assert {"en": "Nothing was charged", "vi": "không bị trừ tiền"}[language] not in page.text
    assert SECRET not in answer.get_data(as_text=True)
    assert "Traceback" not in answer.get_data(as_text=True)
    assert answer.headers["X-Request-Id"] in page.text


def test_broken_page_says_that_nothing_was_charged(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, RuntimeError(SECRET))

    answer = visit.get("/")

    assert answer.status_code == 500
    assert "This step charged nothing." in answer.get_data(as_text=True)


# Posts that charge, or follow a yes whose charge may be under way.
MAY_HAVE_CHARGED = {
    *("offers.accept", "offers.continue_without", "offers.cancel", "offers.open_checkout"),
    *("quotes.confirm", "quotes.refresh", "quotes.open_bank", "quotes.leave"),
    *("dues.pay", "dues.pay_with_new_card", "dues.open_bank_elsewhere", "dues.open_bank", "dues.leave"),
    *("plan_cards.use", "subscriptions.change_card"),
}


def test_a_broken_post_is_a_payment_being_checked_only_where_one_may_have_been_made(
    visit: Visit, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every route, broken: nobody who signs out on a full disk is told not to pay again."""
    token = form_fields(read(visit.get("/help").get_data(as_text=True)).test_id("sign-out"))
    posts = [rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    said = {}

    def broken(**_: object) -> None:
        raise StoreFull(SECRET)

    for rule in posts:
        monkeypatch.setitem(app.view_functions, rule.endpoint, broken)
        answer = visit.post(re.sub("<[^>]+>", "x", rule.rule), token)
        text = answer.get_data(as_text=True)
        said[rule.endpoint] = ("please do not pay again" in text, "This step charged nothing." in text)

    del said["webhooks.receive"]
    assert {name for name, words in said.items() if words == (True, False)} == MAY_HAVE_CHARGED
    assert {name for name, words in said.items() if words == (False, True)} == set(said) - MAY_HAVE_CHARGED


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/", 405), ("GET", "/checkout", 405), ("PUT", f"{PAGE}/accept", 405)],
)
@pytest.mark.parametrize("language", ["en", "vi"])
def test_wrong_address_or_method_is_a_page_in_the_buyers_language(
    visit: Visit, method: str, path: str, status: int, language: str
) -> None:
    visit.language = language

    answer = visit.open(method, path)

    assert answer.status_code == status
    assert read(answer.get_data(as_text=True)).one("html").attributes["lang"] == language
    if status == 405:
        assert answer.headers["Allow"]


def test_programs_get_problem_json(visit: Visit) -> None:
    answer = visit.get("/nothing", headers={"Accept": "application/json"})

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["status"] == 404


def test_htmx_gets_a_fragment_with_a_way_to_look_again(visit: Visit, world: World) -> None:
    answer = visit.post(f"{PAGE}/accept", {}, htmx="offers-offer")

    fragment = read(answer.get_data(as_text=True))
    assert answer.status_code == 400
    assert fragment.children[0].attributes["id"] == "errors-inline"
    assert fragment.one("a", href="").text == "See where it stands"
