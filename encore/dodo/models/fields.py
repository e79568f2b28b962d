"""The values that objects are made of, and moments as numbers."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta

# No sale is larger, and what a page adds up from a few of them is still an integer every reader carries exactly.
_LARGEST = 10**15
Amount = Annotated[int, Meta(ge=0, le=_LARGEST)]
SignedAmount = Annotated[int, Meta(ge=-_LARGEST, le=_LARGEST)]
Count = Annotated[int, Meta(ge=0, le=2**31)]
Id = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[!-~]+\Z")]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
Metadata = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    """Return epoch milliseconds; a time without a zone is UTC, as all of the provider's are."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)
