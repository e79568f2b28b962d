"""Subscriptions on the sandbox's clock: how they begin, renew, fail, pause and end."""

from itertools import pairwise
from typing import Any

import pytest

from tests.sandbox.subscriptions import (
    DAY_S,
    at,
    change,
    events,
    make_plan,
    payments_of,
    read,
    refused,
    stand_at,
    subscribe,
)
from tests.sandbox_process import BASIC, COURSE, PRO, SandboxProcess

HOUR_S = 3600
ADDRESS = {"country": "HK", "zipcode": "00000"}


@pytest.fixture
def subscription_id(sandbox: SandboxProcess) -> str:
    """A Basic plan of 30.00 a month, bought on 1 April 2027 with a good card."""
    stand_at(sandbox, at(2027, 4, 1))
    return subscribe(sandbox)


def patch(sandbox: SandboxProcess, subscription_id: str, **fields: Any) -> Any:
    answer = sandbox.call("PATCH", f"/subscriptions/{subscription_id}", fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refuses(sandbox: SandboxProcess, subscription_id: str, **fields: Any) -> tuple[int, str]:
    return refused(sandbox, "PATCH", f"/subscriptions/{subscription_id}", fields)


def amounts(sandbox: SandboxProcess, subscription_id: str) -> list[tuple[str, str, int]]:
    return [(p["charge_type"], p["status"], p["total_amount"]) for p in payments_of(sandbox, subscription_id)]


def preview_cart(sandbox: SandboxProcess, cart: Any, **more: Any) -> Any:
    return sandbox.post("/checkouts/preview", {"product_cart": cart, "billing_address": ADDRESS, **more})


def fail_renewal(sandbox: SandboxProcess, code: str = "INSUFFICIENT_FUNDS", *, times: int = 1) -> None:
    """Let the renewal of 1 May fail."""
    sandbox.next_payment("failed", code, times=times)
    stand_at(sandbox, at(2027, 5, 1))


# Beginning.


def test_first_payment_tells_its_story_in_order(sandbox: SandboxProcess, subscription_id: str) -> None:
    assert events(sandbox) == ["subscription.active", "payment.succeeded", "subscription.renewed"]
    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-05-01"


def test_addons_are_priced_shown_and_renewed(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    seat = sandbox.post("/addons", {"name": "Seat", "price": 1000, "currency": "USD", "tax_category": "saas"})["id"]
    team = make_plan(sandbox, 9900, addons=[seat])
    cart = [{"product_id": team, "quantity": 1, "addons": [{"addon_id": seat, "quantity": 10}]}]

    shown = preview_cart(sandbox, cart)
    session_id = sandbox.post("/checkouts", {"product_cart": cart})["session_id"]
    sandbox.pay(session_id, country="HK", zipcode="00000")
    payment = sandbox.get(f"/payments/{sandbox.get(f'/checkouts/{session_id}')['payment_id']}")
    subscription = read(sandbox, payment["subscription_id"])
    stand_at(sandbox, at(2027, 5, 1))

    (addon,) = shown["product_cart"][0]["addons"]
    items = sandbox.get(f"/payments/{payment['payment_id']}/line-items")["items"]
    assert (addon["addon_id"], addon["og_price"], addon["single_quantity_price"]) == (seat, 10_000, 1000)
    assert shown["total_price"] == payment["total_amount"] == shown["subscriptions"][0]["recurring_amount"] == 19_900
    assert [(item["name"], item["amount"]) for item in items] == [("Plan 99.00", 9900), ("Seat", 10_000)]
    assert (subscription["addons"], subscription["recurring_pre_tax_amount"]) == (
        [{"addon_id": seat, "quantity": 10}], 19_900
    )  # fmt: skip
    assert amounts(sandbox, payment["subscription_id"])[1:] == [("renewal", "succeeded", 19_900)]


def test_addon_of_another_product_is_refused(sandbox: SandboxProcess) -> None:
    seat = sandbox.post("/addons", {"name": "Seat", "price": 1000, "currency": "USD", "tax_category": "saas"})["id"]
    cart = [{"product_id": BASIC, "quantity": 1, "addons": [{"addon_id": seat, "quantity": 1}]}]

    assert refused(sandbox, "POST", "/checkouts", {"product_cart": cart}) == (422, "MISSING_ADDON_IDS")


@pytest.mark.parametrize(("trial_amount", "due"), [(None, 0), (500, 500)], ids=["free", "paid"])
def test_trial_ends_in_a_full_charge(sandbox: SandboxProcess, trial_amount: int | None, due: int) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    plan = make_plan(sandbox, 8000, trial_period_days=14, trial_amount=trial_amount)

    shown = preview_cart(sandbox, [{"product_id": plan, "quantity": 1}])
    subscription_id = subscribe(sandbox, plan)
    in_trial, seen = read(sandbox, subscription_id), len(events(sandbox))
    stand_at(sandbox, at(2027, 4, 15))

    assert (shown["total_price"], shown["recurring_breakup"]["total_amount"]) == (due, 8000)
    assert (shown["trial_amount"], shown["trial_period_days"], shown["payment_method_required"]) == (
        trial_amount, 14, True
    )  # fmt: skip
    assert (in_trial["status"], in_trial["next_billing_date"][:10]) == ("active", "2027-04-15")
    assert amounts(sandbox, subscription_id) == [("new", "succeeded", due), ("renewal", "succeeded", 8000)]
    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-05-15"
    assert events(sandbox)[:seen] == ["subscription.active", "payment.succeeded"]
    assert events(sandbox, seen) == ["payment.succeeded", "subscription.renewed", "subscription.updated"]


def test_checkout_can_set_the_trial(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))

    subscription_id = subscribe(sandbox, subscription_data={"trial_period_days": 7})

    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-04-08"
    assert amounts(sandbox, subscription_id) == [("new", "succeeded", 0)]


def test_change_in_a_trial_ends_it(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    plan = make_plan(sandbox, 3000, trial_period_days=14, trial_amount=500)
    subscription_id = subscribe(sandbox, plan)
    stand_at(sandbox, at(2027, 4, 8))

    change(sandbox, subscription_id, PRO, "prorated_immediately")

    assert amounts(sandbox, subscription_id)[1:] == [("plan_change", "succeeded", 7750)]
    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-05-08"


def test_declining_card_begins_no_trial(sandbox: SandboxProcess) -> None:
    plan = make_plan(sandbox, 8000, trial_period_days=14)

    payment = sandbox.buy(plan, card="4000000000000002")

    assert (payment["status"], payment["total_amount"]) == ("failed", 0)
    assert read(sandbox, payment["subscription_ids"][0])["status"] == "failed"


def test_confirmed_session_keeps_its_subscription_when_it_is_paid(sandbox: SandboxProcess) -> None:
    made = sandbox.post(
        "/checkouts",
        {"product_cart": [{"product_id": BASIC, "quantity": 1}], "confirm": True,
         "customer": {"email": "l@example.com"}, "billing_address": ADDRESS, "minimal_address": True},
    )  # fmt: skip
    before = sandbox.get(f"/payments/{made['payment_id']}")

    sandbox.pay(made["session_id"])

    after = sandbox.get(f"/payments/{made['payment_id']}")
    assert (before["subscription_ids"], after["status"]) == (after["subscription_ids"], "succeeded")
    assert [item["status"] for item in sandbox.get("/subscriptions")["items"]] == ["active"]


def test_deprecated_create_waits_for_its_link(sandbox: SandboxProcess) -> None:
    body = {
        "billing": {"country": "HK"},
        "customer": {"email": "mai@example.com", "name": "Mai"},
        "product_id": BASIC,
        "quantity": 2,
        "payment_link": True,
        "one_time_product_cart": [{"product_id": COURSE, "quantity": 1}],
    }

    made = sandbox.post("/subscriptions", body)
    waiting = read(sandbox, made["subscription_id"])
    sandbox.pay(made["payment_link"].rsplit("/", 1)[1], country="HK")

    payment = sandbox.get(f"/payments/{made['payment_id']}")
    assert (waiting["status"], made["recurring_pre_tax_amount"]) == ("pending", 6000)
    assert (payment["total_amount"], payment["subscription_ids"]) == (10_900, [made["subscription_id"]])
    assert read(sandbox, made["subscription_id"])["status"] == "active"


def test_deprecated_create_charges_a_saved_card(sandbox: SandboxProcess, subscription_id: str) -> None:
    customer_id = read(sandbox, subscription_id)["customer"]["customer_id"]
    method_id = sandbox.methods(customer_id)[0]["payment_method_id"]

    made = sandbox.post(
        "/subscriptions",
        {"billing": {"country": "HK"}, "customer": {"customer_id": customer_id}, "product_id": PRO, "quantity": 1,
         "payment_method_id": method_id},
    )  # fmt: skip

    assert made["payment_link"] is None
    assert (read(sandbox, made["subscription_id"])["status"], amounts(sandbox, made["subscription_id"])) == (
        "active", [("new", "succeeded", 8000)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"product_id": COURSE}, "INVALID_REQUEST_BODY"),
        ({"product_id": "pdt_unknown"}, "MISSING_PRODUCT_INFORMATION"),
        ({"quantity": 0}, "INVALID_REQUEST_BODY"),
        ({"billing": None}, "INVALID_REQUEST_BODY"),
        ({"customer": None}, "INVALID_REQUEST_BODY"),
        ({"trial_period_days": 10_001}, "INVALID_REQUEST_BODY"),
        ({"on_demand": {}}, "INVALID_REQUEST_BODY"),
    ],
)
def test_deprecated_create_refuses(sandbox: SandboxProcess, more: Any, code: str) -> None:
    body = {"billing": {"country": "HK"}, "customer": {"email": "m@example.com"}, "product_id": BASIC, "quantity": 1}

    assert refused(sandbox, "POST", "/subscriptions", {**body, **more}) == (422, code)


