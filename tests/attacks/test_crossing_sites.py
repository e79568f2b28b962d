"""What another site can make a buyer's browser do: nothing. And reading, in whatever way, is never an act."""

from itertools import product

import pytest

from tests.attacks.stage import Browser, Stage, state_of
from tests.attacks.test_identities import ACTS, INSTANCE, TABLE, form_of, path_of

POSTS = [rule for method, rule in TABLE if method == "POST" and not rule.startswith("/webhooks")]
GETS = [rule for method, rule in TABLE if method == "GET"]
# What a browser adds when a page of another site, frame or scheme sends the form.
FOREIGN = [
    *({"Origin": origin} for origin in ("https://evil.example", "null", "", "http://127.0.0.1:5001", "file://")),
    *(
        {"Origin": origin}
        for origin in ("https://127.0.0.1:5000", "http://127.0.0.1:5000.evil.example", "http://localhost:5000")
    ),
    *(
        {"Sec-Fetch-Site": site}
        for site in ("cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, cross-site")
    ),
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:5000"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]
PREFETCH = [
    *(
        {"Sec-Purpose": purpose}
        for purpose in ("prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip", "Prefetch")
    ),
    {"Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"},
]


@pytest.fixture(scope="module")
def victim(stage: Stage) -> Browser:
    return stage.buyer()


@pytest.mark.parametrize("rule", POSTS)
def test_sound_form_sent_by_another_site_is_403(stage: Stage, victim: Browser, rule: str) -> None:
    """Cookies, form token and offer token all true: what the browser says of the sender decides."""
    form = {"csrf_token": victim.csrf(), **form_of(stage, rule, victim)}

    with stage.unchanged():
        answers = [victim.open("POST", path_of(rule, victim), data=form, headers=headers) for headers in FOREIGN]

    assert [answer.status_code for answer in answers] == [403] * len(FOREIGN)
    assert all("Set-Cookie" not in answer.headers for answer in answers)


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("rule", POSTS)
def test_form_without_a_token_of_this_session_is_400(stage: Stage, victim: Browser, rule: str) -> None:
    """Missing, empty, made up, of another session, replayed in a later session, in the query, or as JSON."""
    thief = stage.browser()
    form = form_of(stage, rule, victim)
    path = path_of(rule, victim)
    later = stage.browser()
    later.client.set_cookie("encore_buyer", victim.cookies()["encore_buyer"], domain="127.0.0.1")
    replayed = victim.csrf()

    with stage.unchanged():
        answers = [
            victim.open("POST", path, data=form),
            *(victim.open("POST", path, data={**form, "csrf_token": t}) for t in ("", "x", "a.b.c", thief.csrf())),
            victim.open("POST", path, data=form, query_string={"csrf_token": replayed}),
            victim.open("POST", path, json={**form, "csrf_token": replayed}),
            victim.open("POST", path, data=f"csrf_token={replayed}", content_type="text/plain"),
            later.open("POST", path, data={**form, "csrf_token": replayed}),
        ]

    assert [answer.status_code for answer in answers] == [400] * len(answers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("act", ACTS)
def test_act_by_any_other_method_does_nothing(stage: Stage, victim: Browser, act: str, method: str) -> None:
    rule = f"/o/{INSTANCE}/{act}"
    form = {"csrf_token": victim.csrf(), **form_of(stage, rule, victim)}
    overrides = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}

    with stage.unchanged():
        answers = [
            victim.open(method, path_of(rule, victim), data=form),
            victim.open(method, path_of(rule, victim), query_string={**form, "_method": "POST"}, headers=overrides),
        ]

    # The quantity's form has a page of its own at the same address.
    read = {"GET": 303, "HEAD": 200} if act == "quantity" else {}
    assert {answer.status_code for answer in answers} == {{"OPTIONS": 200, **read}.get(method, 405)}


@pytest.mark.criterion("R10e")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_every_route_changes_no_row(stage: Stage, victim: Browser, method: str) -> None:
    """The bound buyer too: the offer was shown before, and showing it again is the same row."""
    stranger = stage.browser()

    # When the provider was last asked what it gave for an order is noted.
    with stage.unchanged(but=("grant_reads",)):
        for rule, browser in product(GETS, (victim, stranger)):
            answer = browser.open(method, path_of(rule, victim))
            assert answer.status_code < 500 or rule == "/readyz"


@pytest.mark.criterion("R10e")
@pytest.mark.parametrize("headers", PREFETCH, ids=str)
def test_prefetch_shows_no_offer_and_writes_nothing(stage: Stage, headers: dict[str, str]) -> None:
    """A browser that looks ahead is no buyer who was shown something: the first real visit is."""
    buyer = stage.browser()
    session = str(buyer.send(buyer.page("/p/starter-course"), "buy").location).rpartition("/")[2]
    back = stage.sandbox.pay(session, email=buyer.email)
    buyer.ref = back.headers["location"].partition("?")[0].rpartition("/")[2]

    with stage.unchanged():
        for path in (f"/r/{buyer.ref}", f"/r/{buyer.ref}/wait/1", f"/orders/{buyer.ref}"):
            assert buyer.get(path, headers=headers).status_code == 503
            assert buyer.open("HEAD", path).status_code == 200

    assert state_of(buyer.page(f"/r/{buyer.ref}")) == "offer"


@pytest.mark.criterion("R10e")
def test_showing_an_offer_writes_once_and_for_its_buyer_only(stage: Stage) -> None:
    buyer = stage.buyer()
    shown = stage.shop.store.rows("SELECT * FROM offer_events WHERE offer_instance_id = :id", id=buyer.instance)

    with stage.unchanged():
        for _ in range(3):
            buyer.page(f"/r/{buyer.ref}")
            buyer.offer()
            buyer.get(f"/o/{buyer.instance}/status")

    assert [row["kind"] for row in shown] == ["shown"]
