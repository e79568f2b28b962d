"""Countries, currencies and the sandbox's fixed tax table.

The codes are those of the provider's OpenAPI 1.113.0. The tax rates are the usual standard rates, frozen here:
the twin needs a table that never moves, not the law of the day.
"""

_COUNTRIES = """
AF AX AL DZ AS AD AO AI AQ AG AR AM AW AU AT AZ BS BH BD BB BY BE BZ BJ BM BT BO BQ BA BW BV BR IO BN BG BF
BI KH CM CA CV KY CF TD CL CN CX CC CO KM CG CD CK CR CI HR CU CW CY CZ DK DJ DM DO EC EG SV GQ ER EE ET FK
FO FJ FI FR GF PF TF GA GM GE DE GH GI GR GL GD GP GU GT GG GN GW GY HT HM VA HN HK HU IS IN ID IR IQ IE IM
IL IT JM JP JE JO KZ KE KI KP KR KW KG LA LV LB LS LR LY LI LT LU MO MK MG MW MY MV ML MT MH MQ MR MU YT MX
FM MD MC MN ME MS MA MZ MM NA NR NP NL NC NZ NI NE NG NU NF MP NO OM PK PW PS PA PG PY PE PH PN PL PT PR QA
RE RO RU RW BL SH KN LC MF PM VC WS SM ST SA SN RS SC SL SG SX SK SI SB SO ZA GS SS ES LK SD SR SJ SZ SE CH
SY TW TJ TZ TH TL TG TK TO TT TN TR TM TC TV UG UA AE GB UM US UY UZ VU VE VN VG VI WF EH YE ZM ZW
"""
COUNTRIES = tuple(_COUNTRIES.split())
# Sanctioned places, where the provider sells nothing, and places with no post code or population to bill.
_UNSUPPORTED_COUNTRIES = """
AF AQ BV BY CU HM IR KP RU SS SD SY TF UM VE YE
"""
UNSUPPORTED_COUNTRIES = frozenset(_UNSUPPORTED_COUNTRIES.split())
SUPPORTED_COUNTRIES = tuple(code for code in COUNTRIES if code not in UNSUPPORTED_COUNTRIES)

_CURRENCIES = """
AED ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CHF CLP CNY
COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF
IDR ILS INR IQD JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF
SAR SBD SCR SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SZL THB TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES
VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""
CURRENCIES = frozenset(_CURRENCIES.split())
# Three decimals: in the enum, but not chargeable (changelog v1.105.0).
_UNCHARGEABLE_CURRENCIES = """
BHD IQD JOD KWD LYD OMR TND
"""
UNCHARGEABLE_CURRENCIES = frozenset(_UNCHARGEABLE_CURRENCIES.split())
_ZERO_DECIMAL = """
BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF
"""
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())

# In minor units; the provider's docs name no others (page Adaptive Currency).
MINIMUM_CHARGE = {"USD": 50, "EUR": 50, "GBP": 30, "INR": 500, "CAD": 50, "AUD": 50}

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

COUNTRY_NAMES = {
    "AE": "United Arab Emirates", "AR": "Argentina", "AT": "Austria", "AU": "Australia", "BE": "Belgium",
    "BG": "Bulgaria", "BR": "Brazil", "CA": "Canada", "CH": "Switzerland", "CL": "Chile", "CN": "China",
    "CO": "Colombia", "CY": "Cyprus", "CZ": "Czechia", "DE": "Germany", "DK": "Denmark", "EE": "Estonia",
    "EG": "Egypt", "ES": "Spain", "FI": "Finland", "FR": "France", "GB": "United Kingdom", "GR": "Greece",
    "HK": "Hong Kong", "HR": "Croatia", "HU": "Hungary", "ID": "Indonesia", "IE": "Ireland", "IL": "Israel",
    "IN": "India", "IS": "Iceland", "IT": "Italy", "JP": "Japan", "KE": "Kenya", "KH": "Cambodia",
    "KR": "South Korea", "LA": "Laos", "LT": "Lithuania", "LU": "Luxembourg", "LV": "Latvia", "MT": "Malta",
    "MX": "Mexico", "MY": "Malaysia", "NG": "Nigeria", "NL": "Netherlands", "NO": "Norway", "NZ": "New Zealand",
    "PH": "Philippines", "PL": "Poland", "PT": "Portugal", "RO": "Romania", "RS": "Serbia", "SA": "Saudi Arabia",
    "SE": "Sweden", "SG": "Singapore", "SI": "Slovenia", "SK": "Slovakia", "TH": "Thailand", "TR": "Türkiye",
    "TW": "Taiwan", "UA": "Ukraine", "US": "United States", "VN": "Việt Nam", "ZA": "South Africa",
}  # fmt: skip


def tax_rate_bp(country: str, zipcode: str | None) -> int:
    """Return the sales tax in basis points for a billing address."""
    if country == "US":
        return US_RATES.get((zipcode or "")[:1], 0)
    return TAX_RATES.get(country, 0)


def country_choices() -> list[tuple[str, str]]:
    """Return `(code, name)` of every supported country, by name; places without a name here show their code."""
    named = [(code, COUNTRY_NAMES.get(code, code)) for code in SUPPORTED_COUNTRIES]
    return sorted(named, key=lambda choice: (choice[0] not in COUNTRY_NAMES, choice[1]))


def format_amount(minor: int, currency: str, language: str = "en") -> str:
    """Format minor units for people: `$49.00`, `49,00 US$`, `199.000 ₫`. The sandbox's own pages only."""
    decimals = 0 if currency in ZERO_DECIMAL else 2
    digits = f"{abs(minor) / 10**decimals:,.{decimals}f}"
    sign = "-" if minor < 0 else ""
    symbol = {"USD": "$", "EUR": "€", "GBP": "£", "VND": "₫", "JPY": "¥", "INR": "₹"}.get(currency, currency)
    if language == "vi":
        digits = digits.translate(str.maketrans(",.", ".,"))
        return f"{sign}{digits}\u00a0{'US$' if currency == 'USD' else symbol}"
    return f"{sign}{symbol}{digits}" if len(symbol) == 1 and symbol != "₫" else f"{sign}{digits}\u00a0{symbol}"
