"""Plan changes over the wire: the golden figures again, what is refused, and what a failed card does."""

from typing import Any

import pytest

from tests.sandbox.subscriptions import (
    DAY_S,
    at,
    body_of,
    change,
    events,
    make_plan,
    payments_of,
    preview,
    read,
    refused,
    stand_at,
    subscribe,
)
from tests.sandbox_process import BASIC, COURSE, PRO, SACH, SandboxProcess

PRORATED, FULL, DIFFERENCE, FREE, KEEP = (
    "prorated_immediately", "full_immediately", "difference_immediately", "do_not_bill",
    "prorated_immediately_keep_cycle",
)  # fmt: skip


@pytest.fixture
def subscription_id(sandbox: SandboxProcess) -> str:
    """A Basic plan from 1 April 2027, looked at on day 16 at 00:00: 15 of 30 days are left."""
    stand_at(sandbox, at(2027, 4, 1))
    made = subscribe(sandbox)
    stand_at(sandbox, at(2027, 4, 16))
    return made


@pytest.mark.parametrize(
    ("mode", "due", "next_day"),
    [
        (PRORATED, 2500, "2027-05-16"),
        (DIFFERENCE, 5000, "2027-05-16"),
        (FULL, 8000, "2027-05-16"),
        (FREE, 0, "2027-05-01"),
        (KEEP, 2500, "2027-05-01"),
    ],
)
def test_upgrade_charges_what_the_preview_said(
    sandbox: SandboxProcess, subscription_id: str, mode: str, due: int, next_day: str
) -> None:
    shown = preview(sandbox, subscription_id, PRO, mode)
    answer = change(sandbox, subscription_id, PRO, mode)

    summary, after = shown["immediate_charge"]["summary"], read(sandbox, subscription_id)
    charged = [p for p in payments_of(sandbox, subscription_id) if p["charge_type"] == "plan_change"]
    assert summary["settlement_amount"] == sum(payment["total_amount"] for payment in charged) == due
    assert set(answer.values()) == {None}
    assert (after["product_id"], after["recurring_pre_tax_amount"]) == (PRO, 8000)
    assert after["next_billing_date"][:10] == next_day
    assert {**shown["new_plan"], "next_billing_date": after["next_billing_date"]} == after


def test_lines_of_the_first_cell(sandbox: SandboxProcess, subscription_id: str) -> None:
    lines = preview(sandbox, subscription_id, PRO, PRORATED)["immediate_charge"]["line_items"]

    assert [(x["product_id"], x["unit_price"], x["quantity"], x["proration_factor"]) for x in lines] == [
        (BASIC, 3000, 1, -0.5),
        (PRO, 8000, 1, 0.5),
    ]


def test_downgrade_becomes_credit_that_renewals_draw(sandbox: SandboxProcess) -> None:
    starter = make_plan(sandbox, 2000)
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, PRO)
    stand_at(sandbox, at(2027, 4, 16))

    shown = preview(sandbox, subscription_id, starter, DIFFERENCE)["immediate_charge"]["summary"]
    change(sandbox, subscription_id, starter, DIFFERENCE)
    stand_at(sandbox, at(2027, 8, 17))

    renewals = [p["total_amount"] for p in payments_of(sandbox, subscription_id) if p["charge_type"] == "renewal"]
    assert (shown["settlement_amount"], shown["customer_credits"]) == (0, 6000)
    assert renewals == [0, 0, 0, 2000]


def test_line_items_of_a_renewal_paid_with_credit_add_up(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, PRO)
    stand_at(sandbox, at(2027, 4, 16))
    change(sandbox, subscription_id, BASIC, PRORATED)
    stand_at(sandbox, at(2027, 5, 16))

    renewal = payments_of(sandbox, subscription_id)[-1]
    items = sandbox.get(f"/payments/{renewal['payment_id']}/line-items")["items"]

    assert (renewal["total_amount"], [item["amount"] for item in items]) == (500, [3000, -2500])
    assert sum(item["refundable_amount"] for item in items) == 500


