"""The price object of a product: one-time (pay what you want included) and recurring."""

from typing import Any

from ..core.store import Doc
from ..http.call import WireError, flag, refuse_body, whole
from .catalogue import read_currency

INTERVALS = ("Day", "Week", "Month", "Year")
# Subscription prices are at least $1 in the docs; the figure is taken for every two-decimal currency.
MINIMUM_RECURRING_PRICE = 100
MAX_TRIAL_DAYS = 10_000


def read_price(body: Doc) -> Doc:
    """Return the checked price object of a product body, complete with its defaults; raises WireError."""
    price = body.get("price")
    if not isinstance(price, dict):
        raise refuse_body("price", "must be an object")
    kind = price.get("type")
    if kind == "usage_based_price":
        raise refuse_body("price.type", "usage-based prices are not part of this sandbox")
    if kind not in ("one_time_price", "recurring_price"):
        raise refuse_body("price.type", "must be one_time_price or recurring_price")
    if price.get("discount") or price.get("discount_bps"):
        raise refuse_body("price.discount", "a price's own discount is not part of this sandbox; use a discount code")
    checked: Doc = {
        "type": kind,
        "currency": read_currency(price, where="price."),
        "price": whole(price, "price", least=0),
        "discount": 0,
        "discount_bps": None,
        "purchasing_power_parity": flag(price, "purchasing_power_parity"),
        "tax_inclusive": flag(price, "tax_inclusive"),
    }
    return {**checked, **(_one_time(price) if kind == "one_time_price" else _recurring(price))}


def read_duration(duration: object, field: str) -> Doc:
    """Return a checked `{count, interval}`; raises WireError."""
    if not isinstance(duration, dict):
        raise refuse_body(field, "must be an object")
    return {"count": whole(duration, "count", least=1), "interval": _interval(duration, "interval", field)}


def _one_time(price: Doc) -> Doc:
    chosen = flag(price, "pay_what_you_want")
    # Without pay_what_you_want a suggested price is ignored (OpenAPI 1.113.0, OneTimePrice).
    suggested = price.get("suggested_price") if chosen else None
    if suggested is not None:
        suggested = whole(price, "suggested_price", least=0)
        if suggested < whole(price, "price", least=0):
            raise WireError(422, "INVALID_SUGGESTED_PRICE", "Suggested Price cannot be lower than minimum price")
    return {"pay_what_you_want": chosen, "suggested_price": suggested}


def _recurring(price: Doc) -> Doc:
    if price["price"] < MINIMUM_RECURRING_PRICE:
        raise refuse_body("price.price", f"of a subscription must be at least {MINIMUM_RECURRING_PRICE}")
    trial_days = whole(price, "trial_period_days", least=0, most=MAX_TRIAL_DAYS, default=0)
    trial_amount = price.get("trial_amount")
    if trial_amount is not None:
        trial_amount = whole(price, "trial_amount", least=1)
        if not trial_days:
            raise refuse_body("price.trial_amount", "needs trial_period_days")
    return {
        "payment_frequency_count": whole(price, "payment_frequency_count", least=1, most=366),
        "payment_frequency_interval": _interval(price, "payment_frequency_interval", "price"),
        "subscription_period_count": whole(price, "subscription_period_count", least=1, most=7300),
        "subscription_period_interval": _interval(price, "subscription_period_interval", "price"),
        "trial_period_days": trial_days,
        "trial_amount": trial_amount,
        "trial_apply_discounts": None if trial_amount is None else flag(price, "trial_apply_discounts"),
        "trial_payment_method_optional": flag(price, "trial_payment_method_optional"),
        "zero_amount_payment_method_optional": flag(price, "zero_amount_payment_method_optional"),
    }


def _interval(body: Doc, field: str, where: str) -> Any:
    if body.get(field) not in INTERVALS:
        raise refuse_body(f"{where}.{field}", "must be Day, Week, Month or Year")
    return body[field]
