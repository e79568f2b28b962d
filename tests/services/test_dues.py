"""Paying what a subscription on hold owes: one request a try, a true page, and the subscription running again.

What is owed is what the failed renewal asked for: Basic, 30, without tax.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from encore.rules.attempts import LIVE_DIRECT
from encore.rules.dues import read_owed
from encore.services import audit, dues, dues_pages, plan_quotes, reconcile, subscriptions
from encore.services.dues import DuesForm, NotTaken, Taken
from encore.services.dues_pages import DuesPage
from encore.store import offer_instances
from encore.store.subscriptions import Subscription
from tests.concurrency.crowd import at_once
from tests.services.plans import UNTAXED, owned, usd, whole
from tests.services.points import PassPoint
from tests.services.world import CONSENT, LAN, World

UPDATE = "POST /subscriptions/{id}/update-payment-method"
VISA, MASTERCARD = "4242424242424242", "5555555555554444"


def on_hold(world: World) -> Subscription:
    """Return a subscription whose renewal was declined, of a customer with a second saved card."""
    row = world.subscribe(**UNTAXED)
    world.come_back(world.buy(slug="design-templates", card=MASTERCARD))
    return hold(world, row)


def hold(world: World, row: Subscription) -> Subscription:
    """Let a renewal be declined, on the provider's clock alone: ours stays true, so the audit can check its log."""
    world.sandbox.fail_renewal(row.provider_subscription_id)
    world.poll()
    subscriptions.try_subscription(world.shop, row.provider_subscription_id, budget=world.shop.dodo.budget(5))
    held = world.subscription(row.id)
    assert held.status == "on_hold"
    return held


def shown(world: World, row: Subscription) -> DuesForm:
    found = dues.form(world.shop, row)
    assert found is not None
    return found


def card(form: DuesForm, last4: str = "4444") -> str:
    return next(choice.name for choice in form.cards if choice.method.last4 == last4)


def try_pay(world: World, row: Subscription, form: DuesForm, *, name: str | None = "") -> Taken | NotTaken:
    return dues.pay(
        world.shop,
        row,
        name=card(form) if name == "" else name,
        shown=form.shown,
        buyer_key=LAN,
        language="en",
        consent_of=lambda _: CONSENT,
    )


def page(world: World, instance_id: str) -> DuesPage:
    """Open the page of a try as the rows have it, once the worker has read the subscription again that it touched."""
    world.read_subscriptions()
    return glance(world, instance_id)


def glance(world: World, instance_id: str) -> DuesPage:
    instance = offer_instances.get_instance(world.shop.store, instance_id)
    assert instance is not None
    return dues_pages.dues_page(world.shop, instance)


def pay(world: World, row: Subscription, *, name: str | None = "") -> DuesPage:
    """Press the button on the plan's page as it is now; returns the page that follows."""
    taken = try_pay(world, row, shown(world, row), name=name)
    assert isinstance(taken, Taken), taken
    return page(world, taken.instance_id)


def posts(world: World, row: Subscription) -> list[Any]:
    """Return the requests that may have charged, as the provider received them."""
    return world.sandbox.requests("POST", f"/subscriptions/{row.provider_subscription_id}/update-payment-method")


def renewals(world: World, row: Subscription) -> list[Any]:
    """Return what the provider took for the subscription since it was sold."""
    listed = world.sandbox.get("/payments", subscription_id=row.provider_subscription_id)["items"]
    return [p["total_amount"] for p in listed if p["status"] == "succeeded" and p["charge_type"] != "new"]


def state(world: World) -> str:
    return str(world.rows("attempts")[-1]["state"])


def settle_quietly(world: World) -> None:
    """Let the worker watch the quarantine to its end."""
    for _ in range(8):
        world.clock.steady_s += 1
        world.look()


@pytest.mark.criterion("R26b")
def test_a_subscription_on_hold_is_paid_with_another_saved_card_and_runs_again(world: World) -> None:
    row = on_hold(world)
    assert owned(world, row).isdisjoint({row.product_id})

    form = shown(world, row)
    after = pay(world, row)

    assert (form.amount, [choice.reason for choice in form.cards]) == (usd(3000), [None, None])
    assert [choice.method.last4 for choice in form.cards if choice.is_chosen] == ["4444"]
    assert (after.state, after.paid) == ("recovered", usd(3000))
    (sent,) = posts(world, row)
    assert sent["body"]["type"] == "existing"
    assert renewals(world, row) == [3000]
    now = world.subscription(row.id)
    assert (now.status, now.payment_method_id) == ("active", sent["body"]["payment_method_id"])
    assert row.product_id in owned(world, row)
    whole(world)
    whole(world)
    assert len(world.messages("dues_paid")) == 1
    assert world.messages("dues_not_paid") == []


