"""Which discount codes a cart may use, and what they take off it."""

from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError
from ..money.currency import UnknownRate, convert
from ..money.discounts import flat_off, percentage_off

# Messages after the docs' error page where it has one.
MESSAGES = {
    "INVALID_DISCOUNT_CODE": "Invalid Discount Code. Discount Code cannot be applied to any product in the cart",
    "DISCOUNT_NOT_YET_ACTIVE": "The discount is not active yet",
    "DISCOUNT_CODE_EXPIRED": "Discount code expired",
    "DISCOUNT_CODE_USAGE_LIMIT_EXCEEDED": "Discount code hit usage limit",
    "DISCOUNT_PER_CUSTOMER_USAGE_LIMIT_EXCEEDED": "The customer has used this discount as often as allowed",
    "DISCOUNT_CUSTOMER_NOT_ELIGIBLE": "The customer is not eligible for this discount",
    "DISCOUNT_NOT_AVAILABLE_FOR_PRODUCT": "Discount coupon not available for this product",
}


def usable_discounts(twin: Twin, codes: list[str], *, customer_id: str | None = None) -> list[Doc]:
    """Return the discounts behind the codes, in order; raises WireError for a code that cannot be used now.

    What depends on the customer is judged only when the customer is known; the docs do not say what happens before.
    """
    discounts = []
    for code in codes:
        discount = find_by_code(twin, code)
        if discount is None:
            raise refusal("INVALID_DISCOUNT_CODE")
        refused = refusal_of(discount, now=twin.clock.now())
        if refused is None and customer_id is not None:
            refused = _customer_refusal(twin, discount, customer_id)
        if refused is not None:
            raise refused
        discounts.append(discount)
    return discounts


def find_by_code(twin: Twin, code: str) -> Doc | None:
    """Return the discount that has this code, in whatever case it is typed; None if there is none."""
    known = twin.store.find("discounts", where={"code_key": code.upper(), "deleted": 0}, limit=1)
    return known[0] if known else None


def refusal_of(discount: Doc, *, now: int) -> WireError | None:
    """Return why nobody can use a discount at `now`, or None."""
    if discount["starts_at"] is not None and now < discount["starts_at"]:
        return refusal("DISCOUNT_NOT_YET_ACTIVE")
    if discount["expires_at"] is not None and now >= discount["expires_at"]:
        return refusal("DISCOUNT_CODE_EXPIRED")
    if discount["usage_limit"] is not None and discount["times_used"] >= discount["usage_limit"]:
        return refusal("DISCOUNT_CODE_USAGE_LIMIT_EXCEEDED")
    return None


def refusal(code: str) -> WireError:
    """Return the 422 of a discount."""
    return WireError(422, code, MESSAGES[code])


def discount_lines(lines: list[tuple[str, int]], currency: str, discounts: list[Doc]) -> list[tuple[int, int | None]]:
    """Apply discounts in order to lines of (product id, minor units), each to what the ones before left.

    Returns (minor units off, last percentage in basis points) for each line. Raises WireError if a discount fits no
    line, or its minimum subtotal is not reached.
    """
    left = [gross for _, gross in lines]
    percentages: list[int | None] = [None] * len(lines)
    for discount in discounts:
        fitting = [place for place, (product_id, _) in enumerate(lines) if _is_for(discount, product_id)]
        if not fitting:
            raise refusal("DISCOUNT_NOT_AVAILABLE_FOR_PRODUCT")
        option = _option(discount, currency)
        _check_subtotal(option, sum(gross for _, gross in lines), currency)
        amounts = [left[place] for place in fitting]
        most = option["max_amount_possible"] if option else None
        if discount["type"] == "percentage":
            off = percentage_off(amounts, discount["amount"], most=most)
            for place in fitting:
                percentages[place] = discount["amount"]
        else:
            off = flat_off(amounts, most or 0)
        for place, part in zip(fitting, off, strict=True):
            left[place] -= part
    return [(gross - rest, percentage) for (_, gross), rest, percentage in zip(lines, left, percentages, strict=True)]


def discount_plan(product_id: str, gross: int, currency: str, discounts: list[Doc]) -> int:
    """Return what the discounts a subscription holds take off its plan; one that no longer fits takes nothing."""
    fitting = []
    for discount in discounts:
        option = _option(discount, currency)
        if _is_for(discount, product_id) and (option is None or gross >= option["minimum_subtotal"]):
            fitting.append(discount)
    return discount_lines([(product_id, gross)], currency, fitting)[0][0]


def _is_for(discount: Doc, product_id: str) -> bool:
    return not discount["restricted_to"] or product_id in discount["restricted_to"]


def _customer_refusal(twin: Twin, discount: Doc, customer_id: str) -> WireError | None:
    paid = twin.store.find("payments", customer_id=customer_id, where={"status": "succeeded"})
    eligible = {
        "any": True,
        "first_time": not paid,
        "existing": bool(paid),
        "specific": customer_id in discount["customer_ids"],
    }
    if not eligible[discount["customer_eligibility"]]:
        return refusal("DISCOUNT_CUSTOMER_NOT_ELIGIBLE")
    limit = discount["per_customer_usage_limit"]
    # A subscription's renewals go on with the discount of its first payment: they redeem nothing anew.
    redeemed = [payment for payment in paid if payment["charge_type"] in (None, "new")]
    if limit is not None and sum(_used(payment, discount) for payment in redeemed) >= limit:
        return refusal("DISCOUNT_PER_CUSTOMER_USAGE_LIMIT_EXCEEDED")
    return None


def _used(payment: Doc, discount: Doc) -> bool:
    return discount["id"] in [used["discount_id"] for used in payment["discounts"]]


def _option(discount: Doc, currency: str) -> Doc | None:
    """Return a discount's figures in a currency: its own, or the default at the fixed rate (our choice)."""
    options: list[Doc] = discount["currency_options"] or []
    for option in options:
        if option["currency"] == currency:
            return option
    default = next((option for option in options if option["is_default"]), None)
    if default is None:
        return None
    try:
        figures = {
            name: default[name] and convert(default[name], default["currency"], currency)
            for name in ("max_amount_possible", "minimum_subtotal")
        }
    except UnknownRate as error:
        message = f"Exchange rate not found to convert from {default['currency']} to {currency}"
        raise WireError(422, "EXCHANGE_RATE_NOT_FOUND", message) from error
    return {**default, "currency": currency, **figures}


def _check_subtotal(option: Doc | None, subtotal: int, currency: str) -> None:
    if option is not None and subtotal < option["minimum_subtotal"]:
        message = f"The discount needs a subtotal of at least {option['minimum_subtotal']} {currency} in minor units"
        raise WireError(422, "DISCOUNT_MINIMUM_SUBTOTAL_NOT_MET", message)
