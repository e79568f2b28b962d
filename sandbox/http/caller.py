"""Who may control the sandbox, and use it with any key: programs and browsers of this machine, that mean this machine.

The address alone does not show that. Behind a tunnel or a proxy everyone comes from loopback, and a page of another
site can reach loopback through the tester's browser, by a name that it lets point there (DNS rebinding). So the name
that was asked for counts too, and the origin of the page that asks. The rules are ours.
"""

import re

from .server import Request

LOOPBACK = ("127.", "::1", "::ffff:127.")
# Browsers resolve localhost and what is below it to loopback, whatever a name server says (RFC 6761, section 6.3).
LOCAL_HOST = re.compile(r"(([a-z0-9-]+\.)*localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?", re.IGNORECASE)
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def why_not_local(request: Request) -> str | None:
    """Return why a request is not one of this machine's own, as the message of a refusal; None for one that is."""
    if not request.peer.startswith(LOOPBACK) or any(name in request.headers for name in FORWARDED):
        return "Control is open to loopback only"
    # Every browser names its host; a program without one has opened the socket itself.
    host = request.headers.get("host", "localhost")
    if not LOCAL_HOST.fullmatch(host):
        return "Control is open to loopback only, by its name: 127.0.0.1, localhost or [::1]"
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") or not _is_own_origin(request, host, site):
        # A page of another origin, opened in a tester's browser, must not press our buttons.
        return "Control is not open to other sites"
    return None


def _is_own_origin(request: Request, host: str, site: str) -> bool:
    origin = request.headers.get("origin")
    # Our pages send no referrer, so their forms have the origin "null"; then the browser must vouch for them.
    return origin is None or origin.lower() == f"http://{host.lower()}" or (origin == "null" and site == "same-origin")
