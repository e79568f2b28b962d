"""kill -9 at points of paying dues, changing the card of a plan and ending one on hold; restart, and look.

One request, one payment at most, a true page.

As in `test_plan_crashes`, whose harness this is: every buyer is brought to the button, then each crash happens, then
everything is started clean once and settles. `audit` judges all of it together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.crash_cases import CARD_POINTS, END_POINTS
from tests.faults.test_plan_crashes import crash, settle
from tests.installation import Buyer, Installation, outcome_of, running_installation

# Nothing sent; sent and read, but not written down; written, but not committed; told by the page, but not shown.
POINTS = ("claim.committed", "settle.status_read", "settle.uncommitted", "change.looked")


@dataclass
class Crashed:
    """What is left after all crashes and one clean start."""

    shop: Installation
    buyers: dict[str, Buyer]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashed]:
    folder = tmp_path_factory.mktemp("dues-crashes")
    with running_installation(folder, ENCORE_CHARGE_TIMEOUT_S="2") as shop:
        shop.start_web()
        shop.start_worker()
        ready = {point: _to_the_button(shop, point) for point in (*POINTS, *CARD_POINTS, *END_POINTS)}
        # Alone, or the worker would settle what the web is to die of.
        shop.kill("worker")
        for point, (buyer, html) in ready.items():
            crash(shop, buyer, html, point=point, form=_button(point))
        settle(shop)
        yield Crashed(shop, {point: buyer for point, (buyer, _) in ready.items()}, shop.audit())


def _button(point: str) -> str:
    if point in CARD_POINTS:
        return "method-choice"
    return "confirm-cancel" if point in END_POINTS else "pay-dues"


def _to_the_button(shop: Installation, point: str) -> tuple[Buyer, str]:
    buyer = Buyer(shop, f"{point.replace('.', '-').replace('_', '-')}@example.com")
    buyer.buy("basic-plan")
    buyer.sign_in()
    row = subscription_of(shop, buyer)
    path = f"/account/subscriptions/{row['id']}"
    if point in CARD_POINTS:
        return buyer, buyer.get(f"{path}/cards")
    shop.sandbox.fail_renewal(row["provider_subscription_id"])
    html = buyer.get(path)
    return buyer, buyer.get(f"{path}/cancel") if point in END_POINTS else html


def subscription_of(shop: Installation, buyer: Buyer) -> dict[str, Any]:
    return shop.wait_row(
        "SELECT subscriptions.* FROM subscriptions JOIN customers ON customers.id = subscriptions.customer_id"
        " WHERE customers.email = :email",
        email=buyer.email,
    )


def test_audit_is_clean_after_every_crash(crashed: Crashed) -> None:
    assert {i["invariant"]: i["breaches"] for i in crashed.report["invariants"] if i["breaches"]} == {}
    assert crashed.report["exit"] == 0, crashed.report["errors"]


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("point", POINTS)
def test_crash_leaves_one_request_one_payment_and_a_true_page(crashed: Crashed, point: str) -> None:
    shop, buyer = crashed.shop, crashed.buyers[point]
    row = subscription_of(shop, buyer)
    name = row["provider_subscription_id"]
    posts = shop.sandbox.requests("POST", f"/subscriptions/{name}/update-payment-method")
    there = shop.sandbox.get(f"/subscriptions/{name}")
    renewed = [
        payment
        for payment in shop.sandbox.get("/payments", subscription_id=name)["items"]
        if payment["charge_type"] == "renewal" and payment["status"] == "succeeded"
    ]
    attempt = shop.store.row("SELECT * FROM attempts WHERE subscription_id = :id", id=name)
    assert attempt is not None

    dues = shop.store.row("SELECT offer_instance_id AS id FROM acceptances WHERE id = :id", id=attempt["acceptance_id"])
    assert dues is not None
    page = buyer.get(f"/dues/{dues['id']}")

    assert len(posts) == (0 if point == "claim.committed" else 1)
    assert len(renewed) == len(posts)
    assert (attempt["state"], row["status"], there["status"]) == (
        ("paid", "active", "active") if renewed else ("absent", "on_hold", "on_hold")
    )
    assert outcome_of(page) == ("paid" if renewed else "needs-checkout")


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("point", CARD_POINTS)
def test_crash_while_the_card_is_changed_charges_nothing_and_can_be_done_again(crashed: Crashed, point: str) -> None:
    shop, buyer = crashed.shop, crashed.buyers[point]
    row = subscription_of(shop, buyer)
    name = row["provider_subscription_id"]
    posts = shop.sandbox.requests("POST", f"/subscriptions/{name}/update-payment-method")

    again = buyer.post_form(buyer.get(f"/account/subscriptions/{row['id']}/cards"), "method-choice")

    assert len(posts) == (1 if point == "card.sent" else 0)
    assert again.status_code == 303
    assert len(shop.sandbox.get("/payments", subscription_id=name)["items"]) == 1
    assert shop.store.rows("SELECT kind FROM alarms WHERE kind = 'charged_by_card_change'") == []


@pytest.mark.criterion("N2")
@pytest.mark.parametrize("point", END_POINTS)
def test_crash_while_a_plan_on_hold_is_ended_leaves_what_the_provider_has(crashed: Crashed, point: str) -> None:
    shop, buyer = crashed.shop, crashed.buyers[point]
    row = subscription_of(shop, buyer)
    name = row["provider_subscription_id"]
    is_ended = point == "hold_end.done"

    page = buyer.get(f"/account/subscriptions/{row['id']}")

    ends = [one for one in shop.sandbox.requests("PATCH", f"/subscriptions/{name}") if "status" in one["body"]]
    assert len(ends) == (1 if is_ended else 0)
    status = "cancelled" if is_ended else "on_hold"
    assert (row["status"], shop.sandbox.get(f"/subscriptions/{name}")["status"]) == (status, status)
    assert ('data-testid="buy-anew"' in page) == is_ended
