"""The acts on an offer: who may, with what, what is asked of the services, and what is answered."""

from dataclasses import replace

import pytest
from flask import Flask

from blueprints.security import Limits
from encore.services import charging, offers
from encore.services.consent import Consent
from encore.services.pages import OfferPage, OfferState
from encore.services.shop import Shop
from encore.store import meta, open_store
from tests.html import form_fields, read
from tests.web import factories
from tests.web.conftest import Visit, World

PAGE = f"/o/{factories.INSTANCE}"
ACTS = {
    "accept": ("offer", "offer-accept"),
    "decline": ("offer", "offer-decline"),
    "continue": ("failed", "continue-without"),
    "checkout": ("failed", "go-to-checkout"),
    "cancel": ("processing", "cancel-payment"),
}


def fields_of(visit: Visit, world: World, act: str) -> dict[str, str]:
    """The fields of the form for `act`, as the page that offers it holds them."""
    state, test_id = ACTS[act]
    world.offer = factories.offer_page(state)  # type: ignore[arg-type]
    return form_fields(read(visit.get(PAGE).get_data(as_text=True)).test_id(test_id))


@pytest.mark.parametrize("act", ACTS)
def test_plain_form_is_answered_by_a_redirect_that_shows_the_result(visit: Visit, world: World, act: str) -> None:
    answer = visit.post(f"{PAGE}/{act}", fields_of(visit, world, act))

    assert answer.status_code == 303
    follows = {"accept": PAGE, "cancel": PAGE, "checkout": world.checkout_url}.get(act, f"/r/{factories.REF}")
    assert answer.location == follows
    assert [name for name, _ in world.calls] == [act]


@pytest.mark.criterion("R10b")
@pytest.mark.parametrize(
    "field",
    [
        "customer_id",
        "customer",
        "product",
        "product_id",
        "quantity",
        "price",
        "amount",
        "currency",
        "tax",
        "payment_method",
        "payment_method_id",
        "discount_code",
        "instance_id",
        "anything",
    ],
)
def test_accept_refuses_every_field_the_row_decides(visit: Visit, world: World, field: str) -> None:
    fields = fields_of(visit, world, "accept")

    answer = visit.post(f"{PAGE}/accept", {**fields, field: "1"})

    assert answer.status_code == 400
    assert world.calls == []


def test_accept_refuses_a_query(visit: Visit, world: World) -> None:
    answer = visit.post(f"{PAGE}/accept?customer_id=cus_1", fields_of(visit, world, "accept"))

    assert answer.status_code == 400
    assert world.calls == []


def test_accept_hands_over_the_hash_shown_and_the_consent(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "accept")

    visit.post(f"{PAGE}/accept", fields, headers={"User-Agent": "Firefox"}, environ_base={"REMOTE_ADDR": "192.0.2.77"})

    (_, facts), *_ = world.calls
    consent: Consent = facts["consent"]
    assert facts["quote_hash"] == factories.offer_page().quote_hash
    assert facts["buy_again"] is False
    assert consent.button == "Pay $23.20 now"
    assert consent.language == "en"
    assert consent.ip == "192.0.2.0"
    assert consent.user_agent == "Firefox"
    assert consent.template.startswith("offers/_offer.html@")


@pytest.mark.parametrize("language", ["en", "vi"])
def test_consent_holds_the_words_the_page_showed(visit: Visit, world: World, language: str) -> None:
    visit.language = language
    shown = read(visit.get(PAGE).get_data(as_text=True)).test_id("offer").text

    visit.post(f"{PAGE}/accept", fields_of(visit, world, "accept"))

    (_, facts), *_ = world.calls
    words = [" ".join(line.split()) for line in facts["consent"].text.splitlines()]
    sentences = [line for line in words if ": " not in line or line.endswith(".")]
    assert len(sentences) >= 4
    for sentence in sentences:
        assert sentence in shown
    for figure in ("20", "3", "23"):
        assert any(
            line.endswith((f"${figure}.00", f"${figure}.20", f"{figure},00 US$", f"{figure},20 US$")) for line in words
        )


def test_owned_offer_is_bought_again_only_on_purpose(visit: Visit, world: World) -> None:
    world.offer = factories.offer_page("owned")
    form = read(visit.get(PAGE).get_data(as_text=True)).test_id("buy-again")

    visit.post(f"{PAGE}/accept", form_fields(form))

    assert form.attributes["action"] == f"{PAGE}/accept"
    assert world.calls[0][1]["buy_again"] is True


