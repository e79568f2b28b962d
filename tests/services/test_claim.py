"""What is asked again before a click is taken, and inside its claim: price, method, offer, owner and limits."""

import pytest

from encore.services import funnels, offers
from encore.services.pages import OfferPage
from encore.store import catalogue
from tests.sandbox_process import BUNDLE
from tests.services.conftest import Open
from tests.services.points import PassPoint
from tests.services.world import DAY_S, LAN, TEMPLATES_FIRST, World

CONFIRM = "POST /checkouts"


# ---- The price and the method, asked again before the claim -----------------------------------------------------


def test_moved_price_is_shown_again_and_charges_nothing(world: World) -> None:
    """N1"""
    page = world.offer()
    world.reprice(BUNDLE, page.quote.subtotal.minor + 1000)
    world.advance(61)

    assert world.accept(page) == "moved"

    after = world.page(page)
    assert after.state == "quote_changed"
    assert after.moved_from == page.quote
    assert after.quote.total > page.quote.total
    assert world.charges(page) == []


def test_new_price_is_charged_only_by_a_click_on_it(world: World) -> None:
    page = world.offer()
    world.reprice(BUNDLE, page.quote.subtotal.minor + 1000)
    world.advance(61)
    world.accept(page)
    again = world.page(page)

    assert world.accept(page) == "moved"
    assert world.charges(page) == []
    assert world.accept(again) == "taken"

    (payment,) = world.standing(BUNDLE)
    assert payment["total"] == again.quote.total.minor


def test_lower_price_is_shown_again_too(world: World) -> None:
    page = world.offer()
    world.reprice(BUNDLE, page.quote.subtotal.minor - 1000)
    world.advance(61)

    assert world.accept(page) == "moved"
    assert world.page(page).quote.total < page.quote.total


def test_price_moved_after_the_last_question_is_refunded(world: World) -> None:
    """N1: charged more than the button said; the whole payment goes back."""
    page = world.offer()

    world.accept_as_price_moves(page, page.quote.subtotal.minor + 1000)

    assert world.outcome(page) == "refunded"
    assert world.page(page).state == "returned"
    (refund,) = world.rows("refunds")
    assert (refund["reason"], refund["is_full"], refund["state"]) == ("overcharged", 1, "due")
    assert [alarm["kind"] for alarm in world.rows("alarms")] == ["overcharged"]


def test_removed_method_leads_to_the_checkout(world: World) -> None:
    """R4a: the list is read again before charging."""
    page = world.offer()
    assert page.quote.method is not None
    method = page.quote.method.payment_method_id
    customer = world.shop.store.row("SELECT customer_id FROM offer_instances")
    assert customer is not None
    answer = world.sandbox.call("DELETE", f"/customers/{customer['customer_id']}/payment-methods/{method}")
    assert answer.status_code in (200, 204), answer.text

    assert world.accept(page) == "moved"

    after = world.page(page)
    assert (after.state, after.reason) == ("no_method", "method.no_card")
    assert world.charges(page) == []


def test_method_that_expired_leads_to_the_checkout(world: World) -> None:
    """R5a: good on the last day of its month, and not an hour longer."""
    page = world.offer()
    world.clock.wall_s += 7 * 365 * 24 * 3600
    with world.shop.store.write():
        world.shop.store.run("UPDATE offer_instances SET expires_at = :later", later=world.shop.now() + 60_000)

    assert world.accept(page) == "moved"

    assert world.charges(page) == []
    row = world.shop.store.row("SELECT no_method_reason FROM offer_instances")
    assert row == {"no_method_reason": "method.expired"}


def test_unreadable_methods_charge_nothing(world: World) -> None:
    """R4d: no answer is not "no method"."""
    page = world.offer()
    world.sandbox.fault("GET /customers/{customer_id}/payment-methods", "status:502", times=5)

    assert world.accept(page) == "unavailable"

    world.sandbox.clear_faults()
    assert world.page(page).state == "offer"
    assert world.charges(page) == []


# ---- The second look inside the claim ---------------------------------------------------------------------------


@pytest.mark.parametrize("paused", ["complete-bundle", "starter-course"], ids=["offer", "funnel"])
def test_paused_offer_takes_nothing(world: World, pass_point: PassPoint, paused: str) -> None:
    """P12: a pause between the click and its claim holds too."""
    page = world.offer()
    pass_point("claim.checked", lambda: funnels.set_state(world.shop, [paused], state="paused"))

    world.accept(page)

    assert world.charges(page) == []
    assert world.attempts(page) == []
    assert world.page(page).state == "withdrawn"


def change(world: World, statement: str) -> None:
    with world.shop.store.write():
        world.shop.store.run(statement)