def test_what_was_agreed_to_is_kept_with_the_yes(world: World) -> None:
    row = on_hold(world)
    pay(world, row)

    acceptance = world.rows("acceptances")[-1]
    assert (acceptance["amount"], acceptance["currency"], acceptance["outcome"]) == (3000, "USD", "charged")
    assert json.loads(acceptance["consent_json"])["button"] == CONSENT.button
    assert world.rows("orders")[-1]["amount"] == 3000
    # Paying what a plan owes is no new choice of it.
    assert [row["disposition"] for row in world.rows("payments")].count("returned") == 0


def test_a_decline_is_told_and_leads_to_a_new_try(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    declined = pay(world, row)
    assert (declined.state, world.subscription(row.id).status) == ("failed", "on_hold")
    again = pay(world, row)

    assert again.state == "recovered"
    assert page(world, declined.dues_id).state == "failed"
    assert len(posts(world, row)) == 2
    assert renewals(world, row) == [3000]
    whole(world)


def test_the_bank_is_asked_and_its_yes_settles_it(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("requires_customer_action")

    waiting = pay(world, row)
    assert (waiting.state, dues.form(world.shop, row)) == ("action_required", None)
    payment_id = world.rows("attempts")[-1]["provider_payment_id"]
    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})
    world.look()

    assert page(world, waiting.dues_id).state == "recovered"
    whole(world)


def test_a_new_card_is_given_on_the_providers_page_and_the_buyer_comes_back(world: World) -> None:
    row = on_hold(world)

    waiting = pay(world, row, name=None)
    assert waiting.state == "action_required"
    (sent,) = posts(world, row)
    assert sent["body"] == {"type": "new", "return_url": dues.page_url(world.shop, waiting.dues_id)}
    world.look()
    # Nobody has paid on that page yet: that is no failure.
    assert page(world, waiting.dues_id).state == "action_required"
    link = world.rows("attempts")[-1]["checkout_url"].removeprefix(world.sandbox.url)
    given = {"card_number": MASTERCARD, "expiry": "06/32", "cvc": "123"}
    back = world.sandbox.call("POST", link, data=given).headers["location"]
    world.look()

    assert back.startswith(sent["body"]["return_url"])
    assert (page(world, waiting.dues_id).state, renewals(world, row)) == ("recovered", [3000])
    whole(world)


@pytest.mark.parametrize("fault", ["reset", "empty"])
def test_an_answer_lost_after_the_charge_is_found_out(world: World, fault: str) -> None:
    row = on_hold(world)
    world.sandbox.fault(UPDATE, fault, effect="before")

    after = pay(world, row)

    assert after.state == "recovered"
    assert len(posts(world, row)) == 1
    whole(world)


def test_a_request_that_did_nothing_is_unknown_until_the_quarantine_is_over(world: World) -> None:
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")

    checking = pay(world, row)
    assert (checking.state, dues.form(world.shop, row)) == ("checking", None)
    settle_quietly(world)
    absent = page(world, checking.dues_id)
    again = pay(world, row)

    assert absent.state == "not_charged"
    assert again.state == "recovered"
    assert again.dues_id != checking.dues_id
    assert renewals(world, row) == [3000]
    assert len(world.messages("dues_not_paid")) == 1
    whole(world)


def test_a_charge_that_comes_after_the_quarantine_is_honoured(world: World) -> None:
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")
    lost = pay(world, row)
    settle_quietly(world)
    assert page(world, lost.dues_id).state == "not_charged"

    method_id = json.loads(world.rows("offer_instances")[-1]["quote_json"])["method"]["payment_method_id"]
    late = {"type": "existing", "payment_method_id": method_id}
    world.sandbox.post(f"/subscriptions/{row.provider_subscription_id}/update-payment-method", late)
    world.poll()

    assert page(world, lost.dues_id).state == "recovered"
    assert world.rows("refunds") == []


def test_a_refusal_charges_nothing_and_sends_nothing_again(world: World) -> None:
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "status:422:NO_ELIGIBLE_PAYMENT_METHODS")

    refused = pay(world, row)
    world.look()

    assert refused.state == "not_charged"
    assert len(posts(world, row)) == 1
    assert renewals(world, row) == []
    whole(world)


