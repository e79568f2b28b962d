"""The kind `one_time`: a product bought once, previewed and charged through `/checkouts`."""

from typing import Any

from encore.dodo.models import CheckoutPreview
from encore.errors import Unavailable
from encore.rules.money import Money
from encore.rules.quotes import Quote, QuotedMethod, QuoteLine

# One-click, fallback and shop sessions alike: no thank-you page of the provider's between ours.
REDIRECT_AT_ONCE = {"redirect_immediately": True}
ADDRESS_STAYS = {"allow_customer_editing_email": False}


def preview_request(
    *, product_id: str, quantity: int, discount_code: str | None, billing: dict[str, str]
) -> dict[str, Any]:
    """Return the body of `POST /checkouts/preview` for an offer to a buyer with this billing address."""
    return {
        "product_cart": [{"product_id": product_id, "quantity": quantity}],
        "billing_address": billing,
        "minimal_address": True,
        **_discounts(discount_code),
    }


def read_quote(
    preview: CheckoutPreview,
    *,
    product_id: str,
    quantity: int,
    discount_code: str | None,
    currency: str,
    country: str,
    method: QuotedMethod | None,
    now: int,
) -> Quote:
    """Turn the provider's preview into the quote we show and later compare; every amount is the provider's.

    `currency` is the first order's. Raises Unavailable for a preview of something else, or whose figures cannot be:
    no offer is better than a wrong one.
    Source: Dodo API, `POST /checkouts/preview`, `current_breakup` (total_amount includes tax).
    """
    _require_what_was_asked(preview, product_id=product_id, quantity=quantity, currency=currency)
    breakup = preview.current_breakup
    return Quote(
        product_id=product_id,
        quantity=quantity,
        discount_code=discount_code,
        # One product, so one line, and its amount is the subtotal: no arithmetic of ours on unit prices.
        lines=tuple(
            QuoteLine(
                product_id=item.product_id,
                name=item.name or item.product_id,
                quantity=item.quantity,
                amount=Money(breakup.subtotal, currency),
            )
            for item in preview.product_cart[:1]
        ),
        subtotal=Money(breakup.subtotal, currency),
        discount=Money(breakup.discount, currency),
        tax=Money(breakup.tax or 0, currency),
        total=Money(breakup.total_amount, currency),
        tax_inclusive=all(bool(item.tax_inclusive) for item in preview.product_cart),
        country=preview.billing_country or country,
        method=method,
        previewed_at=now,
    )


def _require_what_was_asked(preview: CheckoutPreview, *, product_id: str, quantity: int, currency: str) -> None:
    lines = [(item.product_id, item.quantity, item.currency) for item in preview.product_cart]
    if preview.currency != currency or lines != [(product_id, quantity, currency)]:
        raise Unavailable("preview_of_something_else")
    breakup = preview.current_breakup
    is_sound = (
        preview.total_price == breakup.total_amount
        # The total itself is not added up again: how tax is rounded is the provider's business.
        and 0 <= breakup.discount <= breakup.subtotal
        and (breakup.tax or 0) <= breakup.total_amount
    )
    if not is_sound:
        raise Unavailable("preview_figures")


def charge_request(
    quote: Quote,
    *,
    customer_id: str,
    billing: dict[str, str],
    return_url: str,
    metadata: dict[str, str],
) -> dict[str, Any]:
    """Return the body of the one charging POST: the quoted product, on the quoted method, and nothing else.

    Source: charging.md, section 1; with `confirm` the provider wants country and zip, so all known fields are sent.
    """
    if quote.method is None:
        raise ValueError("a quote without a method cannot be charged with one click")
    return {
        "product_cart": [{"product_id": quote.product_id, "quantity": quote.quantity}],
        "customer": {"customer_id": customer_id},
        "billing_address": billing,
        "minimal_address": True,
        "payment_method_id": quote.method.payment_method_id,
        "confirm": True,
        "feature_flags": REDIRECT_AT_ONCE,
        "return_url": return_url,
        "metadata": metadata,
        **_discounts(quote.discount_code),
    }


def known_customer(customer_id: str) -> dict[str, Any]:
    """Return what a hosted session of a signed-in buyer carries: who they are, so that they type nothing again."""
    return {"customer": {"customer_id": customer_id}, "show_saved_payment_methods": True}


def checkout_request(
    quote: Quote,
    *,
    customer_id: str | None,
    email: str | None,
    billing: dict[str, str],
    return_url: str,
    metadata: dict[str, str],
    is_currency_the_reason: bool,
) -> dict[str, Any]:
    """Return the body of the fallback's hosted session: same product, discount and attribution.

    `customer_id` only for whoever is signed in to that customer's account. A browser that has only paid has proven one
    card and no address, so its session names the order's e-mail and no customer, shows no saved methods and lets nobody
    edit the address. It names no person either: whoever types somebody's address must not be told whose it is. Source:
    dodo-api.md, section 6.1.
    """
    unknown = {**({"customer": {"email": email}} if email else {}), "show_saved_payment_methods": False}
    return {
        "product_cart": [{"product_id": quote.product_id, "quantity": quote.quantity}],
        **(known_customer(customer_id) if customer_id else unknown),
        "billing_address": billing,
        "minimal_address": True,
        "feature_flags": {
            **REDIRECT_AT_ONCE,
            **ADDRESS_STAYS,
            "allow_discount_code": False,
            "allow_currency_selection": is_currency_the_reason,
        },
        "return_url": return_url,
        "cancel_url": return_url,
        "metadata": metadata,
        **_discounts(quote.discount_code),
    }


def _discounts(code: str | None) -> dict[str, list[str]]:
    return {"discount_codes": [code]} if code else {}
