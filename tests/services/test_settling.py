"""Settling: whose a payment is, and what a success makes of a yes that took another way (charging.md, 1 and 7)."""

from typing import Any

import msgspec
import pytest

from encore import tokens
from encore.dodo.models import Payment
from encore.services import fallback, observe
from tests.sandbox_process import BUNDLE, COURSE
from tests.services.world import DAY_S, LAN, World

CONFIRM = "POST /checkouts"


def pending_yes(world: World) -> Any:
    """A yes whose payment is processing at the bank."""
    page = world.offer()
    world.sandbox.next_payment("processing")
    world.accept(page)
    assert world.attempt(page).state == "pending"
    return page


def settle(world: World, payment_id: str | None, status: str, code: str | None = None) -> None:
    """Let the bank decide, and read it."""
    order = {"payment_id": payment_id, "status": status} | ({"error_code": code} if code else {})
    world.sandbox.control("settle", order)
    observe.observe_payment(world.shop, str(payment_id), budget=world.shop.dodo.budget())


# ---- Whose payment is it ----------------------------------------------------------------------------------------


def forge(world: World, page: Any, **changed: Any) -> bool:
    """Let a payment that only claims to be an attempt's be observed; True if it was taken for one of ours."""
    attempt, acceptance = world.attempt(page), world.acceptance(page)
    signature = tokens.sign_mark(world.shop.settings.attempt_sig_keys, attempt.id, acceptance.customer_id)
    real = world.shop.dodo.payments.get(str(attempt.provider_payment_id), budget=world.shop.dodo.budget())
    facts: dict[str, Any] = {
        "payment_id": "pay_forged",
        "customer_id": acceptance.customer_id,
        "metadata": {"attempt_id": attempt.id, "attempt_sig": signature},
        "charge_type": None,
        **changed,
    }
    customer = {"customer_id": facts.pop("customer_id"), "email": "x@example.com", "name": "X"}
    return observe.settle_payment(world.shop, _like(real, customer=customer, **facts))


def _like(real: Payment, *, customer: dict[str, str], **facts: Any) -> Payment:

    document = msgspec.to_builtins(real)
    document |= {"status": "succeeded", "customer": customer, "checkout_session_id": None, **facts}
    return msgspec.convert(document, Payment)


def test_forged_signature_is_not_believed(world: World) -> None:
    """A payment link lets anybody write metadata."""
    page = pending_yes(world)

    mark = {"attempt_id": world.attempt(page).id, "attempt_sig": "0" * 64}
    assert not forge(world, page, metadata=mark)
    assert not forge(world, page, metadata={"attempt_id": world.attempt(page).id})

    assert world.outcome(page) == "open"
    assert world.attempt(page).state == "pending"


def test_true_mark_of_another_customer_is_not_believed(world: World) -> None:
    page = pending_yes(world)

    assert not forge(world, page, customer_id="cus_thief")

    assert world.outcome(page) == "open"


@pytest.mark.parametrize("charge_type", ["renewal", "on_demand", "plan_change"])
def test_renewal_with_a_true_mark_is_nobodys_duplicate(world: World, charge_type: str) -> None:
    """I11: it is stored as what it is, and not refunded."""
    page = world.offer()
    world.accept(page)

    assert forge(world, page, charge_type=charge_type)

    found = {row["id"]: row["disposition"] for row in world.rows("payments")}
    assert found["pay_forged"] == "renewal"
    assert world.rows("refunds") == []
    assert world.outcome(page) == "charged"


def test_other_charge_types_are_ignored(world: World) -> None:
    page = pending_yes(world)

    assert not forge(world, page, charge_type="a_new_type")

    assert world.outcome(page) == "open"


def test_renewal_of_a_plan_sold_here_is_stored_and_grants_nothing(world: World) -> None:
    world.come_back(world.buy(slug="pro-plan"))
    (subscription,) = world.sandbox.control("objects/subscriptions")["items"]

    renewal = world.sandbox.control("renewals", {"subscription_id": subscription["id"]})
    world.poll()

    found = {row["id"]: row["disposition"] for row in world.rows("payments")}
    assert found[renewal["payment_id"]] == "renewal"
    assert len(world.rows("orders")) == 1
    assert world.rows("refunds") == []
    assert world.breaches() == ()


