"""What a cart costs. Preview and charge take this one path, so they cannot differ."""

from dataclasses import dataclass, replace

from ..core.places import SUPPORTED_COUNTRIES
from ..core.store import Doc
from ..core.twin import Twin
from ..http.call import WireError, refuse_body, unsupported_country, whole
from ..money.currency import minimum_charge
from ..money.tax import rate_bp, tax_of
from .addons import find_addons, read_addons
from .discounting import discount_lines, discount_plan, usable_discounts
from .localising import buyer_currency, localise, localise_addon

MAX_CART_LINES = 20
MAX_QUANTITY = 1000
MAX_TRIAL_DAYS = 10_000


@dataclass(frozen=True)
class Trial:
    """A trial at the beginning of a subscription; `amount` (minor units) is 0 if it is free."""

    days: int
    amount: int


@dataclass(frozen=True)
class Line:
    """One line of a cart. Amounts are minor units; `gross` is unit price x quantity, before any discount.

    `product` is the add-on, shaped like a product, where `is_addon`; a subscription's add-ons follow its own line.
    `later` is what each period costs where that differs from what is due now: after a trial, or a mandate alone.
    """

    product: Doc
    quantity: int
    gross: int
    discount: int
    percentage_bps: int | None
    tax_rate_bp: int
    tax: int
    tax_inclusive: bool
    is_addon: bool = False
    addons: tuple[tuple[Doc, int], ...] = ()
    trial: Trial | None = None
    on_demand: bool = False
    later: "Line | None" = None

    @property
    def renewal(self) -> "Line":
        """The line of a full period."""
        return self.later or self

    @property
    def total(self) -> int:
        """What the buyer pays for the line."""
        net = self.gross - self.discount
        return net if self.tax_inclusive else net + self.tax

    @property
    def pre_tax(self) -> int:
        """The line before discount and without the tax it may contain."""
        return self.gross - (self.tax if self.tax_inclusive else 0)


@dataclass(frozen=True)
class Priced:
    """A priced cart; subtotal - discount + tax == total, always."""

    lines: tuple[Line, ...]
    currency: str
    country: str
    discounts: tuple[Doc, ...]

    @property
    def subscribed(self) -> tuple[Line, ...]:
        """The lines that begin a subscription, without their add-ons."""
        return tuple(line for line in self.lines if line.product["is_recurring"] and not line.is_addon)

    @property
    def needs_method(self) -> bool:
        """Whether a payment method must be given, be it only for what comes later."""
        return self.total > 0 or any(_keeps_method(line) for line in self.subscribed)

    def with_addons(self, plan: Line) -> tuple[Line, ...]:
        """Return a line that begins a subscription, followed by its add-ons."""
        first = self.lines.index(plan)
        return self.lines[first : first + 1 + len(plan.addons)]

    @property
    def subtotal(self) -> int:
        """Lines before discount, without tax."""
        return sum(line.pre_tax for line in self.lines)

    @property
    def discount(self) -> int:
        """All discounts together, positive."""
        return sum(line.discount for line in self.lines)

    @property
    def tax(self) -> int:
        """All tax together."""
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        """What is charged."""
        return sum(line.total for line in self.lines)


def read_cart(body: Doc, *, most: int = MAX_CART_LINES) -> list[Doc]:
    """Return the cart as `[{product_id, quantity, amount, addons, trial_days, on_demand}]`; raises WireError.

    `amount` and `trial_days` are None where they are not named, `on_demand` is None or the body's object.
    """
    cart = body.get("product_cart")
    if not isinstance(cart, list):
        raise refuse_body("product_cart", "is required and must be a list")
    if not cart:
        raise WireError(422, "PRODUCT_CART_EMTPY")
    if len(cart) > most:
        raise refuse_body("product_cart", f"must have at most {most} items")
    begins = _subscription_data(body)
    return [{**_cart_item(item, number), **begins} for number, item in enumerate(cart)]


def read_discount_codes(body: Doc) -> list[str]:
    """Return the discount codes of a body; the old singular field and the list exclude each other."""
    single, many = body.get("discount_code"), body.get("discount_codes")
    if single is not None and many is not None:
        raise refuse_body("discount_code", "cannot be combined with discount_codes")
    codes = [single] if single is not None else (many or [])
    if not isinstance(codes, list) or len(codes) > 20 or not all(isinstance(code, str) for code in codes):
        raise refuse_body("discount_codes", "must be a list of at most 20 codes")
    return codes


