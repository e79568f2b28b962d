"""Adaptive currency: a rate table that never moves, the provider's fee tiers, and the least a card may be charged."""

from dataclasses import dataclass
from fractions import Fraction

from ..core.places import ZERO_DECIMAL
from .rounding import share, to_minor

# In minor units; the provider's docs name no others (page Adaptive Currency).
MINIMUM_CHARGE = {"USD": 50, "EUR": 50, "GBP": 30, "INR": 500, "CAD": 50, "AUD": 50}

# Units of the currency for one US dollar. Our choice, near 2026's rates and frozen: a test must give the same
# figure on every day.
RATES = {
    "USD": "1", "EUR": "0.92", "GBP": "0.79", "INR": "84", "CAD": "1.37", "AUD": "1.52", "JPY": "150", "VND": "25400",
    "SGD": "1.34", "HKD": "7.8", "CHF": "0.88", "SEK": "10.5", "NOK": "10.8", "DKK": "6.9", "PLN": "4", "CZK": "23",
    "HUF": "360", "RON": "4.6", "BGN": "1.8", "BRL": "5.5", "MXN": "18.5", "ARS": "1000", "CLP": "950", "COP": "4200",
    "PEN": "3.75", "ZAR": "18", "NGN": "1550", "KES": "129", "EGP": "48.5", "AED": "3.67", "SAR": "3.75",
    "QAR": "3.64", "ILS": "3.7", "TRY": "34", "THB": "35", "MYR": "4.5", "IDR": "15800", "PHP": "57", "KRW": "1360",
    "TWD": "32", "CNY": "7.2", "NZD": "1.66", "PKR": "278", "BDT": "119", "LKR": "295", "UAH": "41",
}  # fmt: skip

# Adaptive currency converts to the currency of the billing country; a country that is not here pays in the price's.
COUNTRY_CURRENCY = {
    "US": "USD", "GB": "GBP", "IN": "INR", "CA": "CAD", "AU": "AUD", "JP": "JPY", "VN": "VND", "SG": "SGD",
    "HK": "HKD", "CH": "CHF", "SE": "SEK", "NO": "NOK", "DK": "DKK", "PL": "PLN", "CZ": "CZK", "HU": "HUF",
    "RO": "RON", "BR": "BRL", "MX": "MXN", "AR": "ARS", "CL": "CLP", "CO": "COP", "PE": "PEN",
    "ZA": "ZAR", "NG": "NGN", "KE": "KES", "EG": "EGP", "AE": "AED", "SA": "SAR", "QA": "QAR", "IL": "ILS",
    "TR": "TRY", "TH": "THB", "MY": "MYR", "ID": "IDR", "PH": "PHP", "KR": "KRW", "TW": "TWD", "CN": "CNY",
    "NZ": "NZD", "PK": "PKR", "BD": "BDT", "LK": "LKR", "UA": "UAH",
    "AT": "EUR", "BE": "EUR", "BG": "EUR", "CY": "EUR", "DE": "EUR", "EE": "EUR", "ES": "EUR", "FI": "EUR",
    "FR": "EUR", "GR": "EUR", "HR": "EUR", "IE": "EUR", "IT": "EUR", "LT": "EUR", "LU": "EUR", "LV": "EUR",
    "MT": "EUR", "NL": "EUR", "PT": "EUR", "SI": "EUR", "SK": "EUR",
}  # fmt: skip

# Fee by the amount in US cents: 4 % under $500, 3 % to $1,500, 2 % above (page Adaptive Currency).
_FEE_TIERS = ((50_000, 400), (150_001, 300))
_FEE_ABOVE_BPS = 200


class UnknownRate(Exception):
    """There is no rate for a currency: EXCHANGE_RATE_NOT_FOUND on the wire."""


@dataclass(frozen=True)
class Adapted:
    """An amount in the buyer's currency: `amount` is what the buyer pays, `fee` the part of it that is the fee."""

    currency: str
    amount: int
    fee: int


def convert(amount: int, source: str, target: str, rounding: str = "half_up") -> int:
    """Return an amount in another currency, in its own minor units. Raises UnknownRate."""
    if source == target:
        return amount
    for currency in (source, target):
        if currency not in RATES:
            raise UnknownRate(currency)
    dollars = Fraction(amount, _minor_per_unit(source)) / Fraction(RATES[source])
    return to_minor(dollars * Fraction(RATES[target]) * _minor_per_unit(target), rounding)


def fee_bps(amount: int, currency: str) -> int:
    """Return the adaptive-currency fee for an amount, in basis points."""
    cents = convert(amount, currency, "USD")
    return next((fee for below, fee in _FEE_TIERS if cents < below), _FEE_ABOVE_BPS)


def currency_of(country: str) -> str | None:
    """Return the currency adaptive pricing charges in a country, None where it leaves the price's own."""
    return COUNTRY_CURRENCY.get(country)


def adapt(amount: int, source: str, target: str, *, fees_inclusive: bool, rounding: str = "half_up") -> Adapted:
    """Return what a buyer pays in `target` for a price in `source`. Raises UnknownRate.

    Without `fees_inclusive` the buyer pays the fee on top (100 rupees became 104, FAQ Q69); with it the merchant
    bears it and the buyer pays the converted price. The price's own currency costs no fee.
    """
    if target == source:
        return Adapted(source, amount, 0)
    converted = convert(amount, source, target, rounding)
    fee = 0 if fees_inclusive else share(converted, fee_bps(amount, source), rounding)
    return Adapted(target, converted + fee, fee)


def minimum_charge(currency: str) -> int:
    """Return the least amount a card may be charged, zero where the docs name none."""
    return MINIMUM_CHARGE.get(currency, 0)


def _minor_per_unit(currency: str) -> int:
    return 1 if currency in ZERO_DECIMAL else 100
