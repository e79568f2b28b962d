"""Answers of the provider that are well-formed and cannot be: no offer rather than a wrong one, and never a 500."""

import json
from typing import Any

import pytest

from encore.errors import Unavailable
from encore.services import catalogue
from tests.attacks.stage import Browser, Stage, state_of
from tests.bad_input.conftest import Deceived
from tests.bad_input.liar import Raw, saying
from tests.html import Element, read
from tests.sandbox_process import COURSE

MARKUP = "\"><img src=x onerror=alert(1)>'"
LONG = "x" * 100_000
# What is no amount, or none that any sale has.
NO_AMOUNT = (-1, 10**15 + 1, 2**53, 2**63, Raw("1e400"), Raw("NaN"), Raw("-0.0"), 12.5, "12", True)

PREVIEW = ("POST", r"/checkouts/preview")
METHODS = ("GET", r"/customers/[^/]+/payment-methods")
PAYMENT = ("GET", r"/payments/[^/]+")
SESSION = ("GET", r"/checkouts/[^/]+")
START = ("POST", r"/checkouts")


def come_back(stage: Stage) -> Browser:
    """A browser that has paid and whose return page was not opened yet."""
    buyer = stage.browser()
    session = str(buyer.send(buyer.page("/p/starter-course"), "buy").location).rpartition("/")[2]
    back = stage.sandbox.pay(session, email=buyer.email)
    buyer.ref = back.headers["location"].partition("?")[0].rpartition("/")[2]
    return buyer


def look(buyer: Browser, path: str | None = None) -> Element:
    """The return page, which is drawn whatever the provider says."""
    answer = buyer.get(path or f"/r/{buyer.ref}")
    assert answer.status_code == 200, answer.status
    return read(answer.get_data(as_text=True))


def cases(fields: dict[str, tuple[Any, ...]]) -> list[Any]:
    found = ((field, value) for field, values in fields.items() for value in values)
    return [pytest.param(field, value, id=f"{field}={str(value)[:24]!r}") for field, value in found]


# ---- Prices --------------------------------------------------------------------------------------------------------

WRONG_PRICES = cases(
    {
        "current_breakup.total_amount": (*NO_AMOUNT, None, ..., 1, 10**15),
        "current_breakup.subtotal": (*NO_AMOUNT, None, ..., -9900),
        "current_breakup.discount": (-1, -500, 10**15, 9901, 2**63, None, ..., "0"),
        "current_breakup.tax": (-1, 10**15, 2**63, Raw("1e400"), "792", 10_693),
        "current_breakup": (None, ..., [], 0),
        "total_price": (*NO_AMOUNT, None, ..., 1, 10_691),
        "currency": ("EUR", "VND", "XXX", "BHD", "usd", "USDX", "", None, ..., 840, MARKUP),
        "product_cart": ([], None, ..., {}, [None], "pdt"),
        "product_cart.0.product_id": (COURSE, "pdt_other", "", None, ..., MARKUP, LONG),
        "product_cart.0.quantity": (0, 2, -1, 2**63, "1", None, ...),
        "product_cart.0.currency": ("EUR", "VND", "usd", None, ...),
        "product_cart.0.discounted_price": (-1, 2**63, Raw("1e400"), None, ...),
    }
)


@pytest.fixture(scope="module")
def waiting(deceived: Deceived) -> Browser:
    """A buyer for whom no sound price was ever told, so that each look asks for one again."""
    return come_back(deceived.stage)


@pytest.mark.parametrize(("field", "value"), WRONG_PRICES)
def test_price_that_cannot_be_is_no_offer(deceived: Deceived, waiting: Browser, field: str, value: object) -> None:
    """Whatever the preview of the right product says wrongly, nothing is offered for it and the order stands."""
    with deceived.liar.telling(*PREVIEW, saying(field, value)):
        page = look(waiting)

    assert deceived.liar.told >= 1
    assert state_of(page) == "thanks"
    assert not page.has_test_id("offer-accept")


def test_two_lines_are_no_price_of_one_product(deceived: Deceived, waiting: Browser) -> None:
    def double(body: bytes) -> bytes:
        doc = json.loads(body)
        return json.dumps({**doc, "product_cart": doc["product_cart"] * 2}).encode()

    with deceived.liar.telling(*PREVIEW, double):
        page = look(waiting)

    assert deceived.liar.told >= 1
    assert state_of(page) == "thanks"


@pytest.mark.parametrize(
    ("field", "value"),
    cases(
        {
            "currency": ("EUR", "VND"),
            "current_breakup.total_amount": (1, -1, 2**63),
            "product_cart.0.product_id": (COURSE,),
        }
    ),
)
def test_price_that_turns_wrong_before_the_click_charges_nothing(deceived: Deceived, field: str, value: object) -> None:
    """P5: the offer was sound when it was shown; the second look, a minute later, is not."""
    buyer = deceived.stage.buyer()

    with deceived.stage.later(61), deceived.liar.telling(*PREVIEW, saying(field, value)):
        answer = buyer.act("accept")

    assert answer.status_code in (303, 503)
    assert buyer.charges() == []
    assert buyer.row()["state"] == "shown"


