"""The shop: its states, and the start of a checkout."""

import hashlib

import pytest

from encore.services import checkout
from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import Visit, World


@pytest.mark.parametrize("language", ["en", "vi"])
def test_index_links_every_product(visit: Visit, world: World, language: str) -> None:
    visit.language = language

    page = read(visit.get("/").get_data(as_text=True))

    links = page.all("a", data_testid="product")
    assert [link.attributes["href"] for link in links] == ["/p/starter-course", "/p/design-templates"]
    assert page.one("main").attributes["data-page-state"] == "ready"


def test_empty_shop_says_so_and_leads_on(visit: Visit, world: World) -> None:
    world.products = []

    page = read(visit.get("/").get_data(as_text=True))

    assert page.one("main").attributes["data-page-state"] == "empty"
    assert "Nothing here yet." in page.text


def test_stale_prices_are_marked(visit: Visit, world: World) -> None:
    world.is_stale = True

    page = read(visit.get("/").get_data(as_text=True))

    assert page.one("main").attributes["data-page-state"] == "stale"
    assert "Prices are confirmed at checkout." in page.text


@pytest.mark.criterion("R1b")
@pytest.mark.parametrize("language", ["en", "vi"])
def test_product_page_says_that_the_card_is_kept(visit: Visit, language: str) -> None:
    visit.language = language

    page = read(visit.get("/p/starter-course").get_data(as_text=True))

    words = {
        "en": "Dodo Payments keeps your card so that you can pay with one click later. You confirm each payment.",
        "vi": "Dodo Payments lưu thẻ để lần sau bạn thanh toán chỉ với một cú nhấp chuột. Mỗi khoản đều do bạn"
        " xác nhận.",
    }
    assert words[language] in page.text
    assert page.test_id("buy").attributes["action"] == "/checkout"


def test_owned_product_is_bought_again_only_on_purpose(visit: Visit, world: World) -> None:
    world.owned = {"pdt_course"}

    page = read(visit.get("/p/starter-course").get_data(as_text=True))

    assert page.one("main").attributes["data-page-state"] == "owned"
    assert page.test_id("buy-again").attributes["action"] == "/checkout"
    assert not page.has_test_id("buy")


def test_archived_product_has_no_way_to_buy(visit: Visit, world: World) -> None:
    world.products = [factories.course(is_archived=True)]

    page = read(visit.get("/p/starter-course").get_data(as_text=True))

    assert page.one("main").attributes["data-page-state"] == "archived"
    assert [form.attributes["action"] for form in page.all("form")] == ["/sign-out"]


@pytest.mark.parametrize(
    ("count", "unit", "en", "vi"),
    [
        (1, "Month", "$30.00 a month", "30,00 US$ mỗi tháng"),
        (3, "Month", "$30.00 every 3 months", "30,00 US$ mỗi 3 tháng"),
        (1, "Year", "$30.00 a year", "30,00 US$ mỗi năm"),
        (2, "Week", "$30.00 every 2 weeks", "30,00 US$ mỗi 2 tuần"),
        (1, "Day", "$30.00 a day", "30,00 US$ mỗi ngày"),
    ],
)
def test_recurring_price_names_its_period(visit: Visit, world: World, count: int, unit: str, en: str, vi: str) -> None:
    world.products = [
        factories.course(is_recurring=True, interval_count=count, interval_unit=unit, price=factories.usd(3000))
    ]

    for language, words in (("en", en), ("vi", vi)):
        visit.language = language
        assert words in read(visit.get("/p/starter-course").get_data(as_text=True)).text
        assert words in read(visit.get("/").get_data(as_text=True)).text


def test_start_of_a_checkout_binds_the_browser_and_sends_it_to_pay(stranger: Visit, world: World) -> None:
    form = read(stranger.get("/p/starter-course").get_data(as_text=True)).test_id("buy")

    answer = stranger.post("/checkout", form_fields(form))

    cookie = stranger.client.get_cookie("encore_buyer", domain="127.0.0.1")
    assert answer.status_code == 303
    assert answer.location == "http://127.0.0.1:9/session/cks_1"
    assert cookie is not None
    name, facts = world.calls[0]
    assert name == "start"
    assert facts == {
        "slug": "starter-course",
        "quantity": 1,
        "buyer_key": hashlib.sha256(cookie.value.encode()).hexdigest(),
        "language": "en",
    }
    header = next(value for value in answer.headers.getlist("Set-Cookie") if value.startswith("encore_buyer="))
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Max-Age=2592000" in header
    assert "Path=/" in header


def test_known_browser_keeps_its_cookie(visit: Visit) -> None:
    before = visit.client.get_cookie("encore_buyer", domain="127.0.0.1")
    form = read(visit.get("/p/starter-course").get_data(as_text=True)).test_id("buy")

    visit.post("/checkout", form_fields(form))

    after = visit.client.get_cookie("encore_buyer", domain="127.0.0.1")
    assert before is not None
    assert after is not None
    assert after.value == before.value


@pytest.mark.parametrize("bad", ["short", "x" * 44, "a" * 42 + "!", "a" * 42 + "."])
def test_malformed_buyer_cookie_counts_as_none(stranger: Visit, world: World, bad: str) -> None:
    form = read(stranger.get("/p/starter-course").get_data(as_text=True)).test_id("buy")
    stranger.client.set_cookie("encore_buyer", bad, domain="127.0.0.1")

    answer = stranger.post("/checkout", form_fields(form))

    cookie = stranger.client.get_cookie("encore_buyer", domain="127.0.0.1")
    assert answer.status_code == 303
    assert cookie is not None
    assert cookie.value != bad
    assert world.calls[0][1]["buyer_key"] == hashlib.sha256(cookie.value.encode()).hexdigest()


def test_checkout_that_is_down_says_nothing_was_charged(visit: Visit, world: World) -> None:
    world.started = checkout.CheckoutDown()
    form = read(visit.get("/p/starter-course").get_data(as_text=True)).test_id("buy")

    answer = visit.post("/checkout", form_fields(form))

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == 503
    assert page.one("main").attributes["data-page-state"] == "checkout_down"
    assert "Nothing was charged." in page.text
    assert page.has_test_id("buy")


def test_product_no_longer_sold_is_gone(visit: Visit, world: World) -> None:
    world.started = checkout.NotSold()
    form = read(visit.get("/p/starter-course").get_data(as_text=True)).test_id("buy")

    answer = visit.post("/checkout", form_fields(form))

    assert answer.status_code == 410
    assert read(answer.get_data(as_text=True)).one("main").attributes["data-page-state"] == "archived"


@pytest.mark.parametrize("slug", ["", "nothing", "../x", "a" * 9_000])
def test_checkout_of_an_unknown_product_is_404(visit: Visit, world: World, slug: str) -> None:
    fields = form_fields(read(visit.get("/p/starter-course").get_data(as_text=True)).test_id("buy"))

    answer = visit.post("/checkout", {**fields, "product": slug})

    assert answer.status_code == 404
    assert world.calls == []


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("path", ["/help", "/terms", "/refunds", "/privacy"])
def test_footer_pages_are_there(visit: Visit, path: str, language: str) -> None:
    visit.language = language

    assert visit.get(path).status_code == 200
