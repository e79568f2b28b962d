"""Audit: do the provider's payments, our orders and what they give access to agree? Reads only, repairs nothing.

One finding for each invariant of charging.md, section 11, that one installation can check about itself; I4, I8 and
I9 need a witness from outside.
"""

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
from encore.store.audit import Snapshot

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
        return Report(
            at=at,
            findings=(
                *check_payments(shop, store, statement),
                check_orders(store),
                check_requests(store, witness),
                check_delays(store, now=at, quarantine_s=shop.settings.quarantine_s),
                check_outcomes(store),
                check_declines(store),
                check_declined(store, witness),
                check_deliveries(store, witness),
                check_refunds(store),
                check_consents(store),
                check_ledger(store),
                check_messages(store),
                check_file(store),
                check_guards(store),
            ),
            alarms=tuple(alarms.list_standing(store)),
        )
