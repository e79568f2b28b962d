"""Every page state in both languages: what it says, which ways on it gives, and which it must not give."""

from dataclasses import replace

import pytest

from encore.i18n import LANGUAGES
from encore.rules.money import Money
from encore.services.pages import OfferState, ReturnOfMoney, ReturnState, Trial
from tests.html import Element, read
from tests.web import factories
from tests.web.conftest import Visit, World

# ux.md, section 8: which page states carry which outcome; the others carry none.
OUTCOMES = {
    "receipt": "paid",
    "processing": "processing",
    "waiting": "processing",
    "still_processing": "processing",
    "checking": "checking",
    "failed": "card-declined",
    "payment_failed": "card-declined",
    "action_required": "needs-authentication",
    "not_charged": "needs-checkout",
    "checkout_open": "needs-checkout",
    "no_method": "needs-checkout",
    "limited": "needs-checkout",
    "expired": "expired",
    "withdrawn": "expired",
    "returned": "answered",
    "owned": "answered",
    "answered": "answered",
    "quote_changed": "moved",
}
# ux.md, section 4: the ways on of each state.
WAYS = {
    "offer": {"offer-accept", "offer-decline", "method-choice"},
    "quote_changed": {"offer-accept", "offer-decline", "method-choice"},
    "choose_card": {"method-choice", "go-to-checkout", "offer-decline"},
    "choose_quantity": {"quantity-choice"},
    "no_method": {"go-to-checkout", "offer-decline"},
    "limited": {"go-to-checkout", "offer-decline"},
    "processing": {"check-again", "cancel-payment"},
    "checking": {"check-again"},
    "action_required": {"go-to-checkout", "continue-without"},
    "failed": {"go-to-checkout", "continue-without"},
    "not_charged": {"go-to-checkout", "continue-without"},
    "checkout_open": {"go-to-checkout", "continue-without"},
    "owned": {"buy-again"},
    "receipt": set(),
    "returned": set(),
    "answered": set(),
    "expired": set(),
    "withdrawn": set(),
}
ALL_WAYS = {*set().union(*WAYS.values()), "undo"}

languages = pytest.mark.parametrize("language", LANGUAGES)
offer_states = pytest.mark.parametrize("state", factories.OFFER_STATES)


def draw(visit: Visit, world: World, state: OfferState, language: str, path: str = f"/r/{factories.REF}") -> Element:
    visit.language = language
    world.offer = factories.offer_page(state)
    world.returned = factories.return_page("offer", offer=world.offer)
    answer = visit.get(path)
    assert answer.status_code == 200
    return read(answer.get_data(as_text=True))


@pytest.mark.criterion("P18")
@languages
@offer_states
def test_each_offer_state_shows_its_ways_on_and_no_other(
    visit: Visit, world: World, state: OfferState, language: str
) -> None:
    page = draw(visit, world, state, language)

    assert page.one("main").attributes["data-page-state"] == state
    assert page.one("html").attributes["lang"] == language
    assert {name for name in ALL_WAYS if page.has_test_id(name)} == WAYS[state]
    outcomes = [element.attributes["data-state"] for element in page.all(data_testid="outcome")]
    assert outcomes == ([OUTCOMES[state]] if state in OUTCOMES else [])
    assert page.test_id("sign-out").tag == "form"
    assert page.test_id("order-total").text in ("$49.00", "49,00 US$")


@languages
@offer_states
def test_each_offer_state_reads_the_same_on_its_own_page(
    visit: Visit, world: World, state: OfferState, language: str
) -> None:
    returned = draw(visit, world, state, language)
    alone = draw(visit, world, state, language, f"/o/{factories.INSTANCE}")

    assert alone.one("main").text == returned.one("main").text
    assert alone.one("title").text == returned.one("title").text