def test_payment_of_another_business_settles_nothing(open_shop_with: Any) -> None:
    world = open_shop_with(DODO_PAYMENTS_BUSINESS_ID="bus_other")
    ref = world.buy()

    assert world.come_back(ref).state in ("cancelled", "waiting")

    assert world.rows("orders") == []


# ---- What a success makes of it (charging.md, section 7) ---------------------------------------------------------


def test_success_grants_order_access_and_receipt_once(world: World) -> None:
    """R20"""
    page = world.offer()
    world.accept(page)
    payment_id = str(world.attempt(page).provider_payment_id)

    for _ in range(3):
        observe.observe_payment(world.shop, payment_id, budget=world.shop.dodo.budget())

    (first, second) = world.rows("orders")
    assert (second["product_id"], second["first_order_id"], second["payment_id"]) == (BUNDLE, first["id"], payment_id)
    assert [row["product_id"] for row in world.rows("entitlements")] == [COURSE, BUNDLE]
    assert len(world.messages("receipt")) == 2
    assert world.breaches() == ()


def test_failure_falls_and_may_rise_to_paid(world: World) -> None:
    """`failed` may rise to paid; nothing falls."""
    page = pending_yes(world)
    payment_id = world.attempt(page).provider_payment_id
    settle(world, payment_id, "failed", "INSUFFICIENT_FUNDS")
    assert (world.attempt(page).state, world.outcome(page)) == ("failed", "needs_checkout")

    settle(world, payment_id, "succeeded")
    assert (world.attempt(page).state, world.outcome(page)) == ("paid", "charged")

    settle(world, payment_id, "failed", "INSUFFICIENT_FUNDS")
    assert (world.attempt(page).state, world.outcome(page)) == ("paid", "charged")
    assert world.rows("orders")[1]["state"] == "granted"


def test_late_success_after_the_checkout_was_paid_goes_back(world: World) -> None:
    """First success wins; the other is returned with one full refund and one message."""
    page = pending_yes(world)
    late = world.attempt(page).provider_payment_id
    settle(world, late, "failed", "GENERIC_DECLINE")
    world.pay_at(world.open_checkout(page))
    world.look()
    assert world.outcome(page) == "charged"

    settle(world, late, "succeeded")
    settle(world, late, "succeeded")
    world.tidy()

    direct, hosted = world.attempts(page)
    assert (direct.state, hosted.state, world.outcome(page)) == ("unwanted", "paid", "charged")
    (refund,) = world.rows("refunds")
    assert (refund["payment_id"], refund["is_full"], refund["state"]) == (late, 1, "done")
    assert len(world.standing(BUNDLE)) == 1
    assert world.messages("outcome_returned") == [f"outcome_returned:{late}"]
    assert world.breaches() == ()


def test_first_success_closes_the_open_checkout(world: World) -> None:
    """A payment that failed and then succeeds leaves no second way to pay."""
    page = pending_yes(world)
    late = world.attempt(page).provider_payment_id
    settle(world, late, "failed", "GENERIC_DECLINE")
    url = world.open_checkout(page)

    settle(world, late, "succeeded")
    assert [attempt.state for attempt in world.attempts(page)] == ["paid", "hosted_closed"]

    # The provider cannot cancel a session; whoever pays it all the same gets the money back.
    world.pay_at(url)
    world.poll()
    world.tidy()
    assert len(world.standing(BUNDLE)) == 1
    assert world.outcome(page) == "charged"
    assert world.breaches() == ()


def test_success_after_continue_without_goes_back(world: World) -> None:
    """The buyer's no came first: nothing is kept, granted or left standing."""
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)
    payment_id = world.attempt(page).provider_payment_id
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)
    assert (world.attempt(page).state, world.outcome(page)) == ("dropped", "closed")

    settle(world, payment_id, "succeeded")
    world.tidy()

    assert (world.attempt(page).state, world.outcome(page)) == ("unwanted", "closed")
    assert world.standing(BUNDLE) == []
    assert len(world.rows("orders")) == 1
    assert world.page(page).state == "returned"
    assert world.breaches() == ()


