"""The way into an account: a link that works once, a cookie that it alone opens, and answers that tell nothing.

Every refusal is checked to have changed nothing here and nothing at the provider.
"""

from collections.abc import Callable

import pytest

from encore import tokens
from encore.store.engine import Store
from tests.attacks.stage import MASTERCARD, MINUTE_S, Browser, Stage
from tests.attacks.test_identities import OTHER_SHOP, with_cookies_of
from tests.html import form_fields, read


@pytest.fixture(scope="module")
def victim(stage: Stage) -> Browser:
    """A signed-in buyer with an order and a saved card, whom every test here leaves as they are."""
    return stage.buyer().sign_in()


def visitor_who_is(stage: Stage, victim: Browser) -> Browser:
    """A browser that was never here, of the person with the victim's address."""
    browser = stage.browser()
    browser.email = victim.email
    return browser


@pytest.mark.criterion("P28")
def test_link_works_once_in_any_browser(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)
    link = buyer.ask_for_link()
    phone, laptop = stage.browser(), stage.browser()

    phone.sign_in(link=link)

    assert phone.get("/account").status_code == 200
    assert laptop.get(link).status_code == 410
    assert buyer.get("/account").status_code == 303


def test_link_opened_in_two_browsers_signs_one_in(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)
    link = buyer.ask_for_link()
    browsers = [stage.browser(), stage.browser()]
    for browser in browsers:
        browser.get(link)
    pages = [browser.page("/account/sign-in/open") for browser in browsers]

    answers = [b.send(page, "sign-in-confirm") for b, page in zip(browsers, pages, strict=True)]

    assert [answer.status_code for answer in answers] == [303, 410]
    assert [browser.get("/account").status_code for browser in browsers] == [200, 303]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("purpose", [{}, {"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}], ids=str)
def test_looking_at_a_link_uses_nothing_up(stage: Stage, victim: Browser, method: str, purpose: dict[str, str]) -> None:
    """Mail scanners and browsers follow links by themselves: only the button signs in."""
    buyer = visitor_who_is(stage, victim)
    link = buyer.ask_for_link()
    scanner = stage.browser()

    with stage.unchanged():
        for path in (link, link, "/account/sign-in/open"):
            scanner.open(method, path, headers=purpose)

    assert scanner.get("/account").status_code == 303
    assert buyer.sign_in(link=link).get("/account").status_code == 200


def test_link_runs_out_after_a_quarter_of_an_hour(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)
    link = buyer.ask_for_link()
    buyer.get(link)
    page = buyer.page("/account/sign-in/open")

    with stage.later(15 * MINUTE_S), stage.unchanged():
        answers = [buyer.get(link), buyer.send(page, "sign-in-confirm")]

    assert [answer.status_code for answer in answers] == [410, 410]


def test_used_old_and_invented_links_look_the_same(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)
    used, old = buyer.ask_for_link(), buyer.ask_for_link()
    buyer.sign_in(link=used)
    link_id = used.rpartition("/")[2].partition(".")[0]
    forged = tokens.make_link_token(OTHER_SHOP, link_id)
    stranger = stage.browser()

    with stage.later(16 * MINUTE_S), stage.unchanged():
        answers = [
            stranger.get(path)
            for path in (used, old, f"/account/sign-in/link/{forged}", "/account/sign-in/link/x", used[:-1] + "A")
        ]

    assert {answer.status_code for answer in answers} == {410}
    texts = {read(answer.get_data(as_text=True)).one("main").text for answer in answers}
    assert len(texts) == 1


@pytest.mark.parametrize("change", ["another shop's key", "another request", "no signature", "cut"])
def test_link_that_we_did_not_sign_opens_nothing(stage: Stage, victim: Browser, change: str) -> None:
    """Whoever reads the database knows the ids of the requests, and cannot make a link of them."""
    attacker = stage.buyer()
    link_id = visitor_who_is(stage, victim).ask_for_link().rpartition("/")[2].partition(".")[0]
    own = attacker.ask_for_link().rpartition("/")[2]
    forged = {
        "another shop's key": tokens.make_link_token(OTHER_SHOP, link_id),
        "another request": f"{link_id}.{own.partition('.')[2]}",
        "no signature": link_id,
        "cut": tokens.make_link_token(stage.settings.secret_keys, link_id)[:-1],
    }[change]

    with stage.unchanged():
        assert attacker.get(f"/account/sign-in/link/{forged}").status_code == 410


def test_no_row_holds_what_opens_an_account(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)
    signature = buyer.ask_for_link().rpartition(".")[2]
    buyer.get(f"/account/sign-in/link/x.{signature}")

    assert signature not in str(stage.dump())


def test_link_leaves_the_address_at_once(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)

    answer = buyer.get(buyer.ask_for_link())

    assert (answer.status_code, answer.location) == (303, "/account/sign-in/open")
    page = buyer.page("/account/sign-in/open")
    assert page.test_id("sign-in-confirm").attributes["action"] == "/account/sign-in/open"
    assert "b•••@example.com" in page.text
    assert buyer.email not in page.text


def test_cookie_planted_before_opens_nothing_afterwards(stage: Stage) -> None:
    """Session fixation: the attacker knows the cookie the victim comes with, and has an order under it."""
    attacker = stage.buyer(MASTERCARD)
    victim = with_cookies_of(stage, attacker)
    victim.email = stage.buyer().email

    victim.sign_in()

    assert victim.cookies()["encore_buyer"] != attacker.cookies()["encore_buyer"]
    assert victim.get("/account").status_code == 200
    assert attacker.get("/account").status_code == 303
    assert attacker.get(f"/orders/{attacker.ref}").status_code == 404


def test_button_opens_the_account_it_names_or_none(stage: Stage) -> None:
    """A window that another site opens follows the attacker's link while the victim's own page stands."""
    victim, attacker = stage.buyer(), stage.buyer()
    links = victim.ask_for_link(), attacker.ask_for_link()
    victim.get(links[0])
    page = victim.page("/account/sign-in/open")
    victim.get(links[1])

    pressed = victim.send(page, "sign-in-confirm")

    assert pressed.status_code == 410
    assert victim.get("/account").status_code == 303


def test_offer_under_the_old_cookie_goes_on_after_the_sign_in(stage: Stage) -> None:
    buyer = stage.buyer()

    buyer.sign_in()

    assert buyer.offer().test_id("offer")
    assert buyer.act("accept").status_code == 303
    assert len(buyer.charges()) == 1
    assert stage.breaches() == ()


def test_sign_in_needs_the_form_token_and_our_own_page(stage: Stage, victim: Browser) -> None:
    buyer = visitor_who_is(stage, victim)
    buyer.get(buyer.ask_for_link())

    with stage.unchanged():
        answers = [
            buyer.open("POST", "/account/sign-in/open"),
            buyer.post("/account/sign-in/open", {"csrf_token": stage.browser().csrf()}),
            buyer.post("/account/sign-in/open", headers={"Sec-Fetch-Site": "cross-site"}),
            buyer.post("/account/sign-in/open", headers={"Origin": "https://evil.example"}),
        ]

    assert [answer.status_code for answer in answers] == [400, 400, 403, 403]


@pytest.mark.parametrize(
    "place", ["https://evil.example", "//evil.example", "/\\evil.example", "/o/x", "/sign-out", "/account/../o", ""]
)
def test_sign_in_leads_to_pages_of_accounts_and_orders_only(stage: Stage, victim: Browser, place: str) -> None:
    buyer = visitor_who_is(stage, victim)

    buyer.get(buyer.ask_for_link(to=place))
    done = buyer.send(buyer.page("/account/sign-in/open"), "sign-in-confirm")

    assert done.location == "/account"


def statements(store: Store, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that an act runs."""
    seen: list[str] = []
    run = store._execute

    def noted(connection: object, sql: str, params: dict[str, object]) -> object:
        seen.append(sql)
        return run(connection, sql, params)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_execute", noted)
        act()
    return seen


@pytest.mark.parametrize("is_htmx", [False, True], ids=["page", "fragment"])
def test_known_and_unknown_addresses_are_answered_alike(
    stage: Stage, victim: Browser, monkeypatch: pytest.MonkeyPatch, is_htmx: bool
) -> None:
    """The same words, and the same work: an answer that is never looked for cannot be slower."""
    known = victim.email
    browser = stage.browser()
    form = form_fields(browser.page("/account/sign-in").test_id("sign-in"))
    answers, work = {}, {}

    for address in (known, "nobody@example.com"):
        sent = {**form, "email": address}
        work[address] = statements(
            stage.shop.store,
            lambda sent=sent, address=address: answers.update(
                {address: browser.open("POST", "/account/sign-in", data=sent, is_htmx=is_htmx)}
            ),
            monkeypatch,
        )

    first, second = answers.values()
    assert (first.status_code, first.location, first.get_data()) == (
        second.status_code,
        second.location,
        second.get_data(),
    )
    assert work[known] == work["nobody@example.com"]
    stage.link_for(known)
    assert stage.shop.store.rows("SELECT id FROM outbox WHERE recipient = 'nobody@example.com'") == []
