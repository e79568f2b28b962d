"""Another card for a running plan that goes on hold just before the request: what that charges is told to all."""

import json
from typing import Any

import pytest

from encore.services import card_charges, dues, plan_cards, plan_pages
from encore.services.dues import NotTaken
from encore.services.plan_cards import UseResult
from encore.store.subscriptions import Subscription
from tests.services.plans import UNTAXED, usd, whole
from tests.services.points import PassPoint
from tests.services.test_dues import MASTERCARD, UPDATE, card, hold, on_hold, posts, renewals, shown, try_pay
from tests.services.test_dues_owners import alarms
from tests.services.world import DAY_S, World


def running(world: World) -> Subscription:
    """Return a running plan of a customer with a second saved card."""
    row = world.subscribe(**UNTAXED)
    world.come_back(world.buy(slug="design-templates", card=MASTERCARD))
    return row


def change(world: World, row: Subscription) -> UseResult:
    """Press "Use this card" for the second one."""
    found = plan_cards.cards_page(world.shop, row)
    assert found.cards is not None
    name = next(choice.name for choice in found.cards if choice.method.last4 == "4444")
    return plan_cards.use(world.shop, row, name=name)


def told(world: World, row: Subscription) -> Any:
    """Return what the plan's page says that the change has charged."""
    found = plan_pages.plan_page(world.shop, world.subscription(row.id), language="en")
    assert found is not None
    return found.card_charge


def settled(world: World) -> None:
    world.poll()
    world.read_subscriptions()


@pytest.mark.parametrize("fault", [None, "reset", "empty"])
def test_what_a_change_of_card_charges_is_told_once(world: World, pass_point: PassPoint, fault: str | None) -> None:
    """The renewal is declined after our look; with a lost answer only the payment tells."""
    row = running(world)

    def decline() -> None:
        world.sandbox.fail_renewal(row.provider_subscription_id)
        if fault:
            world.sandbox.fault(UPDATE, fault, effect="before")

    pass_point("card.noted", decline)
    result = change(world, row)
    settled(world)

    assert result == ("provider_down" if fault else "used")
    assert renewals(world, row) == [3000]
    assert told(world, row) == usd(3000)
    assert alarms(world) == {"charged_by_card_change"}
    (message,) = [row for row in world.rows("outbox") if row["kind"] == "dues_paid"]
    assert json.loads(message["payload_json"])["amount"] == 3000
    assert world.subscription(row.id).status == "active"
    # Dealt with by a person, it is not told again; and a day later the page is about today.
    with world.shop.store.write():
        world.shop.store.run("UPDATE alarms SET cleared_at = raised_at")
    world.advance(DAY_S + 60)
    settled(world)
    assert (alarms(world), told(world, row), len(world.messages("dues_paid"))) == (set(), None, 1)
    assert world.rows("refunds") == []


def test_the_page_says_so_at_once(world: World, pass_point: PassPoint) -> None:
    row = running(world)
    pass_point("card.noted", lambda: world.sandbox.fail_renewal(row.provider_subscription_id))

    change(world, row)

    assert told(world, row) == usd(3000)


def test_a_process_that_dies_after_the_request_leaves_what_tells_of_it(world: World, pass_point: PassPoint) -> None:
    row = running(world)
    pass_point("card.noted", lambda: world.sandbox.fail_renewal(row.provider_subscription_id))

    def die() -> None:
        raise KeyboardInterrupt

    pass_point("card.sent", die)
    with pytest.raises(KeyboardInterrupt):
        change(world, row)
    settled(world)

    assert (told(world, row), alarms(world)) == (usd(3000), {"charged_by_card_change"})


def test_a_new_card_given_on_the_providers_page_that_takes_what_is_owed_is_told(
    world: World, pass_point: PassPoint
) -> None:
    row = running(world)
    pass_point("card.noted", lambda: world.sandbox.fail_renewal(row.provider_subscription_id))
    url = plan_cards.change_url(world.shop, row, return_url="http://127.0.0.1:5000/account")
    assert url is not None

    given = {"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}
    world.sandbox.call("POST", url.removeprefix(world.sandbox.url), data=given)
    settled(world)

    assert (told(world, row), alarms(world)) == (usd(3000), {"charged_by_card_change"})


def test_a_change_that_charges_nothing_and_the_renewal_after_it_are_not_told(world: World) -> None:
    row = running(world)
    assert change(world, row) == "used"

    world.advance(31 * DAY_S)
    settled(world)

    assert renewals(world, row) == [3000]
    assert (told(world, row), alarms(world), world.messages("dues_paid")) == (None, set(), [])


def test_a_plan_that_goes_on_hold_after_the_change_and_is_paid_by_a_try_is_not_told_as_a_change(world: World) -> None:
    row = running(world)
    assert change(world, row) == "used"
    row = hold(world, row)

    try_pay(world, row, shown(world, row))
    settled(world)

    assert (told(world, row), alarms(world), len(world.messages("dues_paid"))) == (None, set(), 1)
    whole(world)


def test_a_card_is_not_changed_on_the_providers_page_where_that_would_charge_what_is_owed(world: World) -> None:
    row = running(world)
    world.sandbox.fail_renewal(row.provider_subscription_id)

    assert plan_cards.change_url(world.shop, row, return_url="http://127.0.0.1:5000/account") is None
    assert posts(world, row) == []


def test_dues_are_not_paid_while_a_change_of_card_is_on_its_way(world: World, pass_point: PassPoint) -> None:
    """Both would charge what is owed: the change was asked for while the plan ran, and is still under way."""
    row = on_hold(world)
    form = shown(world, row)

    def ask_for_another() -> None:
        with world.shop.store.write():
            world.shop.store.run("UPDATE subscriptions SET status = 'active'")
        assert card_charges.begin(world.shop, row)
        with world.shop.store.write():
            world.shop.store.run("UPDATE subscriptions SET status = 'on_hold'")

    pass_point("claim.checked", ask_for_another)
    assert try_pay(world, row, form, name=card(form)) == NotTaken("under_way")
    assert posts(world, row) == []
    # Whoever asked has died: after a minute it bars nothing.
    world.advance(61)
    assert not isinstance(try_pay(world, row, shown(world, row)), NotTaken)


def test_a_change_of_card_waits_for_dues_that_were_claimed_since_it_looked(world: World, pass_point: PassPoint) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("processing")
    try_pay(world, row, shown(world, row))
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET status = 'active'")

    assert card_charges.begin(world.shop, row) is None
    assert dues.form(world.shop, row) is None