@pytest.mark.parametrize(("start", "new", "due"), [(BASIC, PRO, 8000), (PRO, BASIC, 3000)])
def test_scheduled_change_is_charged_instead_of_the_renewal(
    sandbox: SandboxProcess, start: str, new: str, due: int
) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, start)
    stand_at(sandbox, at(2027, 4, 16))

    shown = preview(sandbox, subscription_id, new, FULL, effective_at="next_billing_date")["immediate_charge"]
    change(sandbox, subscription_id, new, FULL, effective_at="next_billing_date")
    waiting, before = read(sandbox, subscription_id), len(payments_of(sandbox, subscription_id))
    stand_at(sandbox, at(2027, 5, 1))

    after, paid = read(sandbox, subscription_id), payments_of(sandbox, subscription_id)[before:]
    assert (shown["effective_at"][:10], shown["summary"]["settlement_amount"]) == ("2027-05-01", due)
    assert (waiting["product_id"], waiting["scheduled_change"]["product_id"]) == (start, new)
    assert [(payment["charge_type"], payment["total_amount"]) for payment in paid] == [("plan_change", due)]
    assert (after["product_id"], after["scheduled_change"]) == (new, None)
    assert after["next_billing_date"][:10] == "2027-06-01"


def test_scheduled_change_can_be_taken_back(sandbox: SandboxProcess, subscription_id: str) -> None:
    path = f"/subscriptions/{subscription_id}/change-plan/scheduled"
    change(sandbox, subscription_id, PRO, FULL, effective_at="next_billing_date")

    assert sandbox.call("DELETE", path).status_code == 204
    assert read(sandbox, subscription_id)["scheduled_change"] is None
    assert refused(sandbox, "DELETE", path) == (404, "SCHEDULED_PLAN_CHANGE_NOT_FOUND")
    assert refused(sandbox, "DELETE", "/subscriptions/sub_unknown/change-plan/scheduled")[0] == 422


def test_failed_scheduled_change_leaves_the_old_plan_to_renew(sandbox: SandboxProcess, subscription_id: str) -> None:
    change(sandbox, subscription_id, PRO, FULL, effective_at="next_billing_date")
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    stand_at(sandbox, at(2027, 5, 1))

    after, paid = read(sandbox, subscription_id), payments_of(sandbox, subscription_id)
    assert [(p["charge_type"], p["status"], p["total_amount"]) for p in paid[1:]] == [
        ("plan_change", "failed", 8000),
        ("renewal", "succeeded", 3000),
    ]
    assert (after["product_id"], after["status"], after["next_billing_date"][:10]) == (BASIC, "active", "2027-06-01")


def test_failed_card_prevents_the_change(sandbox: SandboxProcess, subscription_id: str) -> None:
    seen = len(events(sandbox))
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    change(sandbox, subscription_id, PRO, DIFFERENCE)

    after = read(sandbox, subscription_id)
    assert (after["product_id"], after["status"]) == (BASIC, "active")
    assert payments_of(sandbox, subscription_id)[-1]["status"] == "failed"
    assert events(sandbox, seen) == ["payment.failed"]
    change(sandbox, subscription_id, PRO, DIFFERENCE)
    assert read(sandbox, subscription_id)["product_id"] == PRO


def test_failed_card_puts_the_credit_back(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, PRO)
    change(sandbox, subscription_id, BASIC, DIFFERENCE)
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    change(sandbox, subscription_id, PRO, FULL)

    summary = preview(sandbox, subscription_id, PRO, FULL)["immediate_charge"]["summary"]
    assert payments_of(sandbox, subscription_id)[-1]["total_amount"] == 3000
    assert (summary["customer_credits"], summary["settlement_amount"]) == (-5000, 3000)


def test_apply_change_puts_the_new_plan_on_hold(sandbox: SandboxProcess, subscription_id: str) -> None:
    seen = len(events(sandbox))
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")

    change(sandbox, subscription_id, PRO, DIFFERENCE, on_payment_failure="apply_change")

    after = read(sandbox, subscription_id)
    assert (after["product_id"], after["status"]) == (PRO, "on_hold")
    assert events(sandbox, seen) == [
        "payment.failed", "subscription.plan_changed", "subscription.updated", "subscription.on_hold",
        "subscription.updated",
    ]  # fmt: skip


