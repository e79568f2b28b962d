"""Two payments of the same dues, Dodo's own beside ours: barred where it can be known, and never left unnoticed."""

import json

import pytest

from encore.dodo.payments import rfc3339
from encore.services import dues, subscriptions
from encore.services.dues import NotTaken
from encore.store.subscriptions import Subscription
from tests.services.plans import UNTAXED, usd
from tests.services.points import PassPoint
from tests.services.test_dues import MASTERCARD, card, hold, on_hold, page, pay, posts, renewals, shown, try_pay
from tests.services.test_dues_owners import alarms, charge, newest_payment, settle
from tests.services.world import DAY_S, World


def begin_its_own(world: World, row: Subscription, outcome: str = "processing") -> str:
    """Let the provider try the card that had failed once more, and the bank take its time; returns the payment."""
    world.sandbox.next_payment(outcome)
    charge(world, row, row.payment_method_id)
    return newest_payment(world, row)


def disposition(world: World, payment_id: str) -> str:
    return next(str(row["disposition"]) for row in world.rows("payments") if row["id"] == payment_id)


def test_what_waits_for_the_bank_elsewhere_is_confirmed_there_and_not_paid_beside(world: World) -> None:
    row = on_hold(world)
    form = shown(world, row)
    payment_id = begin_its_own(world, row, "requires_customer_action")
    world.poll()
    row = world.subscription(row.id)

    told = shown(world, row)
    result = try_pay(world, row, form)

    assert (told.reason, told.has_bank_page) == ("at_bank", True)
    assert str(dues.bank_url(world.shop, row)).endswith(payment_id)
    assert result == NotTaken("at_bank")
    assert renewals(world, row) == []
    settle(world, payment_id, "succeeded")
    world.poll()
    world.read_subscriptions()
    assert (world.subscription(row.id).status, alarms(world)) == ("active", set())


def test_a_bank_that_has_not_answered_for_a_day_bars_nothing_and_its_late_yes_is_noticed(world: World) -> None:
    row = on_hold(world)
    payment_id = begin_its_own(world, row, "requires_customer_action")
    world.advance(DAY_S + 60)

    paid = pay(world, world.subscription(row.id))
    settle(world, payment_id, "succeeded")
    world.poll()

    assert page(world, paid.dues_id).paid_again == usd(3000)
    assert alarms(world) == {"dues_paid_twice"}


@pytest.mark.parametrize("outcome", ["processing", "requires_customer_action", "succeeded"])
def test_an_event_between_the_last_look_and_the_claim_bars_it(
    world: World, pass_point: PassPoint, outcome: str
) -> None:
    row = on_hold(world)
    form = shown(world, row)
    before = len(posts(world, row))

    def begin() -> None:
        begin_its_own(world, row, outcome)
        # The event of the payment alone: that of the subscription may come later.
        world.poll()
        with world.shop.store.write():
            world.shop.store.run("UPDATE subscriptions SET status = 'on_hold'")

    pass_point("claim.checked", begin)
    result = try_pay(world, row, form, name=card(form))

    assert result == NotTaken("at_bank" if outcome == "requires_customer_action" else "under_way")
    assert len(posts(world, row)) == before + 1
    assert [attempt for attempt in world.rows("attempts") if attempt["kind"] == "dues"] == []


