"""An offer with a discount: what the page shows, what the click charges and what the checkout carries are one price."""

import pytest

from encore.services.pages import OfferPage
from tests.services.world import World

# Dodo's limits on metadata. Source: its documentation of metadata.
MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 50, 40, 500
TEN_PERCENT_OFF = """
[[offers]]
id = "templates-cheaper"
role = "upsell"
product = "design-templates"
discount_code = "TENOFF"
title = { en = "Design templates", vi = "Mẫu thiết kế" }

[[funnels]]
id = "templates-first"
priority = 99
[[funnels.steps]]
key = "templates"
offer = "templates-cheaper"
"""


def discounted(world: World) -> OfferPage:
    world.sandbox.post("/discounts", {"type": "percentage", "amount": 1000, "code": "TENOFF"})
    world.publish(TEN_PERCENT_OFF)
    return world.offer()


@pytest.mark.criterion("P3")
def test_discounted_price_is_shown_and_charged(world: World) -> None:
    page = discounted(world)
    quote = page.quote
    assert (quote.subtotal.minor, quote.discount.minor) == (2000, 200)
    assert quote.total == quote.subtotal - quote.discount + quote.tax

    world.accept(page)

    (charge,) = world.charges(page)
    assert charge["body"]["discount_codes"] == ["TENOFF"]
    (payment,) = world.standing(page.product.id)
    assert payment["total"] == quote.total.minor
    assert world.breaches() == ()


@pytest.mark.criterion("R24b", "R11b")
def test_standard_checkout_carries_the_discount(world: World) -> None:
    page = discounted(world)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    world.accept(page)

    world.pay_at(world.open_checkout(page), card="5555555555554444")
    world.come_back(page.order.ref)

    (payment,) = world.standing(page.product.id)
    assert payment["total"] == page.quote.total.minor
    assert payment["metadata"]["offer_id"] == "templates-cheaper"
    assert world.outcome(page) == "charged"


@pytest.mark.criterion("R11a")
def test_charge_names_where_it_comes_from_within_the_limits(world: World) -> None:
    page = world.offer()
    world.accept(page)

    (charge,) = world.charges(page)
    metadata = charge["body"]["metadata"]
    instance = world.rows("offer_instances")[0]
    assert metadata == {
        "attempt_id": world.attempt(page).id,
        "attempt_sig": metadata["attempt_sig"],
        "offer_id": "complete-bundle",
        "offer_version": "1",
        "funnel_id": "starter-course",
        "funnel_version": "1",
        "step": "bundle",
        "first_order": instance["source_ref"],
        "placement": "return_page",
        "role": "upsell",
    }
    assert len(metadata) <= MOST_PAIRS
    assert all(len(key) <= LONGEST_KEY and len(value) <= LONGEST_VALUE for key, value in metadata.items())
