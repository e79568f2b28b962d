"""Test cards: what each does at once, and what it does later when charged as a saved method.

The first group is the provider's documented list; the second is the sandbox's own, one for each class of
card decline a shop should have seen. No other number is accepted, so that nobody types a real card here.
"""

import hashlib
import re
from dataclasses import dataclass

SUCCEED = "succeed"
AUTHENTICATE = "authenticate"
PROCESS = "process"


@dataclass(frozen=True)
class Card:
    """One test card. `first` and `later` are SUCCEED, AUTHENTICATE, PROCESS or a card-decline code."""

    number: str
    name: str
    network: str
    country: str
    first: str
    later: str
    expiry: str = "06/32"
    documented: bool = True

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:]


CARDS = (
    Card("4242424242424242", "Visa", "visa", "US", SUCCEED, SUCCEED),
    Card("5555555555554444", "Mastercard", "mastercard", "US", SUCCEED, SUCCEED),
    Card("4576238912771450", "Visa, India", "visa", "IN", SUCCEED, SUCCEED),
    Card("5409162669381034", "Mastercard, India", "mastercard", "IN", SUCCEED, SUCCEED),
    Card("4000000000000002", "Declined", "visa", "US", "GENERIC_DECLINE", "GENERIC_DECLINE"),
    Card("4000000000009995", "No funds", "visa", "US", "INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS"),
    Card("4706131211212123", "Declined, Visa India", "visa", "IN", "GENERIC_DECLINE", "GENERIC_DECLINE"),
    Card("5105105105105100", "Declined, Mastercard India", "mastercard", "IN", "GENERIC_DECLINE", "GENERIC_DECLINE"),
    Card("4000000000000341", "Saves, later charges fail", "visa", "US", SUCCEED, "GENERIC_DECLINE", "12/34"),
    Card("4000002500003155", "Asks for authentication, always", "visa", "US", AUTHENTICATE, AUTHENTICATE,
         documented=False),
    Card("4000002760003184", "Saves, later asks for authentication", "visa", "US", SUCCEED, AUTHENTICATE,
         documented=False),
    Card("4000000000000077", "Stays in processing", "visa", "US", PROCESS, PROCESS, documented=False),
    Card("4000000000000069", "Expired", "visa", "US", "EXPIRED_CARD", "EXPIRED_CARD", documented=False),
    Card("4000000000000127", "Wrong security code", "visa", "US", "INCORRECT_CVC", "INCORRECT_CVC", documented=False),
    Card("4000000000000119", "Processing error", "visa", "US", "PROCESSING_ERROR", "PROCESSING_ERROR",
         documented=False),
    Card("4000000000009979", "Stolen", "visa", "US", "STOLEN_CARD", "STOLEN_CARD", documented=False),
    Card("4000000000009987", "Lost", "visa", "US", "LOST_CARD", "LOST_CARD", documented=False),
    Card("4100000000000019", "Fraud suspected", "visa", "US", "FRAUDULENT", "FRAUDULENT", documented=False),
)  # fmt: skip
BY_NUMBER = {card.number: card for card in CARDS}

_SOFT_DECLINES = """
AUTHENTICATION_FAILURE AUTHENTICATION_REQUIRED AUTHENTICATION_TIMEOUT CARD_NOT_ACTIVATED
CARD_VELOCITY_EXCEEDED CUSTOMER_CANCELLED GENERIC_DECLINE INCORRECT_CVC INCORRECT_NUMBER INSUFFICIENT_FUNDS
INVALID_AMOUNT INVALID_CARD_NUMBER INVALID_CARD_OWNER INVALID_CVC INVALID_EXPIRY_YEAR INVALID_PIN
INVALID_REQUEST INVALID_UPI_ID LIMIT_EXCEEDED LIVE_MODE_TEST_CARD MANDATE_INVALID MANDATE_REQUIRED
NETWORK_ERROR NETWORK_TIMEOUT ORDER_CREATION_FAILED PROCESSING_ERROR REENTER_TRANSACTION TRY_AGAIN_LATER
UNKNOWN_ERROR
"""
SOFT_DECLINES = frozenset(_SOFT_DECLINES.split())
_HARD_DECLINES = """
CARD_DECLINED DO_NOT_HONOR EXPIRED_CARD FRAUDULENT INVALID_ACCOUNT LOST_CARD MANDATE_REQUIRED_SYSTEM
PAYMENT_METHOD_PROVIDER_DECLINED PAYMENT_METHOD_UNSUPPORTED PICKUP_CARD PROVIDER_UNSUPPORTED
REVOCATION_OF_AUTHORIZATION STOLEN_CARD TRANSACTION_NOT_ALLOWED TRANSACTION_NOT_APPROVED
"""
HARD_DECLINES = frozenset(_HARD_DECLINES.split())
# Written for the merchant, as the provider's are since v1.112.
DECLINE_MESSAGES = {
    "INSUFFICIENT_FUNDS": "The card has insufficient funds to complete the purchase.",
    "EXPIRED_CARD": "The card has expired.",
    "INCORRECT_CVC": "The card's security code is incorrect.",
    "AUTHENTICATION_FAILURE": "The customer failed authentication.",
    "STOLEN_CARD": "The card was reported stolen. Do not tell the customer.",
    "LOST_CARD": "The card was reported lost. Do not tell the customer.",
}


def find_card(text: str) -> Card | None:
    """Return the test card somebody typed, with or without spaces; None for any other number."""
    return BY_NUMBER.get(re.sub(r"[\s-]", "", text))


def fingerprint(number: str) -> str:
    """Return what tells two cards apart without keeping the number."""
    return hashlib.sha256(number.encode()).hexdigest()[:24]


BY_FINGERPRINT = {fingerprint(card.number): card for card in CARDS}


def parse_expiry(text: str) -> tuple[str, str] | None:
    """Read `06/32`, `06 / 2032` or `0632` into ("06", "2032"); None if it is no month and year."""
    match = re.fullmatch(r"\s*(0?[1-9]|1[0-2])\s*[/-]?\s*(?:20)?(\d\d)\s*", text)
    return (f"{int(match[1]):02d}", f"20{match[2]}") if match else None


def decline_message(code: str) -> str:
    """Return the merchant's text for a card-decline code."""
    return DECLINE_MESSAGES.get(code, f"The card was declined ({code.lower().replace('_', ' ')}).")


def table() -> list[dict[str, object]]:
    """Return the cards for people and scripts: number, expiry, security code and both results."""
    return [
        {
            "number": card.number,
            "name": card.name,
            "network": card.network,
            "expiry": card.expiry,
            "cvc": "123",
            "now": card.first,
            "later": card.later,
            "documented": card.documented,
        }
        for card in CARDS
    ]