def on_hold_without_marks(world: World) -> Subscription:
    """Return a subscription whose later payments bear no metadata of ours: the provider does not promise it."""
    row = world.subscribe(**UNTAXED)
    world.come_back(world.buy(slug="design-templates", card=MASTERCARD))
    world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", {"metadata": {}})
    return hold(world, row)


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("begun", ["claim.checked", "claim.committed"])
def test_a_payment_of_its_own_that_succeeds_beside_ours_is_told_once(
    world: World, pass_point: PassPoint, begun: str, marked: bool
) -> None:
    """It cannot be known of: no list and no event tells of it before the request is sent."""
    row = on_hold(world) if marked else on_hold_without_marks(world)
    pass_point(begun, lambda: begin_its_own(world, row))

    paid = pay(world, row)
    assert (paid.state, alarms(world)) == ("recovered", set())
    its_own = next(p["id"] for p in world.sandbox.payments() if p["status"] == "processing")
    settle(world, its_own, "succeeded")
    world.poll()

    assert page(world, paid.dues_id).paid_again == usd(3000)
    assert alarms(world) == {"dues_paid_twice"}
    assert (disposition(world, its_own), world.rows("refunds")) == ("manual", [])
    # Dealt with by a person, it is not told again.
    with world.shop.store.write():
        world.shop.store.run("UPDATE alarms SET cleared_at = raised_at")
    world.read_subscriptions()
    assert alarms(world) == set()
    # Its own try was made by a request like ours, which the provider's log has as one too many.
    assert set(world.breaches()) <= {"I4"}


def test_its_own_success_that_is_seen_before_ours_is_told_too(world: World, pass_point: PassPoint) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("processing")
    waiting = pay(world, row)
    ours = newest_payment(world, row)
    its_own = begin_its_own(world, row)
    settle(world, its_own, "succeeded")
    settle(world, ours, "succeeded")
    world.poll()
    world.look()

    assert page(world, waiting.dues_id).paid == usd(3000)
    assert alarms(world) == {"dues_paid_twice"}


def test_the_failed_payment_taken_up_again_after_another_card_paid_is_told(world: World) -> None:
    row = on_hold(world)
    failed = newest_payment(world, row)
    paid = pay(world, row)

    settle(world, failed, "succeeded")
    world.poll()

    assert page(world, paid.dues_id).paid_again == usd(3000)
    assert alarms(world) == {"dues_paid_twice"}


def test_the_renewal_of_the_next_period_is_no_second_payment(world: World) -> None:
    row = on_hold(world)
    paid = pay(world, row)

    for _ in range(2):
        world.advance(31 * DAY_S)
        world.poll()
        world.read_subscriptions()

    assert len(renewals(world, row)) == 3
    assert page(world, paid.dues_id).paid_again is None
    assert alarms(world) == set()


@pytest.mark.parametrize("before_s", [300, 3000])
@pytest.mark.parametrize("is_read_first", [True, False])
def test_a_renewal_within_the_hour_after_the_dues_is_no_second_payment(
    world: World, before_s: int, is_read_first: bool
) -> None:
    """The dues were paid at the very end of their period: nobody is told of a charge that is due."""
    row = on_hold(world)
    paid = pay(world, row)
    ends_at = rfc3339(world.shop.now() + before_s * 1000)
    world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", {"next_billing_date": ends_at})
    subscriptions.try_subscription(world.shop, row.provider_subscription_id, budget=world.shop.dodo.budget(5))
    assert (paid.state, renewals(world, row)) == ("recovered", [3000])

    world.advance(before_s + 60)
    if is_read_first:
        subscriptions.try_subscription(world.shop, row.provider_subscription_id, budget=world.shop.dodo.budget(5))
    world.poll()
    world.read_subscriptions()

    assert renewals(world, row) == [3000, 3000]
    assert (page(world, paid.dues_id).paid_again, alarms(world)) == (None, set())


@pytest.mark.parametrize("marked", [True, False])
def test_a_renewal_that_the_merchant_refunds_is_told_by_the_name_of_its_plan(world: World, marked: bool) -> None:
    row = on_hold(world) if marked else on_hold_without_marks(world)
    pay(world, row)
    world.advance(31 * DAY_S)
    world.poll()

    world.sandbox.control("refunds", {"payment_id": newest_payment(world, row)})
    world.poll()
    world.tidy()

    messages = [message for message in world.rows("outbox") if message["kind"] == "refund_done"]
    (told,) = [json.loads(message["payload_json"]) for message in messages]
    assert (told["product_name"], told["amount"]) == ("Basic plan", 3000)
    assert told["order_url"].endswith(f"/account/subscriptions/{row.id}")
    assert {"I11", "I13", "I14"}.isdisjoint(world.breaches())