# Renewing.


def test_clock_that_jumps_renews_each_period_on_its_day(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 1, 31))
    subscription_id = subscribe(sandbox)

    stand_at(sandbox, at(2027, 5, 31))

    days = [payment["created_at"][:10] for payment in payments_of(sandbox, subscription_id)]
    assert days == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]
    assert read(sandbox, subscription_id)["previous_billing_date"][:10] == "2027-05-31"


def test_moved_billing_date_forces_a_renewal(sandbox: SandboxProcess, subscription_id: str) -> None:
    patch(sandbox, subscription_id, next_billing_date="2027-04-01T00:05:00Z")
    sandbox.clock(300)

    assert amounts(sandbox, subscription_id) == [("new", "succeeded", 3000), ("renewal", "succeeded", 3000)]
    assert read(sandbox, subscription_id)["next_billing_date"][:16] == "2027-05-01T00:05"


def test_discount_lasts_its_cycles(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 5000, "code": "HALF", "subscription_cycles": 2})
    stand_at(sandbox, at(2027, 4, 1))

    subscription_id = subscribe(sandbox, discount_codes=["HALF"])
    bought = read(sandbox, subscription_id)
    stand_at(sandbox, at(2027, 6, 1))

    assert [total for _, _, total in amounts(sandbox, subscription_id)] == [1500, 1500, 3000]
    assert (bought["discount_cycles_remaining"], bought["recurring_pre_tax_amount"]) == (1, 1500)
    assert read(sandbox, subscription_id)["discounts"] is None


