"""kill -9 at every named point of a plan change, restart, and look: one change, one charge, a true page.

As in `test_crashes`: every buyer is brought to their quote, then each crash happens, then everything is started clean
once and settles. `audit` judges all of it together, each test its own buyer.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.faults.crash_cases import PLAN_POINTS
from tests.installation import Buyer, Installation, outcome_of, running_installation
from tests.sandbox_process import BASIC, PRO, wait_for

# The same change taken as an offer on the return page: after the claim, and when all that is left is to look.
OFFERED = ("offered:claim.committed", "offered:send.answered")
POINTS = (*PLAN_POINTS, *OFFERED)
_LIVE = "('queued','sending','unknown','pending')"


@dataclass
class Crashed:
    """What is left after all crashes and one clean start: the buyers, and where each had a quote."""

    shop: Installation
    buyers: dict[str, tuple[Buyer, str]]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashed]:
    folder = tmp_path_factory.mktemp("plan-crashes")
    with running_installation(folder, ENCORE_CHARGE_TIMEOUT_S="2") as shop:
        shop.start_web()
        shop.start_worker()
        ready = {point: _to_the_button(shop, point) for point in POINTS}
        # Alone, or the worker would settle what the web is to die of.
        shop.kill("worker")
        for point in POINTS:
            crash(shop, *ready[point], point=point, form=_button(point))
        settle(shop)
        buyers = {point: (buyer, _quote_of(html)) for point, (buyer, html) in ready.items()}
        yield Crashed(shop, buyers, shop.audit())


def _to_the_button(shop: Installation, point: str) -> tuple[Buyer, str]:
    """Bring a signed-in subscriber to the page whose button is pressed into the crash."""
    buyer = Buyer(shop, f"{re.sub('[^a-z0-9]', '-', point)}@example.com")
    is_unscheduling = point == "change.unscheduled"
    html = buyer.buy("pro-plan" if is_unscheduling else "basic-plan")
    if point in OFFERED:
        return buyer, html
    buyer.sign_in()
    plan = shop.wait_row(
        "SELECT subscriptions.id, subscriptions.customer_id FROM subscriptions"
        " JOIN customers ON customers.id = subscriptions.customer_id"
        " WHERE customers.email = :email",
        email=buyer.email,
    )
    path = f"/account/subscriptions/{plan['id']}"
    if point.startswith("end."):
        buyer.post_form(buyer.get(f"{path}/cancel"), "confirm-cancel")
    html = buyer.get(buyer.post_form(buyer.get(path), "choose-plan").headers["location"])
    if point == "end.put_back":
        # The end is put back only where the change does not go through.
        shop.sandbox.next_payment("failed", "GENERIC_DECLINE", match={"customer_id": plan["customer_id"]})
    if is_unscheduling:
        buyer.post_form(html, "confirm-change")
        html = buyer.get(path)
    return buyer, html


def _button(point: str) -> str:
    if point in OFFERED:
        return "offer-accept"
    return "cancel-scheduled" if point == "change.unscheduled" else "confirm-change"


def crash(shop: Installation, buyer: Buyer, html: str, *, point: str, form: str) -> None:
    """Let the web process end at a point, while a buyer presses the button of a form."""
    shop.kill("web")
    shop.start_web(ENCORE_CRASH_AT=point.removeprefix("offered:"))
    with suppress(requests.RequestException):
        buyer.post_form(html, form)
    log = shop.folder / "web.log"
    wait_for(lambda: "Unexpected exit" in log.read_text(), what=f"the web's end at {point}")
    shop.kill("web")
    log.write_text("")


def settle(shop: Installation) -> None:
    """Start everything clean, and wait until nothing is left to do."""
    with shop.store.write():
        # What the dead had taken is theirs for half a minute more, which nobody here needs to wait for.
        shop.store.run("UPDATE attempts SET lease_until = lease_until - 60000 WHERE lease_until IS NOT NULL")
        shop.store.run("UPDATE ends_to_put_back SET due_at = due_at - 60000")
    shop.start_web()
    shop.start_worker()
    wait_for(
        lambda: (
            not shop.store.rows(
                f"SELECT id FROM attempts WHERE state IN {_LIVE}"
                " UNION ALL SELECT webhook_id FROM webhook_events WHERE state = 'received' AND note IS NULL"
                " UNION ALL SELECT id FROM outbox WHERE state IN ('ready','sending')"
                " UNION ALL SELECT provider_subscription_id FROM subscriptions_to_read"
                " UNION ALL SELECT provider_subscription_id FROM ends_to_put_back"
            )
        ),
        limit_s=60,
        what="everything settled",
    )


def _quote_of(html: str) -> str:
    found = re.search(r'action="(/quotes/\w+)/confirm"', html) or re.search(r'action="(/o/\w+)/accept"', html)
    return found[1] if found else ""


def test_audit_is_clean_after_every_crash(crashed: Crashed) -> None:
    assert {i["invariant"]: i["breaches"] for i in crashed.report["invariants"] if i["breaches"]} == {}
    assert crashed.report["exit"] == 0, crashed.report["errors"]


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("point", [point for point in POINTS if point != "change.unscheduled"])
def test_crash_leaves_one_change_one_charge_and_a_true_page(crashed: Crashed, point: str) -> None:
    buyer, quote = crashed.buyers[point]
    row = _subscription(crashed, buyer)
    sandbox = crashed.shop.sandbox
    posts = sandbox.requests("POST", f"/subscriptions/{row['provider_subscription_id']}/change-plan")
    payments = [
        payment
        for payment in sandbox.get("/payments", subscription_id=row["provider_subscription_id"])["items"]
        if payment["charge_type"] == "plan_change" and payment["status"] == "succeeded"
    ]
    plan_there = sandbox.get(f"/subscriptions/{row['provider_subscription_id']}")["product_id"]

    page = buyer.get(quote)

    assert len(posts) <= 1
    assert [plan_there] == ([PRO] if payments else [BASIC])
    assert len(payments) <= 1
    assert row["product_id"] == plan_there
    assert _owned(crashed, row) == [plan_there]
    assert (outcome_of(page) == "paid") == bool(payments), page[:1500]
    if point.startswith("end."):
        there = sandbox.get(f"/subscriptions/{row['provider_subscription_id']}")
        assert there["cancel_at_next_billing_date"] == (not payments)


def test_crash_after_a_schedule_is_dropped_leaves_it_dropped(crashed: Crashed) -> None:
    buyer, _ = crashed.buyers["change.unscheduled"]
    row = _subscription(crashed, buyer)

    assert crashed.shop.sandbox.get(f"/subscriptions/{row['provider_subscription_id']}")["scheduled_change"] is None
    assert 'data-testid="scheduled-change"' not in buyer.get(f"/account/subscriptions/{row['id']}")


def _subscription(crashed: Crashed, buyer: Buyer) -> dict[str, Any]:
    found = crashed.shop.store.row(
        "SELECT subscriptions.* FROM subscriptions JOIN customers ON customers.id = subscriptions.customer_id"
        " WHERE customers.email = :email",
        email=buyer.email,
    )
    assert found is not None
    return found


def _owned(crashed: Crashed, row: dict[str, Any]) -> list[str]:
    found = crashed.shop.store.rows(
        "SELECT product_id FROM entitlements WHERE order_id = :id AND revoked_at IS NULL", id=row["order_id"]
    )
    return [entitlement["product_id"] for entitlement in found]
