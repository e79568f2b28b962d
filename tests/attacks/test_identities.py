"""Every route for every identity: what each sees, and that only the browser that paid acts on its order.

The table must name every route and method there is; a new route fails the build until it has its line.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.attacks.stage import DAY_S, Browser, Stage
from tests.html import read

REF, INSTANCE = "<ref>", "<instance_id>"
ACTS = ("accept", "decline", "continue", "cancel", "checkout", "card", "quantity")
PUBLIC = "/p/complete-bundle"
OTHER_SHOP = ("key-of-a-shop-somewhere-else-000000",)


@dataclass(frozen=True)
class Seen:
    """What an identity is answered: a status, and for a redirect where it leads."""

    status: int
    to: str | None = None


@dataclass(frozen=True)
class Line:
    """One method of one route: for the browser that paid, and for all others."""

    owner: Seen
    others: Seen
    # Whoever has the right cookie but a token another shop signed; None: the route takes no token.
    other_shop: Seen | None = None
    # Buying and signing out are everybody's; what they write is about nobody else.
    is_for_all: bool = False


def everybody(status: int, to: str | None = None) -> Line:
    return Line(Seen(status, to), Seen(status, to), is_for_all=True)


NOT_FOUND = Seen(404)
SIGN_IN = "/account/sign-in?to="
TABLE = {
    ("GET", "/"): everybody(200),
    ("GET", "/p/<slug>"): everybody(200),
    ("POST", "/checkout"): everybody(303, "checkout host"),
    ("GET", "/help"): everybody(200),
    ("GET", "/terms"): everybody(200),
    ("GET", "/refunds"): everybody(200),
    ("GET", "/privacy"): everybody(200),
    ("GET", "/r/<ref>"): Line(Seen(200), NOT_FOUND),
    ("GET", "/r/<ref>/wait/<int:check>"): Line(Seen(303, "/r/<ref>"), NOT_FOUND),
    ("POST", "/r/<ref>/checkout"): Line(Seen(303, "http://127.0.0.1:5000/r/<ref>"), NOT_FOUND),
    ("GET", "/orders/<ref>"): Line(Seen(200), NOT_FOUND),
    # Having paid is not enough for an invoice, which names its customer.
    ("GET", "/orders/<ref>/payments/<int:number>/invoice"): Line(
        Seen(303, "/account/sign-in?to=/orders/<ref>"), NOT_FOUND
    ),
    ("GET", "/o/<instance_id>"): Line(Seen(200), NOT_FOUND),
    ("GET", "/o/<instance_id>/status"): Line(Seen(200), NOT_FOUND),
    ("POST", "/o/<instance_id>/accept"): Line(Seen(303, "/o/<instance_id>"), Seen(303, PUBLIC), NOT_FOUND),
    ("POST", "/o/<instance_id>/decline"): Line(Seen(303, "/r/<ref>"), Seen(303, PUBLIC), NOT_FOUND),
    ("POST", "/o/<instance_id>/continue"): Line(Seen(303, "/r/<ref>"), Seen(303, PUBLIC), NOT_FOUND),
    ("POST", "/o/<instance_id>/cancel"): Line(Seen(303, "/o/<instance_id>"), Seen(303, PUBLIC), NOT_FOUND),
    ("POST", "/o/<instance_id>/checkout"): Line(Seen(303, "checkout host"), Seen(303, PUBLIC), NOT_FOUND),
    # Having paid shows one card; the others want the address proven.
    ("GET", "/o/<instance_id>/cards"): Line(Seen(303, "/account/sign-in?to=/r/<ref>"), NOT_FOUND),
    ("POST", "/o/<instance_id>/card"): Line(Seen(303, "/account/sign-in?to=/r/<ref>"), Seen(303, PUBLIC), NOT_FOUND),
    # Nothing but a change of a plan is tried again.
    ("GET", "/o/<instance_id>/again"): Line(NOT_FOUND, NOT_FOUND),
    # An offer after an order is of one piece.
    ("GET", "/o/<instance_id>/quantity"): Line(Seen(303, "/o/<instance_id>"), NOT_FOUND),
    ("POST", "/o/<instance_id>/quantity"): Line(Seen(303, "/o/<instance_id>"), Seen(303, PUBLIC), NOT_FOUND),
    ("POST", "/sign-out"): everybody(303, "/"),
    # Nobody here has used a link: what those see who have is in test_accounts.py.
    ("GET", "/account"): everybody(303, "/account/sign-in"),
    ("GET", "/account/orders"): everybody(303, "/account/sign-in?to=/account/orders"),
    ("GET", "/account/orders/before/<int:number>"): everybody(303, "/account/sign-in?to=/account/orders/before/1"),
    ("GET", "/account/methods"): everybody(303, "/account/sign-in?to=/account/methods"),
    ("POST", "/account/methods/remove"): everybody(303, "/account/sign-in?to=/account/methods"),
    ("POST", "/account/recommendations/<offer_id>"): everybody(303, "/account/sign-in"),
    ("GET", "/account/subscriptions/<subscription_id>"): everybody(303, f"{SIGN_IN}/account/subscriptions/sbs_1"),
    ("POST", "/account/subscriptions/<subscription_id>/preview"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/scheduled/cancel"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("GET", "/account/subscriptions/<subscription_id>/cancel"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1/cancel"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/cancel"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/end"): everybody(303, f"{SIGN_IN}/account/subscriptions/sbs_1"),
    ("POST", "/account/subscriptions/<subscription_id>/resume"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/card"): everybody(303, f"{SIGN_IN}/account/subscriptions/sbs_1"),
    ("GET", "/account/subscriptions/<subscription_id>/cards"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1/cards"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/cards"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/dues"): everybody(303, f"{SIGN_IN}/account/subscriptions/sbs_1"),
    ("POST", "/account/subscriptions/<subscription_id>/dues/new"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("POST", "/account/subscriptions/<subscription_id>/dues/bank"): everybody(
        303, f"{SIGN_IN}/account/subscriptions/sbs_1"
    ),
    ("GET", "/dues/<dues_id>"): everybody(303, f"{SIGN_IN}/dues/dues_1"),
    ("GET", "/dues/<dues_id>/status"): everybody(303, f"{SIGN_IN}/dues/dues_1"),
    ("POST", "/dues/<dues_id>/bank"): everybody(303, f"{SIGN_IN}/dues/dues_1"),
    ("POST", "/dues/<dues_id>/leave"): everybody(303, f"{SIGN_IN}/dues/dues_1"),
    ("GET", "/quotes/<quote_id>"): everybody(303, f"{SIGN_IN}/quotes/quo_1"),
    ("GET", "/quotes/<quote_id>/status"): everybody(303, f"{SIGN_IN}/quotes/quo_1"),
    ("POST", "/quotes/<quote_id>/confirm"): everybody(303, f"{SIGN_IN}/quotes/quo_1"),
    ("POST", "/quotes/<quote_id>/refresh"): everybody(303, f"{SIGN_IN}/quotes/quo_1"),
    ("POST", "/quotes/<quote_id>/bank"): everybody(303, f"{SIGN_IN}/quotes/quo_1"),
    ("POST", "/quotes/<quote_id>/leave"): everybody(303, f"{SIGN_IN}/quotes/quo_1"),
    ("GET", "/account/sign-in"): everybody(200),
    ("POST", "/account/sign-in"): everybody(422),
    ("GET", "/account/sign-in/sent"): everybody(200),
    ("GET", "/account/sign-in/link/<token>"): everybody(410),
    ("GET", "/account/sign-in/open"): everybody(410),
    ("POST", "/account/sign-in/open"): everybody(410),
    ("GET", "/merchant/mail"): everybody(403),
    ("GET", "/merchant/mail/<message_id>"): everybody(403),
    ("GET", "/merchant/mail/<message_id>/html"): everybody(403),
    ("GET", "/merchant/mail/open/<token>"): everybody(200),
    ("POST", "/merchant/mail/open/<token>"): everybody(404),
    ("POST", "/webhooks/dodo"): everybody(401),
    ("GET", "/healthz"): everybody(200),
    # No worker runs beside these tests.
    ("GET", "/readyz"): everybody(503),
    ("GET", "/static/<path:filename>"): everybody(200),
}
LINES = [pytest.param(*key, id=" ".join(key)) for key in TABLE]
# What depends on an order, and so on who asks.
PERSONAL = [key for key, line in TABLE.items() if not line.is_for_all]


def test_table_names_every_method_of_every_route(stage: Stage) -> None:
    found = {
        (method, rule.rule)
        for rule in stage.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }

    assert found == set(TABLE)


@pytest.fixture(scope="module")
def victim(stage: Stage) -> Browser:
    """A buyer before an open offer, which every stranger here leaves as it is."""
    return stage.buyer()


Enter = Callable[[Stage, Browser, ExitStack], Browser]


def no_cookie(stage: Stage, victim: Browser, stack: ExitStack) -> Browser:
    return stage.browser()


def other_buyer(stage: Stage, victim: Browser, stack: ExitStack) -> Browser:
    """Somebody who has bought here too, and so has cookie, order and offer."""
    return stage.buyer()


def signed_out(stage: Stage, victim: Browser, stack: ExitStack) -> Browser:
    """The victim's own browser, after somebody pressed "Not you? Sign out"."""
    browser = with_cookies_of(stage, victim)
    browser.post("/sign-out")
    assert browser.cookies()["encore_buyer"] != victim.cookies()["encore_buyer"]
    return browser


