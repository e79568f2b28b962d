"""Plan changes: reading what is asked, pricing it once for preview and charge alike, and carrying it out."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..core.clock import rfc3339
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError, flag, metadata, refuse_body, required_text, text, whole
from ..money.bill import BelowMinimum, Bill
from ..money.currency import minimum_charge
from ..money.proration import KEEP_CYCLE, Change, Refused, change_plan
from ..money.rounding import to_minor
from ..resources import subscriptions
from ..resources.discounts import count_use, detail
from . import addons, credits, recurring, settlement
from .discounting import usable_discounts
from .localising import localise, localise_addon
from .pricing import MAX_QUANTITY, below_minimum, read_discount_codes
from .recurring import Charge
from .terms import after_cycle, period_fields, period_of, plan_of, rules, terms_of

ON_FAILURE = ("prevent_change", "apply_change")
# The business setting's own default (changelog v1.101).
DEFAULT_ON_FAILURE = "apply_change"


@dataclass(frozen=True)
class Quote:
    """A priced plan change: `fields` are what the subscription becomes, `codes` the discounts it newly takes."""

    change: Change
    fields: Doc
    codes: tuple[Doc, ...]
    mode: str
    scheduled: bool
    on_payment_failure: str
    metadata: Doc
    via_link: bool
    return_url: str | None


def quote(twin: Twin, subscription: Doc, body: Doc) -> Quote:
    """Price what a body asks for, as the preview shows it and the change charges it. Raises WireError."""
    mode = required_text(body, "proration_billing_mode")
    scheduled = _choice(body, "effective_at", ("immediately", "next_billing_date"), "immediately") != "immediately"
    on_failure = _choice(body, "on_payment_failure", ON_FAILURE, DEFAULT_ON_FAILURE)
    via_link, return_url = _read_link(twin, body, scheduled=scheduled, on_failure=on_failure)
    _check_changeable(twin, subscription, body)
    terms = _read_terms(twin, subscription, body)
    codes, kept = _read_discounts(twin, subscription, body, terms)
    given = [*kept, *({"discount_id": code["id"], "cycles_remaining": code["subscription_cycles"]} for code in codes)]
    change = _price(twin, subscription, terms, given, mode=mode, scheduled=scheduled)
    if not scheduled and change.bill.subtotal + change.bill.tax > 0:
        # The first cycle of a new code is the one this change pays for.
        given = [*kept, *after_cycle(given[len(kept) :])]
    fields = {**terms, **period_fields(change.period), "discounts": given}
    pairs = metadata(body) if body.get("metadata") is not None else subscription["metadata"]
    return Quote(change, fields, tuple(codes), mode, scheduled, on_failure, pairs, via_link, return_url)


def preview(twin: Twin, subscription: Doc, quoted: Quote) -> Doc:
    """Return a quote as `POST /subscriptions/{id}/change-plan/preview` answers it."""
    shown, currency = quoted.change.shown, subscription["currency"]
    names = _names(subscription, quoted.fields)
    total = shown.due if twin.switch("preview_total") == "after_credit" else shown.subtotal + shown.tax
    return {
        "immediate_charge": {
            "effective_at": rfc3339(quoted.change.effective_at),
            "line_items": _line_items(twin, shown, names, currency),
            "summary": {
                "total_amount": total,
                "tax": shown.tax,
                "currency": currency,
                "settlement_amount": shown.due,
                "settlement_tax": shown.tax,
                "settlement_currency": currency,
                "customer_credits": shown.credits,
                "customer_credits_currency": currency,
            },
        },
        "new_plan": subscriptions.serialise(twin, {**subscription, **quoted.fields, "scheduled_change": None}),
    }


def carry_out(twin: Twin, subscription: Doc, quoted: Quote) -> Doc | None:
    """Change the plan: at once, with its payment, or by noting it for the next billing date.

    Returns the payment only if the buyer has to pay it on a page.
    """
    if quoted.scheduled:
        _schedule(twin, subscription, quoted)
        return None
    older = twin.store.get("payments", subscription["pending_payment_id"])
    if older is not None:
        # The check let it pass, so it is a link to be replaced.
        recurring.cancel_link(twin, older)
    subscription |= {"scheduled_change": None, "pending_payment_id": None}
    subscriptions.save(twin, subscription)
    bill = quoted.change.bill
    if bill.due and quoted.via_link:
        return recurring.offer_link(twin, recurring.begin(twin, subscription, _charge(subscription, quoted)))
    if bill.subtotal + bill.tax > 0:
        recurring.charge(twin, subscription, _charge(subscription, quoted))
        return None
    # Nothing to pay: what the old plan is worth more becomes credit, and there is no payment (our choice).
    credits.move(twin, subscription, bill.credits, payment_id=None)
    count_use(twin, [code["id"] for code in quoted.codes])
    settlement.apply_change(twin, subscription, quoted.fields)
    return None


def cancel_scheduled(twin: Twin, subscription: Doc) -> None:
    """Drop the change noted for the next billing date; refuses if there is none."""
    if subscription["scheduled_change"] is None:
        raise WireError(404, "SCHEDULED_PLAN_CHANGE_NOT_FOUND", "No scheduled plan change found for this subscription.")
    subscription["scheduled_change"] = None
    subscriptions.save(twin, subscription)
    subscriptions.announce(twin, subscription)


def _read_link(twin: Twin, body: Doc, *, scheduled: bool, on_failure: str) -> tuple[bool, str | None]:
    via_link, return_url = flag(body, "collect_via_payment_link"), text(body, "return_url", limit=2000)
    if return_url is not None and not via_link:
        raise refuse_body("return_url", "needs collect_via_payment_link")
    if via_link and (scheduled or on_failure != "prevent_change"):
        raise refuse_body(
            "collect_via_payment_link", "needs effective_at: immediately and on_payment_failure: prevent_change"
        )
    if via_link and not twin.switch("plan_change_links"):
        raise WireError(422, "UNSUPPORTED_ACTION", "The business cannot collect plan changes via payment links")
    return via_link, return_url


def _check_changeable(twin: Twin, subscription: Doc, body: Doc) -> None:
    if subscription["on_demand"]:
        raise WireError(
            422, "ON_DEMAND_PLAN_CHANGE_NOT_SUPPORTED", "Changing plans is not supported for on demand subscriptions"
        )
    if subscription["status"] not in subscriptions.RUNNING:
        raise WireError(
            422,
            "INACTIVE_SUBSCRIPTION_PLAN_CHANGE_NOT_SUPPORTED",
            "Changing plans is not supported for inactive subscriptions",
        )
    if subscription["cancel_at_next_billing_date"]:
        raise WireError(
            422, "PLAN_CHANGE_NOT_ALLOWED_FOR_SCHEDULED_CANCELLATION", "Subscription scheduled for cancellation"
        )
    pending = twin.store.get("payments", subscription["pending_payment_id"])
    waits_on_link = pending is not None and pending["status"] == "requires_payment_method"
    if pending is not None and not (flag(body, "cancel_older_payment_link") and waits_on_link):
        raise WireError(
            409,
            "PENDING_PLAN_CHANGE_EXISTS",
            "A pending plan change already exists for this subscription. "
            "Please wait for the current payment to complete.",
        )
    if subscription["scheduled_change"] is not None and not flag(body, "cancel_scheduled_change_plan"):
        raise WireError(
            409,
            "SCHEDULED_PLAN_CHANGE_EXISTS",
            "A scheduled plan change already exists for this subscription. Please cancel it first.",
        )


def _read_terms(twin: Twin, subscription: Doc, body: Doc) -> Doc:
    product_id = required_text(body, "product_id")
    quantity = whole(body, "quantity", least=1, most=MAX_QUANTITY)
    wanted = addons.read_addons(body.get("addons"), "addons")
    product = twin.store.get("products", product_id)
    if product is None or product["archived"] or not product["is_recurring"]:
        raise WireError(422, "MISSING_PRODUCT_INFORMATION", f"{product_id[:60]} is no subscription product")
    extras = addons.find_addons(twin, product, wanted)
    currency = subscription["currency"]
    if product["price"]["currency"] == currency:
        return terms_of(product, quantity, extras)
    if not twin.switch("adaptive_currency"):
        raise WireError(422, "UNSUPPORTED_CURRENCY", "The new plan must have the subscription's currency")
    named = body.get("adaptive_currency_fees_inclusive")
    fees = subscription["fees_inclusive"] if named is None else flag(body, "adaptive_currency_fees_inclusive")
    local = localise(twin, product, currency, fees_inclusive=fees)
    return terms_of(
        local, quantity, [(localise_addon(twin, addon, currency, fees_inclusive=fees), n) for addon, n in extras]
    )


def _read_discounts(twin: Twin, subscription: Doc, body: Doc, terms: Doc) -> tuple[list[Doc], list[Doc]]:
    """Return the codes newly given and the discounts kept: none named keeps those that are to be preserved."""
    if body.get("discount_codes") is None and body.get("discount_code") is None:
        held = [(given, twin.store.get("discounts", given["discount_id"])) for given in subscription["discounts"]]
        return [], [given for given, code in held if code is not None and code["preserve_on_plan_change"]]
    codes = usable_discounts(twin, read_discount_codes(body), customer_id=subscription["customer_id"])
    held_ids = [given["discount_id"] for given in subscription["discounts"]]
    for code in codes:
        if code["id"] in held_ids:
            # The code is documented, when it comes is not; keeping one is what preserve_on_plan_change is for.
            raise WireError(422, "DISCOUNT_ALREADY_USED_ON_SUBSCRIPTION", "The subscription already has this discount")
        if code["restricted_to"] and terms["product_id"] not in code["restricted_to"]:
            raise WireError(
                422, "DISCOUNT_NOT_APPLICABLE_TO_NEW_PRODUCT", "The discount is not applicable to the new product"
            )
    return codes, []


def _price(twin: Twin, subscription: Doc, terms: Doc, discounts: list[Doc], *, mode: str, scheduled: bool) -> Change:
    billing, period, now = subscription["billing"], period_of(subscription), twin.clock.now()
    if now >= period.end:
        # The renewal is not paid (past due, or still in processing): nothing of this period can be credited.
        period = replace(period, trial_paid=0)
    try:
        return change_plan(
            plan_of(twin, subscription, billing=billing, discounts=subscription["discounts"]),
            plan_of(twin, terms, billing=billing, discounts=discounts),
            period,
            mode=mode,
            scheduled=scheduled,
            now=now,
            balance=credits.balance(twin, subscription),
            minimum=minimum_charge(subscription["currency"]),
            rules=rules(twin),
        )
    except Refused as refused:
        raise WireError(422, refused.code, refused.message) from None
    except BelowMinimum:
        raise below_minimum(subscription["currency"]) from None


def _charge(subscription: Doc, quoted: Quote) -> Charge:
    factors = [line.factor for line in quoted.change.bill.lines if line.factor > 0]
    effect = {"what": "change", "fields": quoted.fields, "on_payment_failure": quoted.on_payment_failure}
    return Charge(
        quoted.change.bill.lines,
        "plan_change",
        effect,
        [*subscription["items"], *quoted.fields["items"]],
        quoted.metadata,
        factor=f"{float(factors[0]):.6g}" if factors and quoted.mode == KEEP_CYCLE else "1",
        discounts=_details(quoted),
        return_url=quoted.return_url,
    )


def _details(quoted: Quote) -> list[Doc]:
    return [detail(code, place) for place, code in enumerate(quoted.codes)]


def _schedule(twin: Twin, subscription: Doc, quoted: Quote) -> None:
    subscription["scheduled_change"] = {
        "id": twin.ids.new("spc_"),
        "created_at": twin.clock.now(),
        "effective_at": quoted.change.effective_at,
        "fields": quoted.fields,
        "on_payment_failure": quoted.on_payment_failure,
        "metadata": quoted.metadata,
        "codes": _details(quoted),
    }
    subscriptions.save(twin, subscription)
    subscriptions.announce(twin, subscription)


def _line_items(twin: Twin, shown: Bill, names: dict[str, Doc], currency: str) -> list[Doc]:
    return [_line_item(twin, line, names[line.item.ref], currency, place) for place, line in enumerate(shown.lines)]


def _line_item(twin: Twin, line: Any, named: Doc, currency: str, place: int) -> Doc:
    item = line.item
    shown = {
        "type": item.kind,
        "id": f"itm_{place}",
        "name": named["name"],
        "description": named["description"],
        "currency": currency,
        # The wire's line has no discount of its own: the price shown is what one unit costs after it.
        "unit_price": to_minor(Fraction(item.net, item.quantity)),
        "quantity": item.quantity,
        "proration_factor": float(line.factor),
        "tax": item.tax(str(twin.switch("rounding"))),
        "tax_rate": item.tax_rate_bp,
        "tax_inclusive": item.tax_inclusive,
    }
    more = {"product_id": item.ref} if item.kind == "subscription" else {"tax_category": named["tax_category"]}
    return {**shown, **more}


def _names(*terms: Doc) -> dict[str, Doc]:
    return {item["ref"]: item for sold in terms for item in sold["items"]}


def _choice(body: Doc, field: str, allowed: tuple[str, ...], default: str) -> str:
    value = body.get(field)
    if value is None:
        return default
    if value not in allowed:
        raise refuse_body(field, f"must be one of {', '.join(allowed)}")
    return str(value)
