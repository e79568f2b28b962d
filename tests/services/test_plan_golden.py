"""The golden cells of proration.md through Encore: quoted, confirmed and charged, under both values of each switch.

Written by hand from the provider's guide, so that quote and charge are not one function agreeing with itself.
"""

import json
from datetime import datetime
from typing import Any

import pytest

from encore.rules.money import Money
from encore.services import plan_pages, subscriptions
from encore.store.subscriptions import Subscription
from tests.sandbox.subscriptions import at, make_plan
from tests.sandbox_process import BASIC, PRO
from tests.services.plans import paid, stand_still, usd, whole
from tests.services.world import DAY_S, World

PRORATED, FULL, DIFFERENCE, FREE, KEEP = (
    "prorated_immediately", "full_immediately", "difference_immediately", "do_not_bill",
    "prorated_immediately_keep_cycle",
)  # fmt: skip
# A country without tax: the figures of the table are before tax.
UNTAXED = {"country": "HK", "zipcode": "00000"}
EMAIL = "lan@example.com"
BY_INTERVAL = {"interval_change": "remaining_ratio"}
BY_RATIO = {"trial_change": "remaining_ratio"}


def plans(world: World, mode: str, *product_ids: str) -> None:
    """Let these products be the plans of a group, both ways billed by one mode, and a change down be made now."""
    world.sync()
    tables = "".join(f"[[plan_groups.plans]]\nproduct = {json.dumps(name)}\n" for name in product_ids)
    modes = f'upgrade_mode = "{mode}"\ndowngrade_mode = "{mode}"\ndowngrade_when = "immediately"\n'
    world.publish(f'[[plan_groups]]\nid = "plans"\n{modes}{tables}')


def subscribed(world: World, product_id: str, *, addons: Any = (), **session: Any) -> Subscription:
    """Be a customer here who has subscribed elsewhere: on the provider's own page."""
    world.come_back(world.buy(email=EMAIL, **UNTAXED))
    cart = [{"product_id": product_id, "quantity": 1, "addons": list(addons)}]
    session_id = world.sandbox.post("/checkouts", {"product_cart": cart, **session})["session_id"]
    world.sandbox.pay(session_id, email=EMAIL, **UNTAXED)
    (found,) = world.sandbox.get("/subscriptions")["items"]
    row = subscriptions.observe_subscription(world.shop, found["subscription_id"], budget=world.shop.dodo.budget())
    assert row is not None
    return row


def change(world: World, row: Subscription, product_id: str, **wish: Any) -> plan_pages.QuotePage:
    """Preview and confirm a change; what was charged is what was shown."""
    page = world.preview(world.subscription(row.id), product_id, **wish)
    before = sum(paid(world, row))
    after = world.confirm(page)
    assert after.state == "changed"
    assert sum(paid(world, row)) - before == page.quote.due.minor
    return page


def day(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, at(2027, 1, 1).tzinfo).date().isoformat()


@pytest.mark.criterion("R14e")
@pytest.mark.parametrize(
    ("mode", "switches", "due", "renews"),
    [
        (PRORATED, {}, 28500, "2028-04-16"),
        (PRORATED, BY_INTERVAL, 13500, "2028-04-16"),
        (DIFFERENCE, {}, 27000, "2028-04-16"),
        (DIFFERENCE, BY_INTERVAL, 27000, "2028-04-16"),
        (FULL, {}, 30000, "2028-04-16"),
        (FREE, {}, 0, "2027-05-01"),
    ],
)
def test_month_to_year(world: World, mode: str, switches: dict[str, Any], due: int, renews: str) -> None:
    world.sandbox.switch(**switches)
    yearly = make_plan(world.sandbox, 30000, interval="Year")
    plans(world, mode, BASIC, yearly)
    stand_still(world, at(2027, 4, 1))
    row = subscribed(world, BASIC)
    world.advance(15 * DAY_S)

    page = change(world, row, yearly)

    assert page.quote.due == usd(due)
    if mode != FREE:
        assert day(page.quote.next_billing_at) == renews
    whole(world)


@pytest.mark.criterion("R14e")
@pytest.mark.parametrize(
    ("mode", "switches", "due", "credit"),
    [
        (PRORATED, {}, 0, 56000),
        (PRORATED, BY_INTERVAL, 0, 57600),
        (DIFFERENCE, {}, 0, 72000),
        (FULL, {}, 8000, 0),
    ],
)
def test_year_to_month(world: World, mode: str, switches: dict[str, Any], due: int, credit: int) -> None:
    world.sandbox.switch(**switches)
    yearly = make_plan(world.sandbox, 80000, interval="Year")
    plans(world, mode, PRO, yearly)
    stand_still(world, at(2027, 1, 1))
    row = subscribed(world, yearly)
    world.advance(73 * DAY_S)

    page = change(world, row, PRO)

    assert (page.quote.due, page.quote.credit_added) == (usd(due), usd(credit))
    assert day(page.quote.next_billing_at) == "2027-04-15"
    assert len(page.renewals) == credit // 8000 + (credit % 8000 > 0)
    whole(world)


