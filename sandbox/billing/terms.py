"""What a subscription is sold for: products, add-ons and discounts, as the plans that sandbox/money reckons with."""

from ..core.store import Doc
from ..core.twin import Twin
from ..money.bill import Item
from ..money.proration import RULES, Period, Plan, Rules
from ..money.tax import rate_bp
from .discounting import discount_plan


def rules(twin: Twin) -> Rules:
    """Return the money switches as they stand."""
    return Rules(**{name: twin.switch(name) for name in RULES})


def terms_of(product: Doc, quantity: int, addons: list[tuple[Doc, int]]) -> Doc:
    """Return the fields of a subscription that name what is sold; prices stay as they are now (our choice)."""
    price = product["price"]
    inclusive = bool(price["tax_inclusive"])
    return {
        "product_id": product["id"],
        "product_name": product["name"],
        "product_description": product["description"],
        "quantity": quantity,
        "addons": [{"addon_id": addon["id"], "quantity": number} for addon, number in addons],
        "items": [
            _item("subscription", product, price["price"], quantity, inclusive),
            # An add-on says nothing of tax, so its price contains it if the plan's does (our choice).
            *(_item("addon", addon, addon["price"], number, inclusive) for addon, number in addons),
        ],
        "currency": price["currency"],
        "tax_inclusive": inclusive,
        "frequency": [price["payment_frequency_count"], price["payment_frequency_interval"]],
        "period": [price["subscription_period_count"], price["subscription_period_interval"]],
    }


def plan_of(twin: Twin, terms: Doc, *, billing: Doc, discounts: list[Doc]) -> Plan:
    """Return what a period of these terms costs at an address. `discounts` is `[{discount_id, cycles_remaining}]`.

    Discounts come off the plan, not off its add-ons (our choice).
    """
    known = [twin.store.get("discounts", given["discount_id"]) for given in discounts]
    codes = [discount for discount in known if discount is not None]
    items = []
    for item in terms["items"]:
        gross = item["unit_price"] * item["quantity"]
        is_plan = item["kind"] == "subscription"
        off = discount_plan(item["ref"], gross, terms["currency"], codes) if is_plan else 0
        rate = rate_bp(billing["country"], billing.get("zipcode"), item["tax_category"])
        items.append(
            Item(item["kind"], item["ref"], item["unit_price"], item["quantity"], off, rate, item["tax_inclusive"])
        )
    return Plan(tuple(items), *terms["frequency"])


def period_of(subscription: Doc) -> Period:
    """Return the running period."""
    names = ("period_start", "period_end", "trial_paid", "anchor_day")
    return Period(*(subscription[name] for name in names))


def period_fields(period: Period) -> Doc:
    """Return a period as the subscription's fields."""
    return {
        "period_start": period.start,
        "period_end": period.end,
        "trial_paid": period.trial_paid,
        "anchor_day": period.anchor_day,
    }


def after_cycle(discounts: list[Doc]) -> list[Doc]:
    """Return the discounts that are left when one more cycle was paid with them."""
    left = [
        {**given, "cycles_remaining": None if given["cycles_remaining"] is None else given["cycles_remaining"] - 1}
        for given in discounts
    ]
    return [given for given in left if given["cycles_remaining"] != 0]


def _item(kind: str, sold: Doc, unit_price: int, quantity: int, inclusive: bool) -> Doc:
    return {
        "kind": kind,
        "ref": sold["id"],
        "name": sold["name"],
        "description": sold.get("description"),
        "unit_price": unit_price,
        "quantity": quantity,
        "tax_category": sold["tax_category"],
        "tax_inclusive": inclusive,
    }
