"""The walls: headers, cookies, origins, hosts, sizes, limits, and what no field may hold."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from app import create_app
from encore.settings import Settings
from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import URL, Visit, World

ACCEPT = f"/o/{factories.INSTANCE}/accept"


def accept_fields(visit: Visit) -> dict[str, str]:
    return form_fields(read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True)).test_id("offer-accept"))


def csrf(visit: Visit) -> dict[str, str]:
    return form_fields(read(visit.get("/").get_data(as_text=True)).test_id("sign-out"))


# ---- Headers -------------------------------------------------------------------------------------------------------

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: http://127.0.0.1:9; "
    "font-src 'self'; connect-src 'self'; form-action 'self' http://127.0.0.1:9; base-uri 'none'; "
    "object-src 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/p/starter-course",
        f"/r/{factories.REF}",
        f"/o/{factories.INSTANCE}",
        "/nothing",
        "/healthz",
        "/merchant/mail",
        "/static/css/encore.css",
    ],
)
def test_every_answer_carries_the_headers(visit: Visit, path: str) -> None:
    answer = visit.get(path)

    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert {"HX-Request", "HX-Request-Type"} <= set(answer.headers["Vary"].split(", "))


@pytest.mark.parametrize(
    "path", ["/", f"/r/{factories.REF}", f"/o/{factories.INSTANCE}", f"/orders/{factories.REF}", "/x"]
)
def test_pages_are_never_stored(visit: Visit, path: str) -> None:
    assert visit.get(path).headers["Cache-Control"] == "no-store"


def test_files_may_be_kept_only_under_an_address_of_their_content(visit: Visit) -> None:
    page = read(visit.get("/").get_data(as_text=True))
    sheet = next(link.attributes["href"] for link in page.all("link", rel="stylesheet"))

    assert "?v=" in sheet
    assert visit.get(sheet).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "immutable" not in visit.get("/static/css/encore.css").headers["Cache-Control"]
    assert visit.get("/static/css/none.css").headers["Cache-Control"] == "no-store"


# ---- Cookies -------------------------------------------------------------------------------------------------------


def test_loopback_cookies_have_no_prefix_and_are_lax(visit: Visit) -> None:
    header = visit.get("/").headers["Set-Cookie"]

    assert header.startswith("encore_session=")
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Secure" not in header


@pytest.fixture(scope="module")
def https_app(settings: Settings) -> Iterator[Flask]:
    made = create_app(replace(settings, public_url="https://shop.example"))
    yield made
    made.extensions["encore"].close()


def test_https_cookies_are_secure_and_bound_to_the_host(https_app: Flask, world: World) -> None:
    client = https_app.test_client()
    page = client.get("/p/starter-course", base_url="https://shop.example")
    fields = form_fields(read(page.get_data(as_text=True)).test_id("buy"))

    answer = client.post(
        "/checkout", data=fields, base_url="https://shop.example", headers={"Referer": "https://shop.example/"}
    )

    assert page.headers["Set-Cookie"].startswith("__Host-encore_session=")
    buyer = next(v for v in answer.headers.getlist("Set-Cookie") if v.startswith("__Host-encore_buyer="))
    for value in (page.headers["Set-Cookie"], buyer):
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(value.split("; "))
        assert "Domain" not in value
    assert page.headers["Strict-Transport-Security"] == "max-age=63072000"


# ---- Origins and hosts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9"},
        {"Origin": "http://localhost:5000"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:5000.evil.example"},
    ],
)
def test_post_from_another_site_is_refused(visit: Visit, world: World, headers: dict[str, str]) -> None:
    answer = visit.post(ACCEPT, accept_fields(visit), headers=headers)

    assert answer.status_code == 403
    assert world.calls == []


def test_post_from_our_own_page_is_taken(visit: Visit, world: World) -> None:
    visit.post(ACCEPT, accept_fields(visit), headers={"Sec-Fetch-Site": "same-origin", "Origin": URL})

    assert [name for name, _ in world.calls] == ["accept"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "localhost.evil.example",
        "evil.example@[",
        "[::1",
    ],
)
def test_other_hosts_are_refused_with_a_page_that_leads_to_ours(app: Flask, world: World, host: str) -> None:
    answer = app.test_client().get("/", headers={"Host": host, "Accept": "text/html"})

    html = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert "The shop has another address" in html
    assert f'href="{URL}/"' in html
    assert host not in html.replace(URL, "")


def test_other_name_of_this_machine_leads_to_the_shops_own(app: Flask, world: World) -> None:
    client = app.test_client()
    headers = {"Host": "localhost:5000", "Accept": "text/html"}

    asked = client.get("/p/starter-course?lang=vi", headers=headers)
    posted = client.post("/p/starter-course", headers=headers)

    assert (asked.status_code, asked.headers["Location"]) == (303, f"{URL}/p/starter-course")
    assert posted.status_code == 400
    assert world.calls == []


# ---- CSRF ----------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("token", [None, "", "x", "IjQ0.awZjAA.x"])
def test_missing_or_wrong_csrf_token_is_400(visit: Visit, world: World, token: str | None) -> None:
    fields = accept_fields(visit)
    del fields["csrf_token"]

    answer = visit.post(ACCEPT, fields if token is None else {**fields, "csrf_token": token})

    assert answer.status_code == 400
    assert "This page was open for too long" in answer.get_data(as_text=True)
    assert world.calls == []


def test_csrf_token_of_another_session_is_400(visit: Visit, stranger: Visit, world: World) -> None:
    answer = visit.post(ACCEPT, {**accept_fields(visit), **csrf(stranger)})

    assert answer.status_code == 400
    assert world.calls == []


# ---- What is in the body -------------------------------------------------------------------------------------------


def test_oversize_body_is_413(visit: Visit, world: World) -> None:
    answer = visit.post(ACCEPT, {**accept_fields(visit), "quote_hash": "x" * 300_000})

    assert answer.status_code == 413
    assert "That was too much to send" in answer.get_data(as_text=True)
    assert world.calls == []


@pytest.mark.parametrize(
    "number",
    ["4242424242424242", "4242 4242 4242 4242", "my card: 4000-0000-0000-0002.", "378282246310005", "4222222222222"],
)
@pytest.mark.parametrize("path", [ACCEPT, "/checkout", "/sign-out", f"/r/{factories.REF}/checkout"])
def test_card_number_in_any_field_is_refused_and_not_logged(
    visit: Visit, world: World, path: str, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = visit.post(path, {**csrf(visit), "anything": number})

    assert answer.status_code == 400
    assert "That looks like a card number" in answer.get_data(as_text=True)
    assert number not in answer.get_data(as_text=True)
    assert number not in caplog.text
    assert world.calls == []


@pytest.mark.parametrize("number", ["4242424242424241", "424242424242", "42424242424242424242"])
def test_other_digits_are_no_card_number(visit: Visit, number: str) -> None:
    assert visit.post("/sign-out", {**csrf(visit), "note": number}).status_code == 303


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"a=%ff%fe", b"%00=%00", b"&&&===", b"{}"])
@pytest.mark.parametrize(
    "mimetype", ["application/x-www-form-urlencoded", "multipart/form-data", "application/json", "x"]
)
def test_unreadable_bodies_are_a_clear_400(visit: Visit, world: World, body: bytes, mimetype: str) -> None:
    answer = visit.open("POST", ACCEPT, data=body, content_type=mimetype)

    assert answer.status_code == 400
    assert world.calls == []


# ---- Limits --------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(settings: Settings, world: World) -> Iterator[Visit]:
    """A browser at an application of its own, whose counters stand at nothing."""
    made = create_app(settings)
    yield Visit(made)
    made.extensions["encore"].close()


@pytest.mark.criterion("R10f")
def test_eleventh_accept_of_a_minute_is_limited_and_not_tried(fresh: Visit, world: World) -> None:
    fields = accept_fields(fresh)

    statuses = [fresh.post(ACCEPT, fields).status_code for _ in range(11)]

    assert statuses == [303] * 10 + [429]
    assert len(world.calls) == 10


def test_limited_accept_shows_when_to_try_again(fresh: Visit, world: World) -> None:
    fields = accept_fields(fresh)
    for _ in range(10):
        fresh.post(ACCEPT, fields)

    answer = fresh.post(ACCEPT, fields, htmx="offers-offer")

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == 429
    assert page.one("section", id="offers-limited").one("h1").text.startswith("One-click payment is not possible")
    assert "You can try again at" in page.text


def test_result_is_shown_however_many_posts_there_were(fresh: Visit, world: World) -> None:
    fields = accept_fields(fresh)
    world.offer = factories.offer_page("receipt")

    assert {fresh.post(ACCEPT, fields).status_code for _ in range(30)} == {303}


def test_eleventh_checkout_of_a_minute_is_limited(fresh: Visit, world: World) -> None:
    fields = form_fields(read(fresh.get("/p/starter-course").get_data(as_text=True)).test_id("buy"))

    answers = [fresh.post("/checkout", fields) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [303] * 10 + [429]
    assert "Please try again at" in answers[-1].get_data(as_text=True)
    assert len(world.calls) == 10


def test_status_is_limited_for_each_browser(fresh: Visit, world: World) -> None:
    path = f"/o/{factories.INSTANCE}/status"

    statuses = [fresh.client.get(path, base_url=URL).status_code for _ in range(121)]

    assert statuses == [200] * 120 + [429]


def test_limits_are_off_without_a_storage(settings: Settings, world: World) -> None:
    made = create_app(replace(settings, limits_storage=None))
    visit = Visit(made)
    fields = accept_fields(visit)

    assert {visit.post(ACCEPT, fields).status_code for _ in range(70)} == {303}
    made.extensions["encore"].close()


def test_limits_whose_storage_is_gone_let_buyers_through(
    fresh: Visit, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise OSError("no storage")

    monkeypatch.setattr("limits.strategies.FixedWindowRateLimiter.hit", broken)
    fields = accept_fields(fresh)

    assert {fresh.post(ACCEPT, fields).status_code for _ in range(15)} == {303}
