"""What the tests of recommendations share: a subscriber, the cards of their account, and what came of them."""

import json
from typing import Any

from encore.services import offer_files, offers, quantity_choice, recommendations, sign_ins
from encore.services.pages import OfferPage
from encore.services.recommendations import Opened
from encore.services.sign_ins import Account
from tests.services.world import LAN, World

VISA, MASTERCARD = "4242424242424242", "5555555555554444"
PREVIEW = "POST /checkouts/preview"
AGAIN = """
[[offers]]
id = "again"
role = "cross_sell"
product = "design-templates"
buy_again = true
max_quantity = 5
title = { en = "More templates", vi = "Thêm mẫu" }

[[funnels]]
id = "again"
placement = "account"
priority = 50
[[funnels.steps]]
key = "again"
offer = "again"
"""


def sign_in(world: World, *, email: str = "lan@example.com", key: str = LAN) -> Account:
    """Let a browser have used the link mailed to an address; returns its account."""
    sign_ins.ask(world.shop, address=email, network="n", language="en", leads_to="/account")
    while sign_ins.write_next(world.shop):
        pass
    link = world.shop.store.row("SELECT id FROM sign_in_links ORDER BY asked_at DESC, id DESC LIMIT 1")
    assert link is not None
    sign_ins.sign_out(world.shop, key)
    assert sign_ins.sign_in(world.shop, link["id"], old_key=None, new_key=key)
    found = sign_ins.current_account(world.shop, key)
    assert found is not None
    return found


def subscriber(world: World, **form: str) -> Account:
    """A signed-in buyer of the Basic plan, who owns none of the three products that are bought once."""
    world.subscribe(**form)
    return sign_in(world)


def cards(world: World, account: Account) -> list[str]:
    found = recommendations.list_cards(world.shop, account, language="en")
    return [card.offer_id for card in found]


def open_card(world: World, account: Account, offer_id: str = "account-templates", *, key: str = LAN) -> OfferPage:
    """Press a card's button and read the page it leads to."""
    opened = recommendations.open_card(world.shop, account, offer_id, buyer_key=key, language="en")
    assert isinstance(opened, Opened), opened
    return page(world, opened.instance_id, key=key)


def page(world: World, instance_id: str, *, key: str = LAN) -> OfferPage:
    found = offers.page(world.shop, instance_id, buyer_key=key, language="en")
    assert found is not None
    return found


def choose(world: World, shown: OfferPage, text: str, *, key: str = LAN) -> quantity_choice.ChooseResult:
    return quantity_choice.choose(world.shop, shown.instance_id, buyer_key=key, text=text, language="en")


def charges(world: World, offer_id: str = "account-templates") -> list[dict[str, Any]]:
    """The bodies of the charging requests for an offer."""
    return [request["body"] for request in world.sandbox.charges(offer_id=offer_id)]


def reasons(world: World, step_key: str) -> dict[str, bool]:
    """The stored reasons of a card's decision: key and verdict."""
    row = world.shop.store.row(
        "SELECT reasons_json FROM decisions WHERE funnel_id = 'account' AND step_key = :key"
        " ORDER BY created_at DESC, rowid DESC LIMIT 1",
        key=step_key,
    )
    assert row is not None
    return {reason["key"]: reason["ok"] for reason in json.loads(row["reasons_json"])}


def publish(world: World, text: str) -> None:
    result = offer_files.import_text(world.shop, text)
    assert isinstance(result, offer_files.Imported), result