def test_apply_change_is_what_an_omitted_field_means(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.next_payment("failed", "INSUFFICIENT_FUNDS")
    body = body_of(PRO, DIFFERENCE)
    del body["on_payment_failure"]

    sandbox.post(f"/subscriptions/{subscription_id}/change-plan", body)

    assert read(sandbox, subscription_id)["status"] == "on_hold"


def test_events_of_a_change(sandbox: SandboxProcess, subscription_id: str) -> None:
    seen = len(events(sandbox))

    change(sandbox, subscription_id, PRO, DIFFERENCE)

    assert events(sandbox, seen) == ["payment.succeeded", "subscription.plan_changed", "subscription.updated"]


def test_change_waits_for_its_payment(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.next_payment("processing")
    change(sandbox, subscription_id, PRO, DIFFERENCE)
    path, body = f"/subscriptions/{subscription_id}/change-plan", body_of(PRO, DIFFERENCE)

    assert read(sandbox, subscription_id)["product_id"] == BASIC
    assert refused(sandbox, "POST", path, body) == (409, "PENDING_PLAN_CHANGE_EXISTS")
    assert refused(sandbox, "POST", path + "/preview", body) == (409, "PENDING_PLAN_CHANGE_EXISTS")

    pending = payments_of(sandbox, subscription_id)[-1]["payment_id"]
    sandbox.control("settle", {"payment_id": pending, "status": "succeeded"})

    assert read(sandbox, subscription_id)["product_id"] == PRO


def test_second_schedule_needs_to_replace_the_first(sandbox: SandboxProcess, subscription_id: str) -> None:
    change(sandbox, subscription_id, PRO, FULL, effective_at="next_billing_date")
    path, body = f"/subscriptions/{subscription_id}/change-plan", body_of(PRO, DIFFERENCE)

    assert refused(sandbox, "POST", path, body) == (409, "SCHEDULED_PLAN_CHANGE_EXISTS")
    sandbox.post(path, {**body, "cancel_scheduled_change_plan": True})

    after = read(sandbox, subscription_id)
    assert (after["product_id"], after["scheduled_change"]) == (PRO, None)


@pytest.mark.parametrize("mode", [PRORATED, DIFFERENCE, FREE, KEEP])
def test_schedule_takes_only_the_full_price(sandbox: SandboxProcess, subscription_id: str, mode: str) -> None:
    body = body_of(PRO, mode, effective_at="next_billing_date")

    for path in ("change-plan", "change-plan/preview"):
        found = refused(sandbox, "POST", f"/subscriptions/{subscription_id}/{path}", body)
        assert found == (422, "INVALID_PRORATION_MODE_WITH_NEXT_BILLING_DATE")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"product_id": "pdt_unknown"}, "MISSING_PRODUCT_INFORMATION"),
        ({"product_id": COURSE}, "MISSING_PRODUCT_INFORMATION"),
        ({"product_id": None}, "INVALID_REQUEST_BODY"),
        ({"quantity": 0}, "INVALID_REQUEST_BODY"),
        ({"quantity": "1"}, "INVALID_REQUEST_BODY"),
        ({"proration_billing_mode": "free"}, "INVALID_REQUEST_BODY"),
        ({"effective_at": "tomorrow"}, "INVALID_REQUEST_BODY"),
        ({"on_payment_failure": "ignore"}, "INVALID_REQUEST_BODY"),
        ({"addons": [{"addon_id": "adn_unknown", "quantity": 1}]}, "MISSING_ADDON_IDS"),
        ({"addons": [{"addon_id": "adn_1", "quantity": 1}] * 2}, "DUPLICATE_ADDON_IDS_IN_REQUEST"),
        ({"addons": "adn_1"}, "INVALID_REQUEST_BODY"),
        ({"discount_codes": ["NOPE"]}, "INVALID_DISCOUNT_CODE"),
        ({"return_url": "https://shop.test/"}, "INVALID_REQUEST_BODY"),
        ({"collect_via_payment_link": True, "on_payment_failure": "apply_change"}, "INVALID_REQUEST_BODY"),
        ({"metadata": {"a b": "c"}}, "INVALID_REQUEST_BODY"),
    ],
)
def test_bad_bodies(sandbox: SandboxProcess, subscription_id: str, more: Any, code: str) -> None:
    path = f"/subscriptions/{subscription_id}/change-plan"

    assert refused(sandbox, "POST", path, {**body_of(PRO, DIFFERENCE), **more}) == (422, code)
    assert read(sandbox, subscription_id)["product_id"] == BASIC