def test_a_subscription_that_runs_again_without_a_payment_owed_nothing_any_more(world: World) -> None:
    """It must be missing for as long as a quarantine: a list that lags hides a payment, too."""
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="before")
    world.sandbox.control("lists", {"lag_s": 3600})
    checking = pay(world, row)
    assert (checking.state, world.subscription(row.id).status) == ("checking", "active")
    world.advance(1)
    world.look()
    assert page(world, checking.dues_id).state == "checking"

    # The list is not whole without what we know of, so nothing is concluded from it; what it hid is found.
    world.sandbox.control("lists", {"lag_s": 0})
    world.look()

    assert page(world, checking.dues_id).state == "recovered"
    assert page(world, checking.dues_id).paid == usd(3000)


def test_a_subscription_that_was_let_run_again_by_hand_is_kept_without_a_payment(world: World) -> None:
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")
    checking = pay(world, row)
    read = subscriptions.observe_subscription

    def forgiven(*args: Any, **more: Any) -> Subscription | None:
        found = read(*args, **more)
        return replace(found, status="active") if found else None

    with patch.object(subscriptions, "observe_subscription", forgiven):
        world.look()
        assert page(world, checking.dues_id).state == "checking"
        world.advance(1)
        world.look()

    # The rows as they would be, had the provider itself let it run again.
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET status = 'active'")
    after = glance(world, checking.dues_id)
    world.read_subscriptions()
    assert (after.state, after.paid, renewals(world, row)) == ("recovered", None, [])
    assert world.rows("orders")[-1]["amount"] == 0
    assert world.breaches() == ()


def test_one_payment_for_two_tabs_and_a_double_click(world: World) -> None:
    row = on_hold(world)
    form = shown(world, row)

    names = [card(form, last4) for last4 in ("4444", "4242", "4444", "4242")]
    taken = at_once([partial(try_pay, world, row, form, name=name) for name in names])

    assert {type(result) for result in taken} <= {Taken, NotTaken}
    assert any(isinstance(result, Taken) for result in taken)
    assert len(posts(world, row)) == 1
    assert renewals(world, row) == [3000]
    again = try_pay(world, row, form)
    assert isinstance(again, Taken)
    assert page(world, again.instance_id).state == "recovered"
    whole(world)


def test_what_is_seen_before_the_answer_is_written_down_settles_it(world: World, pass_point: PassPoint) -> None:
    row = on_hold(world)
    pass_point("settle.status_read", world.poll)

    after = pay(world, row)

    assert after.state == "recovered"
    assert len(world.messages("dues_paid")) == 1
    whole(world)


