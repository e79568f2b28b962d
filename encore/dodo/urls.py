"""Where the provider may send a buyer."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from encore.crash_point import is_loopback

_PLAIN = re.compile(r"[!#-\[\]-~]+")  # printable ASCII without space, quotation mark and backslash


def is_checkout_url(url: object, hosts: Collection[str]) -> bool:
    """Tell whether a URL from the provider may be followed by a buyer.

    `hosts` are "host" or "host:port", in lower case, as they stand in the URL. Only https, but for a loopback
    host, which is the sandbox. No user part, nothing a browser would read otherwise than we do.
    """
    if not isinstance(url, str) or _PLAIN.fullmatch(url) is None:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.netloc.lower() not in hosts:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
