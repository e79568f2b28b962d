"""The kind `plan_change`: a subscription's plan changed in place, previewed and charged through `change-plan`."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from encore.dodo.models import ChangeLineItem, ChangePreview, SubscriptionAddon
from encore.dodo.models import Subscription as ProviderSubscription
from encore.errors import Unavailable
from encore.rules.money import Money
from encore.rules.plan_changes import (
    Addon,
    ChangeLine,
    Period,
    PlanQuote,
    Wish,
    subscription_state,
)
from encore.rules.quotes import QuotedMethod


def change_request(wish: Wish) -> dict[str, Any]:
    """Return the body of a plan change and of its preview, but for the metadata that only a change has.

    Add-ons and quantity are always sent: what is left out is removed by the provider. `prevent_change` always: else an
    unpaid plan would be given, and the subscription put on hold. Source: dodo-api.md, section 10.3.
    """
    body: dict[str, Any] = {
        "product_id": wish.product_id,
        "quantity": wish.quantity,
        "addons": [asdict(addon) for addon in wish.addons],
        "proration_billing_mode": wish.mode,
        "effective_at": wish.when,
        "on_payment_failure": "prevent_change",
    }
    # Left out keeps the discounts that outlive a change; an empty list drops every one.
    return body if wish.keeps_discounts else {**body, "discount_codes": []}


def charge_request(quote: PlanQuote, *, metadata: dict[str, str]) -> dict[str, Any]:
    """Return the body of the one POST that makes a quoted change."""
    return {**change_request(quote.wish), "metadata": metadata}


def read_quote(
    preview: ChangePreview,
    before: ProviderSubscription,
    wish: Wish,
    *,
    method: QuotedMethod | None,
    now: int,
) -> PlanQuote:
    """Turn the provider's preview into the quote we show and later compare; every amount is the provider's.

    Amounts are minor units of the settlement currency. `customer_credits` is signed: negative spends credit, positive
    adds it; due = settlement_amount, subtotal = due - credits - tax while they share a currency.
    Raises Unavailable for a preview of another change, or one that lacks a figure: no button beats a wrong one.
    Source: dodo-api.md, section 10.4.
    """
    plan, charge = preview.new_plan, preview.immediate_charge
    summary = charge.summary
    previewed = (plan.subscription_id, plan.product_id, plan.quantity or 1)
    if previewed != (wish.subscription_id, wish.product_id, wish.quantity) or (
        plan.addons is not None and addons_of(plan.addons) != wish.addons
    ):
        raise Unavailable("preview_of_something_else")
    if plan.next_billing_at is None or plan.recurring_pre_tax_amount is None or plan.currency is None:
        raise Unavailable("preview_without_renewal")
    due = Money(summary.settlement_amount, summary.settlement_currency)
    credit_currency = summary.customer_credits_currency or due.currency
    is_one_currency = credit_currency == due.currency
    tax = summary.settlement_tax
    return PlanQuote(
        wish=wish,
        from_product_id=before.product_id,
        from_quantity=before.quantity or 1,
        from_addons=addons_of(before.addons),
        discounts_kept=tuple(code for code in discounts_of(before) if code in discounts_of(plan)),
        discounts_lost=tuple(code for code in discounts_of(before) if code not in discounts_of(plan)),
        state=state_of(before),
        lines=tuple(_line(item) for item in charge.line_items if item.unit_price is not None and item.currency),
        due=due,
        subtotal=due.minor - summary.customer_credits - (tax or 0) if is_one_currency else None,
        tax=tax,
        credit_used=Money(max(0, -summary.customer_credits), credit_currency),
        credit_added=Money(max(0, summary.customer_credits), credit_currency),
        renewal=Money(plan.recurring_pre_tax_amount, plan.currency),
        tax_inclusive=bool(plan.tax_inclusive),
        period=Period(plan.payment_frequency_count or 1, plan.payment_frequency_interval or "Month"),
        next_billing_at=plan.next_billing_at,
        billing_at_before=before.next_billing_at,
        effective_at=charge.effective_at,
        method=method,
        previewed_at=now,
    )


def _line(item: ChangeLineItem) -> ChangeLine:
    factor = 1.0 if item.proration_factor is None else item.proration_factor
    return ChangeLine(
        product_id=item.product_id or item.id or "",
        name=item.name,
        unit_price=Money(item.unit_price or 0, item.currency or ""),
        quantity=1 if item.quantity is None else item.quantity,
        # As text: a quote is compared and kept to the letter, and a page shows a share of it only.
        factor=format(Decimal(str(factor)).normalize(), "f"),
    )


def state_of(subscription: ProviderSubscription) -> str:
    """Return a hash of everything about a subscription that a quote of a change depends on.

    Not of whether it is set to end: no figure depends on that, and a quote says itself whether it takes that back.
    """
    scheduled = subscription.scheduled_change
    return subscription_state(
        {
            "status": subscription.status,
            "product_id": subscription.product_id,
            "quantity": subscription.quantity or 1,
            "addons": [[addon.addon_id, addon.quantity] for addon in addons_of(subscription.addons)],
            "currency": subscription.currency,
            "recurring": subscription.recurring_pre_tax_amount,
            "payment_method_id": subscription.payment_method_id,
            "previous_billing_at": subscription.previous_billing_at,
            "next_billing_at": subscription.next_billing_at,
            "scheduled": [scheduled.product_id, scheduled.effective_at] if scheduled else None,
        }
    )


def addons_of(addons: list[SubscriptionAddon] | None) -> tuple[Addon, ...]:
    """Return a subscription's add-ons in an order that is always the same."""
    return tuple(sorted((Addon(a.addon_id, a.quantity) for a in addons or ()), key=lambda a: (a.addon_id, a.quantity)))


def discounts_of(subscription: ProviderSubscription) -> tuple[str, ...]:
    """Return the codes of a subscription's discounts, each by its id where it has no code."""
    named = [discount for discount in subscription.discounts or () if isinstance(discount, dict)]
    codes = [str(discount.get("code") or discount.get("discount_id") or "") for discount in named]
    return tuple(code for code in codes if code) or tuple(filter(None, (subscription.discount_id,)))


def write_addons(addons: tuple[Addon, ...]) -> str:
    """Write add-ons as the store keeps them."""
    return json.dumps([[addon.addon_id, addon.quantity] for addon in addons])


def read_addons(text: str) -> tuple[Addon, ...]:
    """Read add-ons as the store keeps them."""
    return tuple(Addon(addon_id, quantity) for addon_id, quantity in json.loads(text))
