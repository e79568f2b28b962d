"""What a session's flags, custom fields and customization change on its hosted page, and the static link to one."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.pages import Page, open_session, page
from tests.sandbox_process import ATLAS, BASIC, COURSE, SACH, SandboxProcess

BACK = "http://127.0.0.1:9/r/abc"
FIELDS = [
    {"key": "size", "label": "Size", "field_type": "dropdown", "options": ["S", "M"], "required": True},
    {"key": "gift wrap?", "label": "Gift", "field_type": "boolean"},
    {"key": "born", "label": "Born", "field_type": "date"},
    {"key": "site", "label": "Site", "field_type": "url"},
    {"key": "people", "label": "People", "field_type": "number"},
]


@pytest.mark.parametrize(
    ("flags", "asked", "not_asked"),
    [
        ({}, {"phone", "tax_id", "street", "discount_code"}, {"card_holder"}),
        ({"allow_phone_number_collection": False, "allow_tax_id": False}, set(), {"phone", "tax_id", "business_name"}),
        ({"allow_phone_number_collection": False, "require_phone_number": True}, {"phone"}, set()),
        ({"allow_discount_code": False, "require_cardholder_name": True}, {"card_holder"}, {"discount_code"}),
    ],
    ids=["defaults", "neither phone nor tax number", "phone required after all", "card holder, no code"],
)
def test_flags_change_what_is_asked(
    sandbox: SandboxProcess, flags: dict[str, bool], asked: set[str], not_asked: set[str]
) -> None:
    names = set(page(sandbox, f"/session/{open_session(sandbox, feature_flags=flags)}").fields())

    assert asked <= names
    assert not names & not_asked


def test_minimal_address_asks_for_no_street(sandbox: SandboxProcess) -> None:
    names = page(sandbox, f"/session/{open_session(sandbox, minimal_address=True)}").fields()

    assert {"country", "zipcode"} <= set(names)
    assert not {"street", "city", "state"} & set(names)


@pytest.mark.parametrize(
    ("flag", "field"),
    [("require_phone_number", "phone"), ("require_tax_id", "tax_id"), ("require_cardholder_name", "card_holder")],
)
def test_required_field_must_be_filled_in(sandbox: SandboxProcess, flag: str, field: str) -> None:
    session_id = open_session(sandbox, feature_flags={flag: True})

    refused = sandbox.pay(session_id)
    sandbox.pay(session_id, **{field: "0123 456"})

    assert refused.status_code == 422
    assert f'href="#{field}"' in refused.text
    assert len(sandbox.payments()) == 1


def test_answers_to_custom_fields_stand_in_payment_and_subscription(sandbox: SandboxProcess) -> None:
    cart = [{"product_id": COURSE, "quantity": 1}, {"product_id": BASIC, "quantity": 1}]
    session_id = sandbox.post("/checkouts", {"product_cart": cart, "custom_fields": FIELDS})["session_id"]

    sandbox.pay(session_id, custom_0="M", custom_1="true", custom_4="2.5", tax_id="DE1", business_name="Lan Ltd")

    payment = sandbox.get(f"/payments/{sandbox.get(f'/checkouts/{session_id}')['payment_id']}")
    subscription = sandbox.get(f"/subscriptions/{payment['subscription_id']}")
    answers = [
        {"key": "size", "value": "M"},
        {"key": "gift wrap?", "value": "true"},
        {"key": "people", "value": "2.5"},
    ]
    assert payment["custom_field_responses"] == answers
    assert subscription["custom_field_responses"] == answers
    assert (subscription["tax_id"], subscription["customer_business_name"]) == ("DE1", "Lan Ltd")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"custom_0": "XL"},
        {"custom_0": "S", "custom_1": "perhaps"},
        {"custom_0": "S", "custom_2": "yesterday"},
        {"custom_0": "S", "custom_3": "javascript:alert(1)"},
        {"custom_0": "S", "custom_4": "two"},
    ],
    ids=["missing", "no option", "no boolean", "no date", "no address", "no number"],
)
def test_bad_answer_to_a_custom_field_is_named(sandbox: SandboxProcess, answers: dict[str, str]) -> None:
    answer = sandbox.pay(open_session(sandbox, custom_fields=FIELDS), **answers)

    assert answer.status_code == 422
    assert re.search(r'href="#custom_\d"', answer.text)
    assert sandbox.payments() == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ([FIELDS[0]] * 6, "custom_fields"),
        ([{"key": "a", "label": "A", "field_type": "colour"}], "custom_fields[0].field_type"),
        ([{"key": "a", "label": "A", "field_type": "dropdown"}], "custom_fields[0].options"),
        ([{"label": "A", "field_type": "text"}], "key"),
    ],
)
def test_custom_fields_that_cannot_be_asked_are_refused(sandbox: SandboxProcess, fields: list[Any], named: str) -> None:
    cart = [{"product_id": COURSE, "quantity": 1}]

    answer = sandbox.call("POST", "/checkouts", {"product_cart": cart, "custom_fields": fields})

    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"{named}:")


def test_customization_changes_the_looks(sandbox: SandboxProcess) -> None:
    look = {
        "theme": "dark",
        "force_language": "vi",
        "show_order_details": False,
        "theme_config": {
            "pay_button_text": "Mua ngay",
            "radius": "2px",
            "light": {"button_primary": "ff8800", "bg_primary": "red; } body { display: none"},
        },
    }
    path = f"/session/{open_session(sandbox, customization=look)}"

    shown = page(sandbox, path, headers={"accept-language": "en"})

    assert '<html lang="vi" data-theme="dark">' in shown.text
    assert "Mua ngay" in shown.text
    assert '<details class="order">' in shown.text
    style = sandbox.call("GET", f"{path}/theme.css")
    assert style.headers["content-type"].startswith("text/css")
    assert style.text == ":root { --accent: light-dark(#ff8800, #ff8800); --radius: 2px; }\n"


def test_free_order_asks_for_no_card(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 10_000, "code": "GIFT"})
    session_id = open_session(sandbox, discount_codes=["GIFT"])

    shown = page(sandbox, f"/session/{session_id}")
    sandbox.pay(session_id, card="", cvc="", expiry="")

    assert shown.by_testid("no-card-needed") is not None
    assert "required" not in shown.field("card_number")
    assert sandbox.payments()[0]["total"] == 0
    assert page(sandbox, f"/session/{session_id}").state == "paid"


def test_plan_says_what_is_due_later(sandbox: SandboxProcess) -> None:
    shown = page(sandbox, f"/session/{open_session(sandbox, BASIC)}")

    assert shown.by_testid("due-later") is not None
    assert re.search(r"Then \$30\.00 every month, from [A-Z][a-z]{2} \d+, \d{4}\.", shown.text)


@pytest.mark.parametrize(
    ("product_id", "address", "total", "words"),
    [
        (SACH, {"country": "VN", "zipcode": "1"}, "218900", ["218,900", "Tax<"]),
        (ATLAS, {"country": "DE", "zipcode": "1"}, "2400", ["€24.00", "Tax, included"]),
    ],
    ids=["no decimals", "tax inclusive"],
)
def test_totals_are_written_as_their_currency_is(
    sandbox: SandboxProcess, product_id: str, address: dict[str, str], total: str, words: list[str]
) -> None:
    shown = page(sandbox, f"/session/{open_session(sandbox, product_id, billing_address=address)}")

    figure = shown.by_testid("checkout-total")
    assert figure is not None
    assert figure["data-minor"] == total
    assert all(word in shown.text for word in words)


def test_refused_discount_code_is_told_where_the_total_is_updated(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox)

    whole = sandbox.call("POST", f"/session/{session_id}/total", data={"country": "US", "discount_code": "NOPE"})
    part = sandbox.call("GET", f"/session/{session_id}/total?country=US&zipcode=1&discount_code=NOPE")

    assert 'href="#discount_code"' in whole.text
    assert "This code cannot be used." in part.text


def test_order_that_is_sold_no_longer_says_so(sandbox: SandboxProcess) -> None:
    session_id = open_session(sandbox, return_url=BACK)
    sandbox.call("DELETE", f"/products/{COURSE}")

    shown, paid = sandbox.call("GET", f"/session/{session_id}"), sandbox.pay(session_id)

    for answer in (shown, paid):
        assert (answer.status_code, Page(answer.text).state) == (410, "unavailable")
    assert Page(shown.text).by_testid("return") is not None
    assert sandbox.payments() == []


def test_cancel_link_leads_back_to_the_shop(sandbox: SandboxProcess) -> None:
    back = page(sandbox, f"/session/{open_session(sandbox, cancel_url=BACK)}").by_testid("cancel")

    assert back is not None
    assert back["href"] == BACK
    assert page(sandbox, f"/session/{open_session(sandbox)}").by_testid("cancel") is None


def test_payment_link_works_without_its_session(sandbox: SandboxProcess) -> None:
    payment = sandbox.buy(card="4000002760003184")
    sandbox.post(
        "/checkouts",
        {
            "product_cart": [{"product_id": COURSE, "quantity": 1}],
            "customer": {"customer_id": payment["customer"]["customer_id"]},
            "billing_address": {"country": "US", "zipcode": "10001"},
            "minimal_address": True,
            "confirm": True,
            "payment_method_id": sandbox.methods(payment["customer"]["customer_id"])[0]["payment_method_id"],
            "return_url": BACK,
        },
    )
    waiting = sandbox.get(f"/payments/{sandbox.payments()[-1]['id']}")
    # Longer than a session lives.
    sandbox.clock(2 * 86_400)
    path = urlsplit(waiting["payment_link"]).path

    shown = page(sandbox, path)
    back = sandbox.call("POST", path, data={"result": "approve"}).headers["location"]

    assert shown.state == "authenticate"
    assert parse_qs(urlsplit(back).query)["status"] == ["succeeded"]
    assert sandbox.get(f"/payments/{waiting['payment_id']}")["status"] == "succeeded"


# ---- Static links


def test_static_link_opens_a_checkout_of_its_own(sandbox: SandboxProcess) -> None:
    query = (
        f"quantity=2&redirect_url={BACK}&email=lan@example.com&fullName=Lan&country=DE&zipCode=10115"
        "&disableEmail=true&metadata_ref=abc"
    )

    location = sandbox.call("GET", f"/buy/{COURSE}?{query}").headers["location"]
    shown = page(sandbox, location)
    answer = sandbox.pay(location.rsplit("/", 1)[1], email="thief@example.com", country="DE")

    assert shown.field("email") | {"readonly": None} == shown.field("email")
    assert shown.field("zipcode")["value"] == "10115"
    assert answer.headers["location"].startswith(f"{BACK}?payment_id=")
    (payment,) = sandbox.payments()
    assert payment["metadata"] == {"ref": "abc"}
    assert payment["lines"][0]["quantity"] == 2
    assert sandbox.get(f"/customers/{payment['customer_id']}")["email"] == "lan@example.com"


@pytest.mark.parametrize("path", ["/buy/pdt_nobody", f"/buy/{COURSE}?quantity=0", f"/buy/{COURSE}?country=QQ"])
def test_static_link_that_sells_nothing_is_404(sandbox: SandboxProcess, path: str) -> None:
    answer = sandbox.call("GET", path)

    assert (answer.status_code, Page(answer.text).state) == (404, "unknown")
    assert sandbox.control("objects/sessions")["items"] == []