def price_cart(
    twin: Twin,
    cart: list[Doc],
    *,
    country: str,
    zipcode: str | None,
    codes: list[str],
    customer_id: str | None = None,
    billing_currency: str | None = None,
    fees_inclusive: bool | None = None,
) -> Priced:
    """Price a cart for a billing address, and for a customer if one is known. Raises WireError if it cannot be sold.

    The last two are the wire's `billing_currency` and `adaptive_currency_fees_inclusive`.
    """
    if country not in SUPPORTED_COUNTRIES:
        raise unsupported_country(country)
    wanted = buyer_currency(twin, country, billing_currency)
    listed = [_chosen(_sellable(twin, item["product_id"]), item["amount"]) for item in cart]
    products = [localise(twin, product, wanted, fees_inclusive=fees_inclusive) for product in listed]
    currencies = {product["price"]["currency"] for product in products}
    if len(currencies) > 1:
        # Adaptive currency is off, so nothing converts one price into another's currency.
        raise WireError(422, "UNSUPPORTED_CURRENCY", "All products of a cart must share one currency")
    currency = currencies.pop()
    grosses = [product["price"]["price"] * item["quantity"] for product, item in zip(products, cart, strict=True)]
    discounts = usable_discounts(twin, codes, customer_id=customer_id)
    named = [(product["id"], gross) for product, gross in zip(products, grosses, strict=True)]
    taken_off = discount_lines(named, currency, discounts)
    lines: list[Line] = []
    for product, own, item, gross, off in zip(products, listed, cart, grosses, taken_off, strict=True):
        rate = rate_bp(country, zipcode, product["tax_category"])
        addons = tuple(
            (localise_addon(twin, addon, currency, fees_inclusive=fees_inclusive), quantity)
            for addon, quantity in find_addons(twin, own, item["addons"])
        )
        full = _line(product, item["quantity"], gross, off, rate, addons)
        first = _begin(full, item, discounts) if product["is_recurring"] else full
        lines += [first, *_addon_lines(first, country, zipcode)]
    return Priced(tuple(lines), currency, country, tuple(discounts))


def check_amounts(cart: list[Doc], priced: Priced) -> None:
    """Refuse to charge a priced cart in which the buyer's amount for a pay-what-you-want product is missing."""
    prices = {line.product["id"]: line.product["price"] for line in priced.lines}
    for item in cart:
        if item["amount"] is None and prices[item["product_id"]].get("pay_what_you_want"):
            message = "Amount is mandatory for pay as you want product"
            raise WireError(422, "PAY_AS_YOU_WANT_AMOUNT_REQUIRED", message)


def check_minimum(priced: Priced) -> None:
    """Refuse a charge below the currency's minimum; a total of zero is no charge and passes."""
    if 0 < priced.total < minimum_charge(priced.currency):
        raise below_minimum(priced.currency)


def below_minimum(currency: str) -> WireError:
    """Return the refusal of a charge that is too small."""
    return WireError(
        422,
        "TOTAL_PAYMENT_AMOUNT_BELOW_MINIMUM_AMOUNT",
        f"Minimum amount of {minimum_charge(currency) / 100:.2f} {currency} is required to process payment",
    )


def _cart_item(item: object, number: int) -> Doc:
    where = f"product_cart[{number}]"
    if not isinstance(item, dict):
        raise refuse_body(where, "must be an object")
    product_id = item.get("product_id")
    if not isinstance(product_id, str) or not product_id:
        raise refuse_body(f"{where}.product_id", "is required")
    amount = None if item.get("amount") is None else whole(item, "amount", least=0)
    return {
        "product_id": product_id,
        "quantity": whole(item, "quantity", least=1, most=MAX_QUANTITY),
        "amount": amount,
        "addons": read_addons(item.get("addons"), f"{where}.addons"),
    }