def test_term_ends_in_expiry(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    plan = make_plan(sandbox, 3000, subscription_period_count=2, subscription_period_interval="Month")
    subscription_id, seen = subscribe(sandbox, plan), len(events(sandbox))

    stand_at(sandbox, at(2027, 9, 1))

    after = read(sandbox, subscription_id)
    assert (after["status"], after["expires_at"][:10]) == ("expired", "2027-06-01")
    assert len(payments_of(sandbox, subscription_id)) == 2
    assert events(sandbox, seen)[-2:] == ["subscription.expired", "subscription.updated"]


def test_renewal_on_an_indian_card_takes_two_days(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, card="4576238912771450")

    stand_at(sandbox, at(2027, 5, 1))
    waiting = amounts(sandbox, subscription_id)[-1]
    stand_at(sandbox, at(2027, 5, 3))

    assert (waiting, amounts(sandbox, subscription_id)[-1]) == (
        ("renewal", "processing", 3000), ("renewal", "succeeded", 3000)
    )  # fmt: skip
    sandbox.switch(indian_renewals="at_once")
    stand_at(sandbox, at(2027, 6, 1))
    assert [status for _, status, _ in amounts(sandbox, subscription_id)] == ["succeeded"] * 3


def test_second_subscription_is_refused_where_the_business_allows_one(
    sandbox: SandboxProcess, subscription_id: str
) -> None:
    sandbox.switch(multiple_subscriptions=False)
    customer_id = read(sandbox, subscription_id)["customer"]["customer_id"]
    order = {"billing": {"country": "HK"}, "customer": {"customer_id": customer_id}, "product_id": PRO, "quantity": 1}

    found = refused(sandbox, "POST", "/subscriptions", order)
    patch(sandbox, subscription_id, status="cancelled")

    assert found == (422, "CUSTOMER_HAS_EXISTING_SUBSCRIPTION")
    assert sandbox.post("/subscriptions", order)["recurring_pre_tax_amount"] == 8000


# Failing.


def test_failed_renewal_goes_on_hold(sandbox: SandboxProcess, subscription_id: str) -> None:
    seen = len(events(sandbox))

    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 7, 1))

    assert read(sandbox, subscription_id)["status"] == "on_hold"
    assert amounts(sandbox, subscription_id)[1:] == [("renewal", "failed", 3000)]
    assert events(sandbox, seen) == ["payment.failed", "subscription.on_hold", "subscription.updated"]


