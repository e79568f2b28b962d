"""Accounts belong to proven addresses: what those see who have no link, an old one, another's, or only a typed address.

Every refusal is checked to have changed nothing here and nothing at the provider.
"""

from collections.abc import Callable

import pytest

from tests.attacks.stage import DAY_S, MASTERCARD, MINUTE_S, Browser, Stage, state_of
from tests.attacks.test_identities import with_cookies_of
from tests.html import form_fields, read

# What an account is made of, as paths of one's own; a stranger is sent to the sign-in from all of them.
PAGES = ("/account", "/account/orders", "/account/orders/before/999999999", "/account/methods")
LOOKED_AT = ("sign_ins",)


def signed_in(stage: Stage, **form: str) -> Browser:
    """A buyer who has proven their address."""
    return stage.buyer(**form).sign_in()


@pytest.fixture(scope="module")
def victim(stage: Stage) -> Browser:
    """A signed-in buyer with an order and a saved card, whom every test here leaves as they are."""
    return signed_in(stage)


def facts_of(stage: Stage, victim: Browser) -> list[str]:
    """Whatever would tell somebody of this account."""
    row = victim.row()
    number = stage.one(
        "SELECT o.number FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref", ref=victim.ref
    )["number"]
    return [victim.email, row["customer_id"], f"E-{number}", "4242"]


def methods_of(stage: Stage, buyer: Browser) -> list[str]:
    return [method["payment_method_id"] for method in stage.sandbox.methods(buyer.row()["customer_id"])]


def method_form(buyer: Browser) -> dict[str, str]:
    """The form that removes this buyer's first card, as it stands in their page."""
    return form_fields(buyer.page("/account/methods").all(data_testid="remove-method")[0])


# ---- Who has no account --------------------------------------------------------------------------------------------


def has_never_been_here(stage: Stage, victim: Browser) -> Browser:
    return stage.browser()


def has_only_paid(stage: Stage, victim: Browser) -> Browser:
    return stage.buyer(MASTERCARD)


def has_paid_with_the_victims_address(stage: Stage, victim: Browser) -> Browser:
    thief = stage.buyer(MASTERCARD, email=victim.email)
    assert thief.row()["customer_id"] == victim.row()["customer_id"]
    return thief


def has_read_the_store(stage: Stage, victim: Browser) -> Browser:
    browser = stage.browser()
    key = stage.one("SELECT buyer_key FROM sign_ins WHERE address = :address", address=victim.email)["buyer_key"]
    browser.client.set_cookie("encore_buyer", key, domain="127.0.0.1")
    return browser


def has_asked_for_the_link_only(stage: Stage, victim: Browser) -> Browser:
    browser = stage.browser()
    browser.ask_for_link(victim.email)
    return browser


def has_opened_the_link_without_its_button(stage: Stage, victim: Browser) -> Browser:
    browser = stage.browser()
    browser.get(browser.ask_for_link(victim.email))
    assert "•••" in browser.page("/account/sign-in/open").text
    return browser


NO_ACCOUNT: list[Callable[[Stage, Browser], Browser]] = [
    has_never_been_here,
    has_only_paid,
    has_paid_with_the_victims_address,
    has_read_the_store,
    has_asked_for_the_link_only,
    has_opened_the_link_without_its_button,
]


@pytest.mark.parametrize("enter", NO_ACCOUNT, ids=lambda enter: enter.__name__)
def test_browser_without_account_is_sent_to_the_sign_in(
    stage: Stage, victim: Browser, enter: Callable[[Stage, Browser], Browser]
) -> None:
    """A thief's browser: paid with the subscriber's e-mail, gets no account."""
    stranger = enter(stage, victim)
    facts = facts_of(stage, victim)
    form = method_form(victim)
    del form["csrf_token"]

    with stage.unchanged(but=LOOKED_AT):
        answers = [stranger.get(path) for path in PAGES]
        answers += [stranger.get(path, is_htmx=True) for path in PAGES]
        answers += [stranger.post("/account/methods/remove", form, is_htmx=is_htmx) for is_htmx in (False, True)]
        orders = [stranger.get(f"/orders/{victim.ref}"), stranger.get(f"/orders/{victim.ref}/payments/1/invoice")]

    for answer in answers:
        assert (answer.location or answer.headers["HX-Redirect"]).startswith("/account/sign-in")
    assert [answer.status_code for answer in orders] == [404, 404]
    for answer in (*answers, *orders):
        assert [fact for fact in facts if fact in answer.get_data(as_text=True)] == []


