"""Ids as the provider makes them: a prefix and a 21-character base62 tail."""

import random
import string
import threading
import uuid
from base64 import b64encode

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Every byte as a character; eight of them come a little oftener, which no id minds.
CHARACTERS = (ALPHABET * 5)[:256].encode()
TAIL_LENGTH = 21


class Ids:
    """Makes ids; with a seed the same run makes the same ids."""

    def __init__(self, seed: int | str | None = None) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)

    def new(self, prefix: str) -> str:
        """Return `prefix` and 21 random characters, for example `pay_2IjeQm4hqU6RA4Z4kwDee`."""
        with self._lock:
            return prefix + self._random.randbytes(TAIL_LENGTH).translate(CHARACTERS).decode()

    def uuid(self) -> str:
        """Return a random UUID, for example `182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e`."""
        with self._lock:
            return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def shuffle(self, items: list[str]) -> None:
        """Put `items` in random order, in place."""
        with self._lock:
            self._random.shuffle(items)

    def client_secret(self, payment_id: str) -> str:
        """Return a value shaped like the provider's client secret; nothing in the sandbox accepts it."""
        return self.new(f"{payment_id}_secret_")

    def webhook_secret(self) -> str:
        """Return a Standard Webhooks secret: `whsec_` and 24 random bytes in base64."""
        with self._lock:
            return "whsec_" + b64encode(self._random.randbytes(24)).decode()
