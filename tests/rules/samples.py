"""One plausible order, offer, funnel, quote and card; a test changes only what it is about."""

from dataclasses import replace
from typing import Any

from encore.rules.facts import Facts, ProductFacts
from encore.rules.funnels import Funnel, Step, read_funnel
from encore.rules.kinds import Offer, read_offer
from encore.rules.methods import SavedMethod, Usable
from encore.rules.money import Money
from encore.rules.quotes import Quote, QuoteLine

# 25 November 2026, 12:00 UTC.
NOON = 1_795_608_000_000

CARD = SavedMethod(
    payment_method_id="pm_1",
    kind="card",
    method_type="credit",
    network="visa",
    last4="4242",
    expiry_month=6,
    expiry_year=2032,
    reusable=True,
)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def quote(**changes: Any) -> Quote:
    plain = Quote(
        product_id="pdt_bundle",
        quantity=1,
        discount_code=None,
        lines=(QuoteLine("pdt_bundle", "Bundle", 1, usd(2000)),),
        subtotal=usd(2000),
        discount=usd(0),
        tax=usd(320),
        total=usd(2320),
        tax_inclusive=False,
        country="US",
        method=CARD.as_quoted(),
        previewed_at=NOON,
    )
    return replace(plain, **changes)


def offer_table(**changes: Any) -> dict[str, Any]:
    words = {"en": "Bundle", "vi": "Trọn bộ"}
    return {"id": "bundle", "role": "upsell", "product": "pdt_bundle", "title": words, **changes}


def offer(offer_id: str = "bundle", **changes: Any) -> Offer:
    read = read_offer(offer_table(id=offer_id, **changes), version=1)
    assert isinstance(read, Offer)
    return read


def funnel(*steps: Step, **changes: Any) -> Funnel:
    """A funnel that matches every order; its one step shows the bundle unless others are given."""
    return replace(
        Funnel(
            id="after-course",
            version=1,
            priority=10,
            trigger="order_paid",
            placement="return_page",
            rules=(),
            steps=steps or (Step("up", "bundle"),),
        ),
        **changes,
    )


def ruled_funnel(*groups: list[dict[str, Any]], **changes: Any) -> Funnel:
    table = {"id": "ruled", "steps": [{"key": "up", "offer": "bundle"}], "rules": list(groups), **changes}
    read = read_funnel(table, version=1)
    assert isinstance(read, Funnel)
    return read


def facts(**changes: Any) -> Facts:
    plain = Facts(
        customer_id="cus_1",
        products_bought=frozenset({"pdt_course"}),
        total=usd(4900),
        country="US",
        language="en",
        orders_so_far=1,
        owned_products=frozenset(),
        suppressed_products=frozenset(),
        products={
            "pdt_bundle": ProductFacts(usd(2000), is_archived=False),
            "pdt_templates": ProductFacts(usd(900), is_archived=False),
        },
        live_offers=frozenset({"bundle", "templates", "bundle-less"}),
        method=Usable(CARD),
        now=NOON,
    )
    return replace(plain, **changes)