def a_day_later(stage: Stage, victim: Browser, stack: ExitStack) -> Browser:
    """The victim's own browser, when its day of authority is over."""
    stack.enter_context(stage.later(DAY_S + 60))
    return with_cookies_of(stage, victim)


def guessed_hash(stage: Stage, victim: Browser, stack: ExitStack) -> Browser:
    """Somebody who has read the store: what is kept there is no cookie."""
    browser = stage.browser()
    browser.client.set_cookie("encore_buyer", victim.row()["buyer_key"], domain="127.0.0.1")
    return browser


STRANGERS: dict[str, Enter] = {
    "no cookie": no_cookie,
    "another buyer": other_buyer,
    "signed out": signed_out,
    "a day later": a_day_later,
    "hash of the cookie": guessed_hash,
}


def with_cookies_of(stage: Stage, victim: Browser) -> Browser:
    browser = stage.browser()
    for name, value in victim.cookies().items():
        browser.client.set_cookie(name, value, domain="127.0.0.1")
    return browser


def path_of(rule: str, browser: Browser) -> str:
    samples = {
        REF: browser.ref,
        INSTANCE: browser.instance,
        "<slug>": "starter-course",
        "<int:check>": "1",
        "<int:number>": "1",
        "<subscription_id>": "sbs_1",
        "<quote_id>": "quo_1",
        "<offer_id>": "account-bundle",
        "<dues_id>": "dues_1",
        "<message_id>": "msg_1",
        "<token>": "t" * 43,
        "<path:filename>": "css/encore.css",
    }
    for name, sample in samples.items():
        rule = rule.replace(name, sample)
    return rule


