"""What the tests of offered plan changes share: who has bought the lower plan, their offer, and what came of it."""

import json
from typing import Any
from urllib.parse import urlsplit

from encore.services import plan_offers
from encore.services.plan_offer_pages import PlanOfferPage
from encore.store import offer_instances
from encore.store.offer_instances import OfferInstance
from tests.services.plans import UNTAXED
from tests.services.world import CONSENT, LAN, World

OTHER = "5555555555554444"
OFFER = """
[[offers]]
id = "pro"
kind = "plan_change"
role = "upsell"
product = "pro-plan"
title = {{ en = "Go Pro", vi = "Lên Pro" }}
{fields}

[[offers]]
id = "templates-instead"
role = "downsell"
product = "design-templates"
title = {{ en = "Only the templates", vi = "Chỉ bộ mẫu" }}

[[funnels]]
id = "to-pro"
priority = 50
rules = [[{{ field = "product", operator = "is", value = ["basic-plan"] }}]]

[[funnels.steps]]
key = "pro"
offer = "pro"
declined = "templates"

[[funnels.steps]]
key = "templates"
offer = "templates-instead"
"""


def bought(world: World, *, fields: str = "", key: str = LAN, **form: str) -> str:
    """Publish the offer, and buy the lower plan; returns the order's reference."""
    world.publish(OFFER.format(fields=fields))
    return world.buy(slug="basic-plan", key=key, **{**UNTAXED, **form})


def offered(world: World, ref: str, *, key: str = LAN) -> PlanOfferPage:
    page = world.offered(ref, key=key)
    assert isinstance(page, PlanOfferPage), page
    return page


def shown(world: World, **form: str) -> PlanOfferPage:
    return offered(world, bought(world, **form))


def again(world: World, page: PlanOfferPage, *, key: str = LAN) -> PlanOfferPage:
    found = world.page(page, key=key)
    assert isinstance(found, PlanOfferPage)
    return found


def row_of(world: World, page: PlanOfferPage) -> OfferInstance:
    found = offer_instances.get_instance(world.shop.store, page.instance_id)
    assert found is not None
    return found


def accept(world: World, page: PlanOfferPage, *, key: str = LAN) -> str:
    return plan_offers.accept(world.shop, page.instance_id, buyer_key=key, quote_hash=page.quote_hash, consent=CONSENT)


def declined_by_bank(world: World) -> tuple[str, PlanOfferPage]:
    """Let the bank decline an accepted offer; returns the order's reference and the page of the offer."""
    ref = bought(world)
    page = offered(world, ref)
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    accept(world, page)
    return ref, page


def again_at(world: World, page: PlanOfferPage) -> str | None:
    """Ask for the price again of a change that was not paid; returns the second try."""
    return plan_offers.try_again(world.shop, row_of(world, page), language="en")


def give_card(world: World, page: PlanOfferPage, *, number: str = OTHER) -> None:
    """Give the subscription of a change that was not paid another card, on the provider's page."""
    url = plan_offers.card_url(world.shop, row_of(world, page))
    assert url is not None
    given = world.sandbox.call(
        "POST", urlsplit(url).path, data={"card_number": number, "expiry": "06/32", "cvc": "123"}
    )
    assert given.status_code == 303, given.text


def subscription(world: World) -> Any:
    (row,) = world.rows("subscriptions")
    return world.subscription(row["id"])


def change_posts(world: World) -> list[Any]:
    name = subscription(world).provider_subscription_id
    return list(world.sandbox.requests("POST", f"/subscriptions/{name}/change-plan"))


def reasons(world: World) -> dict[str, Any]:
    """Return the reasons of the offer's latest decision that were not met."""
    row = [row for row in world.rows("decisions") if (row["funnel_id"], row["step_key"]) == ("to-pro", "pro")][-1]
    return {r["key"]: r["values"] for r in json.loads(row["reasons_json"]) if not r["ok"]}
