"""Audit: do the provider's payments, our orders and what they give access to agree? Reads only, repairs nothing.

One finding for each invariant of charging.md, section 11, that one installation can check about itself; I4, I8 and
I9 need a witness from outside.
"""

from collections.abc import Callable

from encore.services.audit.accounts import check_ledger, check_refunds
from encore.services.audit.outcomes import check_consents, check_declines, check_orders, check_outcomes
from encore.services.audit.provider import check_payments, read_statement
from encore.services.audit.report import Breach, Finding, Report, Verdict, render
from encore.services.audit.upkeep import check_delays, check_file, check_guards, check_messages
from encore.services.audit.witness import (
    Witness,
    WitnessUnreadable,
    check_declined,
    check_deliveries,
    check_requests,
    read_witness,
)
from encore.services.shop import Shop
from encore.store import alarms
from encore.store.alarms import Alarm
from encore.store.snapshot import Damaged, Snapshot

__all__ = [
    "Breach",
    "Finding",
    "Report",
    "Verdict",
    "Witness",
    "WitnessUnreadable",
    "read_witness",
    "render",
    "run",
]


def run(shop: Shop, *, witness: Witness | None = None, provider: bool = True) -> Report:
    """Check every invariant once and report; no row is changed, and nothing is raised for what is found.

    Without an answer from the provider, or with `provider` False, I1 and I2 are compared among our rows only and
    reported as unchecked; so are I4, I8 and I9 without a `witness`.
    """
    at = shop.now()
    # Asked before the rows are read: what settles in between is then known to us, and no breach.
    statement = read_statement(shop) if provider else None
    with Snapshot(shop.store.path) as store:
        checks: tuple[tuple[tuple[str, ...], Callable[[], Finding | tuple[Finding, ...]]], ...] = (
            (("I1", "I2"), lambda: check_payments(shop, store, statement)),
            (("I3",), lambda: check_orders(store)),
            (("I4",), lambda: check_requests(store, witness)),
            (("I5",), lambda: check_delays(store, now=at, quarantine_s=shop.settings.quarantine_s)),
            (("I6",), lambda: check_outcomes(store)),
            (("I7",), lambda: check_declines(store)),
            (("I8",), lambda: check_declined(store, witness)),
            (("I9",), lambda: check_deliveries(store, witness)),
            (("I11",), lambda: check_refunds(store)),
            (("I12",), lambda: check_consents(store)),
            (("I13",), lambda: check_ledger(store)),
            (("I14",), lambda: check_messages(store)),
            (("I15",), lambda: check_file(store)),
            (("I20",), lambda: check_guards(store)),
        )
        findings = [finding for names, check in checks for finding in _findings(names, check)]
        return Report(at=at, findings=tuple(findings), alarms=_standing_alarms(store))


def _findings(names: tuple[str, ...], check: Callable[[], Finding | tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """Run one check; where the file cannot be read its invariants are unchecked, and I15 says why."""
    try:
        found = check()
    except Damaged as error:
        return tuple(Finding(name, unchecked=f"the file cannot be read ({error})") for name in names)
    return (found,) if isinstance(found, Finding) else found


def _standing_alarms(store: Snapshot) -> tuple[Alarm, ...]:
    try:
        return tuple(alarms.list_standing(store))
    except Damaged:
        return ()
