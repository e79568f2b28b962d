"""kill -9 at points of paying dues, restart, and look: one request, one payment at most, a true page.

As in `test_plan_crashes`, whose harness this is: every buyer is brought to the button, then each crash happens, then
everything is started clean once and settles. `audit` judges all of it together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

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
        ready = {point: _to_the_button(shop, point) for point in POINTS}
        # Alone, or the worker would settle what the web is to die of.
        shop.kill("worker")
        for point, (buyer, html) in ready.items():
            crash(shop, buyer, html, point=point, form="pay-dues")
        settle(shop)
        yield Crashed(shop, {point: buyer for point, (buyer, _) in ready.items()}, shop.audit())


def _to_the_button(shop: Installation, point: str) -> tuple[Buyer, str]:
    buyer = Buyer(shop, f"{point.replace('.', '-').replace('_', '-')}@example.com")
    buyer.buy("basic-plan")
    buyer.sign_in()
    row = subscription_of(shop, buyer)
    shop.sandbox.fail_renewal(row["provider_subscription_id"])
    return buyer, buyer.get(f"/account/subscriptions/{row['id']}")


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
