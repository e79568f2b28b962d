"""The walls around every route: cookies, CSRF, origin, headers, limits and what no field may hold."""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta

import structlog
from flask import Flask, Response, current_app, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFProtect  # type: ignore[import-untyped]
from limits import parse
from limits.strategies import RateLimiter
from werkzeug.exceptions import BadRequest, Forbidden
from werkzeug.middleware.proxy_fix import ProxyFix

from encore.settings import Settings

MAX_BODY_BYTES = 256 * 1024
# Paths whose posts carry an authority of their own (a signature) and come from servers, not from our pages.
_SERVER_PATHS = ("/webhooks/",)
# Requests of one browser, and of one network address, by what they ask for.
RATES = {
    "accept": ("10/minute", "60/minute"),
    "checkout": ("10/minute", "30/minute"),
    "status": ("120/minute", "300/minute"),
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# As people write one, in any digits; up to a single sign between two of them.
_CARD_NUMBER = re.compile(r"(?<!\d)\d(?:[\s._/-]?\d){12,18}(?!\d)")
# Our own values are long and random: one in a hundred hashes holds such digits between two letters.
_OUR_FIELDS = frozenset({"csrf_token", "offer_token", "quote_hash", "shown"})
_POWERFUL_FEATURES = (
    "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(),"
    " gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(),"
    " publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()"
)

log = structlog.get_logger("encore.web")


class CardNumberRefused(BadRequest):
    """A field held what is most likely a card number: it was neither stored nor logged."""


def install(app: Flask, settings: Settings) -> None:
    """Set cookies, limits and headers, and refuse what must not reach a handler. Call it before other hooks."""
    app.config.update(
        SECRET_KEY=settings.secret_keys[0],
        SECRET_KEY_FALLBACKS=list(settings.secret_keys[1:]),
        SESSION_COOKIE_NAME="__Host-encore_session" if settings.is_https else "encore_session",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        TRUSTED_HOSTS=[settings.public_host],
        # The session's life is the token's: a slow buyer must not be answered 400.
        WTF_CSRF_TIME_LIMIT=None,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
    )
    # A path is what was sent: nothing is redirected to a tidier one.
    app.url_map.merge_slashes = False
    if settings.proxy_count:
        count = settings.proxy_count
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    app.before_request(_make_origin_check(settings))
    CSRFProtect(app)
    app.before_request(_refuse_card_numbers)
    app.after_request(_make_headers(settings))
    app.extensions["encore.limits"] = _open_limits(app, settings)


def _make_origin_check(settings: Settings) -> Callable[[], None]:
    def check_origin() -> None:
        """Refuse a state-changing request that another site's page sent: the CSRF token is the second wall."""
        if request.method in _SAFE_METHODS or request.path.startswith(_SERVER_PATHS):
            return
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Forbidden
        if request.headers.get("Origin", settings.public_url) != settings.public_url:
            raise Forbidden

    return check_origin


def _refuse_card_numbers() -> None:
    if request.method in _SAFE_METHODS or request.path.startswith(_SERVER_PATHS):
        return
    for name, values in request.form.lists():
        texts = [name, *(_without_letters_beside(value) if name in _OUR_FIELDS else value for value in values)]
        if any(_has_card_number(text) for text in texts):
            raise CardNumberRefused


def _without_letters_beside(text: str) -> str:
    return " ".join(word for word in re.split(r"[\W_]+", text) if word.isdigit())


def hide_card_numbers(text: str) -> str:
    """Return a text that we keep though anyone may write it, such as a browser's name, without card numbers."""
    return _CARD_NUMBER.sub(lambda match: "[hidden]" if _is_luhn(match[0]) else match[0], text)


def _has_card_number(text: str) -> bool:
    return any(_is_luhn(match[0]) for match in _CARD_NUMBER.finditer(text))


def _is_luhn(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [value * 2 - 9 * (value > 4) for value in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _make_headers(settings: Settings) -> Callable[[Response], Response]:
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            " ".join(("img-src 'self' data:", *settings.media_origins)),
            "font-src 'self'",
            "connect-src 'self'",
            # A form answered by a redirect to a host missing here is blocked after we acted.
            " ".join(("form-action 'self'", *settings.checkout_origins)),
            "base-uri 'none'",
            "object-src 'none'",
            "frame-ancestors 'none'",
        )
    )
    fixed = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": _POWERFUL_FEATURES,
    }
    if settings.is_https:
        fixed["Strict-Transport-Security"] = "max-age=63072000"

    def add_headers(response: Response) -> Response:
        response.headers.update(fixed)
        response.headers.setdefault("Content-Security-Policy", policy)
        if request.endpoint != "static" or response.status_code not in (200, 206, 304):
            # Every page holds a form token, and Back must show the settled state, never a fresh offer.
            response.headers["Cache-Control"] = "no-store"
        elif request.args.get("v"):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    return add_headers


class Limits:
    """Counts requests; fails open, since limits that protect money are rows in the store."""

    def __init__(self, strategy: RateLimiter | None) -> None:
        self._strategy = strategy

    def count(self, scope: str, *, browser: str | None) -> int | None:
        """Count a request of this browser and address; when over, return when to try again (epoch milliseconds)."""
        of_browser, of_address = RATES[scope]
        return self.hit(of_browser, scope=scope, key=browser) or self.hit(of_address, scope=scope, key=address())

    def hit(self, limit: str, *, scope: str, key: str | None) -> int | None:
        """Count one request of `key` against "10/minute"; the same answer."""
        return self._ask(limit, scope=scope, key=key, counts=True)

    def peek(self, limit: str, *, scope: str, key: str | None) -> int | None:
        """Tell the same without counting."""
        return self._ask(limit, scope=scope, key=key, counts=False)

    def _ask(self, limit: str, *, scope: str, key: str | None, counts: bool) -> int | None:
        if self._strategy is None or key is None:
            return None
        item = parse(limit)
        try:
            decide = self._strategy.hit if counts else self._strategy.test
            if decide(item, scope, key):
                return None
            return int(self._strategy.get_window_stats(item, scope, key).reset_time * 1000)
        except Exception:
            log.exception("limits.unavailable")
            return None


def limits() -> Limits:
    """Return this application's request limits."""
    found: Limits = current_app.extensions["encore.limits"]
    return found


def address() -> str:
    """Return the address a request came from, as the declared number of proxies tell it."""
    return get_remote_address()


def network() -> str:
    """Return what counts as one asker in limits of accounts: an IPv4 address, or the /64 that one IPv6 line holds."""
    found = ipaddress.ip_interface(f"{address()}/64") if ":" in address() else None
    return str(found.network) if found else address()


def truncated_address() -> str | None:
    """Return that address without its last part (/24, /48): enough for a dispute, too little to find a person."""
    value = request.remote_addr or ""
    if ":" in value:
        return ":".join(value.split(":")[:3]) + "::"
    parts = value.split(".")
    return ".".join((*parts[:3], "0")) if len(parts) == 4 else None


def _open_limits(app: Flask, settings: Settings) -> Limits:
    if settings.limits_storage is None:
        return Limits(None)
    limiter = Limiter(get_remote_address, app=app, storage_uri=settings.limits_storage, swallow_errors=True)
    return Limits(limiter.limiter)
