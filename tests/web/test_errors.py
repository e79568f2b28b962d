"""Errors: the shape fits who asks, the words fit the language, and nobody is told more than helps."""

import pytest

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
