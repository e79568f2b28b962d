"""How stored objects are looked up, so that a page of a list costs the same among a million objects as among ten.

An object's row repeats what lists are filtered by. What an object can have several of, such as the products of a
payment, and what it is known by besides its id, such as a customer's address, are its links: rows of a table of their
own, kept in order of time as well.
"""

from functools import cache
from typing import Any

Doc = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL,
  created_at INTEGER NOT NULL, customer_id TEXT, status TEXT, currency TEXT, doc TEXT NOT NULL,
  UNIQUE (kind, id)) STRICT;
CREATE INDEX IF NOT EXISTS objects_by_time ON objects (kind, created_at, seq);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (kind, customer_id, created_at, seq, status, currency)
  WHERE customer_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_status ON objects (kind, status, created_at, seq) WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_status_and_currency ON objects (kind, status, currency, created_at, seq)
  WHERE status IS NOT NULL AND currency IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_currency ON objects (kind, currency, created_at, seq) WHERE currency IS NOT NULL;
CREATE TABLE IF NOT EXISTS links (
  kind TEXT NOT NULL, target TEXT NOT NULL, created_at INTEGER NOT NULL, seq INTEGER NOT NULL,
  status TEXT, currency TEXT, PRIMARY KEY (kind, target, created_at, seq)) STRICT, WITHOUT ROWID;
"""
# Kind -> field of a lookup -> where its values stand in the document: alone, in a list, or one in each line.
LINKS = {
    "customers": {"email_key": "email_key"},
    "discounts": {"code_key": "code_key"},
    "license_keys": {"key": "key", "payment_id": "payment_id", "product_id": "product_id"},
    "license_key_instances": {"license_key_id": "license_key_id"},
    "payments": {"subscription_id": "subscription_ids", "product_id": "lines"},
    "refunds": {"subscription_id": "subscription_ids"},
    "subscriptions": {"product_id": "product_id"},
}
# The one link that very many objects can share.
BROAD = "product_id"


def links_of(kind: str, doc: Doc) -> set[str]:
    """Return what an object is linked to."""
    targets: set[str | None] = set()
    for name, place in LINKS.get(kind, {}).items():
        value = doc.get(place)
        items = value if isinstance(value, list) else [value]
        targets.update(item.get(name) if isinstance(item, dict) else item for item in items)
    return {target for target in targets if target}


def select(
    kind: str, where: Doc, *, since: int | None, until: int | None, oldest_first: bool
) -> tuple[str, dict[str, Any]]:
    """Return the SELECT of a page of the documents whose fields equal `where`, and its values.

    The page is in order of time and cut by `:limit` and `:offset`, which the caller adds.
    """
    sql = _page(kind, tuple(where), since is not None, until is not None, oldest_first)
    return sql, {"kind": kind, "since": since, "until": until, **{f"is_{name}": where[name] for name in where}}


@cache
def _page(kind: str, names: tuple[str, ...], has_since: bool, has_until: bool, oldest_first: bool) -> str:
    """Return the SELECT for conditions on these fields; the fields are named in the code alone, so there are few.

    The rows are read along the narrowest condition and held against the others; a document is read only when a
    condition or the page needs it.
    """
    along = _narrowest(kind, names)
    row = "o" if along in LINKS.get(kind, {}) else "t"
    conditions = ["t.kind = :kind", *(_condition(kind, name, along=along, row=row) for name in names)]
    if has_since:
        conditions.append("t.created_at >= :since")
    if has_until:
        conditions.append("t.created_at <= :until")
    source = "objects t" if row == "t" else "links t"
    if any("o." in condition for condition in conditions):
        source += " CROSS JOIN objects o USING (seq)"
    order = "ASC" if oldest_first else "DESC"
    page = (
        f"SELECT t.seq FROM {source} WHERE {' AND '.join(conditions)}"
        f" ORDER BY t.created_at {order}, t.seq {order} LIMIT :limit OFFSET :offset"
    )
    return f"SELECT doc FROM ({page}) CROSS JOIN objects USING (seq) ORDER BY created_at {order}, seq {order}"


def _narrowest(kind: str, where: tuple[str, ...]) -> str | None:
    links = LINKS.get(kind, {})
    order = [*(name for name in links if name != BROAD), "customer_id", *(name for name in links if name == BROAD)]
    return next((name for name in order if name in where), None)


def _condition(kind: str, name: str, *, along: str | None, row: str) -> str:
    value = f":is_{name}"
    if name == "customer_id":
        return f"{row}.customer_id = {value}"
    if name in ("status", "currency"):
        # With the plus, SQLite reads along no other index than that of the narrower condition.
        return f"{'+' if along else ''}t.{name} = {value}"
    place = LINKS.get(kind, {}).get(name)
    if place is None or place == name:
        check = f"json_extract({row}.doc, '$.{name}') IS {value}"
        # The link of a value that has changed since still leads here, hence both.
        return f"t.target = {value} AND {check}" if name == along else check
    if name == along:
        return f"t.target = {value}"
    return (
        f"EXISTS (SELECT 1 FROM links l WHERE l.kind = t.kind AND l.target = {value}"
        " AND l.created_at = t.created_at AND l.seq = t.seq)"
    )
