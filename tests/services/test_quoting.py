"""Quoting: every figure is the provider's, and the card is the one that paid (R4, R5, P3, N1)."""

import pytest

from encore.services import quoting
from encore.services.pages import OfferPage
from encore.store import customers, offer_instances, orders
from encore.store.offer_instances import OfferInstance
from tests.sandbox_process import BUNDLE
from tests.services.world import World

METHODS = "GET /customers/{customer_id}/payment-methods"
PREVIEW = "POST /checkouts/preview"


def instance_of(world: World, page: OfferPage) -> OfferInstance:
    found = offer_instances.get_instance(world.shop.store, page.instance_id)
    assert found is not None
    return found


def test_price_shown_is_the_providers_with_tax(world: World) -> None:
    """P3"""
    page = world.offer(country="DE", zipcode="10115")

    preview = world.sandbox.post(
        "/checkouts/preview",
        {
            "product_cart": [{"product_id": BUNDLE, "quantity": 1}],
            "billing_address": {"country": "DE", "zipcode": "10115"},
        },
    )

    shown, told = page.quote, preview["current_breakup"]
    assert (shown.subtotal.minor, shown.discount.minor) == (told["subtotal"], told["discount"])
    assert (shown.tax.minor, shown.total.minor) == (told["tax"], told["total_amount"])
    assert (shown.currency, shown.country) == (preview["currency"], "DE")
    assert shown.tax.minor > 0


def test_price_asked_for_is_that_of_the_buyers_address(world: World) -> None:
    world.offer(country="US", zipcode="10001")

    (asked,) = world.sandbox.requests("POST", "/checkouts/preview")
    assert asked["body"]["billing_address"]["country"] == "US"
    assert asked["body"]["billing_address"]["zipcode"] == "10001"


def test_card_that_paid_is_the_one_shown(world: World) -> None:
    """R4b"""
    page = world.offer(card="5555555555554444", expiry="11/33")

    method = page.quote.method
    assert method is not None
    assert (method.network, method.last4, method.expiry_month, method.expiry_year) == ("mastercard", "4444", 11, 2033)


def test_card_is_found_by_its_id_where_the_provider_names_it(world: World) -> None:
    world.sandbox.switch(payment_names_method=True)

    assert world.offer().quote.method is not None


def test_network_in_capitals_is_the_same_network(world: World) -> None:
    world.sandbox.switch(card_network_case="upper")

    assert world.offer().quote.method is not None


def test_only_masked_facts_of_a_card_are_kept(world: World) -> None:
    """R4c"""
    world.offer()

    stored = [str(row) for table in ("saved_methods", "payments", "offer_instances") for row in world.rows(table)]
    assert stored
    assert all("4242424242424242" not in text and "Lan Nguyen" not in text for text in stored)


def test_methods_are_kept_for_a_minute_and_read_again_before_a_charge(world: World) -> None:
    """R4a"""
    page = world.offer()
    read = len(world.sandbox.requests("GET", _methods_path(world)))

    world.offered(page.order.ref)
    assert len(world.sandbox.requests("GET", _methods_path(world))) == read

    quoting.recheck(world.shop, instance_of(world, page))
    assert len(world.sandbox.requests("GET", _methods_path(world))) == read + 1


def _methods_path(world: World) -> str:
    return f"/customers/{world.rows('customers')[0]['id']}/payment-methods"


def test_methods_read_before_a_payment_are_forgotten_with_it(world: World) -> None:
    """A card saved a moment ago is in no list that is older."""
    world.offer()
    customer_id = world.rows("customers")[0]["id"]
    assert customers.get_saved_methods(world.shop.store, customer_id) is not None

    ref = world.buy(card="5555555555554444")
    world.poll()

    assert customers.get_saved_methods(world.shop.store, customer_id) is None
    method = world.offered(ref).quote.method
    assert method is not None
    assert method.last4 == "4444"


@pytest.mark.parametrize("age_s", [0, 61])
def test_price_is_asked_for_again_however_young(world: World, age_s: int) -> None:
    """N1"""
    page = world.offer()
    asked = len(world.sandbox.requests("POST", "/checkouts/preview"))
    world.advance(age_s)

    assert quoting.recheck(world.shop, instance_of(world, page)) == "same"

    assert len(world.sandbox.requests("POST", "/checkouts/preview")) == asked + 1


def test_price_from_the_future_is_asked_for_again(world: World) -> None:
    """A clock that was set back makes its age unknown."""
    page = world.offer()
    asked = len(world.sandbox.requests("POST", "/checkouts/preview"))
    world.clock.wall_s -= 3600

    quoting.recheck(world.shop, instance_of(world, page))

    assert len(world.sandbox.requests("POST", "/checkouts/preview")) == asked + 1


@pytest.mark.parametrize("fault", ["status:500", "html", "wrong_type", "truncated", "empty"])
@pytest.mark.parametrize("endpoint", [METHODS, PREVIEW])
def test_recheck_without_a_true_answer_takes_nothing(world: World, endpoint: str, fault: str) -> None:
    page = world.offer()
    world.advance(61)
    world.sandbox.fault(endpoint, fault, times=10)

    assert world.accept(page) == "unavailable"

    assert world.charges(page) == []
    assert instance_of(world, page).state == "shown"


def test_two_tabs_that_see_the_price_move_store_it_once(world: World) -> None:
    page = world.offer()
    before = instance_of(world, page)
    world.reprice(BUNDLE, page.quote.subtotal.minor + 1000)
    world.advance(61)

    assert quoting.recheck(world.shop, before) == "moved"
    after = instance_of(world, page)
    assert quoting.recheck(world.shop, before) == "moved"

    assert instance_of(world, page) == after
    assert after.quote_hash != before.quote_hash


def test_discount_of_the_offer_is_in_the_quote_and_in_the_charge(world: World) -> None:
    """P11"""
    world.sandbox.post("/discounts", {"code": "SPRING", "type": "percentage", "amount": 2000, "name": "Spring"})
    world.publish(DISCOUNTED)
    page = world.offer()
    assert page.quote.discount.minor > 0

    world.accept(page)

    (charge,) = world.charges(page)
    assert charge["body"]["discount_codes"] == ["SPRING"]
    (payment,) = world.standing(BUNDLE)
    assert payment["total"] == page.quote.total.minor
    assert world.breaches() == ()


def test_quantity_of_the_offer_is_in_the_quote_and_in_the_charge(world: World) -> None:
    world.publish(DISCOUNTED.replace('discount_code = "SPRING"', "quantity = 2"))
    page = world.offer()

    world.accept(page)

    (charge,) = world.charges(page)
    assert charge["body"]["product_cart"] == [{"product_id": BUNDLE, "quantity": 2}]
    assert world.outcome(page) == "charged"


def test_orders_address_goes_with_every_request(world: World) -> None:
    page = world.offer(country="US", zipcode="10001", city="New York", street="1 Main St", state="NY")
    order = orders.get_order(world.shop.store, instance_of(world, page).source_ref)
    assert order is not None

    billing = quoting.billing_of(world.shop, order.id)

    assert billing.items() >= {"country": "US", "zipcode": "10001", "city": "New York", "street": "1 Main St"}.items()


DISCOUNTED = """
[[offers]]
id = "spring-bundle"
role = "upsell"
product = "complete-bundle"
discount_code = "SPRING"
title = { en = "Bundle", vi = "Trọn bộ" }

[[funnels]]
id = "spring"
priority = 99
[[funnels.steps]]
key = "bundle"
offer = "spring-bundle"
"""
