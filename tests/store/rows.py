"""One valid row a table, and what each of them needs to exist first."""

from encore.store import Row, Store

ROWS: dict[str, Row] = {
    "products": {
        "id": "pdt_1",
        "slug": "course",
        "position": 0,
        "name": "Course",
        "description": "",
        "price_minor": 4900,
        "currency": "USD",
        "tax_inclusive": 0,
        "is_recurring": 0,
        "synced_at": 1,
    },
    "checkouts": {
        "id": "chk_1",
        "ref": "ref_1",
        "buyer_key": "buyer",
        "product_id": "pdt_1",
        "quantity": 1,
        "language": "en",
        "state": "open",
        "provider_session_id": "cks_1",
        "subscription_id": "sub_1",
        "created_at": 1,
        "authority_until": 2,
    },
    "offers": {"id": "bundle", "live_version": 1, "state": "live", "changed_at": 1},
    "offer_versions": {
        "offer_id": "bundle",
        "version": 1,
        "definition_json": "{}",
        "product_id": "pdt_1",
        "published_at": 1,
    },
    "offer_instances": {
        "id": "ofi_1",
        "offer_id": "bundle",
        "offer_version": 1,
        "funnel_id": "funnel",
        "funnel_version": 1,
        "step_key": "first",
        "placement": "return_page",
        "source_ref": "ord_1",
        "buyer_key": "buyer",
        "customer_id": "cus_1",
        "product_id": "pdt_1",
        "language": "en",
        "quote_json": "{}",
        "quote_hash": "h",
        "created_at": 1,
        "expires_at": 2,
        "state": "accepted",
    },
    "acceptances": {
        "id": "acc_1",
        "consent_json": "{}",
        "offer_instance_id": "ofi_1",
        "customer_id": "cus_1",
        "product_id": "pdt_1",
        "quantity": 1,
        "amount": 9900,
        "currency": "USD",
        "created_at": 1,
        "outcome": "open",
    },
    "attempts": {
        "id": "att_1",
        "acceptance_id": "acc_1",
        "kind": "one_click",
        "state": "sending",
        "post_count": 1,
        "provider_session_id": "cks_2",
        "provider_payment_id": "pay_1",
        "created_at": 1,
        "changed_at": 1,
    },
    "payments": {
        "id": "pay_1",
        "attempt_id": "att_1",
        "acceptance_id": "acc_1",
        "customer_id": "cus_1",
        "status": "succeeded",
        "amount": 9900,
        "currency": "USD",
        "created_at": 1,
        "observed_at": 1,
        "disposition": "kept",
    },
    "orders": {
        "id": "ord_1",
        "number": 1001,
        "acceptance_id": "acc_1",
        "attempt_id": "att_1",
        "payment_id": "pay_1",
        "customer_id": "cus_1",
        "buyer_key": "buyer",
        "product_id": "pdt_1",
        "product_name": "Course",
        "quantity": 1,
        "amount": 9900,
        "currency": "USD",
        "language": "en",
        "created_at": 1,
        "state": "granted",
    },
    "entitlements": {"order_id": "ord_1", "product_id": "pdt_1", "customer_id": "cus_1", "granted_at": 1},
    "refunds": {
        "id": "rfd_1",
        "payment_id": "pay_1",
        "is_full": 1,
        "amount": 9900,
        "reason": "undo",
        "state": "due",
        "provider_refund_id": "ref_1",
        "created_at": 1,
        "changed_at": 1,
    },
    "webhook_events": {
        "webhook_id": "msg_1",
        "body_sha256": "s",
        "event_type": "payment.succeeded",
        "state": "received",
        "received_at": 1,
    },
    "outbox": {
        "id": "msg_1",
        "kind": "receipt",
        "dedup_key": "receipt:1",
        "recipient": "a@example.com",
        "language": "en",
        "payload_json": "{}",
        "state": "ready",
        "created_at": 1,
    },
    "ledger": {"seq": 1, "entry_json": "{}", "at": 1, "prev_hash": "", "hash": "a"},
    "suppressions": {
        "customer_id": "cus_1",
        "product_id": "pdt_1",
        "offer_id": "bundle",
        "offer_instance_id": "ofi_1",
        "created_at": 1,
    },
    "rate_budget": {"id": 1, "tokens_milli": 1, "refilled_at": 1, "blocked_until": 0},
}


def insert(store: Store, table: str, **changed: object) -> None:
    """Insert the table's row, or one that differs from it in these columns."""
    row = {**ROWS[table], **changed}
    names = ", ".join(row)
    store.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})", **row)


def fill(store: Store) -> None:
    """Insert one row of every table, each valid."""
    with store.write():
        for table in ROWS:
            insert(store, table)
