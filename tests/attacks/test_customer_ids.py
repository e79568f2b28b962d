"""The attack of the provider's own guide: knowing a `cus_` id, or somebody's address, is worth nothing here."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.attacks.stage import AUTHENTICATES_LATER, DECLINES_LATER, MASTERCARD, Browser, Stage, state_of
from tests.attacks.test_identities import TABLE, path_of
from tests.html import form_fields

# Every name under which an application may take somebody's word for who they are or what they pay.
CUSTOMER_NAMES = (
    *("customer_id", "customerId", "customer", "customer[customer_id]", "customer[id]", "cus", "cid", "uid"),
    *("user", "user_id", "account", "account_id", "owner", "id", "sub", "email", "customer_email", "as", "on_behalf"),
)
METHOD_NAMES = ("payment_method_id", "payment_method", "pm", "method", "card", "card_id", "saved_card")
ORDER_NAMES = ("order_id", "order", "payment_id", "session_id", "checkout_id", "ref", "source_ref", "buyer_key")
DECIDED_NAMES = (
    *("product_id", "product", "products", "product_cart", "product_cart[0][product_id]", "quantity", "qty"),
    *("price", "amount", "total", "total_amount", "tax", "currency", "discount", "discount_code", "billing_address"),
    *("undo_at", "state", "outcome", "instance_id", "offer_id", "metadata", "metadata_attempt_id", "return_url"),
)
HEADERS = ("X-Customer-Id", "X-User-Id", "X-Forwarded-User", "Remote-User", "Authorization", "Customer-Id")


@pytest.fixture(scope="module")
def victim(stage: Stage) -> Browser:
    return stage.buyer()


def values_of(stage: Stage, victim: Browser) -> dict[str, str]:
    """The true value for each name: what the best informed thief would send."""
    order = stage.one(
        "SELECT o.* FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref", ref=victim.ref
    )
    method = stage.sandbox.methods(order["customer_id"])[0]["payment_method_id"]
    values = dict.fromkeys(CUSTOMER_NAMES, str(order["customer_id"]))
    values |= {"email": victim.email, "customer_email": victim.email}
    values |= dict.fromkeys(METHOD_NAMES, str(method))
    values |= {"order_id": order["id"], "order": order["id"], "payment_id": order["payment_id"]}
    values |= {"checkout_id": order["checkout_id"], "source_ref": order["id"], "ref": victim.ref}
    return {**values, "buyer_key": order["buyer_key"], "session_id": "cks_1"}


@pytest.mark.criterion("R10d")
def test_no_route_takes_a_customers_id_from_a_stranger(stage: Stage, victim: Browser) -> None:
    """Each name in the query, the form, the JSON body, a header and a cookie; the answer is as without it."""
    stranger = stage.browser()
    values = values_of(stage, victim)
    token = stranger.csrf()
    carriers: list[dict[str, Any]] = [
        *({"query_string": {name: value}} for name, value in values.items()),
        {"query_string": values},
    ]
    carriers += [{"headers": dict.fromkeys(HEADERS, values["customer_id"])}]
    for method, rule in TABLE:
        if rule == "/readyz":
            continue
        path = path_of(rule, victim)
        bodies: list[dict[str, Any]] = [{}]
        if method == "POST":
            bodies = [*({"data": {"csrf_token": token, name: value}} for name, value in values.items())]
            bodies += [{"json": values, "headers": {"X-CSRFToken": token}}]
        # Asking for a link is everybody's, also with somebody else's address: only its owner gets the link.
        with stage.unchanged(but=("meta", "sign_in_links") if rule == "/account/sign-in" else ("meta",)):
            is_personal = not TABLE[method, rule].is_for_all
            of_page = carriers if is_personal else carriers[-2:]
            for carrier in of_page if method == "GET" else bodies:
                answer = stranger.open(method, path, **carrier)
                text = answer.get_data(as_text=True)
                assert answer.status_code in (TABLE[method, rule].others.status, 303, 400, 401, 404)
                # The digits as a word: an error page names its own random number, which may have them in it.
                assert not re.search(r"\b4242\b", text), f"{method} {rule} tells the card"
                for fact in (victim.email, str(values["customer_id"]), str(values["pm"])):
                    assert fact not in text, f"{method} {rule} tells {fact}"
                if answer.status_code == 303:
                    assert "session" not in answer.headers["Location"]


@pytest.mark.parametrize("act", ["decline", "continue", "cancel", "checkout"])
def test_acts_of_a_buyer_are_about_their_own_rows_only(stage: Stage, victim: Browser, act: str) -> None:
    """Somebody's own sound form, with all of the victim's ids added, leaves the victim's rows as they are."""
    thief = stage.buyer()
    before = rows_about(stage, victim)

    thief.act(act, **values_of(stage, victim))

    assert rows_about(stage, victim) == before
    assert victim.charges() == []


