"""Changing a plan: up, down, and the credit between; access follows the provider, and the buyer is told once."""

import pytest

from encore.rules.card_declines import HARD, SOFT, read_card_decline
from encore.services import plan_changes
from encore.services.plan_quotes import NotQuoted
from encore.store import offer_instances
from tests.sandbox_process import BASIC, PRO
from tests.services.plans import changes, group, owned, paid, subscribe, usd, whole
from tests.services.world import DAY_S, World

# ---- Upgrade ---------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R14a")
def test_an_upgrade_shows_and_charges_exactly_the_difference(world: World) -> None:
    row = subscribe(world)

    page = world.preview(row)
    after = world.confirm(page)

    assert (page.state, page.direction, page.quote.due, page.renewal.price) == ("preview", "up", usd(5000), usd(8000))
    assert (after.state, after.paid) == ("changed", usd(5000))
    assert paid(world, row) == [5000]
    assert world.subscription(row.id).product_id == PRO
    assert owned(world, row) == {PRO}
    whole(world)


def test_the_request_is_the_quote_and_prevents_what_is_not_paid(world: World) -> None:
    """R15a R14f R11a"""
    row = subscribe(world)
    page = world.preview(row)
    attempt_before = world.rows("attempts")

    world.confirm(page)

    (request,) = changes(world, row)
    assert attempt_before == []
    assert (
        request["body"].items()
        >= {
            "product_id": PRO,
            "quantity": 1,
            "addons": [],
            "proration_billing_mode": "difference_immediately",
            "effective_at": "immediately",
            "on_payment_failure": "prevent_change",
        }.items()
    )
    assert request["body"]["metadata"]["attempt_id"] == world.rows("attempts")[0]["id"]


@pytest.mark.parametrize("answer", ["handles", "empty"])
def test_an_answer_that_says_nothing_is_looked_up_at_once(world: World, answer: str) -> None:
    """R15b"""
    world.sandbox.switch(change_plan_answer=answer)
    row = subscribe(world)

    assert world.confirm(world.preview(row)).state == "changed"


def test_the_buyer_is_told_once(world: World) -> None:
    row = subscribe(world)
    world.confirm(world.preview(row))
    whole(world)
    whole(world)

    assert len(world.messages("plan_changed")) == 1
    assert world.messages("plan_scheduled") == []


@pytest.mark.criterion("R15c")
def test_access_changes_when_the_provider_confirms_and_not_on_the_click(world: World) -> None:
    row = subscribe(world)
    world.sandbox.next_payment("processing")

    page = world.confirm(world.preview(row))

    assert page.state == "processing"
    assert owned(world, row) == {BASIC}
    world.sandbox.control(
        "settle", {"payment_id": world.rows("attempts")[0]["provider_payment_id"], "status": "succeeded"}
    )
    whole(world)
    assert world.quote(page.quote_id).state == "changed"
    assert owned(world, row) == {PRO}


