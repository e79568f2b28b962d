"""Amounts: a whole number of the currency's smallest unit, never a float, never without a currency."""

from dataclasses import dataclass
from decimal import Decimal

# Source: the provider's currency list. Everything chargeable that is not named here has two decimals.
_ZERO_DECIMAL = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())
# In the provider's enum, yet it charges in none of them: their smallest unit is a thousandth.
_THREE_DECIMAL = "BHD IQD JOD KWD LYD OMR TND"
THREE_DECIMAL = frozenset(_THREE_DECIMAL.split())
# Source: `Currency` of the provider's OpenAPI document 1.113.0, 145 codes.
_KNOWN = """
AED ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CHF
CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HRK HTG HUF IDR ILS INR IQD JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP
PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SZL THB TND TOP
TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""
KNOWN = frozenset(_KNOWN.split())
# The largest integer every JSON reader carries exactly: an amount beyond it could change on the way.
MAX_MINOR = 2**53 - 1


class MixedCurrency(ValueError):
    """Two amounts in different currencies were added, subtracted or compared."""


class BadAmount(ValueError):
    """A number that cannot be an amount: not an integer, negative, or above `MAX_MINOR`."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money: `minor` units (0 to 2^53 - 1) of an upper-case ISO 4217 `currency`.

    Raises BadAmount for a bool, a float, a negative number or one too large, and for a malformed currency
    code; an unknown but well-formed code is kept, since the provider adds currencies without notice.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        # `type` and not `isinstance`: True is an int, and an amount of True is a mistake somewhere else.
        if type(self.minor) is not int:
            raise BadAmount(f"an amount is an integer of minor units, not {self.minor!r}")
        if not 0 <= self.minor <= MAX_MINOR:
            raise BadAmount(f"an amount lies between 0 and {MAX_MINOR}, not {self.minor}")
        if type(self.currency) is not str or not _is_code(self.currency):
            raise BadAmount(f"a currency is three capital letters, not {self.currency!r}")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._minor_of(other), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._minor_of(other)

    def times(self, quantity: int) -> "Money":
        """The amount for `quantity` (0 or more) units: for catalogue comparisons only, never for a charge."""
        if type(quantity) is not int or quantity < 0:
            raise BadAmount(f"a quantity is a whole number, not {quantity!r}")
        return Money(self.minor * quantity, self.currency)

    def _minor_of(self, other: "Money") -> int:
        if not isinstance(other, Money):
            raise TypeError(f"an amount and {other!r} do not mix")
        if self.currency != other.currency:
            raise MixedCurrency(f"{self.currency} and {other.currency} do not mix")
        return other.minor


def exponent(currency: str) -> int:
    """How many decimals the provider gives `currency`: 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def is_chargeable(currency: str) -> bool:
    """Whether the provider can charge in `currency`: a code it lists, of at most two decimals."""
    return currency in KNOWN and currency not in THREE_DECIMAL


def to_decimal(amount: Money) -> Decimal:
    """The amount in whole units, exact, with as many decimals as its currency has: for showing only."""
    return Decimal(amount.minor).scaleb(-exponent(amount.currency))


def _is_code(currency: str) -> bool:
    return len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