@languages
@offer_states
def test_each_offer_state_is_a_fragment_within_its_bytes(
    visit: Visit, world: World, state: OfferState, language: str
) -> None:
    draw(visit, world, state, language)

    answer = visit.get(f"/o/{factories.INSTANCE}/status", htmx="offers-offer_before")

    fragment = read(answer.get_data(as_text=True))
    assert fragment.children[0].attributes["id"] == f"offers-{state}"
    assert len(answer.get_data()) <= 6_000
    assert fragment.one("hx-partial").text == fragment.one("title").text.removesuffix(" – Paper & Co")


@pytest.mark.parametrize("state", ["processing", "checking"])
def test_poll_without_news_is_not_announced_again(visit: Visit, world: World, state: OfferState) -> None:
    draw(visit, world, state, "en")

    answer = visit.get(f"/o/{factories.INSTANCE}/status", htmx=f"offers-{state}")

    assert not read(answer.get_data(as_text=True)).all("hx-partial")


@pytest.mark.parametrize("state", ["processing", "checking"])
def test_polling_ends_when_the_service_says_so(visit: Visit, world: World, state: OfferState) -> None:
    world.offer = factories.offer_page(state, poll_after_s=None)

    page = read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True))

    assert not [element for element in page.all() if "hx-trigger" in element.attributes]
    assert page.has_test_id("check-again")


def test_processing_offers_cancel_only_while_nothing_is_sent(visit: Visit, world: World) -> None:
    world.offer = factories.offer_page("processing", can_cancel=False)

    page = read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True))

    assert not page.has_test_id("cancel-payment")


@pytest.mark.criterion("R24c")
@languages
@pytest.mark.parametrize("state", ["processing", "checking"])
def test_no_pay_button_stands_while_the_outcome_is_open(
    visit: Visit, world: World, state: OfferState, language: str
) -> None:
    page = draw(visit, world, state, language)

    actions = {form.attributes["action"].rpartition("/")[2] for form in page.all("form")}
    assert actions <= {"sign-out", "cancel"}


@pytest.mark.criterion("R35a", "R35b")
@languages
@pytest.mark.parametrize("state", ["offer", "quote_changed"])
def test_no_weighs_as_much_as_yes(visit: Visit, world: World, state: OfferState, language: str) -> None:
    page = draw(visit, world, state, language)

    yes, no = page.test_id("offer-accept"), page.test_id("offer-decline")
    assert yes.parent is no.parent
    assert no.one("button").text == {"en": "No, thank you", "vi": "Không, cảm ơn"}[language]
    assert yes.one("button").text == {"en": "Pay $23.20 now", "vi": "Thanh toán 23,20 US$ ngay"}[language]
    assert not no.one("button").attributes.get("data-busy")


@pytest.mark.criterion("P3")
@languages
def test_offer_shows_price_tax_total_and_card_above_the_button(visit: Visit, world: World, language: str) -> None:
    page = draw(visit, world, "offer", language)

    offer = page.test_id("offer")
    assert offer.attributes["data-amount"] == "2320"
    assert offer.attributes["data-currency"] == "USD"
    assert offer.attributes["data-instance"] == factories.INSTANCE
    before_button = offer.text.split({"en": "Pay ", "vi": "Thanh toán 23"}[language])[0]
    for figure in {"en": ["$20.00", "$3.20", "$23.20", "$72.20"], "vi": ["20,00 US$", "3,20 US$"]}[language]:
        assert figure in before_button
    assert "Visa •••• 4242" in before_button


@pytest.mark.criterion("R25b")
@languages
@pytest.mark.parametrize("state", ["failed", "not_charged"])
def test_failed_states_say_not_charged_and_order_complete(
    visit: Visit, world: World, state: OfferState, language: str
) -> None:
    text = draw(visit, world, state, language).one("main").text

    assert {"en": "You were not charged", "vi": "Bạn không bị trừ tiền"}[language] in text
    assert {"en": "is complete", "vi": "đã hoàn tất"}[language] in text


