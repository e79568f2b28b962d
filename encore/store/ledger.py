"""Ledger: what happened to money and states, append-only, each entry chained to the one before."""

import hashlib
import json
from dataclasses import dataclass

from encore.store.engine import Row, Store
from encore.store.records import columns, many

GENESIS = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry; `hash` is SHA-256 over `prev_hash`, `seq` and `entry_json`."""

    seq: int
    entry_json: str
    at: int
    prev_hash: str
    hash: str


def insert_entry(store: Store, entry: Row, *, now: int) -> None:
    """Append an entry in the transaction of the fact it records."""
    last = store.row("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1")
    seq = 1 if last is None else int(last["seq"]) + 1
    previous = GENESIS if last is None else str(last["hash"])
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    store.run(
        "INSERT INTO ledger (seq, entry_json, at, prev_hash, hash) VALUES (:seq, :text, :now, :previous, :hash)",
        seq=seq,
        text=text,
        now=now,
        previous=previous,
        hash=chain_hash(previous, seq=seq, text=text),
    )


def chain_hash(previous: str, *, seq: int, text: str) -> str:
    """Return the hash that links an entry to the one before it."""
    return hashlib.sha256(f"{previous}\n{seq}\n{text}".encode()).hexdigest()


def list_entries(store: Store) -> list[Entry]:
    """Return the whole ledger in order."""
    return many(Entry, store.rows(f"SELECT {columns(Entry)} FROM ledger ORDER BY seq"))