def test_card_that_fails_later_fails_at_the_renewal(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, card="4000000000000341", expiry="12/34")

    stand_at(sandbox, at(2027, 5, 1))

    assert read(sandbox, subscription_id)["status"] == "on_hold"


def test_saved_card_pays_the_dues(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 5, 4))
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]
    seen = len(events(sandbox))

    made = sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    after = read(sandbox, subscription_id)
    assert sandbox.get(f"/payments/{made['payment_id']}")["retry_attempt"] == 1
    assert (after["status"], after["next_billing_date"][:10]) == ("active", "2027-06-01")
    assert amounts(sandbox, subscription_id)[-1] == ("renewal", "succeeded", 3000)
    assert events(sandbox, seen) == [
        "subscription.update_payment_method", "subscription.updated", "payment.succeeded", "subscription.active",
        "subscription.renewed", "subscription.updated",
    ]  # fmt: skip


def test_dues_paid_after_the_period_begin_a_new_one(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 8, 20))
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]

    sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-09-20"
    assert len(payments_of(sandbox, subscription_id)) == 3


def test_dues_of_an_applied_change_are_the_change(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    change(sandbox, subscription_id, PRO, "difference_immediately", on_payment_failure="apply_change")
    method_id = sandbox.methods(read(sandbox, subscription_id)["customer"]["customer_id"])[0]["payment_method_id"]
    seen = len(events(sandbox))

    sandbox.post(
        f"/subscriptions/{subscription_id}/update-payment-method", {"type": "existing", "payment_method_id": method_id}
    )

    after = read(sandbox, subscription_id)
    assert (after["status"], after["product_id"]) == ("active", PRO)
    assert amounts(sandbox, subscription_id)[-1] == ("plan_change", "succeeded", 5000)
    assert events(sandbox, seen)[2:] == ["payment.succeeded", "subscription.active", "subscription.updated"]


def test_grace_period_counts_as_active_and_ends_on_hold(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(grace_period_days=3)
    seen = len(events(sandbox))
    fail_renewal(sandbox)
    in_grace = read(sandbox, subscription_id)["status"]

    stand_at(sandbox, at(2027, 5, 4))

    assert (in_grace, read(sandbox, subscription_id)["status"]) == ("past_due", "on_hold")
    assert events(sandbox, seen) == [
        "payment.failed", "subscription.past_due", "subscription.updated", "subscription.on_hold",
        "subscription.updated",
    ]  # fmt: skip


def test_grace_period_can_end_in_cancellation(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(grace_period_days=3, grace_end="cancelled")
    fail_renewal(sandbox)

    stand_at(sandbox, at(2027, 5, 4))

    assert read(sandbox, subscription_id)["status"] == "cancelled"


def test_dunning_tries_by_the_documented_table(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True, dunning_window_days=30)
    seen = len(events(sandbox))
    fail_renewal(sandbox, times=100)

    sandbox.clock(60 * DAY_S)

    tries = [payment for payment in payments_of(sandbox, subscription_id) if payment["charge_type"] == "renewal"]
    stored = {item["id"]: item["created_at"] for item in sandbox.payments()}
    moments = [stored[payment["payment_id"]] for payment in tries]
    waits = [(b - a) / 3_600_000 for a, b in pairwise(moments)]
    assert waits == [12, 24, 48, 72, 96, 120, 168, 168]
    assert [payment["retry_attempt"] for payment in tries] == list(range(9))
    assert read(sandbox, subscription_id)["status"] == "on_hold"
    assert events(sandbox, seen).count("dunning.started") == 1


def test_dunning_stops_at_the_end_of_its_window(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True)
    fail_renewal(sandbox, times=100)

    sandbox.clock(60 * DAY_S)

    # 12 + 24 + 48 + 72 + 96 hours are 10.5 days; the next try would be on day 15.5 of 13.
    assert len(payments_of(sandbox, subscription_id)) == 1 + 6


def test_dunning_recovers(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True)
    seen = len(events(sandbox))
    fail_renewal(sandbox)

    sandbox.clock(12 * HOUR_S)

    after = read(sandbox, subscription_id)
    assert (after["status"], after["next_billing_date"][:10]) == ("active", "2027-06-01")
    assert events(sandbox, seen)[3:] == [
        "dunning.started", "payment.succeeded", "subscription.active", "subscription.renewed", "subscription.updated",
        "dunning.recovered",
    ]  # fmt: skip


def test_hard_decline_is_not_tried_again(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(dunning=True)
    fail_renewal(sandbox, "STOLEN_CARD")

    sandbox.clock(60 * DAY_S)

    assert len(payments_of(sandbox, subscription_id)) == 2


def test_renewal_that_is_long_in_processing_renews_when_it_is_paid(
    sandbox: SandboxProcess, subscription_id: str
) -> None:
    then = {"outcome": "succeeded", "after_s": 2 * DAY_S}
    sandbox.next_payment("processing", then=then)
    stand_at(sandbox, at(2027, 5, 1))
    waiting = read(sandbox, subscription_id)

    sandbox.clock(2 * DAY_S)

    assert (waiting["status"], waiting["next_billing_date"][:10]) == ("active", "2027-05-01")
    assert read(sandbox, subscription_id)["next_billing_date"][:10] == "2027-06-01"


# Ending and pausing.


def test_cancelled_at_once(sandbox: SandboxProcess, subscription_id: str) -> None:
    seen = len(events(sandbox))

    after = patch(
        sandbox, subscription_id, status="cancelled", cancellation_feedback="too_expensive", cancellation_comment="Dear"
    )
    stand_at(sandbox, at(2027, 6, 1))

    assert (after["status"], after["cancelled_by"]["actor_type"]) == ("cancelled", "api_key")
    assert (after["cancellation_feedback"], after["cancellation_comment"]) == ("too_expensive", "Dear")
    assert events(sandbox, seen) == ["subscription.cancelled", "subscription.updated"]
    assert len(payments_of(sandbox, subscription_id)) == 1
    assert refuses(sandbox, subscription_id, status="cancelled") == (422, "SUBSCRIPTION_INACTIVE")


def test_cancelled_at_the_end_of_the_period(sandbox: SandboxProcess, subscription_id: str) -> None:
    scheduled = patch(sandbox, subscription_id, cancel_at_next_billing_date=True, cancel_reason="cancelled_by_customer")

    stand_at(sandbox, at(2027, 5, 1))

    after = read(sandbox, subscription_id)
    assert (scheduled["status"], scheduled["cancelled_by"]["actor_type"]) == ("active", "customer")
    assert (after["status"], after["cancelled_at"][:10]) == ("cancelled", "2027-05-01")
    assert len(payments_of(sandbox, subscription_id)) == 1


def test_cancellation_can_be_revoked(sandbox: SandboxProcess, subscription_id: str) -> None:
    patch(sandbox, subscription_id, cancel_at_next_billing_date=True)
    after = patch(sandbox, subscription_id, cancel_at_next_billing_date=False)

    stand_at(sandbox, at(2027, 5, 1))

    assert after["cancelled_by"] is None
    assert len(payments_of(sandbox, subscription_id)) == 2


def test_pause_is_added_to_the_period(sandbox: SandboxProcess, subscription_id: str) -> None:
    stand_at(sandbox, at(2027, 4, 16))
    seen = len(events(sandbox))
    paused = patch(sandbox, subscription_id, status="paused")
    stand_at(sandbox, at(2027, 6, 16))
    resumed = patch(sandbox, subscription_id, status="active")

    assert (paused["status"], paused["paused_at"][:10]) == ("paused", "2027-04-16")
    # 15 days were left on 16 April, so 15 are left on 16 June.
    assert (resumed["status"], resumed["paused_at"], resumed["next_billing_date"][:10]) == (
        "active",
        None,
        "2027-07-01",
    )
    assert events(sandbox, seen) == [
        "subscription.paused", "subscription.updated", "subscription.unpaused", "subscription.updated"
    ]  # fmt: skip
    assert len(payments_of(sandbox, subscription_id)) == 1


def test_pause_is_refused_with_its_own_codes(sandbox: SandboxProcess, subscription_id: str) -> None:
    assert refuses(sandbox, subscription_id, status="active") == (422, "SUBSCRIPTION_NOT_PAUSED")
    assert refuses(sandbox, subscription_id, status="paused", metadata={"a": "b"}) == (422, "INVALID_REQUEST_BODY")
    assert refuses(sandbox, subscription_id, pause=True) == (422, "INVALID_REQUEST_BODY")
    patch(sandbox, subscription_id, status="paused")
    assert refuses(sandbox, subscription_id, status="paused") == (422, "SUBSCRIPTION_ALREADY_PAUSED")
    patch(sandbox, subscription_id, status="active")
    patch(sandbox, subscription_id, cancel_at_next_billing_date=True)
    assert refuses(sandbox, subscription_id, status="paused") == (422, "SUBSCRIPTION_NOT_ELIGIBLE_FOR_PAUSE")


def test_details_can_be_changed(sandbox: SandboxProcess, subscription_id: str) -> None:
    after = patch(
        sandbox,
        subscription_id,
        metadata={"seat": 7},
        billing={"country": "VN", "city": "Huế"},
        tax_id="VN1",
        customer_business_name="Công ty",
        customer_name="Lan Anh",
        subscription_period_count=30,
    )

    assert (after["metadata"], after["billing"]["country"], after["tax_id"]) == ({"seat": 7}, "VN", "VN1")
    assert (after["customer_business_name"], after["subscription_period_count"]) == ("Công ty", 30)
    assert read(sandbox, subscription_id)["customer"]["name"] == "Lan Anh"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"next_billing_date": "2027-03-01T00:00:00Z"}, "INVALID_REQUEST_PARAMETERS"),
        ({"next_billing_date": "soon"}, "INVALID_REQUEST_BODY"),
        ({"subscription_period_count": 1}, "INVALID_REQUEST_PARAMETERS"),
        ({"subscription_period_interval": "Decade"}, "INVALID_REQUEST_BODY"),
        ({"status": "on_hold"}, "INVALID_REQUEST_BODY"),
        ({"cancellation_feedback": "bored"}, "INVALID_REQUEST_BODY"),
        ({"cancel_reason": "bored"}, "INVALID_REQUEST_BODY"),
        ({"billing": {"country": "XX"}}, "UNSUPPORTED_COUNTRY"),
        ({"disable_on_demand": {"next_billing_date": "2027-05-01T00:00:00Z"}}, "SUBSCRIPTION_NOT_ON_DEMAND"),
    ],
)
def test_bad_patches(sandbox: SandboxProcess, subscription_id: str, fields: Any, code: str) -> None:
    before = read(sandbox, subscription_id)

    assert refuses(sandbox, subscription_id, **fields) == (422, code)
    assert read(sandbox, subscription_id) == before


