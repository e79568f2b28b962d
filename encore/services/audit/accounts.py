"""Money in the rows: refunds against payments, and the ledger against orders and refunds (I11, I13)."""

import json
from collections import defaultdict
from collections.abc import Mapping

from encore.services.audit.report import Breach, Finding, breaches_of
from encore.store import Store, ledger
from encore.store.audit import refunds as rows
from encore.store.ledger import Entry

_Amount = tuple[int, str]


def check_refunds(store: Store) -> Finding:
    """I11: refunds are at most the payment, one full one each; a returned payment has its own and is no renewal."""
    return Finding(
        "I11",
        (
            *breaches_of(rows.list_overrefunded(store), "was refunded by more than was paid."),
            *breaches_of(rows.list_full_refunds_twice(store), "has two full refunds of ours."),
            *breaches_of(rows.list_returned_without_refund(store), "is returned, but has no full refund."),
            *breaches_of(rows.list_returned_renewals(store), "is a renewal and no duplicate, but is refunded as one."),
            *breaches_of(rows.list_misstated_refunds(store), "does not state the sum of its done refunds."),
        ),
    )


def check_ledger(store: Store) -> Finding:
    """I13: the chain is whole, and its money entries are the orders and the refunds, each to the cent."""
    entries = ledger.list_entries(store)
    booked = _Booked(entries)
    return Finding(
        "I13",
        (
            *_broken_links(entries),
            *_differences(booked.granted, rows.list_order_amounts(store), what="granted"),
            *_differences(booked.refunded, rows.list_refunded_amounts(store), what="refunded"),
        ),
    )


def _broken_links(entries: list[Entry]) -> list[Breach]:
    """Return the first entry that does not follow from the one before; all later ones hang on it."""
    previous = ledger.GENESIS
    for number, entry in enumerate(entries, start=1):
        is_next = entry.seq == number and entry.prev_hash == previous
        if not is_next or entry.hash != ledger.chain_hash(previous, seq=entry.seq, text=entry.entry_json):
            return [Breach((f"ledger:{entry.seq}",), f"The ledger's chain is broken at entry {entry.seq}.")]
        previous = entry.hash
    return []


class _Booked:
    """What the ledger says was granted an order, and refunded of a payment, by id."""

    def __init__(self, entries: list[Entry]) -> None:
        granted: dict[str, list[_Amount]] = defaultdict(list)
        refunded: dict[str, list[_Amount]] = defaultdict(list)
        for entry in entries:
            match _read(entry.entry_json):
                case {"event": "order.granted", "order_id": str(name), "amount": int(minor), "currency": str(currency)}:
                    granted[name].append((minor, currency))
                case {
                    "event": "payment.refunded",
                    "payment_id": str(name),
                    "amount": int(minor),
                    "currency": str(currency),
                }:
                    refunded[name].append((minor, currency))
        self.granted = _summed(granted)
        self.refunded = _summed(refunded)


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _summed(amounts: Mapping[str, list[_Amount]]) -> dict[str, _Amount]:
    summed = {name: (sum(minor for minor, _ in found), found[0][1]) for name, found in amounts.items()}
    return {name: amount for name, amount in summed.items() if amount[0] != 0 or name.startswith("ord_")}


def _differences(ledgered: Mapping[str, _Amount], kept: Mapping[str, _Amount], *, what: str) -> list[Breach]:
    # Object by object, so that two errors cannot cancel in a sum, and the breach has a name.
    breaches = []
    for name in sorted(ledgered.keys() | kept.keys()):
        there, here = _told(ledgered.get(name)), _told(kept.get(name))
        if there != here:
            breaches.append(Breach((name,), f"{name}: the ledger has {there} {what}, the row has {here}."))
    return breaches


def _told(amount: _Amount | None) -> str:
    return "nothing" if amount is None else f"{amount[0]} {amount[1]}"