@pytest.mark.criterion("R25a")
@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("card_decline.insufficient_funds", "This card does not have enough funds."),
        ("card_decline.expired", "This card has expired."),
        ("card_decline.general", None),
        ("card_decline.never_heard_of", None),
        (None, None),
    ],
)
def test_decline_reason_is_told_only_in_our_words(
    visit: Visit, world: World, reason: str | None, sentence: str | None
) -> None:
    world.offer = factories.offer_page("failed", reason=reason)

    text = read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True)).one("main").text

    assert "card_decline" not in text
    assert (sentence in text) if sentence else ("This card" not in text)


@pytest.mark.parametrize(
    ("return_state", "has_card", "english", "vietnamese"),
    [
        ("due", True, "We are returning $23.20.", "Chúng tôi đang hoàn 23,20 US$."),
        ("done", True, "We returned $23.20 to Visa •••• 4242.", "Chúng tôi đã hoàn 23,20 US$ về Visa •••• 4242."),
        ("done", False, "We returned $23.20.", "Chúng tôi đã hoàn 23,20 US$."),
        ("by_bank", True, "Your bank returned money to you.", "Ngân hàng đã trả lại tiền cho bạn."),
    ],
)
def test_money_is_back_only_where_it_is(
    visit: Visit, world: World, return_state: ReturnOfMoney, has_card: bool, english: str, vietnamese: str
) -> None:
    """On the offer's own page and above what follows it, in the same words."""
    figures = factories.quote() if has_card else factories.quote(method=None)
    returned = factories.offer_page("returned", return_state=return_state, quote=figures)
    for language, words in (("en", english), ("vi", vietnamese)):
        visit.language = language
        world.offer = returned
        world.returned = factories.return_page(settled=returned)
        alone = read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True))
        above = read(visit.get(f"/r/{factories.REF}").get_data(as_text=True))

        assert alone.one("h1").text == words
        assert above.test_id("outcome").text == words


@pytest.mark.parametrize(
    ("language", "partly", "by_bank"),
    [
        ("en", "$5.00 of it was refunded.", "Returned by your bank"),
        ("vi", "Đã hoàn 5,00 US$ trong số này.", "Ngân hàng đã trả lại"),
    ],
)
def test_order_tells_what_was_given_back(visit: Visit, world: World, language: str, partly: str, by_bank: str) -> None:
    visit.language = language
    lines = (factories.payment(refunded=factories.usd(500)), factories.payment(payment_id="pay_B2", state="lost"))
    world.returned = factories.return_page(payments=lines, today=(factories.usd(4400),))

    text = read(visit.get(f"/orders/{factories.REF}").get_data(as_text=True)).one("main").text

    assert partly in text
    assert by_bank in text


@languages
@pytest.mark.parametrize("state", [s for s in factories.RETURN_STATES if s not in ("offer", "other_browser")])
def test_each_return_state_shows_its_outcome(visit: Visit, world: World, state: ReturnState, language: str) -> None:
    visit.language = language
    world.returned = factories.return_page(state)

    answer = visit.get(f"/r/{factories.REF}")

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == 200
    assert page.one("main").attributes["data-page-state"] == state
    outcomes = [element.attributes["data-state"] for element in page.all(data_testid="outcome")]
    assert outcomes == ([OUTCOMES[state]] if state in OUTCOMES else [])
    assert page.has_test_id("check-again") == (state in ("waiting", "still_processing"))
    assert page.has_test_id("go-to-checkout") == (state in ("payment_failed", "cancelled"))
    assert page.has_test_id("thank-you") == (state == "thanks")


