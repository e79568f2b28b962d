"""Whose the payments of dues are: late, second, the provider's own, and those that change after they were seen."""

import json
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from encore.dodo.answers import Accepted
from encore.services import charging, dues, dues_payments, observe, plan_changes, webhooks
from encore.services.dues import NotTaken, Taken
from encore.store import attempts, offer_instances
from encore.store.subscriptions import Subscription
from tests.deliveries import sign
from tests.services.plans import usd, whole
from tests.services.points import PassPoint
from tests.services.test_dues import (
    UPDATE,
    card,
    glance,
    on_hold,
    page,
    pay,
    posts,
    renewals,
    settle_quietly,
    shown,
    try_pay,
)
from tests.services.world import World


def lose_request(world: World, row: Subscription) -> str:
    """Press the button; the request does nothing, and its answer is lost. Returns the page's id."""
    world.sandbox.fault(UPDATE, "reset", effect="none")
    return pay(world, row).dues_id


def chosen_method(world: World) -> str:
    return str(json.loads(world.rows("offer_instances")[-1]["quote_json"])["method"]["payment_method_id"])


def charge(world: World, row: Subscription, method_id: str | None) -> None:
    """Let the provider charge what is owed: a request that runs late, or a try of its own."""
    body = {"type": "existing", "payment_method_id": method_id}
    world.sandbox.post(f"/subscriptions/{row.provider_subscription_id}/update-payment-method", body)


def newest_payment(world: World, row: Subscription) -> str:
    listed = world.sandbox.get("/payments", subscription_id=row.provider_subscription_id)["items"]
    return str(max(listed, key=lambda payment: payment["created_at"])["payment_id"])


def settle(world: World, payment_id: str, status: str) -> None:
    world.sandbox.control("settle", {"payment_id": payment_id, "status": status})


def alarms(world: World) -> set[Any]:
    return {row["kind"] for row in world.rows("alarms") if row["cleared_at"] is None}


def leave(world: World, dues_id: str) -> None:
    instance = offer_instances.get_instance(world.shop.store, dues_id)
    assert instance is not None
    plan_changes.give_up(world.shop, instance)


def test_dues_paid_by_two_tries_are_both_shown_and_told_a_person(world: World) -> None:
    """The bank said yes to a card that the buyer had given up, after another one had paid."""
    row = on_hold(world)
    world.sandbox.next_payment("requires_customer_action")
    left = pay(world, row)
    payment_id = newest_payment(world, row)
    leave(world, left.dues_id)
    paid = pay(world, row)
    assert (paid.state, alarms(world)) == ("recovered", set())

    settle(world, payment_id, "succeeded")
    world.poll()

    assert page(world, left.dues_id).paid == usd(3000)
    assert "dues_paid_twice" in alarms(world)


def test_a_try_of_the_provider_that_takes_its_time_settles_what_it_paid(world: World) -> None:
    row = on_hold(world)
    checking = lose_request(world, row)
    world.sandbox.next_payment("processing")
    charge(world, row, row.payment_method_id)
    world.look()
    world.poll()
    settle(world, newest_payment(world, row), "succeeded")
    world.poll()
    settle_quietly(world)

    assert page(world, checking).paid == usd(3000)
    whole(world)


def test_a_late_charge_that_was_first_seen_under_way_is_honoured(world: World) -> None:
    row = on_hold(world)
    lost = lose_request(world, row)
    settle_quietly(world)
    assert page(world, lost).state == "not_charged"
    world.sandbox.next_payment("processing")
    charge(world, row, chosen_method(world))
    world.poll()
    settle(world, newest_payment(world, row), "succeeded")
    world.poll()

    assert page(world, lost).paid == usd(3000)
    whole(world)


def test_a_late_charge_is_honoured_though_another_try_has_come_to_nothing_since(world: World) -> None:
    row = on_hold(world)
    lost = lose_request(world, row)
    method_id = chosen_method(world)
    settle_quietly(world)
    world.sandbox.fault(UPDATE, "status:422:NO_ELIGIBLE_PAYMENT_METHODS")
    refused = pay(world, row)

    charge(world, row, method_id)
    world.poll()

    assert page(world, refused.dues_id).state == "not_charged"
    assert page(world, lost).paid == usd(3000)
    whole(world)


def test_a_second_success_right_after_the_dues_were_paid_is_told_a_person(world: World) -> None:
    row = on_hold(world)
    paid = pay(world, row)
    world.sandbox.control("renewals", {"subscription_id": row.provider_subscription_id})
    world.poll()

    assert page(world, paid.dues_id).paid == usd(3000)
    assert alarms(world) == {"dues_paid_twice"}


