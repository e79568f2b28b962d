"""The hosted checkout page, without JavaScript."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.pages import Page, open_session, page
from tests.sandbox_process import BASIC, BUNDLE, COURSE, SandboxProcess

INPUTS = ["email", "name", "country", "zipcode", "card_number", "expiry", "cvc"]
BACK = "http://127.0.0.1:9/r/abc?keep=1"
AT_ONCE: dict[str, Any] = {"return_url": BACK, "feature_flags": {"redirect_immediately": True}}


def test_one_form_holds_the_seven_inputs(sandbox: SandboxProcess) -> None:
    shown = page(sandbox, f"/session/{open_session(sandbox)}")

    assert shown.state == "open"
    assert set(INPUTS) <= set(shown.form_with("email"))
    assert shown.by_testid("pay") is not None


def test_test_card_buttons_are_forms_of_their_own(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)

    filled = page(sandbox, f"/session/{session_id}?card=0341")

    assert filled.field("card_number")["value"] == "4000000000000341"
    assert filled.field("expiry")["value"] == "12/34"


def test_success_redirects_at_once_keeping_the_query(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox, **AT_ONCE)

    answer = sandbox.pay(session_id)

    location = urlsplit(answer.headers["location"])
    query = parse_qs(location.query)
    assert (answer.status_code, location.path) == (303, "/r/abc")
    assert query["keep"] == ["1"]
    assert query["status"] == ["succeeded"]
    assert query["email"] == ["lan@example.com"]
    assert sandbox.get(f"/payments/{query['payment_id'][0]}")["status"] == "succeeded"


def test_plan_redirects_with_its_subscription(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox, BASIC, **AT_ONCE)

    query = parse_qs(urlsplit(sandbox.pay(session_id).headers["location"]).query)

    assert query["status"] == ["active"]
    assert query["subscription_id"][0].startswith("sub_")
    assert "payment_id" not in query


def test_mixed_cart_returns_with_payment_and_subscription(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": product_id, "quantity": 1} for product_id in (COURSE, BASIC)]
    session_id = sandbox.post("/checkouts", {"product_cart": cart, **AT_ONCE})["session_id"]

    query = parse_qs(urlsplit(sandbox.pay(session_id).headers["location"]).query)

    payment = sandbox.get(f"/payments/{query['payment_id'][0]}")
    assert query["subscription_id"] == [payment["subscription_id"]]
    assert query["status"] == ["succeeded"]


def test_licence_keys_stand_in_the_return_address(sandbox: SandboxProcess) -> None:
    tool = {"name": "Tool", "tax_category": "saas", "license_key_enabled": True,
            "price": {"type": "one_time_price", "currency": "USD", "price": 900, "discount": 0,
                      "purchasing_power_parity": False}}  # fmt: skip
    cart = [{"product_id": sandbox.post("/products", tool)["product_id"], "quantity": 2}]
    session_id = sandbox.post("/checkouts", {"product_cart": cart, **AT_ONCE})["session_id"]

    query = parse_qs(urlsplit(sandbox.pay(session_id).headers["location"]).query)

    keys = [item["key"] for item in sandbox.get("/license_keys")["items"]]
    assert len(keys) == 2
    assert sorted(query["license_key"][0].split(",")) == sorted(keys)


@pytest.mark.parametrize(("asked", "leads_to"), [(True, "/authenticate/"), (False, "/session/")])
def test_shop_may_force_the_authentication(sandbox: SandboxProcess, asked: bool, leads_to: str) -> None:
    session_id = open_session(sandbox, return_url=BACK, force_3ds=asked)

    assert sandbox.pay(session_id).headers["location"].startswith(leads_to)


def test_without_the_flag_a_result_page_links_back(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox, return_url=BACK)

    answer = sandbox.pay(session_id)

    assert answer.headers["location"] == f"/session/{session_id}"
    result = page(sandbox, f"/session/{session_id}")
    back = result.by_testid("return")
    assert result.state == "paid"
    assert back is not None
    assert str(back["href"]).startswith("http://127.0.0.1:9/r/abc?keep=1&payment_id=pay_")


def test_declined_card_can_be_followed_by_another(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox, **AT_ONCE)

    first = sandbox.pay(session_id, card="4000000000009995")
    shown = page(sandbox, first.headers["location"])
    declined = sandbox.get(f"/checkouts/{session_id}")
    sandbox.pay(session_id)

    back = shown.by_testid("return")
    assert shown.state == "failed"
    assert "The card does not have enough funds." in shown.text
    assert back is not None
    assert "status=failed" in str(back["href"])
    assert shown.field("zipcode")["value"] == "10001"
    paid = sandbox.get(f"/checkouts/{session_id}")
    assert (declined["payment_status"], paid["payment_status"]) == ("failed", "succeeded")
    assert declined["payment_id"] != paid["payment_id"]


def test_declined_checkout_may_redirect_by_switch(sandbox: SandboxProcess) -> None:
    sandbox.switch(declined_checkout="redirect")
    session_id = open_session(sandbox, **AT_ONCE)

    answer = sandbox.pay(session_id, card="4000000000000002")

    assert "status=failed" in answer.headers["location"]


def test_paid_session_is_consumed(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)
    sandbox.pay(session_id)

    again = sandbox.pay(session_id)

    assert again.status_code == 409
    assert Page(again.text).state == "consumed"
    assert len(sandbox.payments()) == 1


def test_processing_payment_holds_the_session(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)
    sandbox.pay(session_id, card="4000000000000077")

    again = sandbox.pay(session_id)

    assert Page(again.text).state == "paying"
    assert len(sandbox.payments()) == 1


@pytest.mark.parametrize(("result", "state"), [("approve", "paid"), ("fail", "failed")])
def test_authentication_on_the_hosted_page(sandbox: SandboxProcess, result: str, state: str) -> None:
    session_id = open_session(sandbox)
    location = sandbox.pay(session_id, card="4000002500003155").headers["location"]
    shown = page(sandbox, location)

    sandbox.call("POST", location, data={"result": result})

    assert shown.state == "authenticate"
    assert shown.by_testid("authenticate-approve") is not None
    assert shown.by_testid("authenticate-fail") is not None
    assert page(sandbox, f"/session/{session_id}").state == state


def test_session_expires_after_a_day(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)
    sandbox.clock(86_400)

    answer = sandbox.call("GET", f"/session/{session_id}")
    sandbox.pay(session_id)

    assert (answer.status_code, Page(answer.text).state) == (410, "expired")
    assert sandbox.payments() == []


def test_confirmed_session_without_a_method_lives_fifteen_minutes(sandbox: SandboxProcess) -> None:
    confirmed: dict[str, Any] = {
        "confirm": True,
        "customer": {"email": "lan@example.com"},
        "billing_address": {"country": "US", "zipcode": "10001"},
        "minimal_address": True,
    }
    order = {"product_cart": [{"product_id": COURSE, "quantity": 1}], **confirmed}
    session = sandbox.post("/checkouts", order)
    other = open_session(sandbox, **confirmed)

    sandbox.pay(session["session_id"])
    sandbox.clock(15 * 60)

    assert sandbox.get(f"/payments/{session['payment_id']}")["status"] == "succeeded"
    assert page(sandbox, f"/session/{other}").state == "expired"


def test_unknown_session_is_404(sandbox: SandboxProcess) -> None:
    assert sandbox.call("GET", "/session/cks_nobody").status_code == 404
    assert sandbox.pay("cks_nobody").status_code == 404
    assert sandbox.call("GET", "/authenticate/pay_nobody").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("name", " "),
        ("country", "KP"),
        ("zipcode", ""),
        ("card_number", "4111111111111111"),
        ("expiry", "01/20"),
        ("expiry", "13/32"),
        ("cvc", "x"),
    ],
)
def test_bad_field_is_named_and_nothing_is_charged(sandbox: SandboxProcess, field: str, value: str) -> None:
    session_id = open_session(sandbox)

    more = {"card": value} if field == "card_number" else {field: value}
    answer = sandbox.pay(session_id, **more)

    shown = Page(answer.text)
    assert answer.status_code == 422
    assert shown.by_testid("pay") is not None
    assert f'href="#{field}"' in answer.text
    assert sandbox.payments() == []


def test_total_follows_the_country_without_charging(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)

    whole = sandbox.call("POST", f"/session/{session_id}/total", data={"country": "DE", "zipcode": "1"})
    part = sandbox.call("GET", f"/session/{session_id}/total?country=DE&zipcode=1")

    for answer in (whole, part):
        assert 'data-minor="5831"' in answer.text
    assert sandbox.payments() == []


def test_address_fixed_by_the_shop_cannot_be_changed(sandbox: SandboxProcess) -> None:
    session_id = open_session(
        sandbox,
        customer={"email": "shop@example.com"},
        feature_flags={"allow_customer_editing_email": False},
    )

    shown = page(sandbox, f"/session/{session_id}")
    sandbox.pay(session_id, email="thief@example.com")

    assert "readonly" in shown.field("email")
    assert sandbox.get(f"/checkouts/{session_id}")["customer_email"] == "shop@example.com"


def test_saved_method_is_offered_only_to_its_customer(sandbox: SandboxProcess) -> None:
    customer_id = sandbox.buy()["customer"]["customer_id"]
    method_id = sandbox.methods(customer_id)[0]["payment_method_id"]
    known = open_session(sandbox, BUNDLE, customer={"customer_id": customer_id}, show_saved_payment_methods=True)
    typed = open_session(sandbox, BUNDLE, customer={"email": "lan@example.com"})

    assert method_id in page(sandbox, f"/session/{known}").text
    assert method_id not in page(sandbox, f"/session/{typed}").text
    sandbox.pay(known, card="", method=method_id)
    assert sandbox.get(f"/checkouts/{known}")["payment_status"] == "succeeded"
    assert sandbox.pay(typed, card="", method=method_id).status_code == 422


def test_discount_code_typed_by_the_buyer_counts(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 5000, "code": "HALF"})
    open_to_codes = open_session(sandbox)
    closed = open_session(sandbox, feature_flags={"allow_discount_code": False})

    sandbox.pay(open_to_codes, discount_code="half", country="HK")
    sandbox.pay(closed, discount_code="half", country="HK")

    assert sorted(payment["total"] for payment in sandbox.payments()) == [2450, 4900]


@pytest.mark.parametrize("state", ["open", "failed", "authenticate", "paid"])
def test_pages_speak_vietnamese(sandbox: SandboxProcess, state: str) -> None:
    session_id = open_session(sandbox, return_url=BACK, cancel_url=BACK)
    card = {"failed": "4000000000000002", "authenticate": "4000002500003155", "paid": "4242424242424242"}.get(state)
    if card:
        sandbox.pay(session_id, card=card)
    payment_id = sandbox.get(f"/checkouts/{session_id}")["payment_id"]
    path = f"/authenticate/{payment_id}" if state == "authenticate" else f"/session/{session_id}"

    shown = page(sandbox, path, headers={"accept-language": "vi-VN,vi;q=0.9,en;q=0.8"})

    assert shown.state == state
    assert '<html lang="vi">' in shown.text
    # Card names are names; nothing else may be left in English.
    text = re.sub(r'(?s)<div class="fills">.*?</div>', "", shown.text)
    for english in ("Country", "Total", "Return", "Cancel", "Approve", "Checkout", "Your"):
        assert not re.search(rf">\s*{english}\b", text), english


def test_cookies_are_neither_read_nor_set(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)
    cookie = {"cookie": "encore_buyer=secret-value"}

    answers = [
        sandbox.call("GET", path, headers=cookie)
        for path in ("/", f"/session/{session_id}", "/products", "/_sandbox/state")
    ]

    assert all("set-cookie" not in answer.headers for answer in answers)
    assert "secret-value" not in sandbox.call("GET", "/_sandbox/requests").text


def test_pages_allow_no_foreign_script(sandbox: SandboxProcess) -> None:
    shown = sandbox.call("GET", f"/session/{open_session(sandbox)}")

    assert "script-src 'self'" in shown.headers["content-security-policy"]
    assert not re.search(r"<script>|style=|\son\w+=", shown.text)


def test_markup_in_names_stays_text(sandbox: SandboxProcess) -> None:
    product = sandbox.post(
        "/products",
        {
            "name": "<script>alert(1)</script>",
            "tax_category": "saas",
            "price": {"type": "one_time_price", "currency": "USD", "price": 900, "discount": 0,
                      "purchasing_power_parity": False},
        },
    )  # fmt: skip

    shown = page(sandbox, f"/session/{open_session(sandbox, product['product_id'])}")

    assert "<script>alert" not in shown.text