@languages
def test_card_that_changed_is_not_called_another_amount(visit: Visit, world: World, language: str) -> None:
    old = factories.quote(method=replace(factories.visa(), payment_method_id="pm_2", last4="1881"))
    visit.language = language
    world.returned = factories.return_page("offer", offer=factories.offer_page("quote_changed", moved_from=old))

    page = read(visit.get(f"/r/{factories.REF}").get_data(as_text=True))

    said, title = {
        "en": ("The card changed It would now be charged to Visa •••• 4242. Nothing was charged.", "The card changed"),
        "vi": ("Thẻ đã thay đổi Khoản này giờ sẽ trừ vào Visa •••• 4242. Bạn chưa bị trừ tiền.", "Thẻ đã thay đổi"),
    }[language]
    assert said in page.test_id("outcome").text
    assert page.one("title").text.startswith(title)
    assert page.has_test_id("offer-accept")
    assert not page.all("table")


@languages
@pytest.mark.parametrize("state", ["waiting", "still_processing"])
def test_trial_that_nobody_has_seen_is_said_to_be_unknown(
    visit: Visit, world: World, state: ReturnState, language: str
) -> None:
    """Who completed the checkout reads that a message follows, who left it finds the way on."""
    visit.language = language
    trial = Trial(days=14, price=factories.usd(0), ends_at=factories.NOW)
    world.returned = factories.return_page(state, product=factories.course(trial=trial), is_unseen=True)

    page = read(visit.get(f"/r/{factories.REF}").get_data(as_text=True))

    text = page.one("main").text
    assert page.test_id("outcome").attributes["data-state"] == "processing"
    assert page.has_test_id("check-again")
    assert page.has_test_id("go-to-checkout") == (state == "still_processing")
    if language == "en":
        said = "whether your trial has begun" if state == "waiting" else "we will e-mail you as soon as it has begun"
        assert said in text
        assert "payment" not in page.one("title").text


@pytest.mark.criterion("R36c")
def test_thanks_names_every_payment_their_sum_and_the_declined(visit: Visit, world: World) -> None:
    page = read(visit.get(f"/r/{factories.REF}").get_data(as_text=True))

    text = page.test_id("thank-you").text
    assert "Starter Course $49.00" in text
    assert "Design Templates $23.20" in text
    assert "Paid today $72.20" in text
    assert page.one("a", href="/p/complete-bundle").text == "Complete Bundle in the shop"


def test_settled_offer_stands_above_what_follows(visit: Visit, world: World) -> None:
    world.returned = factories.return_page(settled=factories.offer_page("receipt"))

    page = read(visit.get(f"/r/{factories.REF}").get_data(as_text=True))

    assert page.one("main").text.startswith("Paid: Design Templates. Receipt sent to l•••@example.com.")
    assert page.test_id("outcome").attributes["data-state"] == "paid"


def test_words_of_the_merchant_name_their_own_language(visit: Visit, world: World) -> None:
    visit.language = "vi"

    page = read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True))

    pitch = page.one("h1").parent
    assert pitch is not None
    assert pitch.attributes["lang"] == "en"


def test_zero_decimal_amounts_have_no_decimals(visit: Visit, world: World) -> None:
    dong = {"subtotal": 250_000, "discount": 0, "tax": 25_000, "total": 275_000}
    figures = {name: Money(minor, "VND") for name, minor in dong.items()}
    world.offer = factories.offer_page(quote=factories.quote(lines=(), **figures), sum_with_order=None)
    visit.language = "vi"

    page = read(visit.get(f"/o/{factories.INSTANCE}").get_data(as_text=True))

    assert page.test_id("offer-accept").one("button").text == "Thanh toán 275.000 ₫ ngay"


def test_markup_in_every_word_of_a_shop_is_shown_as_text(visit: Visit, world: World) -> None:
    bad = "<script>alert(1)</script>\"'><b>"
    product = factories.design_templates(name=bad, description=bad)
    words = {"title": bad, "gain": bad, "terms": bad}
    world.offer = factories.offer_page(words=words, product=product, value_points=(bad,))
    world.products = [product]

    for path in (f"/o/{factories.INSTANCE}", "/", "/p/design-templates"):
        page = visit.get(path).get_data(as_text=True)
        assert "<b>" not in page
        assert "&lt;script&gt;alert(1)" in page
