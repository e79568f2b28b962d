"""Hosted sessions that know a signed-in buyer: whoever opens one is taken for them, so nobody else is led to one."""

from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from encore.services import subscriptions
from tests.attacks.stage import DECLINES_LATER, HTMX, MASTERCARD, Browser, Stage, state_of
from tests.html import read

PLAN, TEMPLATES = "basic-plan", "design-templates"


def signed_in(stage: Stage, card: str = MASTERCARD, **form: str) -> Browser:
    return stage.buyer(card, **form).sign_in()


def change_account(browser: Browser, address: str) -> None:
    """Sign in without a sign-out before: the link is asked for elsewhere, and opens in any browser."""
    browser.sign_in(link=browser.stage.browser().ask_for_link(address))


def start(browser: Browser, slug: str) -> TestResponse:
    return browser.send(browser.page(f"/p/{slug}"), "buy")


def last_session(stage: Stage) -> dict[str, object]:
    """The body of the session that was opened last."""
    return dict(stage.sandbox.requests("POST", "/checkouts")[-1]["body"])


def ref_of_last(stage: Stage) -> str:
    return str(last_session(stage)["return_url"]).rpartition("/")[2]


def customer_of(browser: Browser) -> dict[str, object]:
    return {"customer_id": browser.row()["customer_id"]}


def go_idle(stage: Stage, browser: Browser) -> None:
    with stage.shop.store.write():
        stage.shop.store.run(
            "UPDATE sign_ins SET seen_at = seen_at - 1800000 WHERE address = :address", address=browser.email
        )


def path_of(answer: TestResponse) -> str:
    return urlsplit(str(answer.location)).path


def test_who_signs_in_after_somebody_has_nothing_of_theirs(stage: Stage) -> None:
    """One computer, two accounts, no sign-out between them: it is as if there had been one."""
    first, second = signed_in(stage), stage.buyer()
    known = start(first, PLAN).location
    ref = ref_of_last(stage)
    page = first.offer()
    change_account(first, second.email)

    for path in (f"/r/{ref}", f"/r/{first.ref}", f"/orders/{first.ref}", f"/o/{first.instance}"):
        assert first.get(path).status_code == 404
    first.send(page, "offer-accept")
    assert first.charges() == []
    own = start(first, PLAN)
    assert path_of(own).startswith("/session/")
    assert own.location != known
    assert last_session(stage)["customer"] == customer_of(second)
    assert start(first, PLAN).location == own.location, "the same one is used again"
    # The same account, by a fresh link: its own goes on.
    change_account(first, second.email)
    assert start(first, PLAN).location == own.location


def test_fallback_of_another_account_is_not_led_to(stage: Stage) -> None:
    first, second = signed_in(stage, DECLINES_LATER, expiry="12/34"), stage.buyer()
    first.act("accept")
    known = first.act("checkout").location
    assert path_of(first.act("checkout")).startswith("/session/")
    change_account(first, second.email)

    refused = first.act("checkout")

    assert known not in (refused.location, refused.get_data(as_text=True))
    assert not path_of(refused).startswith("/session/")


def test_who_is_signed_in_with_another_address_than_paid_is_told_so(stage: Stage) -> None:
    """A way back without a word, from the sign-in to the page that led there, would be a circle."""
    payer, other = stage.buyer(), stage.buyer()
    change_account(payer, other.email)

    asked = payer.page(f"/account/sign-in?to=/r/{payer.ref}")

    assert "This belongs to another account." in asked.text
    assert asked.has_test_id("sign-in")
    assert payer.email not in asked.text
    assert asked.text == payer.page(f"/account/sign-in?to=/orders/{payer.ref}").text
    assert other.sign_in().get(f"/account/sign-in?to=/r/{payer.ref}").status_code == 303, "a stranger is told nothing"


def test_plan_that_was_bought_here_with_another_address_is_told_as_theirs(stage: Stage) -> None:
    """P8 keeps this browser from buying it twice; the way on must not be a page that is not there."""
    payer, other = stage.buyer(), stage.buyer()
    session = path_of(start(payer, PLAN)).rpartition("/")[2]
    stage.sandbox.pay(session, card=MASTERCARD, email=payer.email)
    payer.page(f"/r/{ref_of_last(stage)}")
    while subscriptions.read_due(stage.shop):
        pass
    own = str(payer.page(f"/p/{PLAN}").test_id("change-plan").attributes["href"])
    assert path_of(payer.get(own)) == "/account/sign-in"
    change_account(payer, other.email)

    page = payer.page(f"/p/{PLAN}")
    asked = payer.page(str(page.test_id("change-plan").attributes["href"]))

    assert "This belongs to another account." in asked.text
    assert payer.email not in asked.text
    # Nobody else is told that there is such a plan.
    assert other.sign_in().get(f"/account/sign-in?to={own}").status_code == 303
    assert other.get(own).status_code == 404


