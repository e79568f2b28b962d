"""Which offer a buyer sees, whose it is, and what a no is remembered as (R6, R8, R9, R12, R35, R36; charging.md, 1)."""

import pytest

from encore.services import charging, checkout, fallback, funnels, offers
from encore.services.pages import OfferPage
from tests.sandbox_process import BUNDLE, TEMPLATES
from tests.services.points import PassPoint
from tests.services.world import DAY_S, LAN, MINH, World

LONG_FUNNEL = """
[[offers]]
id = "one"
role = "upsell"
product = "complete-bundle"
title = { en = "One", vi = "Một" }
[[offers]]
id = "two"
role = "upsell"
product = "design-templates"
title = { en = "Two", vi = "Hai" }
[[offers]]
id = "three"
role = "upsell"
product = "poster-pack"
title = { en = "Three", vi = "Ba" }

[[funnels]]
id = "long"
priority = 99
page_cap = 4
[[funnels.steps]]
key = "one"
offer = "one"
accepted = "two"
[[funnels.steps]]
key = "two"
offer = "two"
accepted = "three"
[[funnels.steps]]
key = "three"
offer = "three"
"""


def decline(world: World, page: OfferPage, *, key: str = LAN) -> None:
    offers.decline(world.shop, page.instance_id, buyer_key=key)


# ---- The no -----------------------------------------------------------------------------------------------------


def test_no_leads_to_the_downsell_and_then_to_thanks(world: World) -> None:
    """R12a R36b"""
    upsell = world.offer()

    decline(world, upsell)
    downsell = world.offered(upsell.order.ref)
    decline(world, downsell)

    assert (upsell.product.id, downsell.product.id) == (BUNDLE, TEMPLATES)
    assert downsell.quote.total < upsell.quote.total
    thanks = world.come_back(upsell.order.ref)
    assert thanks.state == "thanks"
    assert {card.id for card in thanks.declined} == {BUNDLE, TEMPLATES}
    assert world.sandbox.charges() == []
    assert world.breaches() == ()


def test_no_is_remembered_for_the_customer_on_every_device(world: World) -> None:
    """R36a: another order, another browser, the same customer."""
    upsell = world.offer()
    decline(world, upsell)
    decline(world, world.offered(upsell.order.ref))

    again = world.come_back(world.buy(key=MINH), key=MINH)

    assert (again.state, again.offer) == ("thanks", None)
    (trace,) = [
        row for row in world.rows("decisions") if "guard.not_declined" in row["reasons_json"] and not row["is_eligible"]
    ][-1:]
    assert trace["funnel_id"] == "starter-course"


def test_downsell_is_bought_after_a_no(world: World) -> None:
    upsell = world.offer()
    decline(world, upsell)
    downsell = world.offered(upsell.order.ref)

    world.accept(downsell)

    assert world.page(downsell).state == "receipt"
    assert len(world.standing(TEMPLATES)) == 1
    assert world.breaches() == ()


def test_second_no_changes_nothing(world: World) -> None:
    upsell = world.offer()

    decline(world, upsell)
    decline(world, upsell)

    assert len(world.rows("suppressions")) == 1
    assert world.page(upsell).state == "answered"


def test_yes_after_a_no_charges_nothing(world: World) -> None:
    upsell = world.offer()
    decline(world, upsell)

    assert world.accept(upsell) == "taken"

    assert world.charges(upsell) == []
    assert fallback.open_checkout(world.shop, upsell.instance_id, buyer_key=LAN) is None
    assert world.breaches() == ()


def test_no_after_a_yes_suppresses_nothing(world: World) -> None:
    upsell = world.offer()
    world.accept(upsell)

    decline(world, upsell)

    assert world.rows("suppressions") == []
    assert world.page(upsell).state == "receipt"