def test_the_failed_payment_itself_may_be_the_one_that_is_paid(world: World) -> None:
    """The provider may try the same payment again, under its old id, which we know as failed."""
    row = on_hold(world)
    failed = newest_payment(world, row)
    checking = lose_request(world, row)

    settle(world, failed, "succeeded")
    world.look()

    assert page(world, checking).paid == usd(3000)
    whole(world)


def test_an_answer_that_names_the_failed_payment_is_about_ours(world: World) -> None:
    row = on_hold(world)
    failed = newest_payment(world, row)
    lose_request(world, row)
    attempt = attempts.get_attempt(world.shop.store, world.rows("attempts")[-1]["id"])
    assert attempt is not None

    charging.settle(world.shop, attempt, Accepted(failed, None))

    assert world.rows("attempts")[-1]["state"] == "pending"


def test_what_is_paid_is_not_owed_while_the_provider_has_yet_to_say_so(world: World) -> None:
    row = on_hold(world)
    paid = pay(world, row)
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET status = 'on_hold'")

    late = dues.form(world.shop, world.subscription(row.id))

    assert late is not None
    assert late.reason == "under_way"
    assert try_pay(world, row, late) == NotTaken("nothing_owed")
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET status = 'on_hold'")
    assert glance(world, paid.dues_id).state == "processing"


def test_of_two_tabs_the_one_that_is_let_through_sends_its_own_card(world: World) -> None:
    row = on_hold(world)
    form = shown(world, row)
    store = dues._store

    def store_then_other_tab(*args: Any, **named: Any) -> str:
        own = store(*args, **named)
        with patch.object(dues, "_store", store), patch.object(dues.charging, "claim_and_send", return_value="taken"):
            try_pay(world, row, form, name=card(form, "4242"))
        return own

    with patch.object(dues, "_store", store_then_other_tab):
        taken = try_pay(world, row, form, name=card(form, "4444"))

    assert isinstance(taken, Taken)
    assert posts(world, row) == []
    assert renewals(world, row) == []


def test_an_event_of_dues_keeps_them_from_being_called_absent(world: World) -> None:
    """Though no list and no look tells of the payment yet."""
    row = on_hold(world)
    world.sandbox.next_payment("processing")
    world.sandbox.fault(UPDATE, "reset", effect="before")
    world.sandbox.control("lists", {"lag_s": 3600})
    checking = pay(world, row).dues_id
    payment_id = world.sandbox.payments()[-1]["id"]
    told = {"payload_type": "Payment", **world.sandbox.get(f"/payments/{payment_id}")}
    body = json.dumps({"type": "payment.processing", "data": told}).encode()
    webhooks.receive(world.shop, sign(world.shop, body), body)

    settle_quietly(world)

    assert page(world, checking).state == "checking"


def test_what_a_left_page_paid_under_another_id_is_honoured(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("requires_customer_action")
    left = pay(world, row)
    method_id = chosen_method(world)
    leave(world, left.dues_id)

    charge(world, row, method_id)
    world.poll()

    assert page(world, left.dues_id).paid == usd(3000)
    whole(world)


def test_a_payment_of_the_providers_own_between_the_last_look_and_the_claim_settles_it(
    world: World, pass_point: PassPoint
) -> None:
    """No list and no event tells of it before the request; ours then finds nothing owed, and no payment is made."""
    row = on_hold(world)

    pass_point("claim.checked", lambda: charge(world, row, row.payment_method_id))
    after = pay(world, row)
    world.look()

    assert page(world, after.dues_id).paid == usd(3000)
    assert renewals(world, row) == [3000]
    # Its own try was made by a request like ours, which the log may have in the very millisecond of the claim.
    assert set(world.breaches()) <= {"I4"}


def test_dues_paid_after_the_subscription_has_ended_are_told_a_person(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("processing")
    waiting = pay(world, row)
    world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", {"status": "cancelled"})
    world.look()
    assert (page(world, waiting.dues_id).state, alarms(world)) == ("processing", set())

    settle(world, newest_payment(world, row), "succeeded")
    world.look()

    assert page(world, waiting.dues_id).paid == usd(3000)
    assert alarms(world) == {"dues_paid_after_end"}


def test_the_payment_that_an_answer_named_is_its_tries_but_never_a_strangers(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("requires_customer_action")
    left = pay(world, row)
    payment_id = newest_payment(world, row)
    settle(world, payment_id, "succeeded")
    found = world.shop.dodo.payments.get(payment_id, budget=world.shop.dodo.budget(5))
    stranger = replace(found, customer=replace(found.customer, customer_id="cus_stranger"))

    for other in (stranger, replace(found, subscription_id="sub_other")):
        assert dues_payments.owner_of(world.shop, other) is None
    observe.settle_payment(world.shop, replace(found, subscription_id=None))

    assert page(world, left.dues_id).paid == usd(3000)
    assert world.breaches() == ()