def test_change_in_a_grace_period_credits_nothing_and_pays_a_full_period(
    sandbox: SandboxProcess, subscription_id: str
) -> None:
    sandbox.switch(grace_period_days=3)
    fail_renewal(sandbox)
    stand_at(sandbox, at(2027, 5, 2))

    change(sandbox, subscription_id, PRO, "prorated_immediately")

    after = read(sandbox, subscription_id)
    assert amounts(sandbox, subscription_id)[-1] == ("plan_change", "succeeded", 8000)
    assert (after["status"], after["next_billing_date"][:10]) == ("active", "2027-06-02")


# Payment links.


def pay_link(sandbox: SandboxProcess, link: str, card: str = "5555555555554444") -> int:
    form = {"card_number": card, "expiry": "06/32", "cvc": "123"}
    return sandbox.call("POST", link.removeprefix(sandbox.url), None, data=form).status_code


def ask_for_card(sandbox: SandboxProcess, subscription_id: str) -> Any:
    return sandbox.post(f"/subscriptions/{subscription_id}/update-payment-method", {"type": "new"})


def ask_by_link(sandbox: SandboxProcess, subscription_id: str, **more: Any) -> Any:
    return change(sandbox, subscription_id, PRO, "difference_immediately", collect_via_payment_link=True, **more)