def test_a_payment_that_takes_its_time_is_settled_when_it_is_seen(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("processing")
    waiting = pay(world, row)
    assert (waiting.state, dues.form(world.shop, row)) == ("processing", None)
    payment_id = str(world.rows("attempts")[-1]["provider_payment_id"])

    world.sandbox.control("settle", {"payment_id": payment_id, "status": "failed", "error_code": "CARD_DECLINED"})
    world.poll()

    assert page(world, waiting.dues_id).state == "failed"
    whole(world)


def test_dues_wait_for_a_change_of_plan_that_is_under_way(world: World) -> None:
    row = world.subscribe(**UNTAXED)
    world.sandbox.next_payment("processing")
    changing = world.confirm(world.preview(row))
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET status = 'on_hold', observed_at = observed_at + 10000000")

    assert dues.form(world.shop, world.subscription(row.id)) is None
    result = try_pay(world, row, DuesForm(amount=None, failed_at=None, shown="0"), name="any")

    assert result == NotTaken("under_way")
    assert (changing.state, posts(world, row)) == ("processing", [])


def test_a_change_of_plan_waits_for_dues_that_are_under_way(world: World) -> None:
    row = on_hold(world)
    world.sandbox.next_payment("processing")
    pay(world, row)

    assert world.try_preview(row) == plan_quotes.NotQuoted("on_hold")


def test_without_a_sum_from_the_provider_none_is_agreed_to(world: World) -> None:
    row = on_hold(world)
    with patch.object(dues, "read_owed", lambda _, **facts: read_owed((), **facts)):
        form = shown(world, row)
        after = pay(world, row)

    assert (form.amount, form.failed_at) == (None, row.next_billing_at)
    assert (after.state, after.amount, after.paid) == ("recovered", None, usd(3000))
    acceptance = world.rows("acceptances")[-1]
    assert (acceptance["amount"], acceptance["currency"]) == (None, None)
    whole(world)


def test_a_second_request_of_a_try_would_be_found_in_the_providers_log(world: World) -> None:
    row = on_hold(world)
    pay(world, row)
    witness = world.witness()
    (sent,) = posts(world, row)

    assert audit.run(world.shop, witness=witness).names("breach") == ()
    twice = replace(witness, requests=(*(witness.requests or ()), sent))
    assert audit.run(world.shop, witness=twice).names("breach") == ("I4",)


FATES: dict[str, Callable[[World], None]] = {
    "paid": lambda world: None,
    "declined": lambda world: world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS"),
    "processing": lambda world: world.sandbox.next_payment("processing"),
    "bank": lambda world: world.sandbox.next_payment("requires_customer_action"),
    "lost": lambda world: world.sandbox.fault(UPDATE, "reset", effect="before"),
    "never arrived": lambda world: world.sandbox.fault(UPDATE, "reset", effect="none"),
    "refused": lambda world: world.sandbox.fault(UPDATE, "status:422"),
    "conflict": lambda world: world.sandbox.fault(UPDATE, "status:409:PREVIOUS_PAYMENT_PENDING"),
}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_becomes_of_each_try_it_sends_one_request_and_one_payment_stands(world: World, seed: int) -> None:
    """R27a R15d"""
    row = on_hold(world)
    chance = random.Random(seed)
    for _ in range(5):
        FATES[chance.choice(list(FATES))](world)
        form = dues.form(world.shop, row)
        if form is None:
            continue
        for _ in range(chance.randint(1, 2)):
            try_pay(world, row, form, name=chance.choice([card(form), card(form, "4242"), None]))
        settle_quietly(world)
        live = [a for a in world.rows("attempts") if a["kind"] == "dues" and a["state"] in LIVE_DIRECT]
        for attempt in live:
            status = chance.choice(["succeeded", "failed"])
            world.sandbox.control("settle", {"payment_id": attempt["provider_payment_id"], "status": status})
        world.poll()
        world.read_subscriptions()
        row = world.subscription(row.id)

    tries = [attempt for attempt in world.rows("attempts") if attempt["kind"] == "dues"]
    assert len(posts(world, row)) == sum(attempt["post_count"] for attempt in tries) == len(tries)
    assert len(renewals(world, row)) == sum(attempt["state"] == "paid" for attempt in tries) <= 1
    assert (row.status == "active") == bool(renewals(world, row))
    settle_quietly(world)
    assert set(world.breaches()) <= {"I4"}


def test_a_try_of_the_provider_itself_that_fails_is_none_of_ours(world: World) -> None:
    """With the old card, after ours was claimed: it says nothing about the card that was chosen."""
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")
    checking = pay(world, row)
    attempt_id = world.rows("attempts")[-1]["id"]
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    old = {"type": "existing", "payment_method_id": row.payment_method_id}
    world.sandbox.post(f"/subscriptions/{row.provider_subscription_id}/update-payment-method", old)

    reconcile.look(world.shop, attempt_id)

    assert page(world, checking.dues_id).state == "checking"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("runs", "nothing_owed"),
        ("ended", "ended"),
        ("removed", "not_usable"),
        ("stranger", "not_usable"),
        ("failed again", "moved"),
        ("paying elsewhere", "under_way"),
        ("down", "no_answer"),
    ],
)
def test_what_has_changed_since_the_page_was_shown_sends_nothing(world: World, spoil: str, reason: str) -> None:
    """R15d"""
    row = on_hold(world)
    form, name = shown(world, row), None
    path = f"/subscriptions/{row.provider_subscription_id}"
    own = [method["payment_method_id"] for method in world.sandbox.methods(row.customer_id)]
    match spoil:
        case "runs":
            world.sandbox.post(f"{path}/update-payment-method", {"type": "existing", "payment_method_id": own[0]})
        case "ended":
            world.sandbox.call("PATCH", path, {"status": "cancelled"})
        case "removed":
            other = next(m for m in own if m != row.payment_method_id)
            world.sandbox.call("DELETE", f"/customers/{row.customer_id}/payment-methods/{other}")
        case "stranger":
            name = "nobodys"
        case "failed again":
            world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
            world.sandbox.post(f"{path}/update-payment-method", {"type": "existing", "payment_method_id": own[0]})
        case "paying elsewhere":
            world.sandbox.next_payment("processing")
            world.sandbox.post(f"{path}/update-payment-method", {"type": "existing", "payment_method_id": own[0]})
        case _:
            world.sandbox.fault("GET /payments", "status:500", times=5)
    before = len(posts(world, row))

    result = try_pay(world, row, form, name=name or card(form))

    assert result == NotTaken(reason)  # type: ignore[arg-type]
    assert len(posts(world, row)) == before
    assert [attempt for attempt in world.rows("attempts") if attempt["kind"] == "dues"] == []