def test_other_currency_is_refused(sandbox: SandboxProcess, subscription_id: str) -> None:
    dong = make_plan(sandbox, 199_000, currency="VND")

    assert SACH
    path = f"/subscriptions/{subscription_id}/change-plan"
    assert refused(sandbox, "POST", path, body_of(dong, FULL)) == (422, "UNSUPPORTED_CURRENCY")


def test_ended_and_ending_subscriptions_keep_their_plan(sandbox: SandboxProcess, subscription_id: str) -> None:
    path, own = f"/subscriptions/{subscription_id}/change-plan", f"/subscriptions/{subscription_id}"

    sandbox.call("PATCH", own, {"cancel_at_next_billing_date": True})
    ending = refused(sandbox, "POST", path, body_of(PRO, FULL))
    sandbox.call("PATCH", own, {"status": "cancelled"})
    ended = refused(sandbox, "POST", path, body_of(PRO, FULL))

    assert ending == (422, "PLAN_CHANGE_NOT_ALLOWED_FOR_SCHEDULED_CANCELLATION")
    assert ended == (422, "INACTIVE_SUBSCRIPTION_PLAN_CHANGE_NOT_SUPPORTED")
    assert refused(sandbox, "POST", "/subscriptions/sub_no/change-plan", body_of(PRO, FULL)) == (404, "NOT_FOUND")


def test_addons_come_and_go_with_the_change(sandbox: SandboxProcess, subscription_id: str) -> None:
    seat = sandbox.post("/addons", {"name": "Seat", "price": 1000, "currency": "USD", "tax_category": "saas"})["id"]
    team = make_plan(sandbox, 8000, addons=[seat])

    change(sandbox, subscription_id, team, PRORATED, addons=[{"addon_id": seat, "quantity": 3}])
    with_seats = read(sandbox, subscription_id)
    charged = payments_of(sandbox, subscription_id)[-1]["total_amount"]
    body = body_of(team, FREE)
    del body["addons"]
    sandbox.post(f"/subscriptions/{subscription_id}/change-plan", body)
    without = read(sandbox, subscription_id)

    assert charged == 4000
    assert (with_seats["addons"], with_seats["recurring_pre_tax_amount"]) == (
        [{"addon_id": seat, "quantity": 3}],
        11000,
    )
    assert (without["addons"], without["recurring_pre_tax_amount"]) == ([], 8000)


def test_more_and_fewer_units(sandbox: SandboxProcess, subscription_id: str) -> None:
    change(sandbox, subscription_id, BASIC, PRORATED, quantity=3)
    charged = payments_of(sandbox, subscription_id)[-1]["total_amount"]
    stand_at(sandbox, at(2027, 5, 1))
    shown = preview(sandbox, subscription_id, PRO, PRORATED)["immediate_charge"]["summary"]

    # 16 Apr to 16 May again has 15 of 30 days left on 1 May: 40.00 - 45.00.
    assert (charged, shown["settlement_amount"], shown["customer_credits"]) == (3000, 0, 500)


def test_tax_follows_the_address(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, country="VN")
    stand_at(sandbox, at(2027, 4, 16))

    up = preview(sandbox, subscription_id, PRO, PRORATED)["immediate_charge"]["summary"]
    change(sandbox, subscription_id, PRO, PRORATED)

    payment = sandbox.get(f"/payments/{payments_of(sandbox, subscription_id)[-1]['payment_id']}")
    assert (up["settlement_amount"], up["settlement_tax"], up["customer_credits"]) == (2750, 250, 0)
    assert (payment["total_amount"], payment["tax"]) == (2750, 250)


def test_codes_are_kept_replaced_or_removed(sandbox: SandboxProcess) -> None:
    def code(name: str, **more: Any) -> None:
        sandbox.post("/discounts", {"type": "percentage", "amount": 5000, "code": name, **more})

    code("KEPT", preserve_on_plan_change=True)
    code("NEW", subscription_cycles=2)
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, discount_codes=["KEPT"])

    kept = preview(sandbox, subscription_id, PRO, FULL)["immediate_charge"]["summary"]["settlement_amount"]
    removed = preview(sandbox, subscription_id, PRO, FULL, discount_codes=[])["immediate_charge"]["summary"]
    change(sandbox, subscription_id, PRO, FULL, discount_codes=["NEW"])
    stand_at(sandbox, at(2027, 6, 2))

    assert (kept, removed["settlement_amount"]) == (4000, 8000)
    amounts = [payment["total_amount"] for payment in payments_of(sandbox, subscription_id)]
    assert amounts == [1500, 4000, 4000, 8000]