@pytest.mark.parametrize(
    ("currency", "shown"), [("JPY", "¥9,900"), ("VND", "₫9,900"), ("KRW", "₩9,900")], ids=["JPY", "VND", "KRW"]
)
def test_currency_without_decimals_is_shown_without_them(deceived: Deceived, currency: str, shown: str) -> None:
    """9900 minor units of a currency that has none are 9,900, not 99.00: a hundredfold error is a wrong price."""
    stage, shop = deceived.stage, deceived.stage.shop

    def in_currency(body: bytes) -> bytes:
        return body.replace(b'"USD"', f'"{currency}"'.encode())

    with deceived.liar.telling("GET", r"/products", in_currency):
        catalogue.sync(shop)
    try:
        page = stage.browser().page("/p/complete-bundle")
    finally:
        catalogue.sync(shop)

    assert shown in page.text
    assert "99.00" not in page.text


# ---- Methods, payments and sessions --------------------------------------------------------------------------------


def forget_offers(stage: Stage) -> None:
    """Let no offer have been shown yet and no list of methods been read, so that the next look asks again."""
    with stage.shop.store.write():
        for table in ("offer_events", "offer_instances", "saved_methods"):
            stage.shop.store.run(f"DELETE FROM {table}")


WRONG_METHODS = cases(
    {
        "items": (None, ..., {}, [None], [[]]),
        "items.0.payment_method_id": (None, ..., "", 17, "pm_1\n", MARKUP, LONG),
        "items.0.card": (None, ..., [], "4242"),
        "items.0.card.last4_digits": (None, ..., MARKUP, LONG, 4242, "4242424242424242"),
        "items.0.card.card_network": (None, ..., MARKUP, LONG, 17),
        "items.0.card.expiry_month": ("0", "13", "-1", "٣", None, ..., LONG, 6),
        "items.0.card.expiry_year": ("99999", "-1", "", None, ..., "2001", "2032 "),
        "items.0.recurring_enabled": (False, "yes", 1),
    }
)


@pytest.mark.parametrize(("field", "value"), WRONG_METHODS)
def test_method_that_is_not_surely_the_one_that_paid_has_no_button(
    deceived: Deceived, waiting: Browser, field: str, value: object
) -> None:
    forget_offers(deceived.stage)

    with deceived.liar.telling(*METHODS, saying(field, value)):
        page = look(waiting)

    assert not page.has_test_id("offer-accept")
    # A list without the card is read again for a while: the provider may not have saved it yet.
    assert state_of(page) in ("no_method", "thanks", "waiting")
    assert "onerror" not in page.text
    assert "4242424242424242" not in page.text


@pytest.fixture(scope="module")
def unseen(deceived: Deceived) -> Browser:
    """A buyer who has paid, and whose payment nobody could read so far."""
    return come_back(deceived.stage)


UNREADABLE_PAYMENTS = cases(
    {
        "total_amount": (*NO_AMOUNT, None, ...),
        "tax": (-1, 2**63, Raw("1e400"), "1"),
        "currency": ("usd", "", None, ..., MARKUP),
        "created_at": ("", "yesterday", None, ..., 10**15),
        "customer": (None, ..., "cus_1", []),
        "customer.customer_id": (None, ..., "", "a b", LONG, 17),
        "customer.email": (17, []),
        "status": (17, []),
        "product_cart": ("x", [{}], [None]),
        "billing": ([], "US"),
        "card_last_four": (4242,),
        "refunds": ("x", [None], [{}]),
        "disputes": ("x", [{}]),
        "metadata": ([], "x"),
        "charge_type": (17,),
        "payment_id": (None, ..., "", 17),
    }
)


@pytest.mark.parametrize(("field", "value"), UNREADABLE_PAYMENTS)
def test_payment_nobody_can_read_is_neither_paid_nor_missing(
    deceived: Deceived, unseen: Browser, field: str, value: object
) -> None:
    with deceived.liar.telling(*PAYMENT, saying(field, value)):
        page = look(unseen)

    assert deceived.liar.told >= 1
    assert state_of(page) == "waiting"


ODD_PAYMENTS = cases(
    {
        "total_amount": (0, 10**15),
        "tax": (10**15,),
        "currency": ("XXX",),
        "created_at": ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        "customer.email": (None, MARKUP, "a@b@c"),
        "product_cart": ([],),
        "billing": ({"country": MARKUP, "zipcode": LONG},),
        "card_last_four": ("4242424242424242",),
        "card_network": (MARKUP,),
        "payment_link": ("javascript:alert(1)",),
        "metadata": ({"attempt_id": LONG, "attempt_sig": LONG},),
        "charge_type": ("a_new_word",),
    }
)


@pytest.mark.parametrize(("field", "value"), ODD_PAYMENTS)
def test_pages_of_an_order_are_drawn_whatever_its_payment_holds(deceived: Deceived, field: str, value: object) -> None:
    """Read once and stored: what the lie left behind must not break the pages of the order for good."""
    buyer = come_back(deceived.stage)

    with deceived.liar.telling(*PAYMENT, saying(field, value)):
        page = look(buyer)
    healed = look(buyer)
    order = buyer.get(f"/orders/{buyer.ref}")

    assert order.status_code == 200
    for text in (page.text, healed.text, order.get_data(as_text=True)):
        assert "4242424242424242" not in text
        assert "<img src=x" not in text
    assert state_of(page) in ("waiting", "offer", "no_method", "thanks")


