"""The rows of yeses against each other: orders and entitlements, outcomes, declines, consents (I3, I6, I7, I12)."""

import json

from encore.rules.dues import thaw_dues
from encore.rules.money import Money
from encore.rules.plan_changes import STATUSES_WITH_ACCESS, thaw_change
from encore.rules.quotes import QuoteUnreadable, thaw
from encore.services.audit.report import Breach, Finding, breaches_of
from encore.services.consent import hosted_consent
from encore.store import Row, Store, ledger
from encore.store.audit import answers, orders
from encore.store.audit.answers import BookedConsent, Tally

# On this template the provider's own page had the words, so the consent has none.
_HOSTED_TEMPLATE = hosted_consent("en").template


def check_orders(store: Store) -> Finding:
    """I3: granted orders, charged yeses and paid checkouts, and entitlements are the same set."""
    return Finding(
        "I3",
        (
            *breaches_of(
                orders.list_charged_without_order(store),
                "is charged, but has no granted order for its paid attempt and kept payment.",
            ),
            *breaches_of(orders.list_orders_without_charge(store), "is granted, but its acceptance is not charged."),
            *breaches_of(orders.list_checkouts_unlike_order(store), "and its order do not agree on having been paid."),
            *breaches_of(
                orders.list_orders_unlike_refund(store), "is granted although refunded, or reversed although not."
            ),
            *breaches_of(orders.list_orders_without_entitlement(store), "is granted, but gives no access."),
            *breaches_of(orders.list_stray_entitlements(store), "does not give the access that stands for it."),
            *breaches_of(
                orders.list_access_unlike_subscription(store, statuses=STATUSES_WITH_ACCESS),
                "gives other access than it stands for.",
            ),
        ),
    )


def check_outcomes(store: Store) -> Finding:
    """I6: every outcome is the one its attempts lead to, and no payment is kept after the buyer's no."""
    unfit = [Breach((tally.id,), _unfit(tally)) for tally in answers.list_unfit_outcomes(store)]
    kept = breaches_of(answers.list_kept_after_no(store), "was kept although the buyer's no came first.")
    return Finding("I6", (*unfit, *kept))


def _unfit(tally: Tally) -> str:
    attempts = f"{tally.direct} live direct, {tally.hosted} live hosted and {tally.paid} paid"
    return f"{tally.id} is {tally.outcome}, but its attempts are {attempts}."


def check_declines(store: Store) -> Finding:
    """I7: one open yes a customer and product; after a no only the funnel's own cheaper downsell, once."""
    double = breaches_of(answers.list_double_yeses(store), "has more than one open yes to one product.")
    downsells: set[str] = set()
    again = []
    for offer in answers.list_offers_after_no(store):
        if _is_cheaper_downsell(offer) and offer["declined_id"] not in downsells:
            downsells.add(offer["declined_id"])
        else:
            again.append(Breach((offer["id"], offer["declined_id"]), f"{offer['id']} offers a declined product again."))
    return Finding("I7", (*double, *again))


def _is_cheaper_downsell(offer: Row) -> bool:
    if not offer["is_same_funnel"]:
        return False
    try:
        total, declined = thaw(offer["quote_json"]).total, thaw(offer["declined_quote_json"]).total
    except QuoteUnreadable:
        return False
    return total.currency == declined.currency and total < declined


def check_consents(store: Store) -> Finding:
    """I12: each yes has its consent; what was kept for it is what was agreed to, or goes back."""
    less = _noted_as_less(store)
    breaches = []
    for consent in answers.list_consents(store):
        fault = _fault_of(consent, less=less)
        if fault is not None:
            objects = (consent.id, consent.payment_id) if consent.payment_id else (consent.id,)
            breaches.append(Breach(objects, f"{consent.id} {fault}"))
    return Finding("I12", tuple(breaches))


def _noted_as_less(store: Store) -> frozenset[str]:
    """Return the payments that the ledger says were smaller than agreed: allowed, but never silently."""
    entries = (json.loads(entry.entry_json) for entry in ledger.list_entries(store))
    return frozenset(entry["payment_id"] for entry in entries if entry.get("event") == "payment.less_than_agreed")


def _fault_of(booked: BookedConsent, *, less: frozenset[str]) -> str | None:
    consent = _read_consent(booked.consent_json)
    if consent is None or not (consent.get("text") or consent.get("template") == _HOSTED_TEMPLATE):
        return "has no consent."
    if booked.payment_id is None:
        return None
    if booked.kind == "hosted":
        is_recorded = consent.get("paid_on_hosted_page") == booked.payment_id
        is_equal = (booked.amount, booked.currency) == (booked.paid_amount, booked.paid_currency)
        return None if is_recorded and is_equal else "does not record what the hosted page charged."
    if booked.outcome != "charged":
        return None
    return _fault_of_direct(booked, less=less)


def _fault_of_direct(booked: BookedConsent, *, less: frozenset[str]) -> str | None:
    if booked.paid_amount is None or not _is_as_shown(booked):
        return "agrees to another sum than its offer showed."
    if booked.amount is None:
        # Dues whose sum the provider does not tell before it takes them: there is none to compare with.
        return None
    stands = booked.paid_amount - booked.given_back
    if booked.currency != booked.paid_currency or stands > booked.amount:
        return f"agreed to {booked.amount} {booked.currency}, but {booked.paid_amount} {booked.paid_currency} stand."
    if booked.paid_amount < booked.amount and booked.payment_id not in less:
        return "was charged less than agreed, and the ledger does not say so."
    return None


def _is_as_shown(booked: BookedConsent) -> bool:
    try:
        shown = _shown(booked)
    except QuoteUnreadable:
        return False
    return (shown.minor if shown else None, shown.currency if shown else None) == (booked.amount, booked.currency)


def _shown(booked: BookedConsent) -> Money | None:
    match booked.kind:
        case "plan_change":
            return thaw_change(booked.quote_json).due
        case "dues":
            return thaw_dues(booked.quote_json).owed.amount
        case _:
            return thaw(booked.quote_json).total


def _read_consent(text: str) -> Row | None:
    try:
        consent = json.loads(text)
    except ValueError:
        return None
    return consent if isinstance(consent, dict) else None
