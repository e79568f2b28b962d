"""Charging a subscription: the one way from a bill to a payment, with its credit, its lines and its effect.

A charge begins as a payment without a method and is completed with one: at once for the stored method, later for a
payment link. What is due is worked out when it is completed, with the credit there is then.
"""

from dataclasses import dataclass, field
from typing import Any

from ..core.store import Doc
from ..core.twin import Twin
from ..money.bill import Line, due_of
from ..money.currency import minimum_charge
from ..resources import payments, subscriptions, wallets
from . import charges, credits

# The name of the line that shows what credit paid.
CREDIT = "Customer credit"
# How long a payment link can be paid (our choice, as long as a checkout session).
LINK_LIFE_MS = 24 * 3600 * 1000
INDIAN_DELAY_S = 48 * 3600


@dataclass(frozen=True)
class Charge:
    """What a subscription is charged for; `effect` is what comes of it, see settlement; `items` name the lines."""

    lines: tuple[Line, ...]
    charge_type: str
    effect: Doc
    items: list[Doc]
    metadata: Doc
    factor: str = "1"
    discounts: list[Doc] = field(default_factory=list)
    return_url: str | None = None


def charge(twin: Twin, subscription: Doc, asked: Charge) -> Doc:
    """Charge a subscription's stored method and return the payment, whatever became of it."""
    return complete(twin, begin(twin, subscription, asked), charges.Source.of_subscription(twin, subscription))


def charge_again(twin: Twin, subscription: Doc, failed: Doc) -> Doc:
    """Try a failed payment once more with the stored method."""
    return complete(twin, begin_again(twin, failed), charges.Source.of_subscription(twin, subscription))


def begin(twin: Twin, subscription: Doc, asked: Charge) -> Doc:
    """Store the payment of a charge, without a method yet, and return it."""
    lines = [_line(twin, line, asked.items) for line in asked.lines]
    served = {**subscription, **asked.effect["fields"]}
    payment = charges.insert_payment(
        twin,
        charges.NO_SOURCE,
        {
            "customer_id": subscription["customer_id"],
            "billing": subscription["billing"],
            "currency": subscription["currency"],
            "total": sum(line["total"] for line in lines),
            "tax": sum(line["tax"] for line in lines),
            "lines": lines,
            "metadata": asked.metadata,
            "discounts": asked.discounts,
            "subscription_ids": [subscription["id"]],
            "periods": [subscriptions.service_period(served, asked.factor)],
            "charge_type": asked.charge_type,
            "effect": asked.effect,
            "return_url": asked.return_url,
        },
    )
    if asked.effect["what"] == "change":
        subscription["pending_payment_id"] = payment["id"]
        subscriptions.save(twin, subscription)
    return payment


def begin_again(twin: Twin, failed: Doc, *, sets_method: bool = False, return_url: str | None = None) -> Doc:
    """Store a payment for what a failed one was for: the same lines and effect."""
    kept = ("customer_id", "billing", "currency", "tax", "metadata", "discounts", "subscription_ids", "periods",
            "charge_type")  # fmt: skip
    lines = [{**line, "id": twin.ids.new("itm_")} for line in failed["lines"] if line["name"] != CREDIT]
    fields = {
        **{name: failed[name] for name in kept},
        "lines": lines,
        "total": sum(line["total"] for line in lines),
        "effect": {**failed["effect"], "sets_method": sets_method},
        "retry_attempt": failed["retry_attempt"] + 1,
        "return_url": return_url,
    }
    return charges.insert_payment(twin, charges.NO_SOURCE, fields)


