"""What we sign: offer tokens in a page's forms, and the marks that prove a payment is ours."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import cache

from itsdangerous import BadData, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

_OFFER_SALT = "offer.v1"
_LINK, _NAME = "sign-in link", "name"
# Payload (with a leading dot if it was worth compressing), time, and a SHA-256 in 43 letters.
_OFFER_TOKEN = re.compile(r"\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.(?P<signature>[A-Za-z0-9_-]{43})")


def make_offer_token(keys: Sequence[str], *, instance_id: str, act: str, audience: str) -> str:
    """Sign the right to one `act` (the form's route name) on one offer instance, for one audience (origin)."""
    return _offer_serializer(tuple(keys)).dumps({"v": 1, "o": instance_id, "a": audience, "act": act})


def read_offer_token(
    keys: Sequence[str], token: str, *, instance_id: str, act: str, audience: str, max_age_s: int
) -> bool:
    """Tell whether `token` gives this act on this instance to this audience, and is at most `max_age_s` old.

    `keys` holds the current key first; older ones verify until they are removed.
    """
    if not _is_as_written(token):
        return False
    try:
        payload = _offer_serializer(tuple(keys)).loads(token, max_age=max_age_s)
    except BadData:
        return False
    return bool(payload == {"v": 1, "o": instance_id, "a": audience, "act": act})


def _is_as_written(token: str) -> bool:
    # The library skips letters that are not base64, and the last one has two bits that mean nothing: one token would
    # have many spellings, and only the one we wrote is ours.
    found = _OFFER_TOKEN.fullmatch(token)
    return found is not None and base64_encode(base64_decode(found["signature"])).decode() == found["signature"]


def sign_mark(keys: Sequence[str], *parts: str) -> str:
    """Return the HMAC that goes with a mark of ours in a payment's metadata (hex, 64 characters)."""
    return _mark(keys[0], parts)


def is_mark(keys: Sequence[str], signature: str | None, *parts: str) -> bool:
    """Tell whether `signature` was made by us over `parts`; old keys verify for as long as rows exist.

    A payment link lets anyone write metadata, so an id alone proves nothing (charging.md, section 1).
    """
    if signature is None or not signature.isascii():
        return False
    return any(hmac.compare_digest(_mark(key, parts), signature) for key in keys)


def make_link_token(keys: Sequence[str], link_id: str) -> str:
    """Return what a sign-in link carries: the id of its request, a dot, and our signature in 43 characters.

    Nothing that opens an account is stored: whoever reads the database cannot make the link.
    """
    return f"{link_id}.{_short(_mark(keys[0], (_LINK, link_id)))}"


def read_link_token(keys: Sequence[str], token: str) -> str | None:
    """Return the id of the request a sign-in link was made for, or None if the link is not ours."""
    link_id, _, signature = token.partition(".")
    if not token.isascii():
        return None
    is_ours = any(hmac.compare_digest(_short(_mark(key, (_LINK, link_id))), signature) for key in keys)
    return link_id if is_ours else None


def name_in_secret(keys: Sequence[str], *parts: str) -> str:
    """Return a name for `parts` that says nothing of them and that nobody without the key can make or read."""
    return _short(_mark(keys[0], (_NAME, *parts)))


def _short(hexadecimal: str) -> str:
    return base64_encode(bytes.fromhex(hexadecimal)).decode()


def _mark(key: str, parts: tuple[str, ...]) -> str:
    return hmac.new(key.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


@cache
def _offer_serializer(keys: tuple[str, ...]) -> URLSafeTimedSerializer:
    # The library takes the newest key last; its defaults are SHA-1 and a derivation of its own.
    return URLSafeTimedSerializer(
        list(reversed(keys)),
        salt=_OFFER_SALT,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