STATUSES = {
    "receipt": 200,
    "processing": 200,
    "checking": 200,
    "action_required": 200,
    "not_charged": 200,
    "failed": 402,
    "quote_changed": 409,
    "expired": 410,
    "withdrawn": 410,
    "answered": 410,
}


@pytest.mark.parametrize(("state", "status"), STATUSES.items())
def test_htmx_accept_gets_the_result_with_a_true_status(
    visit: Visit, world: World, state: OfferState, status: int
) -> None:
    fields = fields_of(visit, world, "accept")
    world.after = factories.offer_page(state)

    answer = visit.post(f"{PAGE}/accept", fields, htmx="offers-offer")

    assert answer.status_code == status
    fragment = read(answer.get_data(as_text=True))
    assert fragment.children[0].attributes["id"] == f"offers-{state}"
    assert fragment.one("hx-partial").attributes["hx-target"] == "#live"


@pytest.mark.parametrize("turns_at", ["limit", "claim"])
def test_page_after_a_click_is_what_the_rows_are_by_then(
    visit: Visit, world: World, app: Flask, monkeypatch: pytest.MonkeyPatch, turns_at: str
) -> None:
    """What another click has changed while this one was answered is not shown as it was."""
    name, seen = f"turned at {turns_at}", []
    other = open_store(app.extensions["encore"].store.path)

    def page(shop: Shop, *_: object, **__: object) -> OfferPage:
        seen.append(meta.get_number(shop.store, name))
        return factories.offer_page()

    def turn(*_: object, **__: object) -> str:
        with other.write():
            meta.mark_value(other, name, value=1)
        return "moved"

    fields = fields_of(visit, world, "accept")
    monkeypatch.setattr(offers, "page", page)
    if turns_at == "claim":
        monkeypatch.setattr(charging, "accept", turn)
    else:
        monkeypatch.setattr(Limits, "count", lambda *_, **__: len(turn()))
    visit.post(f"{PAGE}/accept", fields, htmx="offers-offer")

    other.close()
    assert seen == [None, 1]


@pytest.mark.parametrize(("outcome", "status"), [("limited", 429), ("unavailable", 503)])
@pytest.mark.parametrize("htmx", [None, "offers-offer"])
def test_accept_that_could_not_be_taken_says_nothing_was_charged(
    visit: Visit, world: World, outcome: charging.AcceptResult, status: int, htmx: str | None
) -> None:
    fields = fields_of(visit, world, "accept")
    world.accepted = outcome

    answer = visit.post(f"{PAGE}/accept", fields, htmx=htmx)

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == status
    assert "Nothing was charged." in page.text
    assert page.has_test_id("go-to-checkout")
    assert page.has_test_id("offer-decline")


@pytest.mark.criterion("R10c")
@pytest.mark.parametrize(
    "state", [s for s in factories.OFFER_STATES if s not in ("offer", "quote_changed", "no_method", "owned", "limited")]
)
def test_token_used_twice_shows_the_existing_result(visit: Visit, world: World, state: OfferState) -> None:
    fields = fields_of(visit, world, "accept")
    world.offer = factories.offer_page(state)

    answer = visit.post(f"{PAGE}/accept", fields)

    assert answer.status_code == 303
    assert answer.location == PAGE
    assert world.calls == []


@pytest.mark.criterion("R10d")
@pytest.mark.parametrize("act", ACTS)
def test_post_from_a_foreign_browser_leads_to_the_shop_and_does_nothing(
    app: Flask, visit: Visit, stranger: Visit, world: World, act: str
) -> None:
    stolen = fields_of(visit, world, act)
    own = read(stranger.get("/").get_data(as_text=True)).all("input", name="csrf_token")[0].attributes["value"]

    answer = stranger.post(f"{PAGE}/{act}", {**stolen, "csrf_token": own})

    assert answer.status_code == 303
    assert answer.location == "/p/design-templates"
    assert world.calls == []


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJ2IjoxfQ.awZjAA.tgQdF4OKR-ZCTGcfttgyuNe0GeU"])
def test_malformed_token_is_404_and_does_nothing(visit: Visit, world: World, act: str, token: str) -> None:
    fields = fields_of(visit, world, act)

    answer = visit.post(f"{PAGE}/{act}", {**fields, "offer_token": token})

    assert answer.status_code == 404
    assert world.calls == []