@pytest.mark.parametrize(
    "pass_time",
    [pytest.param((30,), id="half an hour idle"), pytest.param((*[29] * 24, 24), id="twelve hours, never idle")],
)
def test_account_ends_by_time(stage: Stage, pass_time: tuple[int, ...]) -> None:
    buyer = signed_in(stage)
    began = stage.clock.wall_s
    try:
        for minutes in pass_time[:-1]:
            stage.clock.wall_s += minutes * MINUTE_S
            assert buyer.get("/account").status_code == 200
        stage.clock.wall_s += pass_time[-1] * MINUTE_S

        answers = [buyer.get(path) for path in PAGES]
        order = buyer.get(f"/orders/{buyer.ref}")
    finally:
        stage.clock.wall_s = began

    assert {answer.status_code for answer in answers} == {303}
    # The browser that paid has its order for a day, account or not.
    assert order.status_code == 200


@pytest.mark.criterion("P28")
def test_sign_out_ends_the_account_of_a_copied_cookie_too(stage: Stage) -> None:
    buyer = signed_in(stage)
    copy = with_cookies_of(stage, buyer)
    assert copy.get("/account").status_code == 200

    buyer.send(buyer.page("/account"), "sign-out")

    assert [browser.get("/account").status_code for browser in (buyer, copy)] == [303, 303]


# ---- Whose account -------------------------------------------------------------------------------------------------


def test_account_holds_nothing_of_another(stage: Stage, victim: Browser) -> None:
    """Signed in as oneself, with every path and name of somebody else's account."""
    other = signed_in(stage, card=MASTERCARD)
    facts, before = facts_of(stage, victim), methods_of(stage, victim)
    taken = method_form(victim)["method"]

    with stage.unchanged(
        but=(*LOOKED_AT, "saved_methods", "subscriptions", "subscription_reads", "grant_reads", "decisions")
    ):
        pages = [other.get(path) for path in PAGES]
        foreign = [other.get(f"/orders/{victim.ref}"), other.get(f"/orders/{victim.ref}/payments/1/invoice")]
        removal = other.post("/account/methods/remove", {"method": taken})

    assert [answer.status_code for answer in pages] == [200] * len(PAGES)
    assert [answer.status_code for answer in foreign] == [404, 404]
    assert (removal.status_code, state_of(read(removal.get_data(as_text=True)))) == (404, "gone")
    for answer in (*pages, *foreign, removal):
        assert [fact for fact in facts if fact in answer.get_data(as_text=True)] == []
    assert methods_of(stage, victim) == before


@pytest.mark.parametrize("name", ["", "pm_1", "x" * 43, "own id"])
def test_only_the_name_in_the_page_removes_a_method(stage: Stage, victim: Browser, name: str) -> None:
    buyer = victim
    before = methods_of(stage, buyer)

    # The provider's own id is worth nothing either: it never was in a page.
    answer = buyer.post("/account/methods/remove", {"method": before[0] if name == "own id" else name})

    assert answer.status_code == 404
    assert methods_of(stage, buyer) == before


def test_no_page_of_an_account_holds_an_id_of_the_provider(stage: Stage) -> None:
    buyer = stage.buyer(email="ids@example.com")
    buyer.act("accept")
    buyer.sign_in()
    customer = buyer.row()["customer_id"]
    secrets = [customer, *methods_of(stage, buyer), "cus_", "pm_", "sub_"]

    for path in (*PAGES, f"/orders/{buyer.ref}", "/account/sign-in"):
        answer = buyer.get(path)
        text = answer.get_data(as_text=True) + str(answer.location or "")
        assert [secret for secret in secrets if secret in text] == [], path


def test_signed_in_buyer_opens_an_order_of_another_browser(stage: Stage) -> None:
    buyer = stage.buyer()
    elsewhere = stage.browser()
    assert elsewhere.get(f"/orders/{buyer.ref}").status_code == 404

    elsewhere.sign_in(buyer.email)

    assert elsewhere.page(f"/orders/{buyer.ref}").test_id("order-summary")
    with stage.later(40 * DAY_S):
        late = stage.browser().sign_in(buyer.email)
        assert late.page(f"/orders/{buyer.ref}").test_id("order-summary")
    # An account shows orders; the offer stays with the browser it was made to.
    assert elsewhere.get(f"/o/{buyer.instance}").status_code == 404


def test_invoice_is_a_file_and_nothing_else(stage: Stage) -> None:
    """What the provider sends is kept by the browser, never shown as a page of ours."""
    buyer = stage.buyer()
    buyer.act("accept")
    buyer.sign_in()

    answers = [buyer.get(f"/orders/{buyer.ref}/payments/{number}/invoice") for number in (1, 2)]
    missing = [buyer.get(f"/orders/{buyer.ref}/payments/{number}/invoice") for number in (0, 3, 10**9)]

    for number, answer in enumerate(answers, start=1):
        assert answer.status_code == 200
        assert answer.data.startswith(b"%PDF-")
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        assert answer.headers["Content-Disposition"].endswith(f'-{number}.pdf"')
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answers[0].data != answers[1].data
    assert {answer.status_code for answer in missing} == {404}


