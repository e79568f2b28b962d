"""Sales tax by billing address and category: a fixed table, because the twin needs figures that never move.

The rates are the usual standard rates; which categories differ where is our choice, after real law but frozen. The
provider computes tax from country, state, ZIP code and `tax_category` and publishes no table.
"""

from .rounding import contained, share

CATEGORIES = ("digital_products", "saas", "e_book", "edtech", "live_tutoring")

# Basis points.
TAX_RATES = {
    "AE": 500, "AR": 2100, "AT": 2000, "AU": 1000, "BE": 2100, "BG": 2000, "BR": 1700, "CA": 500, "CH": 810,
    "CL": 1900, "CO": 1900, "CY": 1900, "CZ": 2100, "DE": 1900, "DK": 2500, "EE": 2200, "EG": 1400, "ES": 2100,
    "FI": 2550, "FR": 2000, "GB": 2000, "GR": 2400, "HR": 2500, "HU": 2700, "ID": 1100, "IE": 2300, "IL": 1800,
    "IN": 1800, "IS": 2400, "IT": 2200, "JP": 1000, "KE": 1600, "KR": 1000, "LT": 2100, "LU": 1700, "LV": 2100,
    "MT": 1800, "MX": 1600, "MY": 800, "NG": 750, "NL": 2100, "NO": 2500, "NZ": 1500, "PH": 1200, "PL": 2300,
    "PT": 2300, "RO": 1900, "RS": 2000, "SA": 1500, "SE": 2500, "SG": 900, "SI": 2200, "SK": 2300, "TH": 700,
    "TR": 2000, "TW": 500, "UA": 2000, "VN": 1000, "ZA": 1500,
}  # fmt: skip
# United States: one rate for each first digit of the ZIP code (0 is New England, 9 the Pacific), else none.
US_RATES = {
    "0": 625, "1": 800, "2": 530, "3": 600, "4": 625, "5": 600, "6": 750, "7": 825, "8": 560, "9": 850
}  # fmt: skip

# Where a category is taxed otherwise than by the standard rate.
CATEGORY_RATES = {
    "e_book": {
        "AT": 1000, "BE": 600, "CH": 260, "CZ": 0, "ES": 400, "FI": 1350, "FR": 550, "GB": 0, "IE": 0, "IT": 400,
        "LU": 300, "NL": 900, "NO": 0, "PL": 500, "PT": 600, "SE": 600,
    },
    # Teaching by a person is often exempt.
    "live_tutoring": {"AU": 0, "DE": 0, "FR": 0, "GB": 0, "IN": 0, "US": 0, "VN": 0},
    "edtech": {"IN": 0},
}  # fmt: skip
# The Pacific states tax no software that is only used over the network.
_US_CATEGORY_RATES = {("saas", "9"): 0}


def rate_bp(country: str, zipcode: str | None, category: str) -> int:
    """Return the tax in basis points for a billing address (ISO-2 country) and a product's `tax_category`."""
    special = CATEGORY_RATES.get(category, {})
    if country in special:
        return special[country]
    if country == "US":
        digit = (zipcode or "")[:1]
        return _US_CATEGORY_RATES.get((category, digit), US_RATES.get(digit, 0))
    return TAX_RATES.get(country, 0)


def tax_of(net: int, rate: int, *, inclusive: bool, rounding: str = "half_up") -> int:
    """Return the tax on an amount, or, if the price is inclusive, the tax inside it."""
    return contained(net, rate, rounding) if inclusive else share(net, rate, rounding)
