"""Changing a plan: the price before the click, exactly that on the card, and one change whatever happens.

Golden figures are those of the provider's guide and of proration.md: Basic 30 to Pro 80, in April, without tax.
"""

import random
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from encore.rules.money import Money
from encore.rules.plan_changes import MODES, may_confirm
from encore.services import charging, plan_changes
from encore.services.plan_changes import Confirmed, NotQuoted, Quoted
from encore.store import offer_instances, orders
from encore.store.subscriptions import Subscription
from tests.concurrency.crowd import at_once
from tests.sandbox_process import BASIC, PRO
from tests.services.world import DAY_S, World

# Oregon takes no tax on anything, so the figures are the guide's own.
UNTAXED = {"country": "US", "zipcode": "97201"}
SLUGS = {BASIC: "basic-plan", PRO: "pro-plan"}
WISHES = [(slug, seats) for slug in SLUGS.values() for seats in range(1, 5)]
CHANGE_PLAN = "POST /subscriptions/{id}/change-plan"


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def subscribe(world: World, slug: str = "basic-plan", **form: str) -> Subscription:
    return world.subscribe(slug, **{**UNTAXED, **form})


def changes(world: World, row: Subscription) -> list[Any]:
    return world.sandbox.requests("POST", f"/subscriptions/{row.provider_subscription_id}/change-plan")


def paid(world: World, row: Subscription) -> list[int]:
    """Return what was charged for changes of a plan, as the provider has it."""
    return [
        payment["total_amount"]
        for payment in world.sandbox.get("/payments", subscription_id=row.provider_subscription_id)["items"]
        if payment["charge_type"] == "plan_change" and payment["status"] == "succeeded"
    ]


def owned(world: World, row: Subscription) -> frozenset[str]:
    return orders.list_owned_products(world.shop.store, row.customer_id)


def settle(world: World) -> None:
    """Let the payment under way succeed."""
    payment_id = world.rows("attempts")[0]["provider_payment_id"]
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})


def whole(world: World) -> None:
    """Let the worker do what is left, and have the audit find nothing."""
    world.poll()
    world.read_subscriptions()
    world.look()
    world.tidy()
    # The sandbox's log has true time, so a test that moves our clock sends at another time than it claims (I4).
    is_moved = abs(world.clock.wall_s) > 10
    assert set(world.breaches()) <= ({"I4"} if is_moved else set())


# ---- Upgrade ---------------------------------------------------------------------------------------------------


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


# ---- The price promise -----------------------------------------------------------------------------------------


