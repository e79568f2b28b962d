"""A plan in its days of grace (`past_due`): it still runs, and what it owes is paid by the attempt that pays dues."""

import pytest

from encore.services import card_charges, plan_cards, subscriptions
from encore.services.dues import NotTaken
from encore.store.subscriptions import Subscription
from tests.sandbox_process import PRO
from tests.services.plans import UNTAXED, owned, usd, whole
from tests.services.test_dues import MASTERCARD, UPDATE, card, glance, page, pay, posts, renewals, shown, try_pay
from tests.services.test_dues_owners import alarms, newest_payment
from tests.services.test_dues_paid_twice import disposition
from tests.services.world import DAY_S, World


def in_grace(world: World, *, days: int = 3) -> Subscription:
    """Return a plan whose renewal was declined, of a merchant who gives days of grace; its customer has two cards."""
    world.sandbox.switch(grace_period_days=days)
    row = world.subscribe(**UNTAXED)
    world.come_back(world.buy(slug="design-templates", card=MASTERCARD))
    world.sandbox.fail_renewal(row.provider_subscription_id)
    world.poll()
    return read(world, row)


def read(world: World, row: Subscription) -> Subscription:
    subscriptions.try_subscription(world.shop, row.provider_subscription_id, budget=world.shop.dodo.budget(5))
    return world.subscription(row.id)


@pytest.mark.criterion("R26b")
def test_what_a_plan_in_grace_owes_is_paid_with_another_saved_card(world: World) -> None:
    row = in_grace(world)
    assert (row.status, row.product_id in owned(world, row)) == ("past_due", True)

    form = shown(world, row)
    after = pay(world, row)

    assert (form.amount, [choice.method.last4 for choice in form.cards if choice.is_chosen]) == (usd(3000), ["4444"])
    assert (after.state, after.paid, world.subscription(row.id).status) == ("recovered", usd(3000), "active")
    assert (len(posts(world, row)), renewals(world, row)) == (1, [3000])
    assert row.product_id in owned(world, row)
    whole(world)
    assert len(world.messages("dues_paid")) == 1


def test_a_decline_leaves_it_owed_and_leads_to_a_new_try(world: World) -> None:
    row = in_grace(world)
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    declined = pay(world, row)
    assert (declined.state, declined.is_owed, world.subscription(row.id).status) == ("failed", True, "past_due")
    again = pay(world, row)

    assert again.state == "recovered"
    assert not glance(world, declined.dues_id).is_owed
    whole(world)


def test_grace_that_ends_before_the_click_changes_nothing_about_what_is_owed(world: World) -> None:
    row = in_grace(world)
    form = shown(world, row)
    world.advance(3 * DAY_S + 60)

    taken = try_pay(world, row, form, name=card(form))
    assert not isinstance(taken, NotTaken), taken

    assert page(world, taken.instance_id).state == "recovered"
    assert renewals(world, row) == [3000]


def test_a_plan_that_ends_with_its_grace_is_not_charged_any_more(world: World) -> None:
    world.sandbox.switch(grace_end="cancelled")
    row = in_grace(world)
    form = shown(world, row)
    world.advance(3 * DAY_S + 60)

    assert try_pay(world, row, form, name=card(form)) == NotTaken("ended")
    assert posts(world, row) == []


def test_its_card_is_not_changed_as_if_nothing_were_owed(world: World) -> None:
    row = in_grace(world)

    assert not card_charges.may_change(world.shop, row)
    assert plan_cards.use(world.shop, row, name=card(shown(world, row))) == "not_now"
    assert plan_cards.change_url(world.shop, row, return_url="http://127.0.0.1:5000/account") is None
    assert posts(world, row) == []


def test_a_try_of_the_providers_own_beside_ours_is_noticed_here_too(world: World) -> None:
    row = in_grace(world)
    failed = next(p["id"] for p in world.sandbox.payments() if p["status"] == "failed")
    paid = pay(world, row)

    world.sandbox.control("settle", {"payment_id": failed, "status": "succeeded"})
    world.poll()

    assert page(world, paid.dues_id).paid_again == usd(3000)
    assert alarms(world) == {"dues_paid_twice"}


def change_in_portal(world: World, row: Subscription, *, outcome: str = "succeeded") -> str:
    """Let the customer change the plan in the provider's portal, which bears no mark of ours; returns the payment."""
    world.sandbox.next_payment(outcome)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately", "metadata": {}}
    answer = world.sandbox.call(
        "POST",
        f"/subscriptions/{row.provider_subscription_id}/change-plan",
        {**body, "on_payment_failure": "prevent_change"},
    )
    assert answer.status_code == 200, answer.text
    world.poll()
    return newest_payment(world, row)


def test_a_declined_change_of_plan_is_not_what_is_owed(world: World) -> None:
    row = in_grace(world)
    change_in_portal(world, row, outcome="failed")

    form = shown(world, row)
    after = pay(world, row)

    assert (form.amount, form.reason) == (usd(3000), None)
    assert (after.state, after.paid, after.given_back) == ("recovered", usd(3000), None)
    assert (world.rows("refunds"), alarms(world)) == ([], set())


def test_a_change_of_plan_in_the_portal_is_not_taken_for_dues_without_an_answer(world: World) -> None:
    """Measured by what is owed it would be an overcharge, and go back in part."""
    row = in_grace(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")
    waiting = pay(world, row)
    assert waiting.state == "checking"

    change = change_in_portal(world, row)

    assert glance(world, waiting.dues_id).state == "checking"
    assert (disposition(world, change), world.rows("refunds"), alarms(world)) == ("renewal", [], set())
