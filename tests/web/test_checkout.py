"""The return page: nothing in the address is believed, nobody else sees an order, waiting ends."""

import pytest

from encore.services import checkout
from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import Visit, World

PAGE = f"/r/{factories.REF}"
OFFER = f"/o/{factories.INSTANCE}"
SESSION = "http://127.0.0.1:9/session/cks_1"


@pytest.mark.parametrize(
    "query",
    ["payment_id=pay_1&status=succeeded&email=lan%40example.com&license_key=K", "status=failed", "lang=vi&status=paid"],
)
def test_providers_query_is_dropped_by_one_redirect(visit: Visit, query: str) -> None:
    answer = visit.get(f"{PAGE}?{query}")

    assert answer.status_code == 303
    assert answer.location == PAGE
    assert answer.headers["Cache-Control"] == "no-store"


def test_language_alone_stays_on_the_page(visit: Visit) -> None:
    answer = visit.get(f"{PAGE}?lang=vi")

    assert answer.status_code == 200
    assert read(answer.get_data(as_text=True)).one("html").attributes["lang"] == "vi"


@pytest.mark.parametrize("ref", [factories.REF, "x", "r" * 500, "%00", "..", "Đơn", "' OR 1=1 --"])
@pytest.mark.parametrize("path", ["/r/{}", "/r/{}/wait/1", "/orders/{}"])
def test_foreign_unknown_and_malformed_refs_look_the_same(stranger: Visit, path: str, ref: str) -> None:
    answer = stranger.get(path.format(ref))

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == 404
    if "%2f" not in ref:  # a path of two parts never reaches the handler
        assert (
            page.one("main").text
            == "Nothing to see on this device Please use the device you paid on, or sign in. Sign in Go to the shop"
        )


def test_waiting_page_asks_five_times_and_stops(visit: Visit, world: World) -> None:
    world.returned = factories.return_page("waiting")

    path, asked = PAGE, []
    for _ in range(5):
        page = read(visit.get(path).get_data(as_text=True))
        step = page.test_id("outcome")
        path = step.attributes["hx-get"]
        asked.append(path)
        assert page.test_id("check-again").attributes["href"] == path
        assert step.attributes["hx-trigger"] == "load delay:2s"

    assert asked == [f"{PAGE}/wait/{number}" for number in (1, 2, 3, 4, 5)]
    world.returned = factories.return_page("still_processing")
    last = read(visit.get(path, htmx="checkout-waiting").get_data(as_text=True)).children[0]
    assert last.attributes["id"] == "checkout-still_processing"
    assert "hx-get" not in last.attributes
    assert last.one("a", id="check-again").attributes["href"] == f"{PAGE}/wait/5"


@pytest.mark.parametrize("check", ["0", "6", "-1", "x", "9" * 30])
def test_check_out_of_range_is_404(visit: Visit, check: str) -> None:
    assert visit.get(f"{PAGE}/wait/{check}").status_code == 404


@pytest.mark.parametrize("state", ["offer", "thanks", "payment_failed", "cancelled"])
def test_known_outcome_opens_the_page_anew(visit: Visit, world: World, state: str) -> None:
    world.returned = factories.return_page(state)  # type: ignore[arg-type]

    assert visit.get(f"{PAGE}/wait/2").location == PAGE
    assert visit.get(f"{PAGE}/wait/2", htmx="checkout-waiting").headers["HX-Redirect"] == PAGE


@pytest.mark.parametrize("state", ["payment_failed", "cancelled"])
def test_failed_checkout_has_a_way_back_to_it(visit: Visit, world: World, state: str) -> None:
    world.returned = factories.return_page(state)  # type: ignore[arg-type]
    form = read(visit.get(PAGE).get_data(as_text=True)).test_id("go-to-checkout")

    answer = visit.post(form.attributes["action"], form_fields(form))

    assert answer.status_code == 303
    assert answer.location == SESSION
    assert "hx-post" not in form.attributes


def test_way_back_that_is_down_says_nothing_was_charged(visit: Visit, world: World) -> None:
    world.returned = factories.return_page("cancelled")
    form = read(visit.get(PAGE).get_data(as_text=True)).test_id("go-to-checkout")
    world.started = checkout.CheckoutDown()

    answer = visit.post(form.attributes["action"], form_fields(form))

    assert answer.status_code == 503
    assert "The checkout cannot be reached right now" in answer.get_data(as_text=True)


def test_way_back_of_a_foreign_browser_does_nothing(stranger: Visit, world: World) -> None:
    token = form_fields(read(stranger.get("/").get_data(as_text=True)).test_id("sign-out"))

    answer = stranger.post(f"{PAGE}/checkout", token)

    assert answer.status_code == 404
    assert world.calls == []


@pytest.mark.parametrize(
    "path", [PAGE, f"{PAGE}/wait/1", f"/o/{factories.INSTANCE}", f"/o/{factories.INSTANCE}/status"]
)
@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose"])
def test_prefetch_and_head_reach_no_service(
    visit: Visit, world: World, path: str, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a service was asked")

    monkeypatch.setattr("encore.services.return_page.status", refuse)
    monkeypatch.setattr("encore.services.return_page.order_page", refuse)
    monkeypatch.setattr("encore.services.offers.page", refuse)

    assert visit.get(path, headers={header: "prefetch;prerender"}).status_code == 503
    assert visit.open("HEAD", path).status_code == 200


def test_order_page_names_each_payment(visit: Visit) -> None:
    page = read(visit.get(f"/orders/{factories.REF}").get_data(as_text=True))

    assert page.one("h1").text == "Order E-1042"
    assert page.test_id("order-total").text == "$49.00"
    for words in (
        "pay_A1",
        "pay_B2",
        "Visa •••• 4242",
        "l•••@example.com",
        "Dec 22, 2026",
        "Wrong address? Write to us.",
    ):
        assert words in page.one("main").text


def test_sign_out_gives_the_browser_a_new_cookie(visit: Visit, app: object) -> None:
    before = visit.client.get_cookie("encore_buyer", domain="127.0.0.1")
    form = read(visit.get(PAGE).get_data(as_text=True)).test_id("sign-out")

    answer = visit.post(form.attributes["action"], form_fields(form))

    after = visit.client.get_cookie("encore_buyer", domain="127.0.0.1")
    assert answer.status_code == 303
    assert answer.location == "/"
    assert before is not None
    assert after is not None
    assert after.value != before.value
    assert len(after.value) == 43