def rows_about(stage: Stage, victim: Browser) -> list[Any]:
    customer = {"customer": victim.row()["customer_id"]}
    tables = ("offer_instances", "acceptances", "suppressions", "payments", "orders", "saved_methods", "spend")
    return [
        stage.shop.store.rows(f"SELECT * FROM {table} WHERE customer_id = :customer", **customer) for table in tables
    ]


@pytest.mark.criterion("R10b")
@pytest.mark.parametrize("name", [*CUSTOMER_NAMES, *METHOD_NAMES, *ORDER_NAMES, *DECIDED_NAMES])
def test_accept_with_a_field_the_row_decides_is_400(stage: Stage, victim: Browser, name: str) -> None:
    """R10b: customer, product, quantity, price, currency and method come from the row, and from nowhere else."""
    value = values_of(stage, victim).get(name, "1")

    with stage.unchanged():
        answers = [
            victim.act("accept", **{name: value}),
            victim.act("accept", **{name: ""}),
            victim.open("POST", f"/o/{victim.instance}/accept?{name}=1", data=sound_form(stage, victim)),
        ]

    assert {answer.status_code for answer in answers} == {400}


def sound_form(stage: Stage, victim: Browser) -> dict[str, str]:
    token = stage.token(victim.instance, "accept")
    return {"csrf_token": victim.csrf(), "offer_token": token, "quote_hash": victim.row()["quote_hash"]}


# ---- The typed address ---------------------------------------------------------------------------------------------


def second_with_address_of(stage: Stage, first: Browser, card: str = MASTERCARD, **form: str) -> Browser:
    """Another browser that buys with the first one's address: the provider books it to the same customer."""
    second = stage.buyer(card, email=first.email, name="Thief", **form)
    assert second.row()["customer_id"] == first.row()["customer_id"]
    return second


def method_of(charge: Any) -> str:
    return str(charge["body"]["payment_method_id"])


def test_typed_address_charges_the_card_that_paid_and_no_other(stage: Stage) -> None:
    """security.md, section 2: paying proves possession of one card, not of an address."""
    first = stage.buyer()
    second = second_with_address_of(stage, first)
    cards = {
        m["card"]["last4_digits"]: m["payment_method_id"] for m in stage.sandbox.methods(first.row()["customer_id"])
    }
    page = second.offer()

    second.send(page, "offer-accept")

    assert "4242" not in page.text
    assert "Mastercard •••• 4444" in page.test_id("method-choice").text
    assert [method_of(charge) for charge in second.charges()] == [cards["4444"]]
    assert first.charges() == []


def test_typed_address_whose_card_is_gone_gets_the_checkout_and_no_other_card(stage: Stage) -> None:
    """Never "most recently used": the card that paid is gone, another saved card of the customer is not a match."""
    first = stage.buyer()
    second = second_with_address_of(stage, first)
    customer = first.row()["customer_id"]
    page = second.offer()
    for method in stage.sandbox.methods(customer):
        if method["card"]["last4_digits"] == "4444":
            stage.sandbox.call("DELETE", f"/customers/{customer}/payment-methods/{method['payment_method_id']}")

    second.send(page, "offer-accept")
    after = second.offer()

    assert second.charges() == []
    assert state_of(after) == "no_method"
    assert "4242" not in after.text
    assert after.has_test_id("go-to-checkout")


@pytest.mark.parametrize("card", [DECLINES_LATER, AUTHENTICATES_LATER])
def test_fallback_of_a_typed_address_opens_no_door_to_the_first_buyers_cards(stage: Stage, card: str) -> None:
    """The hosted session for somebody who has only paid names no customer and shows no saved method."""
    first = stage.buyer()
    second = second_with_address_of(stage, first, card, expiry="12/34")
    second.act("accept")
    before = len(stage.sandbox.requests("POST", "/checkouts"))

    second.act("checkout")

    for request in stage.sandbox.requests("POST", "/checkouts")[before:]:
        assert "customer_id" not in str(request["body"])
        assert request["body"]["show_saved_payment_methods"] is False
        assert request["body"]["feature_flags"]["allow_customer_editing_email"] is False


