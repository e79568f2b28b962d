"""Names for rows and unguessable references; the only user of randomness."""

import secrets
import threading
from base64 import b32encode

from encore.clock import Clock

# From RFC 4648's base 32 to Crockford's, which sorts like the number.
_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")
_LENGTH = 26
# What fills 26 letters of five bits up to whole bytes of base 32.
_FILL_BITS, _BYTES = 30, 20
_RANDOM_BITS = 80


class _UlidSource:
    """Makes 128-bit numbers (48 bits of epoch milliseconds, 80 random) that rise within this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        fresh = (self._clock.now() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            # Same millisecond, or a clock set back: step on by a random amount, not by one, because two
            # processes forked from this one would otherwise count up to the same ids.
            self._last = fresh if fresh > self._last else self._last + 1 + secrets.randbits(32)
            return self._last


_ulids = _UlidSource(Clock())


def new_id(prefix: str) -> str:
    """Return `prefix` + "_" + a ULID, such as "att_01J9Z3K8V5W6X7Y8Z9A0B1C2D3"; ids sort by creation."""
    letters = b32encode((_ulids.next() << _FILL_BITS).to_bytes(_BYTES, "big"))[:_LENGTH]
    return f"{prefix}_{letters.translate(_CROCKFORD).decode()}"


def random_ref() -> str:
    """Return 256 random bits as 43 URL-safe characters: for references and cookies that are authority."""
    return secrets.token_urlsafe(32)
