"""Every constraint of the schema refuses its breach, and the transaction around it leaves nothing behind."""

import re
from importlib.resources import files

import pytest

from encore.store import Conflict, Store
from tests.store.rows import ROWS, fill, insert

# A second row that is fresh in every unique column, so that only the breach named is one.
SECOND: dict[str, dict[str, object]] = {
    "checkouts": {"id": "chk_2", "ref": "ref_2", "provider_session_id": None, "subscription_id": None},
    "offer_instances": {"id": "ofi_2", "source_ref": "ord_2"},
    "acceptances": {"id": "acc_5", "offer_instance_id": "ofi_2", "product_id": "pdt_2"},
    "attempts": {"id": "att_2", "acceptance_id": "acc_2", "provider_session_id": None, "provider_payment_id": None},
    "payments": {"id": "pay_2", "attempt_id": None, "acceptance_id": None},
    "orders": {
        "id": "ord_2",
        "number": 1002,
        "acceptance_id": "acc_2",
        "attempt_id": None,
        "payment_id": None,
    },
    "refunds": {"id": "rfd_2", "payment_id": "pay_2", "provider_refund_id": None},
    "webhook_events": {"webhook_id": "msg_2"},
    "outbox": {"id": "msg_2", "dedup_key": "receipt:2"},
    "ledger": {"seq": 2, "prev_hash": "a", "hash": "b"},
    "products": {"id": "pdt_2", "slug": "bundle"},
    "offers": {"id": "other"},
    "offer_versions": {"version": 2},
    "entitlements": {"product_id": "pdt_2"},
    "suppressions": {"product_id": "pdt_2"},
    "sign_in_links": {"id": "link_2"},
    "sign_ins": {"buyer_key": "other", "link_id": "link_2"},
    "subscriptions": {"id": "sbs_2", "provider_subscription_id": "sub_2", "order_id": None},
    "ends_to_put_back": {"provider_subscription_id": "sub_2"},
    "plan_groups": {"id": "other"},
    "rate_budget": {},
}

# (name, table, what is wrong with it)
BREACHES: list[tuple[str, str, dict[str, object]]] = [
    # One way of charging twice each.
    ("one_open_yes", "acceptances", {"product_id": "pdt_1"}),
    ("one_open_yes needs_checkout", "acceptances", {"product_id": "pdt_1", "outcome": "needs_checkout"}),
    ("one acceptance an instance", "acceptances", {"offer_instance_id": "ofi_1"}),
    ("one_charging_request", "attempts", {"acceptance_id": "acc_1", "state": "failed"}),
    ("one_live_attempt", "attempts", {"acceptance_id": "acc_1", "kind": "hosted", "state": "hosted_open"}),
    ("one_paid_attempt", "attempts", {"acceptance_id": "acc_3", "kind": "hosted", "state": "paid"}),
    (
        "one_subscription_charge",
        "attempts",
        {"kind": "dues", "state": "sending", "subscription_id": "sub_live"},
    ),
    ("no second post of a charge", "attempts", {"post_count": 2}),
    ("no sending without a post", "attempts", {"post_count": 0}),
    ("no paid without a post", "attempts", {"post_count": 0, "state": "paid"}),
    ("a session belongs to one attempt", "attempts", {"provider_session_id": "cks_2"}),
    ("a payment belongs to one attempt", "attempts", {"provider_payment_id": "pay_1"}),
    ("a one-click charge has no subscription", "attempts", {"subscription_id": "sub_1"}),
    ("dues have a subscription", "attempts", {"kind": "dues"}),
    ("one_kept_payment", "payments", {"acceptance_id": "acc_1"}),
    ("no refund beyond the payment", "payments", {"refund_reserved": 9901}),
    ("no negative payment", "payments", {"amount": -1}),
    ("one_full_refund", "refunds", {"payment_id": "pay_1", "state": "failed"}),
    ("one_live_refund", "refunds", {"payment_id": "pay_1", "is_full": 0, "amount": 1}),
    ("no second post of a partial refund", "refunds", {"is_full": 0, "post_count": 2}),
    ("no refund of nothing", "refunds", {"amount": 0}),
    ("a provider's refund is one row", "refunds", {"provider_refund_id": "ref_1"}),
    # One order a payment, one offer an order, one of each fact.
    ("one order an acceptance", "orders", {"acceptance_id": "acc_1"}),
    ("one order an attempt", "orders", {"attempt_id": "att_1"}),
    ("one order a payment", "orders", {"payment_id": "pay_1"}),
    ("an order has one source", "orders", {"checkout_id": "chk_1"}),
    ("an order has a source", "orders", {"acceptance_id": None}),
    ("one number an order", "orders", {"number": 1001}),
    ("an entitlement once", "entitlements", {"product_id": "pdt_1"}),
    ("an offer once an order", "offer_instances", {"source_ref": "ord_1"}),
    ("a consent has amount and currency", "acceptances", {"currency": None}),
    ("a session belongs to one checkout", "checkouts", {"provider_session_id": "cks_1"}),
    ("a subscription belongs to one checkout", "checkouts", {"subscription_id": "sub_1"}),
    ("a reference names one checkout", "checkouts", {"ref": "ref_1"}),
    ("a delivery is stored once", "webhook_events", {"webhook_id": "msg_1"}),
    ("a message is queued once", "outbox", {"dedup_key": "receipt:1"}),
    ("the ledger has one next entry", "ledger", {"prev_hash": ""}),
    ("the ledger has no entry twice", "ledger", {"hash": "a"}),
    ("a decline is remembered once", "suppressions", {"product_id": "pdt_1"}),
    ("one call budget", "rate_budget", {"id": 2}),
    ("a slug names one product", "products", {"slug": "course"}),
    ("a published version never changes", "offer_versions", {"version": 1}),
    # One link, one browser; and nothing opens that was not mailed.
    ("a link signs one browser in", "sign_ins", {"link_id": "link_1"}),
    ("a browser has one account", "sign_ins", {"buyer_key": "buyer"}),
    ("a link is used only if it was mailed", "sign_in_links", {"used_at": 2}),
    ("a link runs out only if its request was handled", "sign_in_links", {"expires_at": 2}),
    ("a subscription is one row", "subscriptions", {"provider_subscription_id": "sub_1"}),
    ("an order gives one subscription's access", "subscriptions", {"order_id": "ord_1"}),
    ("a subscription costs no less than nothing", "subscriptions", {"amount": -1}),
    # Words and references.
    ("an attempt's state is one of fifteen", "attempts", {"state": "lost"}),
    ("a yes has one of five outcomes", "acceptances", {"outcome": "maybe"}),
    ("an instance has one of four states", "offer_instances", {"state": "seen"}),
    ("an acceptance has its instance", "acceptances", {"offer_instance_id": "ofi_none"}),
    ("an attempt has its acceptance", "attempts", {"acceptance_id": "acc_none"}),
    ("a refund has its payment", "refunds", {"payment_id": "pay_none"}),
    ("a checkout has its product", "checkouts", {"product_id": "pdt_none"}),
    ("numbers are numbers", "payments", {"amount": "a lot"}),
]