def _subscription_data(body: Doc) -> Doc:
    given = body.get("subscription_data") or {}
    if not isinstance(given, dict):
        raise refuse_body("subscription_data", "must be an object")
    days, on_demand = given.get("trial_period_days"), given.get("on_demand")
    if days is not None:
        days = whole(given, "trial_period_days", least=0, most=MAX_TRIAL_DAYS)
    if on_demand is not None:
        if not isinstance(on_demand, dict) or not isinstance(on_demand.get("mandate_only"), bool):
            raise refuse_body("subscription_data.on_demand", "must be an object with mandate_only")
        if on_demand.get("product_price") is not None:
            whole(on_demand, "product_price", least=0)
    return {"trial_days": days, "on_demand": on_demand}


def _sellable(twin: Twin, product_id: str) -> Doc:
    product = twin.store.get("products", product_id)
    if product is None:
        raise WireError(422, "MISSING_PRODUCT_INFORMATION", f"Product {product_id[:60]} not found")
    if product["archived"]:
        raise WireError(422, "PRODUCT_IS_DELETED", f"Product {product_id} is deleted")
    return product


def _line(
    product: Doc,
    quantity: int,
    gross: int,
    taken_off: tuple[int, int | None],
    rate: int,
    addons: tuple[tuple[Doc, int], ...] = (),
) -> Line:
    discount, percentage = taken_off
    inclusive = bool(product["price"]["tax_inclusive"])
    tax = tax_of(gross - discount, rate, inclusive=inclusive)
    return Line(product, quantity, gross, discount, percentage, rate, tax, inclusive, addons=addons)


def _begin(full: Line, item: Doc, discounts: list[Doc]) -> Line:
    """Return what is due now for a subscription: a period, its trial, or what an on-demand mandate begins with."""
    price, on_demand = full.product["price"], item["on_demand"]
    if on_demand is not None:
        # mandate_only charges nothing yet; else the price named here counts instead of the product's.
        named = on_demand.get("product_price")
        now = 0 if on_demand["mandate_only"] else full.gross if named is None else named
        begun = _now(full, now, full.discount if now == full.gross else 0)
        return replace(begun, on_demand=True, later=full if on_demand["mandate_only"] else None)
    days = price["trial_period_days"] if item["trial_days"] is None else item["trial_days"]
    if not days:
        return full
    amount = price["trial_amount"] or 0
    off = (
        discount_plan(full.product["id"], amount, price["currency"], discounts) if price["trial_apply_discounts"] else 0
    )
    return replace(_now(full, amount, off), trial=Trial(days, amount), later=full)


def _now(full: Line, gross: int, discount: int) -> Line:
    tax = tax_of(gross - discount, full.tax_rate_bp, inclusive=full.tax_inclusive)
    return replace(full, gross=gross, discount=discount, tax=tax, later=full)


def _addon_lines(plan: Line, country: str, zipcode: str | None) -> list[Line]:
    """Return the lines of a subscription's add-ons; in a trial or with a bare mandate they are free (our choice)."""
    lines = []
    for addon, quantity in plan.addons:
        # An add-on says nothing of tax, so its price contains it if the plan's does (our choice).
        sold = {**addon, "is_recurring": True, "price": {**plan.product["price"], "price": addon["price"]}}
        rate = rate_bp(country, zipcode, addon["tax_category"])
        full = replace(_line(sold, quantity, addon["price"] * quantity, (0, None), rate), is_addon=True)
        lines.append(_now(full, 0, 0) if plan.later is not None else full)
    return lines


def _keeps_method(plan: Line) -> bool:
    price = plan.product["price"]
    if plan.trial is not None:
        return not price["trial_payment_method_optional"]
    return not price["zero_amount_payment_method_optional"]


def _chosen(product: Doc, amount: int | None) -> Doc:
    """Return a product at the buyer's amount where it lets the buyer choose, else as it is.

    Until an amount is chosen the suggested price counts, else the minimum: our choice.
    """
    price = product["price"]
    if not price.get("pay_what_you_want"):
        # "If disabled then amount will be ignored" (OpenAPI 1.113.0, ProductItemReq).
        return product
    least: int = price["price"]
    if amount is not None and amount < least:
        message = "Amount cannot be less than minimum amount specified for the product"
        raise WireError(422, "REQUEST_AMOUNT_BELOW_MINIMUM", message)
    paid = amount if amount is not None else price["suggested_price"] or least
    return {**product, "price": {**price, "price": paid}}
