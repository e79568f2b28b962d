"""What of a cart its buyer may still choose on the hosted page: an amount, add-ons, the currency."""

import re
from dataclasses import dataclass

from ..core.places import ZERO_DECIMAL
from ..core.store import Doc
from ..core.twin import Twin
from ..money.currency import currency_of

AMOUNT = re.compile(r"\d{1,9}([.,]\d{1,2})?")
MAX_ADDON_QUANTITY = 1000
Values = dict[str, str]


@dataclass(frozen=True)
class Choice:
    """One input: the amount of a pay-what-you-want product, or how many of an add-on.

    `item` is the place in the cart, `least` the smallest amount in minor units of `currency`.
    """

    name: str
    label: str
    item: int
    currency: str
    addon_id: str | None = None
    least: int = 0
    first: str = ""


def choices(twin: Twin, session: Doc) -> list[Choice]:
    """Return what the buyer of a session may choose, in the order of its cart."""
    made = []
    for place, item in enumerate(session["cart"]):
        product = twin.store.get("products", item["product_id"])
        if product is None:
            continue
        if product["price"].get("pay_what_you_want") and item["amount"] is None:
            made.append(_amount(place, product))
        if session["flags"]["allow_editing_addons"]:
            made += [_addon(twin, place, item, product, addon_id) for addon_id in product.get("addons") or []]
    return made


def currencies(twin: Twin, session: Doc, country: str) -> list[str]:
    """Return the currencies the buyer may choose from; with adaptive currency off there is nothing to choose.

    Our choice: that of the price, that of the billing country, and the one the shop named.
    """
    if not (twin.switch("adaptive_currency") and session["flags"]["allow_currency_selection"]):
        return []
    product = twin.store.get("products", session["cart"][0]["product_id"])
    own = product["price"]["currency"] if product else None
    offered = {session["billing_currency"] or currency_of(country), own, currency_of(country)}
    return sorted(currency for currency in offered if currency)


def chosen_cart(twin: Twin, session: Doc, values: Values) -> tuple[list[Doc], list[str]]:
    """Return the session's cart with what the buyer chose, and the inputs that cannot be used."""
    cart, refused = [dict(item) for item in session["cart"]], []
    for choice in choices(twin, session):
        typed = values.get(choice.name, "").strip()
        if choice.addon_id is None:
            amount = to_minor(typed, choice.currency)
            if amount is None or amount < choice.least:
                refused.append(choice.name)
            else:
                cart[choice.item]["amount"] = amount
        elif typed.isdecimal() and int(typed) <= MAX_ADDON_QUANTITY:
            _set_addon(cart[choice.item], choice.addon_id, int(typed))
        else:
            refused.append(choice.name)
    return cart, refused


def to_minor(text: str, currency: str) -> int | None:
    """Read `12`, `12.5` or `12,50` into minor units; None if it is no amount of this currency."""
    if not AMOUNT.fullmatch(text):
        return None
    whole, _, part = text.replace(",", ".").partition(".")
    if currency in ZERO_DECIMAL:
        return None if part.strip("0") else int(whole)
    return int(whole) * 100 + int(part.ljust(2, "0"))


def to_text(minor: int, currency: str) -> str:
    """Write minor units as they are typed: `12.50`, or `199000` where there are no decimals."""
    return str(minor) if currency in ZERO_DECIMAL else f"{minor / 100:.2f}"


def _amount(place: int, product: Doc) -> Choice:
    price = product["price"]
    first = to_text(price["suggested_price"] or price["price"], price["currency"])
    return Choice(f"amount_{place}", product["name"], place, price["currency"], least=price["price"], first=first)


def _addon(twin: Twin, place: int, item: Doc, product: Doc, addon_id: str) -> Choice:
    addon = twin.store.get("addons", addon_id) or {"name": addon_id}
    held = next((held["quantity"] for held in item["addons"] if held["addon_id"] == addon_id), 0)
    number = product["addons"].index(addon_id)
    currency = product["price"]["currency"]
    return Choice(f"addon_{place}_{number}", addon["name"], place, currency, addon_id, first=str(held))


def _set_addon(item: Doc, addon_id: str, quantity: int) -> None:
    others = [held for held in item["addons"] if held["addon_id"] != addon_id]
    item["addons"] = [*others, {"addon_id": addon_id, "quantity": quantity}] if quantity else others