def test_no_in_the_middle_of_a_yes_wins_alone(world: World, pass_point: PassPoint) -> None:
    upsell = world.offer()
    pass_point("claim.checked", lambda: decline(world, upsell))

    world.accept(upsell)

    assert world.charges(upsell) == []
    assert world.page(upsell).state == "answered"
    assert world.breaches() == ()


def test_no_of_another_browser_counts_for_nothing(world: World) -> None:
    upsell = world.offer()

    decline(world, upsell, key=MINH)

    assert world.rows("suppressions") == []
    assert world.page(upsell).state == "offer"


def test_leaving_the_page_is_neither_yes_nor_no(world: World) -> None:
    """R35c"""
    upsell = world.offer()
    world.advance(31 * 60)
    world.tidy()

    assert world.page(upsell).state == "expired"
    assert (world.rows("suppressions"), world.sandbox.charges()) == ([], [])
    assert world.come_back(upsell.order.ref).state == "thanks"


# ---- Which offer ------------------------------------------------------------------------------------------------


def test_yes_leads_to_thanks(world: World) -> None:
    upsell = world.offer()
    world.accept(upsell)

    assert world.come_back(upsell.order.ref).state == "thanks"


def test_reload_and_second_tab_show_the_same_instance(world: World) -> None:
    upsell = world.offer()

    again = world.offered(upsell.order.ref)

    assert again.instance_id == upsell.instance_id
    assert len(world.rows("offer_instances")) == 1


def test_pages_of_an_order_are_capped(world: World) -> None:
    """R12c: never more than two up, even if every answer is yes and the funnel would go on."""
    world.sell("Poster pack", 1500)
    world.publish(LONG_FUNNEL)
    first = world.offer()
    world.accept(first)
    second = world.offered(first.order.ref)
    world.accept(second)

    assert world.come_back(first.order.ref).state == "thanks"
    assert len(world.rows("offer_instances")) == 2
    assert len(world.sandbox.charges()) == 2


def test_owned_product_is_not_offered(world: World) -> None:
    """P8"""
    world.accept(world.offer())

    assert world.come_back(world.buy()).state == "thanks"


def test_product_with_an_open_yes_is_not_offered_again(world: World) -> None:
    first = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(first)

    assert world.come_back(world.buy()).state == "thanks"


def test_paused_offer_is_withdrawn_at_once(world: World) -> None:
    """P12"""
    upsell = world.offer()
    funnels.set_state(world.shop, ["complete-bundle"], state="paused")

    assert world.page(upsell).state == "withdrawn"
    world.accept(upsell)
    assert world.charges(upsell) == []


def test_no_price_means_no_offer(world: World) -> None:
    """The price is the provider's or there is none."""
    ref = world.buy()
    world.sandbox.fault("POST /checkouts/preview", "status:503", times=20)

    assert world.come_back(ref).state == "thanks"
    assert world.rows("offer_instances") == []

    world.sandbox.clear_faults()
    assert world.offered(ref).state == "offer"


def test_unreadable_methods_lead_to_the_checkout(world: World) -> None:
    """R4d R24a"""
    ref = world.buy()
    world.sandbox.fault("GET /customers/{customer_id}/payment-methods", "status:502", times=20)

    assert world.offered(ref).state == "no_method"


def test_worker_has_fetched_what_the_page_needs(world: World) -> None:
    """With a webhook first, the page asks the provider for nothing while that is under a minute old."""
    ref = world.buy()
    (payment,) = world.sandbox.payments()
    world.poll()
    offers.prepare(world.shop, payment["id"])
    asked = len(world.sandbox.requests())

    assert world.offered(ref).state == "offer"

    assert len(world.sandbox.requests()) == asked


# ---- Whose offer ------------------------------------------------------------------------------------------------