@pytest.mark.criterion("R14c")
def test_a_price_raised_between_preview_and_confirm_charges_nothing(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.reprice(PRO, 9000)

    after = world.confirm(page)

    assert (after.state, after.quote_id != page.quote_id) == ("quote_changed", True)
    assert after.moved_from is not None
    assert (after.moved_from.due, after.quote.due) == (usd(5000), usd(6000))
    assert changes(world, row) == []
    assert world.rows("attempts") == []
    assert world.confirm(after).paid == usd(6000)


def test_a_price_lowered_meanwhile_is_charged_as_it_is(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.reprice(PRO, 7000)

    after = world.confirm(page)

    assert (after.state, after.paid) == ("changed", usd(4000))
    whole(world)


def test_a_dearer_renewal_is_shown_before_a_change_that_costs_nothing_now(world: World) -> None:
    group(world, upgrade_mode="do_not_bill")
    row = subscribe(world)
    page = world.preview(row)
    world.reprice(PRO, 9000)

    assert world.confirm(page).state == "quote_changed"
    assert changes(world, row) == []


@pytest.mark.criterion("R14c")
def test_a_quote_lives_ten_minutes(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.advance(10 * 60)
    # The worker calls it expired too; who confirms it all the same is shown the figures of that moment.
    world.tidy()

    assert world.quote(page.quote_id).state == "quote_expired"
    after = world.confirm(page)

    assert (after.state, after.quote_id != page.quote_id) == ("quote_expired", True)
    assert changes(world, row) == []
    assert world.confirm(after).state == "changed"


def test_any_change_of_the_subscription_voids_a_quote(world: World) -> None:
    """R14c"""
    row = subscribe(world)
    old = world.preview(row)
    world.confirm(world.preview(row))
    back = world.preview(world.subscription(row.id), "basic-plan")

    after = world.try_confirm(old)

    assert world.quote(old.quote_id).state == "quote_expired"
    assert isinstance(after, Quoted)
    assert len(changes(world, row)) == 1
    assert back.quote.wish.product_id == BASIC


def test_a_quote_used_twice_shows_its_outcome(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.confirm(page)

    again = [world.try_confirm(page) for _ in range(2)]

    assert again == [Confirmed("taken")] * 2
    assert world.quote(page.quote_id).state == "changed"
    assert len(changes(world, row)) == 1


def test_a_hash_that_was_not_shown_confirms_nothing(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)

    assert world.try_confirm(replace(page, quote_hash="0" * 64)) == Confirmed("moved")
    assert changes(world, row) == []


def test_an_overcharge_is_kept_told_and_found_by_the_audit(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    ask = may_confirm

    def raise_after(*quotes: Any) -> Any:
        world.reprice(PRO, 9000)
        return ask(*quotes)

    with patch.object(plan_changes, "may_confirm", raise_after):
        after = world.confirm(page)

    assert after.paid == usd(6000)
    assert [alarm["kind"] for alarm in world.rows("alarms")] == ["plan_change_overcharged"]
    assert world.breaches() == ("I12",)


def test_without_a_preview_there_is_no_quote_to_confirm(world: World) -> None:
    """R14d"""
    row = subscribe(world)
    world.sandbox.fault(CHANGE_PLAN + "/preview", "status:500", times=9)

    assert world.try_preview(row) == NotQuoted("no_price")
    assert changes(world, row) == []


# ---- One change, whatever happens ------------------------------------------------------------------------------


@pytest.mark.criterion("R15d")
def test_six_clicks_on_one_quote_change_once(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)

    at_once([partial(world.try_confirm, page) for _ in range(6)])

    assert len(changes(world, row)) == 1
    assert paid(world, row) == [5000]
    whole(world)


def test_two_tabs_with_two_quotes_change_once(world: World) -> None:
    row = subscribe(world)
    world.sandbox.next_payment("processing", times=2)
    tabs = [world.preview(row), world.preview(row, "basic-plan", quantity=3)]

    at_once([partial(world.try_confirm, page) for page in tabs])

    assert len(changes(world, row)) == 1
    assert sorted(world.quote(page.quote_id).state for page in tabs) == ["pending_change", "processing"]


@pytest.mark.parametrize(("is_guarded", "sent"), [(True, 1), (False, 2)])
def test_the_constraint_alone_lets_one_of_two_tabs_through(world: World, is_guarded: bool, sent: int) -> None:
    """Both tabs have asked the provider before either claims; without the constraint two requests go out."""
    row = subscribe(world)
    world.sandbox.next_payment("processing", times=2)
    tabs = [world.preview(row), world.preview(row, "basic-plan", quantity=3)]
    current = world.shop.dodo.subscriptions.get(row.provider_subscription_id, budget=world.shop.dodo.budget())
    fresh = {page.quote.wish: page.quote for page in tabs}
    if not is_guarded:
        with world.shop.store.write():
            world.shop.store.run("DROP INDEX one_subscription_charge")

    with (
        patch.object(plan_changes, "_read", lambda shop, subscription: current),
        patch.object(plan_changes, "_ask", lambda shop, subscription, wish, *, method: fresh[wish]),
    ):
        for page in tabs:
            world.try_confirm(page)

    assert len(changes(world, row)) == sent


@pytest.mark.parametrize("fault", ["reset", "timeout", "truncated", "html", "status:500", "status:408"])
@pytest.mark.parametrize("effect", ["none", "before"])
def test_a_lost_answer_is_settled_by_asking_and_never_sent_again(world: World, fault: str, effect: str) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.fault(CHANGE_PLAN, fault, effect=effect)

    world.confirm(page)
    for _ in range(8):
        world.advance(1)
        world.look()

    assert len(changes(world, row)) == 1
    state = world.quote(page.quote_id).state
    assert (state, paid(world, row)) == (("changed", [5000]) if effect == "before" else ("not_charged", []))
    whole(world)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429])
def test_a_refusal_is_not_sent_again(world: World, status: int) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.fault(CHANGE_PLAN, f"status:{status}")

    after = world.confirm(page)

    assert len(changes(world, row)) == 1
    assert after.state == ("checking" if status == 409 else "not_charged")
    assert world.subscription(row.id).product_id == BASIC


# ---- Downgrade -------------------------------------------------------------------------------------------------


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


# ---- Modes -----------------------------------------------------------------------------------------------------


def group(world: World, **fields: str) -> None:
    lines = "\n".join(f'{name} = "{value}"' for name, value in fields.items())
    plans = "".join(f'[[plan_groups.plans]]\nproduct = "{slug}"\n' for slug in ("basic-plan", "pro-plan"))
    world.publish(f'[[plan_groups]]\nid = "plans"\n{lines}\n{plans}')


@pytest.mark.criterion("R16a", "R16b")
@pytest.mark.parametrize(
    ("mode", "due"),
    [
        ("difference_immediately", 5000),
        ("prorated_immediately", 2500),
        ("full_immediately", 8000),
        ("do_not_bill", 0),
        ("prorated_immediately_keep_cycle", 2500),
    ],
)
def test_thirty_to_eighty_halfway_costs_what_the_guide_says(world: World, mode: str, due: int) -> None:
    group(world, upgrade_mode=mode)
    row = halfway(world, "basic-plan")

    page = world.preview(row)
    after = world.confirm(page)

    assert page.quote.due == usd(due)
    assert (after.state, after.paid) == ("changed", usd(due) if due else None)
    assert paid(world, row) == ([due] if due else [])
    whole(world)


@pytest.mark.criterion("R16b")
@pytest.mark.parametrize(
    ("mode", "due", "credit"),
    [
        ("difference_immediately", 0, 5000),
        ("prorated_immediately", 0, 2500),
        ("full_immediately", 3000, 0),
        ("do_not_bill", 0, 0),
        ("prorated_immediately_keep_cycle", 0, 2500),
    ],
)
def test_eighty_to_thirty_halfway_credits_what_the_guide_says(world: World, mode: str, due: int, credit: int) -> None:
    group(world, downgrade_mode=mode, downgrade_when="immediately")
    row = halfway(world, "pro-plan")

    page = world.preview(row, "basic-plan")
    after = world.confirm(page)

    assert (page.quote.due, page.quote.credit_added) == (usd(due), usd(credit))
    assert after.state == "changed"
    assert paid(world, row) == ([due] if due else [])
    whole(world)


@pytest.mark.parametrize(
    ("switches", "due"),
    [
        ({"reset_proration": "full_new_minus_unused"}, 6500),
        ({"proration_clock": "whole_days"}, 2500),
        ({"renewal_calendar": "days_30"}, 2500),
        ({"rounding": "half_even"}, 2500),
        ({"preview_total": "before_credit"}, 2500),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_prorated_figures_follow_the_providers_reading(world: World, switches: dict[str, str], due: int) -> None:
    """A quote and a charge are not one function of ours agreeing with itself: both are the provider's."""
    group(world, upgrade_mode="prorated_immediately")
    world.sandbox.switch(**switches)
    row = halfway(world, "basic-plan")

    page = world.preview(row)

    assert page.quote.due == usd(due)
    assert world.confirm(page).paid == usd(due)
    whole(world)


def halfway(world: World, slug: str) -> Subscription:
    """Return a subscription on day 16 of a period of 30 days, the clock standing still."""
    stand_still(world, datetime(2027, 4, 1, tzinfo=UTC))
    row = subscribe(world, slug)
    world.advance(15 * DAY_S)
    return row


def stand_still(world: World, moment: datetime) -> None:
    """Put both clocks to a moment, and let the provider's stand still there."""
    world.sandbox.control("clock", {"freeze": True})
    world.advance(moment.timestamp() - world.sandbox.control("clock")["now"] / 1000)


# ---- What cannot be changed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "quantity", "reason"),
    [
        ("starter-course", None, "not_a_plan"),
        ("pdt_of_nobody", None, "not_a_plan"),
        ("", None, "not_a_plan"),
        ("basic-plan", None, "same_plan"),
        ("basic-plan", 1, "same_plan"),
        ("pro-plan", 0, "bad_quantity"),
        ("pro-plan", 10_001, "bad_quantity"),
        ("pro-plan", -1, "bad_quantity"),
    ],
)
def test_each_wrong_wish_has_its_own_answer(world: World, slug: str, quantity: int | None, reason: str) -> None:
    row = subscribe(world)

    assert world.try_preview(row, slug, quantity=quantity) == NotQuoted(reason)  # type: ignore[arg-type]
    assert world.rows("offer_instances") == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": "paused"}, "paused"),
        ({"status": "cancelled"}, "ended"),
    ],
)
def test_each_state_that_bars_a_change_has_its_own_answer(world: World, body: dict[str, Any], reason: str) -> None:
    row = subscribe(world)
    page = world.preview(row)
    answer = world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", body)
    assert answer.status_code == 200, answer.text

    assert world.try_preview(row) == NotQuoted(reason)  # type: ignore[arg-type]
    assert world.try_confirm(page) == NotQuoted(reason)  # type: ignore[arg-type]
    assert changes(world, row) == []


def test_an_archived_plan_cannot_be_changed_to(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)
    world.sandbox.call("DELETE", f"/products/{PRO}")
    world.sync()

    assert world.try_preview(row) == NotQuoted("archived")
    assert world.try_confirm(page) == NotQuoted("archived")
    assert changes(world, row) == []


def test_a_second_subscription_waits_while_the_first_changes_to_the_same_plan(world: World) -> None:
    rows = [subscribe(world), subscribe(world)]
    pages = [world.preview(row) for row in rows]
    world.sandbox.next_payment("processing")

    first, second = (world.confirm(page) for page in pages)

    assert (first.state, second.state) == ("processing", "pending_change")
    assert second.pending_quote_id == first.quote_id
    settle(world)
    whole(world)
    assert world.confirm(world.preview(world.subscription(rows[1].id))).state == "changed"


def test_a_quote_belongs_to_its_customer_alone(world: World) -> None:
    row = subscribe(world)
    page = world.preview(row)

    assert plan_changes.get_quote(world.shop, page.quote_id, customer_ids=(row.customer_id,)) is not None
    assert plan_changes.get_quote(world.shop, page.quote_id, customer_ids=("cus_other",)) is None
    assert plan_changes.get_quote(world.shop, "quo_none", customer_ids=(row.customer_id,)) is None


def test_an_offer_on_the_return_page_is_no_quote(world: World) -> None:
    page = world.offer()
    customer_id = world.rows("customers")[0]["id"]

    assert plan_changes.get_quote(world.shop, page.instance_id, customer_ids=(customer_id,)) is None


# ---- Seats and add-ons -----------------------------------------------------------------------------------------


def test_seats_are_changed_by_the_same_path(world: World) -> None:
    """R15e"""
    row = subscribe(world)

    page = world.preview(row, "basic-plan", quantity=3)
    after = world.confirm(page)

    assert (page.direction, page.quote.due) == ("up", usd(6000))
    assert (after.state, world.subscription(row.id).quantity) == ("changed", 3)
    pro = world.preview(world.subscription(row.id))
    assert pro.quote.wish.quantity == 3
    whole(world)


# ---- Generated changes -----------------------------------------------------------------------------------------


@pytest.mark.criterion("R14a")
def test_three_hundred_generated_changes_charge_what_was_shown(world: World) -> None:
    """Never above the quote, and equal to it while the provider's clock stands still: 300 changes, each confirmed."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    stand_still(world, datetime(2027, 4, 1, tzinfo=UTC))
    row = subscribe(world)
    for mode in MODES:
        group(world, upgrade_mode=mode, downgrade_mode=mode, downgrade_when="immediately")
        for _ in range(300 // len(MODES)):
            world.advance(chance.randrange(3 * DAY_S))
            _change_at_random(world, world.subscription(row.id), chance)
    whole(world)


def _change_at_random(world: World, row: Subscription, chance: random.Random) -> None:
    slug, seats = chance.choice([pair for pair in WISHES if pair != (SLUGS[row.product_id], row.quantity)])
    page = world.preview(row, slug, quantity=seats)

    after = world.confirm(page)

    assert after.state == "changed"
    (attempt,) = world.shop.store.rows("SELECT * FROM attempts ORDER BY rowid DESC LIMIT 1")
    payment_id = attempt["provider_payment_id"]
    charged = world.sandbox.get(f"/payments/{payment_id}")["total_amount"] if payment_id else 0
    assert charged == page.quote.due.minor
    assert after.paid == (usd(charged) if payment_id else None)


def test_quote_for_a_state_that_a_paid_change_has_ended_charges_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tabs: the second claims when the first is paid, but the subscription has not been read again."""
    row = subscribe(world)
    first, second = world.preview(row), world.preview(row, quantity=2)
    claim = charging.claim_and_send
    with monkeypatch.context() as blind:
        blind.setattr(plan_changes, "look_now", lambda *_: None)

        def claim_late(*given: Any, **named: Any) -> Any:
            blind.setattr(charging, "claim_and_send", claim)
            world.try_confirm(first)
            world.poll()
            return claim(*given, **named)

        blind.setattr(charging, "claim_and_send", claim_late)
        world.try_confirm(second)

    assert paid(world, row) == [5000]
    assert len(changes(world, row)) == 1
    whole(world)


# ---- Credit ----------------------------------------------------------------------------------------------------


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