@pytest.mark.parametrize("slug", [PLAN, TEMPLATES])
def test_old_cookie_put_back_after_the_sign_out_opens_no_known_checkout(stage: Stage, slug: str) -> None:
    """The back button, a copied profile: the account has ended in our rows, not only in the browser."""
    buyer = signed_in(stage)
    known = start(buyer, slug).location
    ref = ref_of_last(stage)
    cookies = buyer.cookies()
    form = buyer.page(f"/r/{ref}")
    buyer.send(buyer.page("/"), "sign-out")
    for name, value in cookies.items():
        buyer.client.set_cookie(name, value, domain="127.0.0.1")

    for language in ("en", "vi"):
        buyer.get(f"/p/{slug}?lang={language}")
        answers = [start(buyer, slug), buyer.send(form, "go-to-checkout")]
        assert known not in [answer.location for answer in answers]
        assert path_of(answers[1]) == "/account/sign-in"
        assert known not in buyer.page(f"/r/{ref}").text
    known_to = {"customer": customer_of(buyer)}
    bodies = [r["body"] for r in stage.sandbox.requests("POST", "/checkouts")]
    own = [body for body in bodies if known_to.items() <= body.items()]
    assert [str(body["return_url"]).rpartition("/")[2] for body in own] == [ref]


def test_stolen_reference_leads_nobody_to_the_checkout_behind_it(stage: Stage) -> None:
    """Neither a stranger, nor one signed in as somebody else, nor by way of the sign-in."""
    buyer = signed_in(stage)
    start(buyer, PLAN)
    ref = ref_of_last(stage)
    for thief in (stage.browser(), signed_in(stage)):
        answers = [
            thief.get(f"/r/{ref}"),
            thief.post(f"/r/{ref}/checkout"),
            thief.get(f"/r/{ref}/wait/1"),
            thief.post(f"/r/{ref}/checkout", headers=HTMX),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert all(not answer.location and "HX-Redirect" not in answer.headers for answer in answers)
        through = thief.get(f"/account/sign-in?to=/r/{ref}")
        assert through.location in (None, f"/r/{ref}")
    late = stage.browser()
    late.email = buyer.email
    link = late.ask_for_link(to=f"/r/{ref}")
    landed = late.send(late.page(str(late.get(link).location)), "sign-in-confirm")
    assert path_of(landed) == "/account", "even the buyer's own other device"


def test_address_of_a_known_checkout_stands_in_one_header_and_nowhere_else(stage: Stage) -> None:
    buyer = signed_in(stage)
    started = start(buyer, PLAN)
    ref = ref_of_last(stage)
    session = str(started.location)

    assert started.headers["Cache-Control"] == "no-store"
    assert started.headers["Referrer-Policy"] == "same-origin"
    for path in (f"/r/{ref}", "/account", "/account/orders", f"/p/{PLAN}", "/account/methods"):
        answer = buyer.get(path)
        assert session.rpartition("/")[2] not in answer.get_data(as_text=True) + str(answer.headers)
    named = buyer.send(buyer.page(f"/r/{ref}"), "go-to-checkout", customer_id="cus_other", session_id="cks_1")
    assert (named.status_code, named.location) in ((303, session), (400, None))


@pytest.mark.parametrize("slug", [PLAN, TEMPLATES])
def test_what_is_bought_while_signed_in_belongs_to_the_account_and_to_this_browser(stage: Stage, slug: str) -> None:
    buyer, stranger = signed_in(stage), stage.browser()
    session = path_of(start(buyer, slug)).rpartition("/")[2]
    ref = ref_of_last(stage)

    stage.sandbox.pay(session, card=MASTERCARD, email="somebody.else@example.com")

    mine = buyer.page(f"/r/{ref}")
    assert mine.has_test_id("order-summary")
    order = stage.one("SELECT o.* FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref", ref=ref)
    assert order["customer_id"] == buyer.row()["customer_id"]
    for instance in stage.shop.store.rows("SELECT * FROM offer_instances WHERE source_ref = :id", id=order["id"]):
        assert (instance["customer_id"], instance["buyer_key"]) == (order["customer_id"], order["buyer_key"])
    theirs = stranger.get(f"/r/{ref}")
    assert (theirs.status_code, state_of(read(theirs.get_data(as_text=True)))) == (404, "other_browser")


def test_account_that_is_over_by_itself_is_asked_for_again_in_every_language(stage: Stage) -> None:
    buyer = signed_in(stage)
    known = start(buyer, PLAN).location
    ref = ref_of_last(stage)
    go_idle(stage, buyer)

    for language in ("en", "vi"):
        buyer.get(f"/?lang={language}")
        back = buyer.send(buyer.page(f"/r/{ref}"), "go-to-checkout")
        assert back.location == f"{stage.settings.public_url}/account/sign-in?to=/r/{ref}"
        assert "another account" not in buyer.page(f"/account/sign-in?to=/r/{ref}").text
    assert known != start(buyer, PLAN).location


@pytest.mark.parametrize(("language", "words"), [("en", "You are signed in as"), ("vi", "Bạn đang đăng nhập với")])
def test_who_buys_reads_first_whose_account_this_browser_has(stage: Stage, language: str, words: str) -> None:
    """Somebody else left it open, or sent them the link: they would buy for that account, with its cards."""
    buyer = signed_in(stage)
    said = f"{words} {buyer.email[0]}•••@example.com."
    buyer.get(f"/?lang={language}")

    assert said in buyer.page(f"/p/{PLAN}").test_id("signed-in-as").text
    assert said in buyer.page("/p/starter-course").test_id("signed-in-as").text, "bought again"
    go_idle(stage, buyer)
    assert not buyer.page(f"/p/{PLAN}").has_test_id("signed-in-as")