def test_code_that_the_subscription_has_is_not_taken_twice(sandbox: SandboxProcess) -> None:
    sandbox.post("/discounts", {"type": "percentage", "amount": 5000, "code": "HALF"})
    subscription_id = subscribe(sandbox, discount_codes=["HALF"])

    body = body_of(PRO, FULL, discount_codes=["HALF"])

    found = refused(sandbox, "POST", f"/subscriptions/{subscription_id}/change-plan", body)
    assert found == (422, "DISCOUNT_ALREADY_USED_ON_SUBSCRIPTION")


@pytest.mark.parametrize(("switch", "charged"), [("docs", 2500), ("full_new_minus_unused", 6500)])
def test_switch_changes_preview_and_charge_alike(
    sandbox: SandboxProcess, subscription_id: str, switch: str, charged: int
) -> None:
    sandbox.switch(reset_proration=switch)

    shown = preview(sandbox, subscription_id, PRO, PRORATED)["immediate_charge"]["summary"]["settlement_amount"]
    change(sandbox, subscription_id, PRO, PRORATED)

    assert (shown, payments_of(sandbox, subscription_id)[-1]["total_amount"]) == (charged, charged)


def test_old_api_answers_nothing(sandbox: SandboxProcess, subscription_id: str) -> None:
    sandbox.switch(change_plan_answer="empty", keep_cycle="refused")

    assert refused(
        sandbox, "POST", f"/subscriptions/{subscription_id}/change-plan", body_of(PRO, KEEP)
    ) == (422, "INVALID_REQUEST_BODY")  # fmt: skip
    assert change(sandbox, subscription_id, PRO, DIFFERENCE) is None


def test_total_amount_of_a_preview_can_be_before_credit(sandbox: SandboxProcess) -> None:
    stand_at(sandbox, at(2027, 4, 1))
    subscription_id = subscribe(sandbox, PRO)
    change(sandbox, subscription_id, BASIC, DIFFERENCE)

    totals = []
    for value in ("after_credit", "before_credit"):
        sandbox.switch(preview_total=value)
        totals.append(preview(sandbox, subscription_id, PRO, FULL)["immediate_charge"]["summary"]["total_amount"])

    assert totals == [3000, 8000]


def test_too_small_a_change_is_topped_up_or_refused(sandbox: SandboxProcess, subscription_id: str) -> None:
    near = make_plan(sandbox, 3040)
    topped = preview(sandbox, subscription_id, near, PRORATED)["immediate_charge"]["summary"]
    sandbox.switch(min_charge="reject")

    path = f"/subscriptions/{subscription_id}/change-plan"
    assert (topped["settlement_amount"], topped["customer_credits"]) == (50, 30)
    assert refused(sandbox, "POST", path, body_of(near, PRORATED)) == (
        422, "TOTAL_PAYMENT_AMOUNT_BELOW_MINIMUM_AMOUNT"
    )  # fmt: skip


@pytest.mark.parametrize(("scope", "renewals"), [("subscription", [3000]), ("customer_currency", [0])])
def test_credit_scope_decides_whose_renewal_may_use_it(
    sandbox: SandboxProcess, scope: str, renewals: list[int]
) -> None:
    sandbox.switch(credit_scope=scope)
    stand_at(sandbox, at(2027, 4, 1))
    first, second = subscribe(sandbox, PRO), subscribe(sandbox, BASIC)
    change(sandbox, first, BASIC, DIFFERENCE)

    sandbox.control("renewals", {"subscription_id": second})

    assert [p["total_amount"] for p in payments_of(sandbox, second) if p["charge_type"] == "renewal"] == renewals


def test_day_by_day_the_credit_shrinks(sandbox: SandboxProcess, subscription_id: str) -> None:
    amounts = []
    for _ in range(3):
        shown = preview(sandbox, subscription_id, PRO, PRORATED)["immediate_charge"]["summary"]
        amounts.append(shown["settlement_amount"])
        sandbox.clock(DAY_S)

    assert amounts == [2500, 2333, 2167]