def test_checkout_of_a_typed_address_is_nobodys(stage: Stage) -> None:
    """A browser that has only paid under the first buyer's address buys on as a stranger; signed in as itself, too."""
    first = stage.buyer()
    second = second_with_address_of(stage, first)
    for signs_in, slug in ((False, "basic-plan"), (True, "design-templates")):
        if signs_in:
            stage.buyer(email="second@example.com")
            second.sign_in("second@example.com")
        before = len(stage.sandbox.requests("POST", "/checkouts"))

        second.send(second.page(f"/p/{slug}"), "buy")

        (request,) = stage.sandbox.requests("POST", "/checkouts")[before:]
        assert first.row()["customer_id"] not in str(request["body"])
        assert ("customer_id" in str(request["body"])) is signs_in, "their own, once they have proven an address"


def test_who_sits_down_after_a_signed_in_buyer_is_not_led_to_their_checkout(stage: Stage) -> None:
    """The provider's page would take them for that buyer, with the buyer's saved cards."""
    buyer = stage.buyer()
    buyer.sign_in()
    known = buyer.send(buyer.page("/p/basic-plan"), "buy").location
    (body,) = [r["body"] for r in stage.sandbox.requests("POST", "/checkouts")[-1:]]
    assert body["customer"] == {"customer_id": buyer.row()["customer_id"]}
    ref = body["return_url"].rpartition("/")[2]
    with stage.shop.store.write():
        stage.shop.store.run("UPDATE sign_ins SET seen_at = seen_at - 1800000")

    # The account is over, the cookie is not: neither the product nor the return page leads there.
    again = [buyer.send(buyer.page("/p/basic-plan"), "buy"), buyer.send(buyer.page(f"/r/{ref}"), "go-to-checkout")]
    assert {urlsplit(answer.location).path for answer in again} == {"/account/sign-in"}
    buyer.send(buyer.page("/"), "sign-out")
    assert buyer.get(f"/r/{ref}").status_code == 404
    after = buyer.send(buyer.page("/p/basic-plan"), "buy").location
    assert after != known
    assert "customer_id" not in str(stage.sandbox.requests("POST", "/checkouts")[-1]["body"])


def test_fallback_of_a_typed_address_tells_no_name_of_the_first_buyer(stage: Stage) -> None:
    """Whoever knows an address must not be told whose it is."""
    first = stage.buyer(name="Nguyen Thi Lan")
    second = second_with_address_of(stage, first, DECLINES_LATER, expiry="12/34")
    # The first buyer comes back, so that the provider's customer and ours carry their name again.
    stage.buyer(email=first.email, name="Nguyen Thi Lan")
    second.act("accept")

    leads_to = second.act("checkout").location

    assert leads_to is not None
    hosted = stage.sandbox.call("GET", leads_to.removeprefix(stage.sandbox.url)).text
    assert "Nguyen Thi Lan" not in hosted
    assert "Nguyen Thi Lan" not in second.page(f"/r/{second.ref}").text


def test_typed_address_sees_no_order_of_the_first_buyer(stage: Stage) -> None:
    first = stage.buyer()
    first.act("accept")
    second = stage.browser()
    second.email = first.email
    started = second.send(second.page("/p/starter-course"), "buy")
    session = str(started.location).rpartition("/")[2]
    stage.sandbox.pay(session, card=MASTERCARD, email=first.email)
    row = stage.one("SELECT ref FROM checkouts WHERE provider_session_id = :id", id=session)
    number = stage.one(
        "SELECT o.number FROM orders o JOIN checkouts c ON c.id = o.checkout_id WHERE c.ref = :ref", ref=first.ref
    )["number"]

    pages = [second.page(f"/r/{row['ref']}"), second.page(f"/orders/{row['ref']}")]

    for page in pages:
        assert f"E-{number}" not in page.text
        assert "4242" not in page.text
    assert second.get(f"/orders/{first.ref}").status_code == 404
    assert form_fields(pages[0].test_id("sign-out"))
