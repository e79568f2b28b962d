"""Card-decline codes of the provider: how hard the no is, and which words a buyer reads.

Source: the provider's page "Transaction Failures", 44 codes. Its changelog counts more, so an unlisted
code is expected and takes the general path. The provider's own message is never shown.
"""

from dataclasses import dataclass
from enum import StrEnum

_SOFT = """
AUTHENTICATION_FAILURE AUTHENTICATION_REQUIRED AUTHENTICATION_TIMEOUT CARD_NOT_ACTIVATED
CARD_VELOCITY_EXCEEDED CUSTOMER_CANCELLED GENERIC_DECLINE INCORRECT_CVC INCORRECT_NUMBER
INSUFFICIENT_FUNDS INVALID_AMOUNT INVALID_CARD_NUMBER INVALID_CARD_OWNER INVALID_CVC
INVALID_EXPIRY_YEAR INVALID_PIN INVALID_REQUEST INVALID_UPI_ID LIMIT_EXCEEDED LIVE_MODE_TEST_CARD
MANDATE_INVALID MANDATE_REQUIRED NETWORK_ERROR NETWORK_TIMEOUT ORDER_CREATION_FAILED
PROCESSING_ERROR REENTER_TRANSACTION TRY_AGAIN_LATER UNKNOWN_ERROR
"""
SOFT = frozenset(_SOFT.split())
_HARD = """
CARD_DECLINED DO_NOT_HONOR EXPIRED_CARD FRAUDULENT INVALID_ACCOUNT LOST_CARD MANDATE_REQUIRED_SYSTEM
PAYMENT_METHOD_PROVIDER_DECLINED PAYMENT_METHOD_UNSUPPORTED PICKUP_CARD PROVIDER_UNSUPPORTED
REVOCATION_OF_AUTHORIZATION STOLEN_CARD TRANSACTION_NOT_ALLOWED TRANSACTION_NOT_APPROVED
"""
HARD = frozenset(_HARD.split())
# Naming these to whoever holds the card would tell a thief what the bank knows.
QUIET = frozenset({"FRAUDULENT", "LOST_CARD", "STOLEN_CARD", "PICKUP_CARD"})


class DeclineClass(StrEnum):
    """Soft: the same card may work later. Hard: never the same card again. Neither is retried by us."""

    SOFT = "soft"
    HARD = "hard"


class DeclineWords(StrEnum):
    """Which sentence follows the general one: message keys."""

    GENERAL = "card_decline.general"
    INSUFFICIENT_FUNDS = "card_decline.insufficient_funds"
    EXPIRED = "card_decline.expired"


_WORDS = {"INSUFFICIENT_FUNDS": DeclineWords.INSUFFICIENT_FUNDS, "EXPIRED_CARD": DeclineWords.EXPIRED}


@dataclass(frozen=True, slots=True)
class CardDecline:
    """What a decline code means. `is_quiet`: only the general sentence, for the reason above `QUIET`."""

    decline_class: DeclineClass
    words: DeclineWords
    is_quiet: bool


def read_card_decline(code: str | None) -> CardDecline:
    """Read the provider's `error_code`; None and codes we do not list are a soft decline in general words."""
    known = code or ""
    return CardDecline(
        decline_class=DeclineClass.HARD if known in HARD else DeclineClass.SOFT,
        words=_WORDS.get(known, DeclineWords.GENERAL),
        is_quiet=known in QUIET,
    )