def form_of(stage: Stage, rule: str, victim: Browser) -> dict[str, str]:
    """All that a stolen form could hold, but the form token of the session."""
    act = rule.rpartition("/")[2]
    if act not in ACTS or INSTANCE not in rule:
        return {"product": "starter-course"} if rule == "/checkout" else {}
    fields = {"offer_token": stage.token(victim.instance, act)}
    return {**fields, "quote_hash": victim.row()["quote_hash"]} if act == "accept" else fields


def facts_of(stage: Stage, victim: Browser) -> list[str]:
    """Everything that would tell a stranger something of the order."""
    order = stage.one(
        "SELECT o.id, o.number, o.payment_id, o.customer_id, o.checkout_id, c.provider_session_id, p.method_json"
        " FROM orders o JOIN checkouts c ON c.id = o.checkout_id JOIN payments p ON p.id = o.payment_id"
        " WHERE c.ref = :ref",
        ref=victim.ref,
    )
    ids = [str(value) for name, value in order.items() if name not in ("number", "method_json")]
    words = ["Starter course", "Complete bundle", "49.00", "49,00", "99.00", "4242", f"E-{order['number']}", "Lan Ng"]
    return [*ids, *words, victim.email, victim.email.partition("@")[0], "example.com", victim.row()["quote_hash"]]


def assert_seen(seen: Seen, answer_status: int, location: str | None, *, stage: Stage, victim: Browser) -> None:
    assert answer_status == seen.status, "R10d: not what this identity is to be answered"
    if seen.to == "checkout host":
        assert str(location).startswith(f"{stage.sandbox.url}/session/")
    elif seen.to is not None:
        assert location == path_of(seen.to, victim)