@pytest.mark.criterion("R10a")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("other", ACTS)
def test_token_of_one_act_does_not_work_for_another(visit: Visit, world: World, act: str, other: str) -> None:
    if act == other:
        return
    token = fields_of(visit, world, other)["offer_token"]
    fields = fields_of(visit, world, act)

    answer = visit.post(f"{PAGE}/{act}", {**fields, "offer_token": token})

    assert answer.status_code == 404
    assert world.calls == []


@pytest.mark.criterion("R10a")
def test_token_of_one_instance_does_not_work_for_another(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "accept")
    other = factories.INSTANCE[:-1] + "Z"
    world.offer = factories.offer_page(instance_id=other)

    answer = visit.post(f"/o/{other}/accept", fields)

    assert answer.status_code == 404
    assert world.calls == []


@pytest.mark.parametrize("path", ["", "/status"])
def test_unknown_and_foreign_offers_look_the_same(visit: Visit, stranger: Visit, path: str) -> None:
    unknown = visit.get(f"/o/nothing{path}")
    foreign = stranger.get(f"{PAGE}{path}")

    for answer in (unknown, foreign):
        page = read(answer.get_data(as_text=True))
        assert answer.status_code == 404
        assert page.one("main").attributes["data-page-state"] == "other_browser"
        assert "Starter Course" not in page.text
        assert "1042" not in page.text
    assert (
        read(unknown.get_data(as_text=True)).one("main").text == read(foreign.get_data(as_text=True)).one("main").text
    )


def test_unknown_instance_answers_a_post_with_404(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "decline")

    answer = visit.post("/o/nothing/decline", fields)

    assert answer.status_code == 404
    assert world.calls == []


@pytest.mark.criterion("R12a")
def test_htmx_decline_brings_the_next_offer_in_one_request(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "decline")
    downsell = factories.offer_page(instance_id="oi_next", words={"title": "Only the covers", "gain": "", "terms": ""})
    world.returned = factories.return_page("offer", offer=downsell)

    answer = visit.post(f"{PAGE}/decline", fields, htmx="offers-offer")

    fragment = read(answer.get_data(as_text=True))
    assert fragment.one("h1").text == "Only the covers"
    assert fragment.test_id("offer").attributes["data-instance"] == "oi_next"
    assert fragment.one("hx-partial").text == "Only the covers"


def test_htmx_decline_at_the_end_of_the_funnel_opens_the_thank_you_page(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "decline")

    answer = visit.post(f"{PAGE}/decline", fields, htmx="offers-offer")

    assert answer.headers["HX-Redirect"] == f"/r/{factories.REF}"
    assert answer.get_data() == b""


def test_checkout_that_cannot_be_opened_is_said_plainly(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "checkout")
    world.checkout_url = None

    answer = visit.post(f"{PAGE}/checkout", fields)

    page = read(answer.get_data(as_text=True))
    assert answer.status_code == 503
    assert page.one("p", role="alert").text.startswith("The checkout cannot be reached right now. Nothing was charged.")
    assert page.has_test_id("go-to-checkout")


def test_checkout_of_an_offer_settled_meanwhile_shows_the_result(visit: Visit, world: World) -> None:
    fields = fields_of(visit, world, "checkout")
    world.checkout_url = None
    world.after = factories.offer_page("receipt")

    answer = visit.post(f"{PAGE}/checkout", fields)

    assert answer.location == PAGE


def test_way_to_the_checkout_is_never_taken_by_htmx(visit: Visit, world: World) -> None:
    for state in factories.OFFER_STATES:
        world.offer = factories.offer_page(state)
        page = read(visit.get(PAGE).get_data(as_text=True))
        leaving = [form for form in page.all("form") if form.attributes["action"].endswith("/checkout")]
        assert not any("hx-post" in form.attributes for form in leaving)


@pytest.mark.parametrize("query", ["payment_id=pay_1&status=succeeded", "email=a%40b.c", "status=failed", "x"])
def test_query_on_an_offer_is_dropped_by_a_redirect(visit: Visit, query: str) -> None:
    answer = visit.get(f"{PAGE}?{query}")

    assert answer.status_code == 303
    assert answer.location == PAGE


def test_limited_page_leads_back_to_the_offer(visit: Visit, world: World) -> None:
    world.offer = replace(factories.offer_page(), state="limited", retry_at=factories.NOW)

    page = read(visit.get(PAGE).get_data(as_text=True))

    assert "2:30 PM UTC" in page.text or "12:30 PM UTC" in page.text
    assert page.one("a", href=PAGE).text == "Try again"