def complete(twin: Twin, payment: Doc, source: charges.Source) -> Doc:
    """Charge a begun payment with a method: credit first, the method for the rest."""
    subscription = subscriptions.of_payment(twin, payment)[0]
    total = sum(line["total"] for line in payment["lines"])
    due = due_now(twin, payment)
    lines = [*payment["lines"], *([_credit_line(twin, due - total)] if due != total else [])]
    _note_paid(lines, due)
    payment |= {
        "lines": lines,
        "total": due,
        "card": source.card,
        "method_id": source.method_id,
        "used_saved_method": source.method_id is not None,
        "payment_link": None,
    }
    twin.store.put("payments", payment)
    credits.move(twin, subscription, due - total, payment_id=payment["id"])
    # A card that is to be kept is asked even when nothing is due.
    customer_id, sets_method = payment["customer_id"], bool(payment["effect"].get("sets_method"))
    is_asked = sets_method or (due > 0 and not wallets.covers(twin, customer_id, payment["currency"], due))
    outcome = charges.decide(twin, source, customer_id=customer_id, pairs=payment["metadata"], is_asked=is_asked)
    if outcome.status == "succeeded" and _settles_late(twin, payment):
        outcome = charges.Outcome("processing", then={"outcome": "succeeded", "after_s": INDIAN_DELAY_S})
    return charges.finish(twin, payment, outcome)


def _settles_late(twin: Twin, payment: Doc) -> bool:
    """Return whether a renewal is debited by the Indian rules, on a mandate and two days later (docs: India)."""
    is_indian = payment["card"].get("country") == "IN" and payment["charge_type"] == "renewal" and payment["total"] > 0
    return is_indian and bool(twin.switch("indian_renewals") == "after_48_h")


def due_now(twin: Twin, payment: Doc) -> int:
    """Return what a begun payment would take from a method now, after credit, in minor units."""
    subscription = subscriptions.of_payment(twin, payment)[0]
    total = sum(line["total"] for line in payment["lines"])
    balance = credits.balance(twin, subscription) if payment["effect"].get("uses_credit", True) else 0
    return due_of(total, balance=balance, minimum=minimum_charge(payment["currency"]))


def offer_link(twin: Twin, payment: Doc) -> Doc:
    """Give a begun payment a page where the buyer pays it, and return the wire's handles of that page."""
    payment["payment_link"] = twin.url(f"/pay/{payment['id']}")
    payment["expires_at"] = twin.clock.now() + LINK_LIFE_MS
    twin.store.put("payments", payment)
    twin.later(due_at=payment["expires_at"], action="expire_link", doc={"payment_id": payment["id"]})
    return payment


def cancel_link(twin: Twin, payment: Doc) -> bool:
    """Cancel a payment nobody has begun to pay; False if it is too late for that."""
    if payment["status"] != "requires_payment_method":
        return False
    payments.move(twin, payment, "cancelled")
    return True


def _line(twin: Twin, line: Line, items: list[Doc]) -> Doc:
    item = next(item for item in items if item["ref"] == line.item.ref)
    return {
        "id": twin.ids.new("itm_"),
        "product_id": line.item.ref,
        "name": item["name"],
        "quantity": line.item.quantity,
        "recurring": True,
        "addon": line.item.kind == "addon",
        "total": line.amount if line.item.tax_inclusive else line.amount + line.tax,
        "tax": line.tax,
        "tax_inclusive": line.item.tax_inclusive,
        "prorated": line.factor != 1,
        "credited": 0,
    }


def _credit_line(twin: Twin, amount: int) -> Doc:
    """Return the line that brings the lines to the payment's total: credit used (negative) or added (positive)."""
    line: dict[str, Any] = {"id": twin.ids.new("itm_"), "product_id": None, "name": CREDIT, "quantity": 1}
    money = {"total": amount, "tax": 0, "tax_inclusive": False, "prorated": True, "credited": 0}
    return {**line, **money, "recurring": True, "addon": False}


def _note_paid(lines: list[Doc], due: int) -> None:
    """Note on each line how much of it was not paid in money, so that no more goes back than came."""
    for line in lines:
        paid = 0 if line["prorated"] else min(line["total"], due)
        line["credited"] = line["total"] - paid
        due -= paid
