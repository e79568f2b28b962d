"""Browsers that are not the buyer's, pages that are not the shop's, and addresses that lie."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import APIResponse, expect

from tests.browser.conftest import NewShopper
from tests.browser.shopper import BUNDLE, OTHER_CARD, Shopper
from tests.installation import Buyer, Installation

COURSE, UPSELL = 5292, 10692
NEUTRAL = ("status of 404",)


def form_of(shopper: Shopper, hook: str) -> tuple[str, dict[str, str]]:
    """Copy a form of the page: where it goes and its hidden fields."""
    form = shopper.by(hook)
    fields = {
        str(field.get_attribute("name")): field.get_attribute("value") or "" for field in form.locator("input").all()
    }
    return form.get_attribute("action") or "", fields


def post(shopper: Shopper, path: str, fields: dict[str, str], **headers: str) -> APIResponse:
    """Send a form with this browser's cookies, as its page would."""
    return shopper.context.request.post(
        shopper.shop.url + path,
        form={**fields},
        headers={"origin": shopper.shop.url, **headers},
        max_redirects=0,
    )


# ---- Another browser


@pytest.mark.criterion("R10d")
def test_another_browser_sees_nothing_of_the_order_and_its_post_creates_nothing(new_shopper: NewShopper) -> None:
    buyer = new_shopper().offered()
    stranger = new_shopper(allowed=NEUTRAL)
    action, fields = form_of(buyer, "offer-accept")

    for path in (f"/r/{buyer.ref}", f"/o/{buyer.instance}", f"/orders/{buyer.ref}"):
        stranger.open(path).sees("other_browser")
        for secret in ("Starter course", "Complete bundle", "4242", "52.92", buyer.email):
            expect(stranger.page.locator("main")).not_to_contain_text(secret)

    # With every field of the buyer's form, but a form token of the stranger's own.
    stranger.open("/p/starter-course")
    own = stranger.by("buy").locator("[name=csrf_token]").get_attribute("value") or ""
    for act in ("accept", "decline", "checkout", "continue"):
        answer = post(stranger, action.replace("accept", act), {**fields, "csrf_token": own})
        assert (answer.status, urlsplit(answer.headers["location"]).path) == (303, "/p/complete-bundle")

    assert buyer.acceptances() == []
    assert [shown["state"] for shown in buyer.instances()] == ["shown"]
    buyer.press("offer-accept").sees("receipt", "paid")


@pytest.mark.criterion("R4b")
def test_typed_address_of_another_buyer_shows_and_charges_no_card_of_theirs(new_shopper: NewShopper) -> None:
    first = new_shopper().offered()
    thief = new_shopper()
    thief.email = first.email

    thief.buy(card=OTHER_CARD).sees_offer(BUNDLE)
    expect(thief.page.locator("main")).not_to_contain_text("4242")
    thief.press("offer-accept").sees("receipt", "paid")

    assert thief.customer_id == first.customer_id
    methods = {m["card"]["last4_digits"]: m["payment_method_id"] for m in thief.shop.sandbox.methods(first.customer_id)}
    assert set(methods) == {"4242", "4444"}
    assert [charge["body"]["payment_method_id"] for charge in thief.charges()] == [methods["4444"]]


def test_signing_out_forgets_the_order_in_this_browser(new_shopper: NewShopper) -> None:
    for scripts in (True, False):
        shopper = new_shopper(scripts=scripts, allowed=NEUTRAL).offered()
        instance = shopper.instance

        shopper.press("sign-out")
        expect(shopper.page.locator("main")).not_to_have_attribute("data-page-state", "offer")

        shopper.open(f"/r/{shopper.ref}").sees("other_browser")
        shopper.open(f"/o/{instance}").sees("other_browser")
        assert shopper.charges() == []


# ---- Addresses that lie


@pytest.mark.criterion("R28")
def test_forged_status_in_the_address_is_dropped_and_not_believed(shopper: Shopper) -> None:
    shopper.open("/p/starter-course").press("buy")
    cancel = shopper.by("cancel").get_attribute("href") or ""
    ref = urlsplit(cancel).path

    shopper.open(f"{ref}?payment_id=pay_forged&status=succeeded&email={shopper.email}")

    assert shopper.page.url == shopper.shop.url + ref
    shopper.sees("cancelled").sees_words("Nothing was charged.")
    expect(shopper.by("thank-you")).to_have_count(0)
    expect(shopper.by("offer")).to_have_count(0)


def test_return_leaves_nothing_of_the_providers_query_in_the_address(shopper: Shopper) -> None:
    shopper.buy().sees_offer(BUNDLE)

    assert re.fullmatch(r"/r/[\w-]{43}", shopper.page.url.removeprefix(shopper.shop.url))
    assert shopper.email not in shopper.page.title() + shopper.page.url


# ---- Requests that must do nothing