@pytest.mark.criterion("R14e")
@pytest.mark.parametrize(
    ("mode", "switches", "due"),
    [
        (PRORATED, {}, 8000),
        (PRORATED, BY_RATIO, 4000),
        (DIFFERENCE, {}, 8000),
        (FULL, {}, 8000),
        (FREE, {}, 0),
    ],
)
def test_a_free_trial(world: World, mode: str, switches: dict[str, Any], due: int) -> None:
    world.sandbox.switch(**switches)
    trial = make_plan(world.sandbox, 3000, trial_period_days=14)
    plans(world, mode, trial, PRO)
    stand_still(world, at(2027, 4, 1))
    row = subscribed(world, trial)
    world.advance(7 * DAY_S)
    found = plan_pages.plan_page(world.shop, world.subscription(row.id), language="en")
    assert found is not None
    assert found.state == "trial"

    page = change(world, row, PRO)

    assert page.quote.due == usd(due)
    whole(world)


@pytest.mark.criterion("R14e")
def test_a_second_and_a_third_change_in_one_period(world: World) -> None:
    starter = make_plan(world.sandbox, 2000)
    plans(world, DIFFERENCE, starter, BASIC, PRO)
    stand_still(world, at(2027, 4, 1))
    row = subscribed(world, BASIC)
    world.advance(5 * DAY_S)

    assert change(world, row, PRO).quote.due == usd(5000)
    world.advance(5 * DAY_S)
    down = change(world, row, starter)
    assert (down.quote.due, down.quote.credit_added) == (usd(0), usd(6000))
    assert [renewal.to_pay.minor for renewal in down.renewals] == [0, 0, 0]
    world.advance(5 * DAY_S)
    up = change(world, row, PRO)
    assert (up.quote.due, up.quote.credit_used) == (usd(0), usd(6000))
    whole(world)


@pytest.mark.criterion("R14e", "R16d")
@pytest.mark.parametrize(
    ("begun", "switches", "renews", "moves"),
    [
        (at(2027, 1, 31), {}, "2027-03-01", True),
        (at(2028, 1, 29), {}, "2028-02-29", False),
        (at(2028, 1, 30), {"renewal_calendar": "days_30"}, "2028-03-01", True),
    ],
    ids=["end of month", "leap day", "thirty days"],
)
def test_the_renewal_day_follows_the_calendar(
    world: World, begun: datetime, switches: dict[str, Any], renews: str, moves: bool
) -> None:
    """Changed on the second day of a period that began at a month's end: the day shown is the provider's."""
    world.sandbox.switch(**switches)
    plans(world, DIFFERENCE, BASIC, PRO)
    stand_still(world, begun)
    row = subscribed(world, BASIC)
    world.advance(DAY_S)

    page = change(world, row, PRO)

    there = world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")["next_billing_date"][:10]
    assert day(page.quote.next_billing_at) == there == renews
    assert page.quote.moves_billing_day == moves


@pytest.mark.criterion("R14e")
def test_a_currency_without_decimals(world: World) -> None:
    small, large = (make_plan(world.sandbox, price, currency="VND") for price in (199_000, 499_000))
    plans(world, PRORATED, small, large)
    stand_still(world, at(2027, 4, 1))
    row = subscribed(world, small)
    world.advance(15 * DAY_S)

    page = change(world, row, large)

    assert page.quote.due == Money(150_000, "VND")
    whole(world)


@pytest.mark.criterion("R14e", "R14f")
@pytest.mark.parametrize(("mode", "due"), [(PRORATED, 2500), (DIFFERENCE, 5000), (FULL, 11000), (FREE, 0)])
def test_add_ons_are_kept_and_are_in_the_price(world: World, mode: str, due: int) -> None:
    body = {"name": "Seat", "price": 1000, "currency": "USD", "tax_category": "saas"}
    seat = world.sandbox.post("/addons", body)["id"]
    small, large = (make_plan(world.sandbox, price, addons=[seat]) for price in (3000, 8000))
    plans(world, mode, small, large)
    stand_still(world, at(2027, 4, 1))
    row = subscribed(world, small, addons=[{"addon_id": seat, "quantity": 3}])
    world.advance(15 * DAY_S)

    page = change(world, row, large)

    assert page.quote.due == usd(due)
    assert [(addon.name, addon.before, addon.after) for addon in page.addons] == [("Seat", 3, 3)]
    there = world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")
    assert [(addon["addon_id"], addon["quantity"]) for addon in there["addons"]] == [(seat, 3)]
    whole(world)


@pytest.mark.criterion("R14e")
@pytest.mark.parametrize(("is_preserved", "due"), [(True, 4500), (False, 5300)])
def test_a_discount_is_kept_or_dropped_as_the_preview_says(world: World, is_preserved: bool, due: int) -> None:
    """Ten per cent off both plans, or off the old one only: 72 - 27, or 80 - 27."""
    code = {"type": "percentage", "amount": 1000, "code": "TEN", "preserve_on_plan_change": is_preserved}
    world.sandbox.post("/discounts", code)
    plans(world, DIFFERENCE, BASIC, PRO)
    stand_still(world, at(2027, 4, 1))
    row = subscribed(world, BASIC, discount_codes=["TEN"])

    page = change(world, row, PRO)

    assert page.quote.due == usd(due)
    kept, lost = (("TEN",), ()) if is_preserved else ((), ("TEN",))
    assert (page.quote.discounts_kept, page.quote.discounts_lost) == (kept, lost)
    whole(world)
