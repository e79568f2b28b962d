"""Recommendations in the account: which are listed, and why."""

from collections.abc import Callable

import pytest

from encore.services import (
    recommendations,
)
from encore.services.sign_ins import Account
from tests.services.recommended import AGAIN, VISA, cards, charges, open_card, publish, reasons, subscriber
from tests.services.world import LAN, World

ALL = ["account-bundle", "account-templates", "account-course"]
FOR_BUNDLE_OWNERS = """
[[offers]]
id = "after-bundle"
role = "cross_sell"
product = "design-templates"
title = { en = "Templates for the bundle", vi = "Mẫu cho trọn bộ" }

[[funnels]]
id = "after-bundle"
placement = "account"
priority = 50
rules = [
  [{ field = "product", operator = "is", value = ["complete-bundle"] }],
  [{ field = "owned_product", operator = "is", value = ["complete-bundle"] }],
]
[[funnels.steps]]
key = "templates"
offer = "after-bundle"
"""


@pytest.mark.criterion("R7a")
def test_a_signed_in_buyer_is_recommended_what_they_do_not_own(world: World) -> None:
    account = subscriber(world)
    assert cards(world, account) == ALL

    world.come_back(world.buy(slug="complete-bundle"))

    assert cards(world, account) == ["account-templates", "account-course"]
    assert reasons(world, "bundle")["guard.not_owned"] is False
    assert reasons(world, "templates")["guard.not_owned"] is True


@pytest.mark.criterion("R7c")
def test_the_list_ends_at_the_merchants_cap(open_shop_with: Callable[..., World]) -> None:
    world = open_shop_with(ENCORE_MAX_RECOMMENDATIONS="2")
    account = subscriber(world)

    assert cards(world, account) == ALL[:2]
    assert reasons(world, "course")["guard.card_cap"] is False
    # What the list does not show cannot be opened by its name.
    result = recommendations.open_card(world.shop, account, "account-course", buyer_key=LAN, language="en")
    assert result == "not_offered"


def test_the_list_asks_the_provider_nothing_and_writes_only_news(world: World) -> None:
    account = subscriber(world)
    cards(world, account)
    asked, written = len(world.sandbox.requests()), world.rows("decisions")

    world.advance(60)
    assert cards(world, account) == ALL

    assert len(world.sandbox.requests()) == asked
    assert world.rows("decisions") == written


@pytest.mark.criterion("P8")
def test_an_owned_product_may_be_bought_again_where_the_merchant_says_so(world: World) -> None:
    account = subscriber(world)
    publish(world, AGAIN)
    first = open_card(world, account, "again")
    world.accept(first)
    (card,) = [c for c in recommendations.list_cards(world.shop, account, language="en") if c.offer_id == "again"]
    assert card.is_owned

    again = open_card(world, account, "again")

    assert (again.state, again.instance_id == first.instance_id) == ("owned", False)
    assert world.accept(again) == "taken"
    assert len(charges(world, "again")) == 1, "the plain button of a page that did not say so buys nothing twice"
    world.accept(again, buy_again=True)
    assert len(charges(world, "again")) == 2
    assert world.breaches() == ()


def test_of_two_cards_for_one_product_the_more_important_is_shown(world: World) -> None:
    account = subscriber(world)
    publish(world, AGAIN)

    assert cards(world, account) == ["again", "account-bundle", "account-course"]
    assert reasons(world, "templates")["guard.listed_once"] is False


def test_without_an_order_to_go_by_nothing_is_recommended(world: World) -> None:
    world.sandbox.buy(card=VISA)
    nobody = Account(address="lan@example.com", customer_ids=(), is_recent=True)
    assert cards(world, nobody) == []


def test_rules_look_at_the_latest_order_and_at_what_is_owned(world: World) -> None:
    account = subscriber(world)
    publish(world, FOR_BUNDLE_OWNERS)
    assert "after-bundle" not in cards(world, account)

    world.come_back(world.buy(slug="complete-bundle"))

    assert cards(world, account)[0] == "after-bundle"