@pytest.mark.criterion("R10e")
@pytest.mark.parametrize("method", ["GET", "HEAD", "prefetch"])
def test_looking_ahead_never_charges_accepts_or_declines(
    new_shopper: NewShopper, shop: Installation, *, method: str
) -> None:
    shopper = new_shopper().offered()
    headers = {"sec-purpose": "prefetch"} if method == "prefetch" else {}
    acts = [f"/o/{shopper.instance}/{act}" for act in ("accept", "decline", "checkout", "continue", "cancel")]

    for path in (f"/r/{shopper.ref}", f"/o/{shopper.instance}", *acts):
        verb = "GET" if method == "prefetch" else method
        shopper.context.request.fetch(shop.url + path, method=verb, headers=headers, max_redirects=0)

    assert [shown["state"] for shown in shopper.instances()] == ["shown"]
    assert shopper.acceptances() == []
    assert shopper.charges() == []


@pytest.mark.criterion("R10e")
def test_prefetching_the_return_page_does_not_even_show_the_offer(new_shopper: NewShopper, shop: Installation) -> None:
    shopper = new_shopper()
    shopper.open("/p/starter-course").press("buy")
    ref = urlsplit(shopper.by("cancel").get_attribute("href") or "").path
    session = shopper.page.url.rsplit("/", 1)[1].split("?")[0]
    shop.sandbox.pay(session, email=shopper.email)
    shopper.ref = ref.removeprefix("/r/")
    shop.wait_row("SELECT id FROM orders WHERE customer_id = :id", id=shopper.customer_id)

    for headers in ({"sec-purpose": "prefetch"}, {"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}):
        shopper.context.request.get(shop.url + ref, headers=headers)
    shopper.context.request.head(shop.url + ref)
    assert shopper.instances() == []

    shopper.open(ref).sees_offer(BUNDLE)


# ---- Another site


@pytest.fixture
def other_site() -> Iterator["OtherSite"]:
    with OtherSite() as site:
        yield site


class OtherSite(ThreadingHTTPServer):
    """Somebody else's web site; to a browser, another host name is another site."""

    page = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://localhost:{self.server_address[1]}/"
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    server: OtherSite

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def lured(new_shopper: NewShopper, other_site: OtherSite) -> Shopper:
    """A buyer whose browser visits a page that knows everything about their offer but the cookie."""
    shopper = new_shopper(allowed=("status of 40[345]", "frame-ancestors", "ERR_BLOCKED_BY_RESPONSE")).offered()
    action, fields = form_of(shopper, "offer-accept")
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    forms = "".join(
        f'<form method="post" action="{shopper.shop.url}{action.replace("accept", act)}" id="{act}">{inputs}</form>'
        for act in ("accept", "decline")
    )
    images = f'<img src="{shopper.shop.url}{action}"><iframe src="{shopper.shop.url}/r/{shopper.ref}"></iframe>'
    other_site.page = f"<!doctype html><title>Win</title>{forms}{images}"
    shopper.page.goto(other_site.url)
    return shopper


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("act", ["accept", "decline"])
def test_form_of_another_site_does_nothing(lured: Shopper, *, act: str) -> None:
    with lured.page.expect_navigation():
        lured.page.evaluate(f"document.getElementById('{act}').submit()")

    expect(lured.page.locator("main")).to_have_attribute("data-page-state", "error")
    assert lured.acceptances() == []
    assert [shown["state"] for shown in lured.instances()] == ["shown"]


def test_frame_and_image_of_another_site_show_and_do_nothing(lured: Shopper) -> None:
    frame = lured.page.frames[1]
    assert frame.locator("[data-testid=offer]").count() == 0
    assert [shown["state"] for shown in lured.instances()] == ["shown"]
    assert lured.charges() == []


def test_pages_and_cookies_are_kept_from_scripts_and_other_hosts(new_shopper: NewShopper, shop: Installation) -> None:
    shopper = new_shopper().buy().sees_offer(BUNDLE)

    assert len(shopper.context.cookies(shop.url)) == 2
    assert shopper.page.evaluate("document.cookie") == ""
    assert {c["sameSite"] for c in shopper.context.cookies(shop.url)} == {"Lax"}
    shopper.open("/p/basic-plan").press("buy")
    expect(shopper.by("pay")).to_be_visible()
    # The provider's page is on another host: it has none of the shop's cookies and sets none of its own.
    assert shopper.context.cookies(shopper.page.url) == []


def test_buyer_whose_name_is_markup_reads_it_as_words(new_shopper: NewShopper, shop: Installation) -> None:
    shopper = new_shopper()
    buyer = Buyer(shop, shopper.email)
    page = buyer.get("/p/starter-course")
    session = buyer.post_form(page, "buy").headers["location"].rsplit("/", 1)[1]
    markup = "<img src=x onerror=alert(1)>\"'&"
    back = shop.sandbox.pay(session, email=shopper.email, name=markup, street=markup, city=markup, state=markup)
    shopper.ref = back.headers["location"].split("?")[0].rsplit("/", 1)[1]
    shopper.take_cookies_of(buyer)

    shopper.open(f"/r/{shopper.ref}").sees_offer(BUNDLE).press("offer-accept").sees("receipt", "paid")
    shopper.open(f"/orders/{shopper.ref}")

    assert shopper.page.locator("main img[src=x]").count() == 0