def test_success_after_a_day_goes_back(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("requires_customer_action")
    world.accept(page)
    payment_id = world.attempt(page).provider_payment_id
    world.advance(DAY_S + 1)
    world.look()
    assert world.outcome(page) == "closed"

    settle(world, payment_id, "succeeded")
    world.tidy()

    assert world.standing(BUNDLE) == []
    assert world.breaches() == ()


def test_checkout_paid_before_the_no_goes_back(world: World) -> None:
    """Hosted: a payment begun before the no is not a new yes, however late it lands."""
    page = world.offer()
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    world.accept(page)
    url = world.open_checkout(page)
    world.pay_at(url)
    # Nobody has read the session yet, and it cannot be read now: the no stands.
    world.sandbox.fault("GET /checkouts/{id}", "status:503", times=10)
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)
    world.sandbox.clear_faults()
    assert world.outcome(page) == "closed"

    world.poll()
    world.tidy()

    assert (world.attempt(page).state, world.outcome(page)) == ("unwanted", "closed")
    assert world.standing(BUNDLE) == []
    assert world.breaches() == ()


def test_checkout_paid_after_the_no_is_a_new_yes(world: World) -> None:
    page = world.offer()
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    world.accept(page)
    url = world.open_checkout(page)
    fallback.continue_without(world.shop, page.instance_id, buyer_key=LAN)
    assert world.outcome(page) == "closed"
    world.advance(1)

    world.pay_at(url)
    world.poll()

    assert (world.attempt(page).state, world.outcome(page)) == ("paid", "charged")
    assert len(world.standing(BUNDLE)) == 1
    assert world.breaches() == ()


def test_request_executed_twice_leaves_one_payment(world: World) -> None:
    """Should the provider run one request twice, the second is found and refunded."""
    page = world.offer()
    world.sandbox.fault(CONFIRM, "none", effect="twice")

    world.accept(page)
    world.poll()
    world.tidy()

    assert len(world.standing(BUNDLE)) == 1
    assert len(world.charges(page)) == 1
    assert world.outcome(page) == "charged"
    assert world.breaches() == ()


def test_charged_less_is_kept_and_written_down(world: World) -> None:
    page = world.offer()

    world.accept_as_price_moves(page, page.quote.subtotal.minor - 500)

    assert world.outcome(page) == "charged"
    entries = [row["entry_json"] for row in world.rows("ledger")]
    assert any("payment.less_than_agreed" in entry for entry in entries)
    assert world.breaches() == ()


def test_overcharge_is_refunded_in_full_and_alarms(world: World) -> None:
    """N1"""
    page = world.offer()

    world.accept_as_price_moves(page, page.quote.subtotal.minor + 500)
    world.tidy()

    assert world.outcome(page) == "refunded"
    assert world.standing(BUNDLE) == []
    assert [row["kind"] for row in world.rows("alarms")] == ["overcharged"]
    assert [row["order_id"] for row in world.rows("entitlements")] == [world.rows("orders")[0]["id"]]
    assert world.breaches() == ()


def test_hosted_amount_is_recorded_as_the_page_showed_it(world: World) -> None:
    """I12"""
    page = world.offer(country="US", zipcode="10001")
    world.sandbox.next_payment("failed", "GENERIC_DECLINE")
    world.accept(page)
    url = world.open_checkout(page)

    world.pay_at(url, country="DE", zipcode="10115")
    world.look()

    (payment,) = world.standing(BUNDLE)
    acceptance = world.acceptance(page)
    assert (acceptance.amount, acceptance.currency) == (payment["total"], payment["currency"])
    assert payment["id"] in acceptance.consent_json
    assert world.breaches() == ()


def test_two_payments_of_one_shop_session_leave_one_order(world: World) -> None:
    ref = world.buy()
    world.come_back(ref)
    (first,) = world.sandbox.payments()
    second = world.shop.dodo.payments.get(first["id"], budget=world.shop.dodo.budget())

    session = {"checkout_session_id": second.checkout_session_id}
    observe.settle_payment(world.shop, _like(second, customer=_customer(second), payment_id="pay_2", **session))

    assert len(world.rows("orders")) == 1
    found = {row["id"]: row["disposition"] for row in world.rows("payments")}
    assert found == {first["id"]: "kept", "pay_2": "returned"}
    assert [row["payment_id"] for row in world.rows("refunds")] == ["pay_2"]


def _customer(payment: Payment) -> dict[str, str]:
    return {"customer_id": payment.customer.customer_id, "email": "lan@example.com", "name": "Lan"}
