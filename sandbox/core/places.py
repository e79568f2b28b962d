"""Countries and currencies; the codes are those of the provider's OpenAPI 1.113.0."""

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
CURRENCIES = tuple(_CURRENCIES.split())
# Three decimals: in the enum, but not chargeable (changelog v1.105.0).
_UNCHARGEABLE_CURRENCIES = """
BHD IQD JOD KWD LYD OMR TND
"""
UNCHARGEABLE_CURRENCIES = tuple(_UNCHARGEABLE_CURRENCIES.split())
_ZERO_DECIMAL = """
BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF
"""
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())


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
