"""Markup in every text that merchant, buyer or provider can write: shown as text, on every page and in mail."""

from collections.abc import Callable, Iterator

import pytest

from encore.services import catalogue, mail, offer_files
from tests.attacks.stage import AUTHENTICATES_LATER, DECLINES_LATER, Browser, Stage, open_stage, state_of
from tests.html import Element, form_fields, read
from tests.sandbox_process import BUNDLE, COURSE, TEMPLATES

# Ends an attribute, an element and a script; loads, runs, and breaks what fills in texts by percent signs or braces.
MARK = "\"'><img src=x onerror=alert(1)></script><script>alert(2)</script><b>%s %(x)s {0} 100%"
SHOP = f"Shop {MARK}"
NAMES = {COURSE: f"Course {MARK}", BUNDLE: f"Bundle {MARK}", TEMPLATES: f"Templates {MARK}"}
WORDS = f"Words {MARK}"
OFFERS = """
[[offers]]
id = "{id}"
role = "{role}"
product = "{product}"
title = {{ en = {words}, vi = {words} }}
text = {{ en = {words}, vi = {words} }}
terms = {{ en = {words}, vi = {words} }}
points = [ {{ en = {words}, vi = {words} }} ]
"""


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A shop in which whatever is text is markup."""
    with open_stage(tmp_path_factory.mktemp("markup"), ENCORE_SHOP_NAME=SHOP, ENCORE_OFFER_MINUTES="30") as stage:
        for product_id, name in NAMES.items():
            body = {"name": name, "description": f"About {MARK}", "image": f"{stage.sandbox.url}/x.png?{MARK}"}
            answer = stage.sandbox.call("PATCH", f"/products/{product_id}", body)
            assert answer.status_code == 200, answer.text
        catalogue.sync(stage.shop)
        words = '"' + WORDS.replace('"', '\\"') + '"'
        text = "".join(
            OFFERS.format(id=id_, role=role, product=product, words=words)
            for id_, role, product in (
                ("complete-bundle", "upsell", BUNDLE),
                ("design-templates", "downsell", TEMPLATES),
            )
        )
        assert isinstance(offer_files.import_text(stage.shop, text), offer_files.Imported)
        yield stage


def bought(stage: Stage, card: str = "4242424242424242", **form: str) -> Browser:
    return stage.buyer(
        card, email=f'"<b>x</b>"{stage.one("SELECT count(*) AS n FROM orders")["n"]}@example.com', name=MARK, **form
    )


def declined(stage: Stage) -> Browser:
    buyer = bought(stage, DECLINES_LATER, expiry="12/34")
    buyer.act("accept")
    return buyer


def at_checkout(stage: Stage) -> Browser:
    buyer = declined(stage)
    buyer.act("checkout")
    return buyer


def at_the_bank(stage: Stage) -> Browser:
    buyer = bought(stage, AUTHENTICATES_LATER)
    buyer.act("accept")
    return buyer


def paid(stage: Stage) -> Browser:
    buyer = bought(stage)
    buyer.act("accept")
    return buyer


def refused(stage: Stage) -> Browser:
    buyer = bought(stage)
    buyer.act("decline")
    return buyer


def moved(stage: Stage) -> Browser:
    buyer = bought(stage)
    price = stage.sandbox.get(f"/products/{BUNDLE}")["price"]
    stage.sandbox.call("PATCH", f"/products/{BUNDLE}", {"price": {**price, "price": price["price"] + 100}})
    with stage.later(61):
        buyer.act("accept")
    return buyer


STATES: dict[str, Callable[[Stage], Browser]] = {
    "offer": bought,
    "receipt": paid,
    "answered": refused,
    "failed": declined,
    "checkout_open": at_checkout,
    "action_required": at_the_bank,
    "quote_changed": moved,
}


def assert_is_text(html: str) -> Element:
    """Every mark in a page is text or an attribute's value, and none became an element."""
    assert MARK not in html
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    page = read(html)
    assert not page.all("img", src="x")
    assert not page.all("b")
    assert all(script.attributes.get("src", "").startswith("/static/") for script in page.all("script"))
    assert not [name for element in page.all() for name in element.attributes if name.startswith("on")]
    for link in page.all("a"):
        assert (
            link.attributes["href"].startswith(("/", "#", "mailto:", "http://127.0.0.1", "?"))
            or not link.attributes["href"]
        )
    return page