def test_new_card_is_kept_and_pays_the_dues(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    made = ask_for_card(sandbox, subscription_id)

    pay_link(sandbox, made["payment_link"])

    after = read(sandbox, subscription_id)
    methods = sandbox.methods(after["customer"]["customer_id"])
    kept = next(m for m in methods if m["payment_method_id"] == after["payment_method_id"])
    assert (after["status"], kept["card"]["last4_digits"]) == ("active", "4444")
    assert sandbox.get(f"/payments/{made['payment_id']}")["total_amount"] == 3000


@pytest.mark.parametrize(("card", "last4"), [("5555555555554444", "4444"), ("4000000000000002", "4242")])
def test_new_card_costs_nothing_where_nothing_is_owed(
    sandbox: SandboxProcess, subscription_id: str, card: str, last4: str
) -> None:
    made = ask_for_card(sandbox, subscription_id)

    pay_link(sandbox, made["payment_link"], card)

    after, payment = read(sandbox, subscription_id), sandbox.get(f"/payments/{made['payment_id']}")
    stored = {item["id"]: item["last4"] for item in sandbox.control("objects/payment_methods")["items"]}
    assert (stored[after["payment_method_id"]], after["status"]) == (last4, "active")
    assert (payment["total_amount"], payment["is_update_payment_method"]) == (0, True)


def test_new_card_does_not_end_a_pause(sandbox: SandboxProcess, subscription_id: str) -> None:
    patch(sandbox, subscription_id, status="paused")

    pay_link(sandbox, ask_for_card(sandbox, subscription_id)["payment_link"])

    assert read(sandbox, subscription_id)["status"] == "paused"


def test_dues_paid_one_way_cannot_be_paid_another(sandbox: SandboxProcess, subscription_id: str) -> None:
    fail_renewal(sandbox)
    first, second = ask_for_card(sandbox, subscription_id), ask_for_card(sandbox, subscription_id)
    pay_link(sandbox, second["payment_link"])

    sandbox.clock(1)
    assert pay_link(sandbox, first["payment_link"]) == 410
    sandbox.clock(2 * DAY_S)

    assert sandbox.get(f"/payments/{first['payment_id']}")["status"] == "cancelled"
    assert read(sandbox, subscription_id)["status"] == "active"
    assert [p for p in amounts(sandbox, subscription_id) if p[1] == "succeeded"] == [
        ("new", "succeeded", 3000), ("renewal", "succeeded", 3000)
    ]  # fmt: skip


def test_change_by_link_waits_for_the_buyer(sandbox: SandboxProcess, subscription_id: str) -> None:
    made = ask_by_link(sandbox, subscription_id)
    waiting = read(sandbox, subscription_id)["product_id"]

    pay_link(sandbox, made["payment_link"])

    assert None not in made.values()
    assert (waiting, read(sandbox, subscription_id)["product_id"]) == (BASIC, PRO)
    assert amounts(sandbox, subscription_id)[-1] == ("plan_change", "succeeded", 5000)


def test_unpaid_link_of_a_change_ends_and_frees_the_plan(sandbox: SandboxProcess, subscription_id: str) -> None:
    made = ask_by_link(sandbox, subscription_id)

    sandbox.clock(DAY_S)

    assert sandbox.get(f"/payments/{made['payment_id']}")["status"] == "cancelled"
    change(sandbox, subscription_id, PRO, "difference_immediately")
    assert read(sandbox, subscription_id)["product_id"] == PRO


def test_older_link_of_a_change_is_replaced_only_if_asked(sandbox: SandboxProcess, subscription_id: str) -> None:
    older = ask_by_link(sandbox, subscription_id)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately"}

    found = refused(sandbox, "POST", f"/subscriptions/{subscription_id}/change-plan", body)
    newer = ask_by_link(sandbox, subscription_id, cancel_older_payment_link=True)

    assert found == (409, "PENDING_PLAN_CHANGE_EXISTS")
    assert sandbox.get(f"/payments/{older['payment_id']}")["status"] == "cancelled"
    assert sandbox.get(f"/payments/{newer['payment_id']}")["status"] == "requires_payment_method"


def test_business_may_not_collect_changes_by_link(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(plan_change_links=False)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately",
            "on_payment_failure": "prevent_change", "collect_via_payment_link": True}  # fmt: skip

    assert refused(sandbox, "POST", f"/subscriptions/{subscription_id}/change-plan", body) == (
        422,
        "UNSUPPORTED_ACTION",
    )


# On demand.


@pytest.fixture
def on_demand(sandbox: SandboxProcess) -> str:
    stand_at(sandbox, at(2027, 4, 1))
    return subscribe(sandbox, subscription_data={"on_demand": {"mandate_only": True}})


def test_mandate_is_charged_on_demand_only(sandbox: SandboxProcess, on_demand: str) -> None:
    stand_at(sandbox, at(2027, 7, 1))

    made = sandbox.post(
        f"/subscriptions/{on_demand}/charge",
        {"product_price": 1234, "product_description": "March", "metadata": {"n": 1}},
    )

    payment = sandbox.get(f"/payments/{made['payment_id']}")
    items = sandbox.get(f"/payments/{made['payment_id']}/line-items")["items"]
    assert amounts(sandbox, on_demand) == [("new", "succeeded", 0), ("on_demand", "succeeded", 1234)]
    assert (payment["metadata"], items[0]["name"]) == ({"n": 1}, "March")


def test_failed_charge_on_demand_goes_on_hold(sandbox: SandboxProcess, on_demand: str) -> None:
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    seen = len(events(sandbox))

    sandbox.post(f"/subscriptions/{on_demand}/charge", {"product_price": 1234})

    path = f"/subscriptions/{on_demand}/charge"
    assert read(sandbox, on_demand)["status"] == "on_hold"
    assert events(sandbox, seen) == ["payment.failed", "subscription.on_hold", "subscription.updated"]
    assert refused(sandbox, "POST", path, {"product_price": 1234}) == (422, "SUBSCRIPTION_INACTIVE")


def test_second_charge_waits_for_the_first(sandbox: SandboxProcess, on_demand: str) -> None:
    sandbox.next_payment("processing")
    sandbox.post(f"/subscriptions/{on_demand}/charge", {"product_price": 1234})

    found = refused(sandbox, "POST", f"/subscriptions/{on_demand}/charge", {"product_price": 1234})

    assert found == (409, "PREVIOUS_PAYMENT_PENDING")


def test_on_demand_has_its_own_refusals(sandbox: SandboxProcess, on_demand: str) -> None:
    normal = subscribe(sandbox)
    body = {"product_id": PRO, "quantity": 1, "proration_billing_mode": "full_immediately"}

    assert refused(sandbox, "POST", f"/subscriptions/{on_demand}/change-plan", body) == (
        422, "ON_DEMAND_PLAN_CHANGE_NOT_SUPPORTED"
    )  # fmt: skip
    assert refused(sandbox, "POST", f"/subscriptions/{normal}/charge", {"product_price": 1}) == (
        422, "SUBSCRIPTION_NOT_ON_DEMAND"
    )  # fmt: skip
    for bad in ({}, {"product_price": 0}, {"product_price": "1"}):
        found = refused(sandbox, "POST", f"/subscriptions/{on_demand}/charge", bad)
        assert found == (422, "INVALID_REQUEST_BODY")
    patch(sandbox, on_demand, cancel_at_next_billing_date=True)
    assert refused(sandbox, "POST", f"/subscriptions/{on_demand}/charge", {"product_price": 1}) == (
        422, "CHARGE_NOT_ALLOWED_FOR_SCHEDULED_CANCELLATION"
    )  # fmt: skip


def test_on_demand_can_become_periodic(sandbox: SandboxProcess, on_demand: str) -> None:
    after = patch(sandbox, on_demand, disable_on_demand={"next_billing_date": "2027-04-10T00:00:00Z"})

    stand_at(sandbox, at(2027, 4, 10))

    assert (after["on_demand"], after["next_billing_date"][:10]) == (False, "2027-04-10")
    assert amounts(sandbox, on_demand)[1:] == [("renewal", "succeeded", 3000)]


# Listing.


def test_list_is_filtered(sandbox: SandboxProcess, subscription_id: str) -> None:
    other = subscribe(sandbox, PRO, email="minh@example.com")
    patch(sandbox, other, status="cancelled")
    patch(sandbox, subscription_id, cancel_at_next_billing_date=True)

    def listed(**query: Any) -> list[str]:
        return [item["subscription_id"] for item in sandbox.get("/subscriptions", **query)["items"]]

    assert listed() == [other, subscription_id]
    assert listed(status="cancelled") == [other]
    assert listed(product_id=BASIC) == [subscription_id]
    assert listed(cancel_at_next_billing_date="true") == [subscription_id]
    assert listed(brand_id="other") == []
    assert listed(page_size=1, page_number=1) == [subscription_id]
    assert sandbox.get(f"/subscriptions/{subscription_id}/usage-history") == {"items": []}
    assert refused(sandbox, "GET", "/subscriptions/sub_unknown") == (404, "NOT_FOUND")
