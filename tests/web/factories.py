"""One plausible buyer, order and offer as page values; a test changes only what it is about."""

from dataclasses import replace
from typing import Any, get_args

from encore.rules.money import Money
from encore.rules.quotes import Quote, QuotedMethod, QuoteLine, quote_hash
from encore.services.pages import (
    CardChoice,
    OfferPage,
    OfferState,
    OrderSummary,
    PaymentLine,
    ProductCard,
    ReturnPage,
    ReturnState,
)

OFFER_STATES: tuple[OfferState, ...] = get_args(OfferState)
RETURN_STATES: tuple[ReturnState, ...] = get_args(ReturnState)

NOW = 1_797_942_600_000  # Dec 22, 2026, 14:30 UTC
REF = "r" * 43
INSTANCE = "oi_01KQ3Z8K5V5W6X7Y8Z9A0B1C2D"
PICTURE = "http://127.0.0.1:9/pictures/templates.png"


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def visa() -> QuotedMethod:
    return QuotedMethod(
        payment_method_id="pm_1", kind="card", network="visa", last4="4242", expiry_month=6, expiry_year=2032
    )


def course(**changed: Any) -> ProductCard:
    card = ProductCard(
        id="pdt_course",
        slug="starter-course",
        name="Starter Course",
        description="Twelve short lessons that take you from a blank page to your first printed booklet.",
        image_url=None,
        price=usd(4900),
        tax_inclusive=False,
        is_recurring=False,
        interval_count=None,
        interval_unit=None,
        is_archived=False,
    )
    return replace(card, **changed)


def design_templates(**changed: Any) -> ProductCard:
    card = course(
        id="pdt_templates",
        slug="design-templates",
        name="Design Templates",
        description="Forty page templates for your course work.",
        image_url=PICTURE,
        price=usd(2000),
    )
    return replace(card, **changed)


def quote(**changed: Any) -> Quote:
    made = Quote(
        product_id="pdt_templates",
        quantity=1,
        discount_code=None,
        lines=(QuoteLine(product_id="pdt_templates", name="Design Templates", quantity=1, amount=usd(2000)),),
        subtotal=usd(2000),
        discount=usd(0),
        tax=usd(320),
        total=usd(2320),
        tax_inclusive=False,
        country="US",
        method=visa(),
        previewed_at=NOW,
    )
    return replace(made, **changed)


def order(**changed: Any) -> OrderSummary:
    made = OrderSummary(
        ref=REF,
        number=1042,
        product=course(),
        quantity=1,
        total=usd(4900),
        masked_email="l•••@example.com",
        created_at=NOW,
    )
    return replace(made, **changed)


def offer_page(state: OfferState = "offer", **changed: Any) -> OfferPage:
    """An offer in one of its states, with what that state always has."""
    figures = quote()
    page = OfferPage(
        state=state,
        instance_id=INSTANCE,
        offer_id="templates",
        order=order(),
        product=design_templates(),
        words={
            "title": "Add the Design Templates",
            "gain": "40 page templates for your course.",
            "terms": "One payment. Nothing renews.",
        },
        value_points=("Ready for A5 and A4", "Edit them in any program"),
        words_language="en",
        role="upsell",
        quote=figures,
        quote_hash=quote_hash(figures),
        moved_from=None,
        sum_with_order=usd(7220),
        deadline_at=NOW + 1_800_000,
        masked_email="l•••@example.com",
        next_url=f"/r/{REF}",
    )
    return replace(page, **{**_OF_STATE.get(state, {}), **changed})


_OF_STATE: dict[str, dict[str, Any]] = {
    "quote_changed": {"moved_from": quote(subtotal=usd(1800), tax=usd(288), total=usd(2088))},
    "no_method": {"quote": quote(method=None), "reason": "method.expired"},
    "processing": {"poll_after_s": 2.0, "can_cancel": True},
    "checking": {"poll_after_s": 5.0},
    "failed": {"reason": "card_decline.insufficient_funds"},
    "checkout_open": {"reason": "card_decline.expired"},
    "returned": {"returned": usd(2320)},
    "limited": {"retry_at": NOW + 60_000},
    "choose_quantity": {"max_quantity": 5, "next_url": "/account"},
    "choose_card": {
        "can_choose": True,
        "cards": (
            CardChoice(name="n" * 43, method=visa(), reason=None, is_chosen=True),
            CardChoice(name="m" * 43, method=visa(), reason="method.expired", is_chosen=False),
        ),
    },
}


def payment(**changed: Any) -> PaymentLine:
    line = PaymentLine(
        payment_id="pay_A1",
        product_name="Starter Course",
        quantity=1,
        amount=usd(4900),
        state="paid",
        at=NOW,
        method=visa(),
    )
    return replace(line, **changed)


def return_page(state: ReturnState = "thanks", **changed: Any) -> ReturnPage:
    """A return page in one of its states, with what that state always has."""
    values: dict[str, Any] = {"state": state, "ref": REF}
    if state == "offer":
        values |= {"order": order(), "offer": offer_page()}
    elif state == "thanks":
        second = payment(payment_id="pay_B2", product_name="Design Templates", amount=usd(2320))
        values |= {
            "order": order(),
            "payments": (payment(), second),
            "today": (usd(7220),),
            "declined": (course(id="pdt_b", slug="complete-bundle", name="Complete Bundle"),),
        }
    elif state == "payment_failed":
        values |= {"product": course(), "reason": "card_decline.insufficient_funds"}
    elif state != "other_browser":
        values |= {"product": course(), "checks_left": 5}
    return ReturnPage(**{**values, **changed})