@pytest.mark.criterion("R15d")
def test_a_declined_card_changes_nothing(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    after = world.confirm(page)

    assert (after.state, after.reason) == ("failed", "card_decline.insufficient_funds")
    assert world.subscription(row.id).product_id == BASIC
    assert owned(world, row) == {BASIC}
    assert world.messages("plan_not_changed") == []
    whole(world)
    assert world.confirm(world.preview(world.subscription(row.id))).state == "changed"


@pytest.mark.criterion("P7")
def test_a_failed_upgrade_payment_leaves_the_plan_alone_whatever_the_code(world: World) -> None:
    row = subscribe(world)
    for code in sorted(SOFT | HARD):
        world.sandbox.next_payment("failed", code)

        after = world.confirm(world.preview(row))

        there = world.sandbox.get(f"/subscriptions/{row.provider_subscription_id}")
        assert (code, after.state, after.reason) == (code, "failed", read_card_decline(code).words)
        assert (code, there["product_id"], there["status"]) == (code, BASIC, "active")
        assert (code, world.subscription(row.id).product_id) == (code, BASIC)
        assert owned(world, row) == {BASIC}
    assert paid(world, row) == []
    whole(world)


def test_the_bank_step_leads_to_the_bank_and_back(world: World) -> None:
    row = subscribe(world)
    world.sandbox.next_payment("requires_customer_action")

    page = world.confirm(world.preview(row))

    instance = offer_instances.get_instance(world.shop.store, page.quote_id)
    assert instance is not None
    assert page.state == "action_required"
    assert plan_changes.bank_url(world.shop, instance) is not None
    world.sandbox.control(
        "settle", {"payment_id": world.rows("attempts")[0]["provider_payment_id"], "status": "succeeded"}
    )
    plan_changes.refresh(world.shop, instance)
    assert world.quote(page.quote_id).state == "changed"
    whole(world)


# ---- Downgrade -------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R18a", "R18c", "R17a", "R17b")
def test_a_downgrade_by_difference_credits_fifty_and_draws_its_renewals(world: World) -> None:
    row = subscribe(world, "pro-plan")

    page = world.preview(row, "basic-plan")
    now = page.alternative
    assert now is not None
    after = world.confirm(now)

    assert (page.quote.is_scheduled, page.losses != ()) == (True, True)
    assert (now.quote.due, now.quote.credit_added) == (usd(0), usd(5000))
    assert [renewal.to_pay.minor for renewal in now.renewals] == [0, 1000]
    assert (after.state, after.paid) == ("changed", None)
    assert paid(world, row) == []
    assert owned(world, row) == {BASIC}
    whole(world)


@pytest.mark.criterion("P6")
@pytest.mark.parametrize("when", ["next_billing_date", "immediately"])
def test_the_buyer_chooses_the_time_where_the_merchant_allows_both(world: World, when: str) -> None:
    row = subscribe(world, "pro-plan")

    group(world, downgrade_when=when)
    both = world.preview(row, "basic-plan")
    group(world, downgrade_when=when, downgrade_both=False)
    only = world.preview(row, "basic-plan")

    assert both.alternative is not None
    assert {both.quote.wish.when, both.alternative.quote.wish.when} == {"next_billing_date", "immediately"}
    assert (both.quote.wish.when, only.quote.wish.when, only.alternative) == (when, when, None)
    assert world.confirm(only).state == ("scheduled" if when == "next_billing_date" else "changed")


@pytest.mark.criterion("R17d", "R16e")
def test_a_scheduled_downgrade_is_seen_and_can_be_cancelled(world: World) -> None:
    row = subscribe(world, "pro-plan")

    after = world.confirm(world.preview(row, "basic-plan"))

    (request,) = changes(world, row)
    assert (request["body"]["effective_at"], request["body"]["proration_billing_mode"]) == (
        "next_billing_date",
        "full_immediately",
    )
    assert after.state == "scheduled"
    assert world.subscription(row.id).scheduled_json is not None
    assert owned(world, row) == {PRO}
    assert world.try_preview(world.subscription(row.id), "basic-plan") == NotQuoted("scheduled_change")
    assert plan_changes.cancel_scheduled(world.shop, world.subscription(row.id))
    assert plan_changes.cancel_scheduled(world.shop, world.subscription(row.id))
    assert world.subscription(row.id).scheduled_json is None
    whole(world)


def test_a_scheduled_downgrade_takes_effect_at_the_renewal(world: World) -> None:
    row = subscribe(world, "pro-plan")
    world.confirm(world.preview(row, "basic-plan"))

    world.advance(31 * DAY_S)
    whole(world)

    assert world.subscription(row.id).product_id == BASIC
    assert owned(world, row) == {BASIC}
    assert [alarm["kind"] for alarm in world.rows("alarms")] == []


# ---- Credit ----------------------------------------------------------------------------------------------------------


@pytest.mark.criterion("R18d")
def test_credit_left_by_a_downgrade_is_spent_by_the_next_upgrade(world: World) -> None:
    group(world, downgrade_when="immediately")
    row = subscribe(world, "pro-plan")
    world.confirm(world.preview(row, "basic-plan"))

    page = world.preview(world.subscription(row.id))
    after = world.confirm(page)

    assert (page.quote.credit_used, page.quote.credit_added, page.quote.due) == (usd(5000), usd(0), usd(0))
    assert (after.state, sum(paid(world, row))) == ("changed", 0)
    whole(world)


@pytest.mark.criterion("R18f")
def test_credit_that_a_failed_change_was_to_spend_is_there_again(world: World) -> None:
    """A late failure: the credit was taken with the payment under way, and comes back with its end."""
    group(world, downgrade_when="immediately")
    row = subscribe(world, "pro-plan")
    world.confirm(world.preview(row, "basic-plan"))
    page = world.preview(world.subscription(row.id), quantity=2)
    world.sandbox.next_payment("processing")
    waiting = world.confirm(page)
    payment_id = world.rows("attempts")[-1]["provider_payment_id"]
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "failed", "error_code": "DO_NOT_HONOR"})
    whole(world)

    again = world.preview(world.subscription(row.id), quantity=2)

    assert (page.quote.credit_used, page.quote.due) == (usd(5000), usd(8000))
    assert (waiting.state, world.quote(page.quote_id).state) == ("processing", "failed")
    assert (again.quote.credit_used, again.quote.due) == (usd(5000), usd(8000))
    assert world.subscription(row.id).product_id == BASIC
