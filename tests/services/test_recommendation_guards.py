"""Recommendations when something has changed meanwhile: what was shown may not be taken, or is not to be seen."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from encore.services import accounts, fallback, funnels, offers, return_page, sign_ins
from encore.services.shop import Shop
from encore.store.offer_instances import OfferInstance
from tests.sandbox_process import TEMPLATES
from tests.services.recommended import AGAIN, charges, choose, open_card, page, publish, sign_in, subscriber
from tests.services.world import LAN, MINH, TEMPLATES_FIRST, World


def refund_the_order(world: World) -> None:
    world.sandbox.control("refunds", {"payment_id": world.rows("orders")[0]["payment_id"]})
    world.poll()


def say_no_after_an_order(world: World) -> None:
    world.publish(TEMPLATES_FIRST)
    after_an_order = world.offered(world.buy())
    offers.decline(world.shop, after_an_order.instance_id, buyer_key=LAN)


BARRED: dict[str, Callable[[World], object]] = {
    "archived": lambda world: (world.sandbox.call("DELETE", f"/products/{TEMPLATES}"), world.sync()),
    "offer paused": lambda world: funnels.set_state(world.shop, ["account-templates"], state="paused"),
    "funnel paused": lambda world: funnels.set_state(world.shop, ["account"], state="paused"),
    "order refunded": refund_the_order,
    "owned": lambda world: world.come_back(world.buy(slug="design-templates")),
    "declined": say_no_after_an_order,
}


@pytest.mark.criterion("R7b", "R36a")
@pytest.mark.parametrize("what", BARRED)
def test_what_ends_an_offer_while_its_page_is_open_bars_both_ways_to_pay(world: World, what: str) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    BARRED[what](world)
    asked = len(world.sandbox.requests("POST", "/checkouts"))

    world.accept(shown)

    assert fallback.open_checkout(world.shop, shown.instance_id, buyer_key=LAN) is None
    assert len(world.sandbox.requests("POST", "/checkouts")) == asked
    assert page(world, shown.instance_id).state in ("withdrawn", "owned", "answered")


@pytest.mark.criterion("R10f")
def test_past_the_days_cap_a_yes_goes_to_the_checkout(open_shop_with: Callable[..., World]) -> None:
    world = open_shop_with(ENCORE_ONE_CLICK_PER_DAY="1")
    account = subscriber(world)
    first, second = open_card(world, account, "account-course"), open_card(world, account)
    world.accept(first)

    world.accept(second)

    assert charges(world) == []
    assert world.outcome(second) == "needs_checkout"
    assert world.open_checkout(second)


def test_an_account_of_two_customers_has_one_live_offer_of_a_card(world: World) -> None:
    """An order under the other spelling of the address must not make a second way to the same yes."""
    account = subscriber(world)
    shown = open_card(world, account)
    world.come_back(world.buy(slug="complete-bundle", email="lan@example.org", key=MINH), key=MINH)
    with world.shop.store.write():
        world.shop.store.run("UPDATE customers SET email = 'Lan@example.com' WHERE email = 'lan@example.org'")
    both = sign_ins.current_account(world.shop, LAN)
    assert both is not None
    assert len(both.customer_ids) == 2

    assert open_card(world, both).instance_id == shown.instance_id


def test_the_checkout_sells_as_many_as_the_yes_says_whatever_is_chosen_meanwhile(world: World) -> None:
    account = subscriber(world)
    shown = open_card(world, account)
    take = fallback._claim_for_checkout

    def read_then_choose(shop: Shop, instance: OfferInstance, **more: Any) -> OfferInstance:
        # Another tab's choice commits between this one's read and its claim.
        assert choose(world, shown, "3") == "chosen"
        return take(shop, instance, **more)

    with patch.object(fallback, "_claim_for_checkout", read_then_choose):
        world.open_checkout(shown)

    session = world.sandbox.requests("POST", "/checkouts")[-1]["body"]
    assert session["product_cart"] == [{"product_id": TEMPLATES, "quantity": 3}]
    assert world.acceptance(shown).quantity == page(world, shown.instance_id).quote.quantity == 3


def test_a_browser_that_has_only_paid_reads_nothing_of_what_the_account_pays_for_its_plan(world: World) -> None:
    thief = "c" * 64
    row = world.subscribe(key=thief)
    account = sign_in(world)
    changed = world.confirm(world.preview(row))
    assert changed.state == "changed"

    ref = str(world.rows("checkouts")[0]["ref"])
    seen = return_page.order_page(world.shop, ref, buyer_key=thief, language="en")
    assert [line.product_name for line in seen.payments] == ["Basic plan"]
    owner = return_page.order_page(world.shop, ref, buyer_key=LAN, language="en", account=account)
    assert [line.product_name for line in owner.payments] == ["Basic plan", "Pro plan"]


@pytest.mark.criterion("P8", "R24b")
def test_buying_again_without_a_usable_card_goes_through_the_checkout(world: World) -> None:
    world.come_back(world.buy())
    account = sign_in(world)
    publish(world, AGAIN)
    world.accept(open_card(world, account, "again"))
    for row in accounts.list_methods(world.shop, account).rows:
        assert accounts.remove_method(world.shop, account, row.name).result == "removed"
    again = open_card(world, account, "again")
    assert (again.state, again.is_owned, again.can_choose) == ("owned", True, True)

    # A page that did not say so leads nowhere.
    assert fallback.open_checkout(world.shop, again.instance_id, buyer_key=LAN) is None
    url = fallback.open_checkout(world.shop, again.instance_id, buyer_key=LAN, buy_again=True)
    assert url is not None
    world.pay_at(url)

    assert page(world, again.instance_id).state == "receipt"
    assert world.breaches() == ()
