"""Languages: words from the .po catalogues, and amounts and times as each language writes them.

The catalogues are read when first asked for and never change while a process lives; there is no compile step.
A message id is the English sentence, or, where rules name a reason, a key such as `method.expired`.
"""

from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_location
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import NumberPattern, format_percent, parse_pattern
from babel.support import Translations

from encore.rules.money import Money, exponent, to_decimal
from encore.rules.quotes import QuotedMethod

# Each language by the name its own readers know it by; the first is the language of the message ids.
LANGUAGES = {"en": "English", "vi": "Tiếng Việt"}

_LOCALES = Path(__file__).parent / "locales"
# How the networks write themselves; one we do not list is shown with a capital first letter.
_NETWORKS = {
    "amex": "American Express",
    "american_express": "American Express",
    "jcb": "JCB",
    "unionpay": "UnionPay",
    "rupay": "RuPay",
    "mastercard": "Mastercard",
}


@cache
def words(language: str) -> Translations:
    """Return the catalogue of one of LANGUAGES; it answers a message it does not hold with the message id."""
    with (_LOCALES / language / "LC_MESSAGES" / "encore.po").open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def preload() -> None:
    """Read every language's words and formats now: processes forked later share them instead of each its own."""
    for language in LANGUAGES:
        words(language)
        format_money(Money(0, "USD"), language)
        format_moment(0, language, zone="UTC")


def best_language(wanted: str | None, *, fallback: str) -> str:
    """Return `wanted` if we speak it ("vi" for "vi-VN" too), else `fallback`."""
    tag = (wanted or "").replace("_", "-").split("-")[0].lower()
    return tag if tag in LANGUAGES else fallback


def reason_words(key: str, *, language: str) -> str:
    """Return the sentence of a message key such as `method.expired`; "" for a key no catalogue knows.

    A reason we have no words for is left out: the sentence beside it is true without it.
    """
    found: str = words(language).gettext(key)
    return "" if found == key else found


@lru_cache(maxsize=4096)
def format_money(amount: Money, language: str) -> str:
    """Write an amount with its currency, as in "$23.20" and "23,20 US$".

    The decimals are the provider's: Babel's own are wrong for some currencies, a hundredfold for ISK.
    """
    pattern = _currency_pattern(language, exponent(amount.currency))
    written: str = pattern.apply(
        to_decimal(amount), Locale.parse(language), currency=amount.currency, currency_digits=False
    )
    return written


@cache
def _currency_pattern(language: str, decimals: int) -> NumberPattern:
    text = Locale.parse(language).currency_formats["standard"].pattern
    return parse_pattern(text.replace(".00", "." + "0" * decimals if decimals else ""))


def format_share(factor: str, language: str) -> str:
    """Write a share of a whole, given as a decimal text, with at most one decimal: "50%", "48.4%"."""
    return str(format_percent(Decimal(factor), format="#,##0.#%", locale=language))


def format_day(at: int, language: str, *, zone: str) -> str:
    """Write the day of a time (epoch milliseconds) in a named zone: "Dec 22, 2026"."""
    return format_date(_local(at, zone).date(), format="medium", locale=language)


def format_clock(at: int, language: str, *, zone: str) -> str:
    """Write the time of day in a named zone, with the zone: "2:05 PM UTC", "4:05 PM (Berlin)"."""
    place = zone if zone == "UTC" else f"({get_timezone_location(zone, locale=language, return_city=True)})"
    # CLDR separates "PM" by a narrow no-break space, which some system fonts lack.
    written = format_time(_local(at, zone), format="short", locale=language).replace("\u202f", " ")
    return f"{written} {place}".replace(" ", "\xa0")


def format_moment(at: int, language: str, *, zone: str) -> str:
    """Write day and time of day in a named zone: "Dec 22, 2026, 2:05 PM UTC"."""
    return f"{format_day(at, language, zone=zone)}, {format_clock(at, language, zone=zone)}"


def start_of_day(at: int, *, zone: str) -> int:
    """Return when the day of a moment began in a named zone, both in epoch milliseconds."""
    return int(_local(at, zone).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)


def _local(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at / 1000, tz=_zone(zone))


@cache
def _zone(name: str) -> tzinfo:
    # UTC needs no time zone files, which the smallest systems lack.
    return UTC if name == "UTC" else ZoneInfo(name)


def method_label(method: QuotedMethod, language: str) -> str:
    """Name a saved method as its owner knows it, in one unbroken piece: "Visa •••• 4242"."""
    name = _method_name(method, language)
    label = f"{name} •••• {method.last4}" if method.last4 else name
    return label.replace(" ", "\xa0")


def _method_name(method: QuotedMethod, language: str) -> str:
    if method.network:
        return _NETWORKS.get(method.network.lower(), method.network.replace("_", " ").title())
    if method.kind == "card":
        return str(words(language).gettext("Card"))
    if method.kind.startswith("upi"):
        return "UPI"
    return method.kind.replace("_", " ").capitalize()
