"""A file that an older sandbox has written is read by this one: its orders are still an installation's orders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.core import upgrade
from sandbox.core.store import Store
from tests.contract.schema import assert_answer
from tests.sandbox_process import BASIC, COURSE, SandboxProcess, start_sandbox

LISTS = {
    "products": "product_id", "customers": "customer_id", "discounts": "discount_id", "payments": "payment_id",
    "subscriptions": "subscription_id", "refunds": "refund_id", "disputes": "dispute_id",
}  # fmt: skip


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file as the first sandbox left it: without any field that came later."""
    with start_sandbox(tmp_path) as sandbox:
        sandbox.post("/discounts", {"type": "percentage", "amount": 1000, "code": "TEN"})
        payment = sandbox.buy(discount_codes=["TEN"])
        sandbox.buy(BASIC)
        sandbox.post("/checkouts", {"product_cart": [{"product_id": COURSE, "quantity": 1}]})
        sandbox.post("/refunds", {"payment_id": payment["payment_id"]})
        sandbox.control("disputes", {"payment_id": payment["payment_id"]})
    store = Store(sandbox.db)
    for row in store.rows("SELECT seq, kind, doc FROM objects"):
        older = json.dumps(aged(row["kind"], json.loads(row["doc"])))
        store.run("UPDATE objects SET doc = :doc WHERE seq = :seq", doc=older, seq=row["seq"])
    store.run("PRAGMA user_version = 0")
    store.run("PRAGMA application_id = 0")
    store.close()
    return sandbox.db


def aged(kind: str, doc: Any) -> Any:
    if kind == "subscriptions":
        doc["unit_price"] = doc.pop("items")[0]["unit_price"]
        del doc["term_end"]
    for line in doc.get("lines", []):
        for name in upgrade.ADDED_TO_LINES:
            del line[name]
    for item in doc.get("cart", []):
        for name in upgrade.ADDED_TO_CART:
            del item[name]
    return {name: value for name, value in doc.items() if name not in upgrade.ADDED.get(kind, {})}


@pytest.fixture
def reopened(tmp_path: Path, old_file: Path) -> Iterator[SandboxProcess]:
    with start_sandbox(tmp_path, db=old_file) as sandbox:
        yield sandbox


@pytest.mark.parametrize("noun", LISTS)
def test_every_old_object_is_read_and_true_to_the_schema(reopened: SandboxProcess, noun: str) -> None:
    items = reopened.get(f"/{noun}")["items"]

    assert items
    for item in items:
        assert_answer(f"GET /{noun}/{{id}}", reopened.get(f"/{noun}/{item[LISTS[noun]]}"))


def test_old_session_can_still_be_paid(reopened: SandboxProcess) -> None:
    (waiting,) = [one for one in reopened.control("objects/sessions")["items"] if one["payment_id"] is None]

    assert reopened.pay(waiting["id"]).status_code in (200, 303)
    assert reopened.get(f"/checkouts/{waiting['id']}")["payment_status"] == "succeeded"


def test_old_subscription_can_change_its_plan(reopened: SandboxProcess) -> None:
    (subscription,) = reopened.get("/subscriptions")["items"]
    body = {"product_id": BASIC, "quantity": 2, "proration_billing_mode": "full_immediately"}

    reopened.post(f"/subscriptions/{subscription['subscription_id']}/change-plan", body)

    assert reopened.get("/subscriptions")["items"][0]["recurring_pre_tax_amount"] == 6000