@pytest.fixture(params=STRANGERS, ids=lambda name: name.replace(" ", "-"))
def stranger(request: pytest.FixtureRequest, stage: Stage, victim: Browser) -> Iterator[Browser]:
    with ExitStack() as stack:
        yield STRANGERS[request.param](stage, victim, stack)


@pytest.mark.criterion("R10d")
def test_stranger_sees_and_does_nothing_on_any_route(stage: Stage, victim: Browser, stranger: Browser) -> None:
    """Each route once as a page and once as a fragment, with all of a stolen form but the session token."""
    facts = facts_of(stage, victim)
    token = stranger.csrf()
    for method, rule in PERSONAL:
        form = {"csrf_token": token, **form_of(stage, rule, victim)} if method == "POST" else None
        for is_htmx in (False, True):
            with stage.unchanged():
                answer = stranger.open(method, path_of(rule, victim), data=form, is_htmx=is_htmx)

            location = answer.location
            if is_htmx and "HX-Redirect" in answer.headers:
                assert answer.status_code == 200
                answer.status_code, location = 303, answer.headers["HX-Redirect"]
            assert_seen(TABLE[method, rule].others, answer.status_code, location, stage=stage, victim=victim)
            text = answer.get_data(as_text=True)
            assert [fact for fact in facts if fact in text] == [], f"R10d: {method} {rule} tells of the order"


def test_unknown_and_foreign_look_the_same(stage: Stage, victim: Browser) -> None:
    """No oracle: whether a reference exists is told to nobody but its owner."""
    stranger = stage.browser()
    for _, rule in (key for key in PERSONAL if key[0] == "GET"):
        known, unknown = (
            read(stranger.get(path).get_data(as_text=True)).one("main")
            for path in (path_of(rule, victim), rule.replace(REF, "x" * 43).replace(INSTANCE, "oi_x"))
            for path in (path.replace("<int:check>", "1").replace("<int:number>", "1"),)
        )
        assert known.text == unknown.text
        assert known.attributes == unknown.attributes


@pytest.mark.parametrize(("method", "rule"), LINES)
def test_route_answers_a_visitor_as_the_table_says(stage: Stage, victim: Browser, method: str, rule: str) -> None:
    visitor = stage.browser()

    if method == "POST":
        answer = visitor.post(path_of(rule, victim), form_of(stage, rule, victim))
    else:
        answer = visitor.get(path_of(rule, victim))

    assert_seen(TABLE[method, rule].others, answer.status_code, answer.location, stage=stage, victim=victim)


@pytest.mark.parametrize(("method", "rule"), [pytest.param(*key, id=" ".join(key)) for key in PERSONAL])
def test_route_answers_its_own_buyer(stage: Stage, method: str, rule: str) -> None:
    """The walls stand around everybody else only: the owner passes each of them."""
    owner = stage.buyer()

    if method == "POST":
        answer = owner.post(path_of(rule, owner), form_of(stage, rule, owner))
    else:
        answer = owner.get(path_of(rule, owner))

    assert_seen(TABLE[method, rule].owner, answer.status_code, answer.location, stage=stage, victim=owner)


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"keys": OTHER_SHOP}, id="another-shops-key"),
        pytest.param({"audience": "https://shop.example"}, id="another-shops-address"),
        pytest.param({"audience": "http://127.0.0.1:5001"}, id="another-port"),
        pytest.param({"instance_id": "oi_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, id="another-offer"),
        pytest.param({"act": "show"}, id="another-act"),
        pytest.param({"act": ""}, id="no-act"),
    ],
)
def test_token_not_made_for_this_form_does_nothing(
    stage: Stage, victim: Browser, act: str, changed: dict[str, object]
) -> None:
    """The right browser, a sound form, and a token that another shop, offer or act was given."""
    facts = {"instance": victim.instance, "act": act, **changed}
    instance = str(facts.pop("instance_id", facts["instance"]))
    del facts["instance"]
    form = {**form_of(stage, f"/o/{INSTANCE}/{act}", victim)}
    form["offer_token"] = stage.token(instance, str(facts.pop("act")), **facts)

    with stage.unchanged():
        answer = victim.post(f"/o/{victim.instance}/{act}", form)

    assert answer.status_code == 404
