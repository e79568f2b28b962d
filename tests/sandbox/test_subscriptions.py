"""Subscriptions on the sandbox's clock: how they begin, renew, pause and end."""

from typing import Any

import pytest

from tests.sandbox.subscriptions import (
    amounts,
    at,
    change,
    events,
    fail_renewal,
    make_plan,
    patch,
    payments_of,
    read,
    refused,
    refuses,
    stand_at,
    subscribe,
)
from tests.sandbox_process import BASIC, COURSE, PRO, SandboxProcess

ADDRESS = {"country": "HK", "zipcode": "00000"}


def preview_cart(sandbox: SandboxProcess, cart: Any, **more: Any) -> Any:
    """Preview a cart for a place without tax."""
    return sandbox.post("/checkouts/preview", {"product_cart": cart, "billing_address": ADDRESS, **more})


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
        ({"billing": {"country": "KP"}}, "UNSUPPORTED_COUNTRY"),
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
