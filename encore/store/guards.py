"""Guards: what the file itself must hold: sound pages, whole references, every index that refuses a second charge."""

from encore.store.engine import Store

# Every partial unique index of charging.md, section 2: each refuses one way of charging or refunding twice.
GUARDS = {
    "one_open_yes": "CREATE UNIQUE INDEX one_open_yes ON acceptances(customer_id, product_id)"
    " WHERE outcome IN ('open','needs_checkout')",
    "one_charging_request": "CREATE UNIQUE INDEX one_charging_request ON attempts(acceptance_id)"
    " WHERE kind <> 'hosted'",
    "one_live_attempt": "CREATE UNIQUE INDEX one_live_attempt ON attempts(acceptance_id) WHERE state IN"
    " ('queued','sending','unknown','pending','action_required','opening','hosted_open')",
    "one_paid_attempt": "CREATE UNIQUE INDEX one_paid_attempt ON attempts(acceptance_id) WHERE state = 'paid'",
    "one_subscription_charge": "CREATE UNIQUE INDEX one_subscription_charge ON attempts(subscription_id)"
    " WHERE state IN ('queued','sending','unknown','pending','action_required')",
    "one_kept_payment": "CREATE UNIQUE INDEX one_kept_payment ON payments(acceptance_id) WHERE disposition = 'kept'",
    "one_full_refund": "CREATE UNIQUE INDEX one_full_refund ON refunds(payment_id)"
    " WHERE is_full = 1 AND reason <> 'external'",
    "one_live_refund": "CREATE UNIQUE INDEX one_live_refund ON refunds(payment_id) WHERE reason <> 'external'"
    " AND state IN ('due','sending','unknown','pending')",
}
# And every UNIQUE of a table definition there, as table and columns.
UNIQUES = (
    ("checkouts", "provider_session_id"),
    ("checkouts", "subscription_id"),
    ("offer_instances", "source_ref, offer_id"),
    ("acceptances", "offer_instance_id"),
    ("attempts", "provider_session_id"),
    ("attempts", "provider_payment_id"),
    ("orders", "checkout_id"),
    ("orders", "acceptance_id"),
    ("orders", "attempt_id"),
    ("orders", "payment_id"),
    ("subscriptions", "provider_subscription_id"),
    ("subscriptions", "order_id"),
    ("refunds", "provider_refund_id"),
    ("outbox", "dedup_key"),
    ("ledger", "prev_hash"),
    ("ledger", "hash"),
)


def list_faults_of_file(store: Store) -> list[str]:
    """Return what SQLite itself finds wrong with the file's pages, indexes and constraints."""
    found = store.rows("SELECT integrity_check AS fault FROM pragma_integrity_check")
    return [str(row["fault"]) for row in found if row["fault"] != "ok"]


def list_broken_references(store: Store) -> list[tuple[str, str]]:
    """Return (table, parent table) of each row that names a row which is not there."""
    found = store.rows('SELECT "table", parent FROM pragma_foreign_key_check')
    return [(str(row["table"]), str(row["parent"])) for row in found]


def list_wrong_guards(store: Store) -> list[str]:
    """Return the unique indexes of `GUARDS` and `UNIQUES` that are missing or are not what they must be."""
    found = store.rows("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    definitions = {row["name"]: _plain(row["sql"]) for row in found}
    wrong = [name for name, sql in GUARDS.items() if definitions.get(name) != _plain(sql)]
    uniques = _unique_columns(store)
    return wrong + [f"{table}({columns})" for table, columns in UNIQUES if (table, columns) not in uniques]


def _unique_columns(store: Store) -> set[tuple[str, str]]:
    found = store.rows(
        "SELECT tables.name AS table_name, lists.name AS index_name, parts.name AS column_name"
        " FROM sqlite_master AS tables, pragma_index_list(tables.name) AS lists, pragma_index_info(lists.name) AS parts"
        " WHERE tables.type = 'table' AND lists.\"unique\" = 1 AND lists.partial = 0"
        " ORDER BY lists.name, parts.seqno"
    )
    columns: dict[tuple[str, str], list[str]] = {}
    for row in found:
        columns.setdefault((row["table_name"], row["index_name"]), []).append(row["column_name"])
    return {(table, ", ".join(names)) for (table, _), names in columns.items()}


def _plain(sql: str) -> str:
    return "".join(sql.split()).lower()
