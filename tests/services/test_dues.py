"""Paying what a subscription on hold owes: one request a try, a true page, and the subscription running again.

What is owed is what the failed renewal asked for: Basic, 30, without tax.
"""

import json
from functools import partial
from typing import Any

import pytest

from encore.services import dues, dues_pages, reconcile
from encore.services.dues import DuesForm, NotTaken, Taken
from encore.services.dues_pages import DuesPage
from encore.store import offer_instances
from encore.store.subscriptions import Subscription
from tests.concurrency.crowd import at_once
from tests.services.plans import UNTAXED, owned, usd, whole
from tests.services.points import PassPoint
from tests.services.world import CONSENT, DAY_S, LAN, World

UPDATE = "POST /subscriptions/{id}/update-payment-method"
VISA, MASTERCARD = "4242424242424242", "5555555555554444"


def on_hold(world: World) -> Subscription:
    """Return a subscription whose renewal was declined, of a customer with a second saved card."""
    row = world.subscribe(**UNTAXED)
    world.come_back(world.buy(slug="design-templates", card=MASTERCARD))
    world.sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    world.advance(31 * DAY_S)
    world.poll()
    world.read_subscriptions()
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


def test_credit_that_covers_what_is_owed_needs_no_payment_of_money(world: World) -> None:
    """A subscription that runs again without a payment for as long as a quarantine owed nothing any more."""
    row = on_hold(world)
    world.sandbox.fault(UPDATE, "reset", effect="none")
    checking = pay(world, row)
    world.sandbox.call("PATCH", f"/subscriptions/{row.provider_subscription_id}", {"status": "cancelled"})
    world.look()

    assert page(world, checking.dues_id).state == "checking"


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


def test_a_webhook_before_the_answer_settles_it(world: World, pass_point: PassPoint) -> None:
    row = on_hold(world)
    pass_point("settle.uncommitted", lambda: None)
    world.sandbox.next_payment("processing")
    waiting = pay(world, row)
    assert waiting.state == "processing"
    payment_id = str(world.rows("attempts")[-1]["provider_payment_id"])

    world.sandbox.control("settle", {"payment_id": payment_id, "status": "succeeded"})
    world.poll()

    assert page(world, waiting.dues_id).state == "recovered"
    whole(world)


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
        ("runs", "not_on_hold"),
        ("ended", "ended"),
        ("removed", "not_usable"),
        ("stranger", "not_usable"),
        ("failed again", "moved"),
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
        case _:
            world.sandbox.fault("GET /payments", "status:500", times=5)
    before = len(posts(world, row))

    result = try_pay(world, row, form, name=name or card(form))

    assert result == NotTaken(reason)  # type: ignore[arg-type]
    assert len(posts(world, row)) == before
    assert [attempt for attempt in world.rows("attempts") if attempt["kind"] == "dues"] == []


def test_without_a_payment_to_read_its_day_is_named_and_no_sum(world: World) -> None:
    row = on_hold(world)
    with world.shop.store.write():
        world.shop.store.run("UPDATE subscriptions SET previous_billing_at = :at", at=world.shop.now() + DAY_S * 1000)
    bare = shown(world, world.subscription(row.id))

    assert (bare.amount, bare.failed_at) == (None, row.next_billing_at)
