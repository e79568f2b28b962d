"""Adaptive currency: the prices of a product or an add-on as a buyer elsewhere pays them (docs: Adaptive Currency)."""

from ..core.places import UNCHARGEABLE_CURRENCIES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError
from ..money.currency import UnknownRate, adapt, currency_of

# What of a price object is money.
AMOUNTS = ("price", "trial_amount", "suggested_price")


def buyer_currency(twin: Twin, country: str, chosen: str | None) -> str | None:
    """Return the currency a buyer pays in, None for the price's own; `chosen` is the body's `billing_currency`.

    With adaptive currency off, `billing_currency` is silently ignored, as documented.
    """
    if not twin.switch("adaptive_currency"):
        return None
    if chosen in UNCHARGEABLE_CURRENCIES:
        raise WireError(422, "UNSUPPORTED_BILLING_CURRENCY", f"{chosen} cannot be charged")
    return chosen or currency_of(country)


def localise(twin: Twin, product: Doc, currency: str | None, *, fees_inclusive: bool | None) -> Doc:
    """Return a product priced in `currency`, with its own price as `listed`; each unit is converted by itself.

    `fees_inclusive` None leaves it to the business's setting, the switch `adaptive_fees`.
    """
    price = product["price"]
    if currency is None or currency == price["currency"]:
        return product
    money = {name: _converted(twin, price[name], price["currency"], currency, fees_inclusive)
             for name in AMOUNTS if price.get(name) is not None}  # fmt: skip
    return {**product, "price": {**price, **money, "currency": currency}, "listed": price}


def localise_addon(twin: Twin, addon: Doc, currency: str, *, fees_inclusive: bool | None) -> Doc:
    """Return an add-on priced in the currency of its plan, with its own price as `listed`."""
    if currency == addon["currency"]:
        return addon
    price = _converted(twin, addon["price"], addon["currency"], currency, fees_inclusive)
    listed = {"price": addon["price"], "currency": addon["currency"]}
    return {**addon, "price": price, "currency": currency, "listed": listed}


def _converted(twin: Twin, amount: int, source: str, target: str, fees_inclusive: bool | None) -> int:
    included = twin.switch("adaptive_fees") == "included" if fees_inclusive is None else fees_inclusive
    try:
        return adapt(amount, source, target, fees_inclusive=included).amount
    except UnknownRate as unknown:
        message = f"Exchange rate not found to convert from {source} to {target}"
        raise WireError(422, "EXCHANGE_RATE_NOT_FOUND", message) from unknown