def test_offer_whose_deadline_has_passed_takes_nothing(world: World, pass_point: PassPoint) -> None:
    page = world.offer()
    passed = "json_set(definition_json, '$.deadline', '2020-01-01T00:00:00+00:00')"
    pass_point("claim.checked", lambda: change(world, f"UPDATE offer_versions SET definition_json = {passed}"))

    world.accept(page)

    assert world.charges(page) == []
    assert world.page(page).state == "withdrawn"


def test_order_reversed_since_takes_nothing(world: World, pass_point: PassPoint) -> None:
    page = world.offer()
    pass_point("claim.checked", lambda: change(world, "UPDATE orders SET state = 'reversed'"))

    world.accept(page)

    assert world.charges(page) == []
    assert world.page(page).state == "withdrawn"


@pytest.mark.criterion("R2b")
def test_product_archived_since_takes_nothing(world: World, pass_point: PassPoint) -> None:
    page = world.offer()

    def archive() -> None:
        with world.shop.store.write():
            catalogue.mark_archived(world.shop.store, BUNDLE, now=world.shop.now())

    pass_point("claim.checked", archive)

    world.accept(page)

    assert world.charges(page) == []
    assert world.page(page).state == "withdrawn"


def test_product_owned_since_takes_nothing(world: World) -> None:
    """P8: bought in the shop meanwhile; only "buy again" buys it again."""
    page = world.offer()
    world.come_back(world.buy(slug="complete-bundle"))
    assert world.page(page).state == "owned"

    world.accept(page)
    assert world.charges(page) == []

    world.accept(page, buy_again=True)
    assert len(world.charges(page)) == 1


def test_declined_elsewhere_since_takes_nothing(world: World, pass_point: PassPoint) -> None:
    """R36a: a no on another page of the customer, at the same moment."""
    first = world.offer()
    second = world.offer()
    pass_point("claim.checked", lambda: offers.decline(world.shop, first.instance_id, buyer_key=LAN))

    world.accept(second)

    assert world.charges(second) == []
    assert world.page(second).state == "answered"


def test_two_orders_offering_one_product_take_one_yes(world: World) -> None:
    first = world.offer()
    second = world.offer()
    world.sandbox.next_payment("processing")

    world.accept(first)
    world.accept(second)

    assert len(world.charges(first)) + len(world.charges(second)) == 1
    # The loser is sent to the first yes.
    assert world.page(second).instance_id == first.instance_id


# ---- Limits -----------------------------------------------------------------------------------------------------


def test_charge_beyond_the_daily_number_goes_to_the_checkout(open_shop_with: Open) -> None:
    """R10f"""
    world = open_shop_with(ENCORE_ONE_CLICK_PER_DAY="1")
    world.accept(world.offer())

    page = _second_offer(world)
    world.accept(page)

    assert world.charges(page) == []
    assert (world.outcome(page), world.attempts(page)) == ("needs_checkout", [])
    assert world.page(page).state == "not_charged"
    assert world.open_checkout(page)


def test_daily_number_counts_anew_the_next_day(open_shop_with: Open) -> None:
    world = open_shop_with(ENCORE_ONE_CLICK_PER_DAY="1")
    world.accept(world.offer())
    world.advance(DAY_S)

    page = _second_offer(world)
    world.accept(page)

    assert world.outcome(page) == "charged"


def test_charge_beyond_the_money_cap_goes_to_the_checkout(open_shop_with: Open) -> None:
    """R10f"""
    world = open_shop_with(ENCORE_ONE_CLICK_CAPS="USD:100")
    page = world.offer()

    world.accept(page)

    assert world.charges(page) == []
    assert world.outcome(page) == "needs_checkout"


def test_five_unknowns_pause_one_click(world: World) -> None:
    """Of the last ten sends within a minute five are unknown: no more money is put at stake."""
    pages = [world.offer(email=f"buyer{number}@example.com") for number in range(6)]
    world.sandbox.fault(CONFIRM, "reset", times=5)
    for page in pages[:5]:
        world.accept(page)

    world.accept(pages[5])

    assert world.charges(pages[5]) == []
    assert (world.outcome(pages[5]), world.attempts(pages[5])) == ("needs_checkout", [])


def test_one_click_resumes_a_minute_after_the_unknowns(world: World) -> None:
    pages = [world.offer(email=f"buyer{number}@example.com") for number in range(6)]
    world.sandbox.fault(CONFIRM, "reset", times=5)
    for page in pages[:5]:
        world.accept(page)
    world.advance(61)

    world.accept(pages[5])

    assert world.outcome(pages[5]) == "charged"


def _second_offer(world: World) -> OfferPage:
    """Offer the same customer another product, after a second order."""
    world.publish(TEMPLATES_FIRST)
    return world.offer()