@pytest.mark.parametrize(
    ("field", "value"),
    cases(
        {
            "id": (None, ..., "", "cks_other", LONG),
            "payment_id": ("", "pay_other", "../payments/x", "pay_1?x=1", LONG, 17, [], MARKUP),
        }
    ),
)
def test_session_that_names_no_payment_of_ours_is_not_believed(
    deceived: Deceived, unseen: Browser, field: str, value: object
) -> None:
    with deceived.liar.telling(*SESSION, saying(field, value)):
        page = look(unseen)

    assert state_of(page) == "waiting"


def test_session_that_names_another_buyers_payment_shows_nothing_of_it(deceived: Deceived) -> None:
    """The return handler's classic: a true and successful payment, but somebody else's."""
    stage = deceived.stage
    victim = stage.buyer()
    payment = stage.one("SELECT payment_id FROM checkouts WHERE ref = :ref", ref=victim.ref)["payment_id"]
    thief = stage.browser()
    session = str(thief.send(thief.page("/p/starter-course"), "buy").location).rpartition("/")[2]
    thief.ref = stage.one("SELECT ref FROM checkouts WHERE provider_session_id = :id", id=session)["ref"]

    with deceived.liar.telling(*SESSION, saying("payment_id", payment)):
        page = look(thief)

    assert state_of(page) == "waiting"
    mine = "SELECT o.id FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref"
    assert stage.shop.store.rows(mine, ref=thief.ref) == []
    assert len(stage.shop.store.rows(mine, ref=victim.ref)) == 1


# ---- Where to pay --------------------------------------------------------------------------------------------------

NO_CHECKOUT: tuple[Any, ...] = (
    *("https://evil.example/session/1", "javascript:alert(1)", "//evil.example", "http://checkout.dodopayments.com/x"),
    *("https://{host}.evil.example/", "https://user@{host}/", "http://{host}\\@evil.example", "http://{host}\r\nX: y"),
    *("data:text/html,x", "", " http://{host}/session/1", "http://[", 17, None, ..., [], LONG, "http://{host}/é"),
)


@pytest.mark.parametrize("url", NO_CHECKOUT, ids=lambda url: str(url)[:30])
def test_checkout_address_that_is_none_is_never_followed(deceived: Deceived, url: object) -> None:
    stage = deceived.stage
    named = url.format(host=stage.sandbox.url.removeprefix("http://")) if isinstance(url, str) else url
    buyer = stage.browser()
    page = buyer.page("/p/starter-course")

    with deceived.liar.telling(*START, saying("checkout_url", named)):
        answer = buyer.send(page, "buy")

    assert answer.status_code == 503
    assert "Location" not in answer.headers
    assert "evil" not in answer.get_data(as_text=True)
    assert "Nothing was charged" in answer.get_data(as_text=True)
    kept = stage.shop.store.rows("SELECT checkout_url FROM checkouts WHERE checkout_url LIKE '%evil%'")
    assert kept == []


# ---- The catalogue -------------------------------------------------------------------------------------------------

WRONG_PRODUCTS = cases(
    {
        "items": (None, ..., {}, [None]),
        "items.0.product_id": (None, ..., "", "a b", LONG, 17),
        "items.0.price": (-1, 2**63, Raw("1e400"), "12", 12.5, True),
        "items.0.currency": ("usd", "DOLLAR", 17),
        "items.0.name": (None, ..., "", "   ", MARKUP, LONG, "\u202e\u0000"),
        "items.0.description": (None, MARKUP, LONG),
        "items.0.image": (
            "javascript:alert(1)",
            "http://[",
            "//evil.example/x.png",
            MARKUP,
            LONG,
            "http://evil.example:99999",
        ),
        "items.0.is_recurring": (None, "yes", ...),
        "items.0.price_detail": (None, ..., [], {}),
    }
)


@pytest.mark.parametrize(("field", "value"), WRONG_PRODUCTS)
def test_shop_pages_are_drawn_whatever_the_catalogue_says(deceived: Deceived, field: str, value: object) -> None:
    """A catalogue that cannot be read changes nothing; one that can is shown as text, and from no other host."""
    stage = deceived.stage
    visitor = stage.browser()

    with deceived.liar.telling("GET", r"/products", saying(field, value)):
        try:
            catalogue.sync(stage.shop)
        except Unavailable:
            assert stage.one("SELECT count(*) AS n FROM products WHERE archived_at IS NULL")["n"] >= 3
    try:
        pages = [visitor.page("/"), visitor.page("/p/starter-course")]
    finally:
        catalogue.sync(stage.shop)

    for page in pages:
        assert not page.all("img", src="x")
        for image in page.all("img"):
            assert image.attributes["src"].startswith((stage.sandbox.url, deceived.liar.url, "/static/"))