def test_another_browser_sees_nothing_of_it(world: World) -> None:
    """R10d"""
    upsell = world.offer()

    assert offers.page(world.shop, upsell.instance_id, buyer_key=MINH, language="en") is None
    assert offers.page(world.shop, upsell.instance_id, buyer_key=None, language="en") is None
    foreign = world.come_back(upsell.order.ref, key=MINH)
    assert (foreign.state, foreign.order, foreign.offer) == ("other_browser", None, None)
    public = offers.public_product(world.shop, upsell.instance_id)
    assert public is not None
    assert public.id == BUNDLE


def test_authority_ends_with_the_day(world: World) -> None:
    """Paying is no sign-in: a day later the browser sees and may do nothing."""
    upsell = world.offer()
    world.advance(DAY_S + 60)

    assert offers.page(world.shop, upsell.instance_id, buyer_key=LAN, language="en") is None
    assert world.come_back(upsell.order.ref).state == "other_browser"
    decline(world, upsell)
    assert world.accept(upsell) == "taken"

    assert (world.rows("suppressions"), world.charges(upsell)) == ([], [])


def test_typed_address_of_another_gives_no_card_of_theirs(world: World) -> None:
    """Paying proves one card, not an address (security.md, section 2)."""
    owner = world.offer(email="lan@example.com", card="4242424242424242")

    thief = world.offer(email="lan@example.com", card="5555555555554444", key=MINH)
    world.accept(thief, key=MINH)

    assert owner.quote.method is not None
    assert thief.quote.method is not None
    assert thief.quote.method.last4 == "4444"
    (charge,) = world.charges(thief)
    assert charge["body"]["payment_method_id"] == thief.quote.method.payment_method_id
    assert charge["body"]["payment_method_id"] != owner.quote.method.payment_method_id


def test_same_last_four_of_another_expiry_is_another_card(world: World) -> None:
    """R4b: network, last four and expiry all equal, or the standard checkout."""
    world.offer(expiry="06/32")
    world.sandbox.switch(saves_cards=False)

    other = world.offered(world.buy(expiry="07/32", key=MINH), key=MINH)

    assert (other.state, other.reason) == ("no_method", "method.no_card")


def test_yes_open_in_another_browser_stands_in_for_this_one(world: World) -> None:
    """The same customer on two devices: one yes, and the other page does not ask for a second."""
    here = world.offer()
    there = world.offer(key=MINH)
    world.sandbox.next_payment("processing")
    world.accept(here)

    assert world.accept(there, key=MINH) == "taken"

    assert world.charges(there) == []
    assert world.page(there, key=MINH).state == "withdrawn"
    assert world.breaches() == ()


def test_service_refuses_what_only_a_page_would_allow(world: World) -> None:
    """Every act asks for the browser itself, whatever called it."""
    upsell = world.offer()

    charging.cancel(world.shop, upsell.instance_id, buyer_key=MINH)
    fallback.continue_without(world.shop, upsell.instance_id, buyer_key=MINH)
    assert fallback.open_checkout(world.shop, upsell.instance_id, buyer_key=MINH) is None
    assert isinstance(checkout.pay_again(world.shop, upsell.order.ref, buyer_key=MINH), checkout.NotSold)

    assert world.page(upsell).state == "offer"


@pytest.mark.criterion("R1c")
def test_card_that_is_listed_late_is_waited_for(world: World) -> None:
    world.sandbox.switch(saved_method_delay=3)
    ref = world.buy()
    assert world.come_back(ref).state == "waiting"

    world.sandbox.clock(3)
    page = world.come_back(ref).offer

    assert page is not None
    assert (page.state, page.quote.method is not None) == ("offer", True)


@pytest.mark.criterion("R1c")
def test_card_that_is_never_listed_leads_to_the_checkout_after_ten_seconds(world: World) -> None:
    world.sandbox.switch(saves_cards=False)
    ref = world.buy()
    assert world.come_back(ref).state == "waiting"

    world.advance(10)
    page = world.come_back(ref).offer

    assert page is not None
    assert (page.state, page.reason) == ("no_method", "method.no_card")