@pytest.fixture
def filled(store: Store) -> Store:
    """One row of each table, and what a second row of some needs."""
    fill(store)
    with store.write():
        insert(store, "offer_instances", id="ofi_2", source_ref="ord_9")
        insert(store, "offer_instances", id="ofi_3", source_ref="ord_10")
        insert(store, "acceptances", id="acc_3", offer_instance_id="ofi_3", product_id="pdt_3", outcome="charged")
        insert(store, "acceptances", id="acc_2", offer_instance_id="ofi_2", product_id="pdt_9", outcome="closed")
        fresh = {"provider_session_id": None, "provider_payment_id": None}
        insert(store, "attempts", id="att_3", acceptance_id="acc_3", state="paid", **fresh)
        insert(store, "offer_instances", id="ofi_4", source_ref="ord_11")
        insert(store, "acceptances", id="acc_4", offer_instance_id="ofi_4", product_id="pdt_4")
        insert(
            store,
            "attempts",
            id="att_4",
            acceptance_id="acc_4",
            kind="plan_change",
            subscription_id="sub_live",
            **fresh,
        )
        insert(store, "payments", id="pay_2", attempt_id=None, acceptance_id=None)
    return store


def second_of(table: str, breach: dict[str, object]) -> dict[str, object]:
    second = {**SECOND[table], **breach}
    if table == "acceptances" and "offer_instance_id" not in breach:
        second["offer_instance_id"] = "ofi_5"
    if table == "payments":
        second["id"] = "pay_5"
    if table == "offer_instances":
        second["id"] = "ofi_6"
    return second


@pytest.mark.parametrize(("name", "table", "breach"), BREACHES, ids=[breach[0] for breach in BREACHES])
def test_a_breach_is_refused(filled: Store, name: str, table: str, breach: dict[str, object]) -> None:
    with filled.write():
        insert(filled, "offer_instances", id="ofi_5", source_ref="ord_12")
    before = filled.rows(f"SELECT count(*) AS n FROM {table}")

    with pytest.raises(Conflict), filled.write():
        insert(filled, table, **second_of(table, breach))

    assert filled.rows(f"SELECT count(*) AS n FROM {table}") == before


@pytest.mark.parametrize("table", [table for table in ROWS if table != "rate_budget"])
def test_the_same_row_without_a_breach_is_taken(filled: Store, table: str) -> None:
    """Else a test above could pass for a reason that is not its own."""
    with filled.write():
        insert(filled, "offer_instances", id="ofi_5", source_ref="ord_12")
        insert(filled, table, **second_of(table, {}))


def test_every_guard_of_the_schema_is_tested() -> None:
    sql = (files("encore.store") / "migrations" / "0001_house.sql").read_text("utf-8")
    guards = set(re.findall(r"CREATE UNIQUE INDEX (\w+)", sql))

    assert guards
    assert guards <= {name.split(" ")[0] for name, *_ in BREACHES}