@pytest.mark.parametrize("state", STATES)
def test_markup_is_text_in_every_state_of_an_offer(marked: Stage, state: str) -> None:
    buyer = STATES[state](marked)

    paths = (f"/o/{buyer.instance}", f"/o/{buyer.instance}?lang=vi", f"/r/{buyer.ref}?lang=en", f"/orders/{buyer.ref}")
    for path in paths:
        html = buyer.get(path).get_data(as_text=True)
        page = assert_is_text(html)
        assert SHOP in page.text
        assert any(
            f"{word} " in page.text and MARK.replace("  ", " ") in page.text for word in ("Bundle", "Words", "Course")
        )
    fragment = buyer.get(f"/o/{buyer.instance}/status", is_htmx=True).get_data(as_text=True)
    assert_is_text(fragment)
    assert state_of(buyer.offer()) == state


@pytest.mark.parametrize(
    "path", ["/", "/p/{course}", "/p/{bundle}", "/help", "/terms", "/refunds", "/privacy", "/nothing"]
)
def test_markup_is_text_in_the_shop(marked: Stage, path: str) -> None:
    slugs = {row["id"]: row["slug"] for row in marked.shop.store.rows("SELECT id, slug FROM products")}

    answer = marked.browser().get(path.format(course=slugs[COURSE], bundle=slugs[BUNDLE]))

    page = assert_is_text(answer.get_data(as_text=True))
    assert SHOP in page.text


def test_markup_is_text_in_the_evidence_and_in_mail(marked: Stage) -> None:
    """Receipts carry names of product and shop; the test mail pages show them as a list, a page, HTML and source."""
    paid(marked)
    while mail.send_next(marked.shop):
        pass
    owner = marked.browser()
    link = mail.mail_link(marked.shop).removeprefix(marked.settings.public_url)
    owner.post(link, form_fields(owner.page(link).one("form", action=link)))

    messages = mail.list_messages(marked.shop)
    assert messages
    assert_is_text(owner.get("/merchant/mail").get_data(as_text=True))
    for message in messages[:2]:
        assert message.state == "sent"
        for path in (f"/merchant/mail/{message.id}", f"/merchant/mail/{message.id}/html"):
            answer = owner.client.get(path, base_url=marked.settings.public_url)
            assert answer.status_code == 200
            assert_is_text(answer.get_data(as_text=True))
        # A line break or a second header in a subject would be another message to another person.
        assert "\n" not in message.subject
        assert "\r" not in message.subject


@pytest.mark.parametrize(
    "path",
    [
        "/p/%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/r/%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/o/%3C%2Fscript%3E%3Cscript%3Ealert(2)%3C%2Fscript%3E",
        "/orders/'%22%3E%3Cb%3E",
        "/merchant/mail/open/%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/help?lang=%22%3E%3Cimg%20src=x%3E",
        "/?x=%22%3E%3Cscript%3Ealert(2)%3C/script%3E",
    ],
)
@pytest.mark.parametrize("is_htmx", [False, True])
def test_markup_in_an_address_is_not_reflected(marked: Stage, path: str, is_htmx: bool) -> None:
    headers = {
        "Accept-Language": MARK,
        "User-Agent": MARK,
        "Referer": MARK,
        "HX-Target": f"#{MARK}",
        "X-Request-Id": MARK,
    }

    answer = marked.browser().get(path, is_htmx=is_htmx, headers=headers)

    assert answer.status_code < 500
    assert_is_text(answer.get_data(as_text=True))