def test_typed_address_gets_no_invoice_of_its_own_order(stage: Stage, victim: Browser) -> None:
    """The provider's document names its customer, whose address somebody else has typed."""
    thief = stage.buyer(MASTERCARD, email=victim.email)
    asked = len(stage.sandbox.requests("GET"))

    answer = thief.get(f"/orders/{thief.ref}/payments/1/invoice")

    assert (answer.status_code, answer.location) == (303, f"/account/sign-in?to=/orders/{thief.ref}")
    assert len(stage.sandbox.requests("GET")) == asked


def test_typed_address_chooses_no_card_of_the_customer(stage: Stage, victim: Browser) -> None:
    """The offer is the thief's own and its customer the victim: their other cards want the address proven."""
    thief = stage.buyer(MASTERCARD, email=victim.email)
    visa = victim.page("/account/methods").all(data_testid="remove-method")[0]
    form = {"offer_token": stage.token(thief.instance, "card"), "method": form_fields(visa)["method"]}

    with stage.unchanged():
        answers = [thief.get(f"/o/{thief.instance}/cards"), thief.post(f"/o/{thief.instance}/card", form)]
    own = stage.buyer(MASTERCARD)
    thief.sign_in(own.email)
    answers += [thief.get(f"/o/{thief.instance}/cards"), thief.post(f"/o/{thief.instance}/card", form)]

    assert {answer.location for answer in answers[:2]} == {f"/account/sign-in?to=/r/{thief.ref}"}
    for answer in answers:
        assert answer.status_code == 303
        assert "4242" not in answer.get_data(as_text=True)
    thief.act("accept")
    methods = {
        m["payment_method_id"]: m["card"]["last4_digits"] for m in stage.sandbox.methods(thief.row()["customer_id"])
    }
    assert [methods[charge["body"]["payment_method_id"]] for charge in thief.charges()] == ["4444"]


@pytest.mark.criterion("P4")
def test_sign_in_from_an_offer_leads_back_to_it_and_to_its_cards(stage: Stage) -> None:
    stage.sandbox.buy(email="two-cards@example.com")
    buyer = stage.buyer(MASTERCARD, email="two-cards@example.com")
    link = buyer.ask_for_link(to=f"/r/{buyer.ref}")
    elsewhere = stage.browser()

    buyer.get(link)
    back = buyer.send(buyer.page("/account/sign-in/open"), "sign-in-confirm")
    shown = buyer.page(f"/o/{buyer.instance}/cards")
    visa = next(row for row in shown.all(data_testid="method") if "4242" in row.text).one("input")
    chosen = buyer.send(shown, "method-choice", method=visa.attributes["value"])
    paid = buyer.send(buyer.page(str(chosen.location)), "offer-accept")

    assert back.location == f"/r/{buyer.ref}"
    assert chosen.location == paid.location == f"/o/{buyer.instance}"
    assert "Visa •••• 4242" in buyer.offer().text
    assert len(buyer.charges()) == 1
    # The same wish, but the link is opened where the offer is not.
    elsewhere.get(elsewhere.ask_for_link(buyer.email, to=f"/r/{buyer.ref}"))
    assert elsewhere.send(elsewhere.page("/account/sign-in/open"), "sign-in-confirm").location == "/account"


@pytest.mark.parametrize("fault", ["status:500", "status:404", "reset"])
def test_invoice_that_cannot_be_had_is_told_in_our_words(stage: Stage, victim: Browser, fault: str) -> None:
    stage.sandbox.fault("GET /invoices/payments/{id}", fault)

    answer = victim.get(f"/orders/{victim.ref}/payments/1/invoice")

    stage.sandbox.clear_faults()
    assert answer.status_code == (404 if fault == "status:404" else 503)
    assert state_of(read(answer.get_data(as_text=True))) == "error"


def test_product_bought_elsewhere_is_known_after_the_sign_in_only(stage: Stage) -> None:
    buyer, elsewhere = stage.buyer(), stage.browser()

    states = [state_of(elsewhere.page("/p/starter-course"))]
    states.append(state_of(elsewhere.sign_in(buyer.email).page("/p/starter-course")))
    elsewhere.post("/sign-out")
    states.append(state_of(elsewhere.page("/p/starter-course")))

    assert states == ["ready", "owned", "ready"]
