"""What every handler shares: the shop, the buyer, the language, and the three ways to answer.

Handlers never read `HX-*` headers, cookies or the session; this module does.
"""

import hashlib
import re
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, g, make_response, redirect, render_template, request, session

from encore.i18n import (
    LANGUAGES,
    best_language,
    format_clock,
    format_day,
    format_moment,
    format_money,
    method_label,
    reason_words,
    words,
)
from encore.ids import new_id, random_ref
from encore.rules.money import Money
from encore.rules.quotes import QuotedMethod
from encore.services import sign_ins
from encore.services.shop import Shop
from encore.services.sign_ins import Account
from encore.tokens import make_offer_token, read_offer_token

from .templating import PageEnvironment, make_gettext

# A browser may act on its order for a day at most (security.md, section 2); tokens in its pages live as long.
AUTHORITY_S = 24 * 3600
_COOKIE_LIFE_S = 30 * 24 * 3600
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")


def current_shop() -> Shop:
    """Return the shop that the composition root wired."""
    shop: Shop = current_app.extensions["encore"]
    return shop


def language() -> str:
    """Return the language of this answer, one of `encore.i18n.LANGUAGES`."""
    chosen: str = g.language
    return chosen


def buyer_key() -> str | None:
    """Return the SHA-256 (hex) of this browser's buyer cookie, None without one; only the hash is ever stored."""
    value = request.cookies.get(_cookie_name(), "")
    return hash_cookie(value) if _COOKIE.fullmatch(value) else None


def hash_cookie(value: str) -> str:
    """Return what the store keeps of a buyer cookie."""
    return hashlib.sha256(value.encode()).hexdigest()


def make_buyer_cookie() -> str:
    """Return this browser's buyer cookie, or a new value: the caller sets it with `set_buyer_cookie`."""
    value = request.cookies.get(_cookie_name(), "")
    return value if _COOKIE.fullmatch(value) else random_ref()


def set_buyer_cookie(response: Response, value: str | None = None) -> Response:
    """Bind this browser to `value`, or to a new one that no row knows, for thirty days."""
    response.set_cookie(
        _cookie_name(),
        value or random_ref(),
        max_age=_COOKIE_LIFE_S,
        secure=current_shop().settings.is_https,
        httponly=True,
        # The return from the provider's page is a cross-site navigation: Strict would lose the buyer there.
        samesite="Lax",
        path="/",
    )
    return response


def current_account() -> Account | None:
    """Return the account this browser is signed in to, None without one."""
    if "account" not in g:
        g.account = sign_ins.current_account(current_shop(), buyer_key())
    found: Account | None = g.account
    return found


def keep_link(link_id: str) -> None:
    """Remember in this browser's session which sign-in link it has opened, so that no later address holds it."""
    session["sign_in_link"] = link_id


def kept_link() -> str:
    """Return the sign-in link this browser has opened last, empty without one."""
    return str(session.get("sign_in_link", ""))


def tell_next_page(notice: str) -> None:
    """Leave a word for the page that a redirect leads to."""
    session["notice"] = notice


def take_notice() -> str | None:
    """Return the word that was left for this page, once."""
    found: str | None = session.pop("notice", None)
    return found


def _cookie_name() -> str:
    # Browsers differ in taking __Host- cookies from a loopback address over plain HTTP.
    return "__Host-encore_buyer" if current_shop().settings.is_https else "encore_buyer"


def wants_partial() -> bool:
    """Tell whether htmx asks for a fragment; a restored history entry asks for the whole page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Request-Type") == "partial"


def page_or_partial(template: str, partial: str, *, state: str, status: int = 200, **values: Any) -> Response:
    """Answer with the partial to htmx, else with the page, which includes the same file.

    `state` is the page state of `ux.md`; a partial's root is named after its file (`offers-receipt`).
    """
    if not wants_partial():
        return page(template, state=state, status=status, partial=partial, **values)
    root = re.sub(r"/_?", "-", partial.removesuffix(".html"))
    # A poll that brings nothing new is not announced again; what an act brings always is.
    is_news = request.method == "POST" or request.headers.get("HX-Target", "").rpartition("#")[2] != root
    html = render_template("layouts/fragment.html", partial=partial, state=state, is_news=is_news, **values)
    return make_response(html, status)


def page(template: str, *, state: str, status: int = 200, **values: Any) -> Response:
    """Answer with a whole page in one of its states."""
    return make_response(render_template(template, state=state, **values), status)


def go(url: str) -> Response:
    """Send the browser to another page: 303, or for htmx a header, since a fetched 303 would be asked for a part."""
    if wants_partial():
        response = make_response("", 200)
        response.headers["HX-Redirect"] = url
        return response
    return make_response(redirect(url, code=303))


def clean_address() -> str:
    """Return the address of this request without its query, as it may stand in a header: a path can hold anything."""
    return quote(request.path)


def answer_unseen() -> Response | None:
    """Answer a request whose answer nobody is about to see, before any handler; None for a real visit.

    HEAD and prefetch must leave no trace: an offer counts as shown only when a person's page shows it.
    """
    if request.method == "HEAD":
        return Response()
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    return Response(status=503) if "prefetch" in purpose.lower() else None


def offer_token(instance_id: str, act: str) -> str:
    """Return the token that a form needs for one act on one offer instance."""
    settings = current_shop().settings
    return make_offer_token(settings.secret_keys, instance_id=instance_id, act=act, audience=settings.public_url)


def has_offer_token(instance_id: str, act: str) -> bool:
    """Tell whether the posted form carries the token for this act on this offer instance."""
    settings = current_shop().settings
    return read_offer_token(
        settings.secret_keys,
        request.form.get("offer_token", ""),
        instance_id=instance_id,
        act=act,
        audience=settings.public_url,
        max_age_s=AUTHORITY_S,
    )


def install(app: Flask) -> None:
    """Give every request its id and language, and the templates their filters."""
    app.jinja_environment = PageEnvironment
    app.before_request(_open_request)
    app.after_request(_close_request)
    app.context_processor(_page_values)
    env = app.jinja_env
    env.add_extension("jinja2.ext.i18n")
    env.policies["ext.i18n.trimmed"] = True
    env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: words(language()).gettext(text),
        lambda one, many, n: words(language()).ngettext(one, many, n),
        newstyle=True,
    )
    env.globals.update(
        gettext=make_gettext(language, lambda spoken, text: words(spoken).gettext(text)), offer_token=offer_token
    )
    env.filters.update(
        money=_money, card=_card, reason=_reason, moment=_moment, day=_day, clock=_clock, asset=_Assets(app)
    )


def _open_request() -> None:
    g.request_id = new_id("req")
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        session["language"] = asked
    fallback = current_shop().settings.language
    wanted = session.get("language") or request.accept_languages.best_match(LANGUAGES)
    g.language = best_language(wanted, fallback=fallback)


def _close_request(response: Response) -> Response:
    if session.modified:
        session.permanent = True
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.vary.update(("HX-Request", "HX-Request-Type"))
    return response


def _page_values() -> dict[str, Any]:
    settings = current_shop().settings
    return {
        "shop_name": settings.shop_name,
        "shop_url": settings.public_url,
        "is_sandbox": not settings.is_live,
        "language": g.get("language", settings.language),
        "languages": LANGUAGES,
        "contact": settings.smtp.sender if settings.smtp else None,
        # A page that answers a post cannot be asked for again in another language.
        "here": request.path if request.method == "GET" and request.url_rule else "/",
    }


def _money(amount: Money) -> str:
    return format_money(amount, language())


def _card(method: QuotedMethod) -> str:
    return method_label(method, language())


def _reason(key: str | None) -> str:
    return reason_words(key, language=language()) if key else ""


def _moment(at: int) -> str:
    return format_moment(at, language(), zone=current_shop().settings.timezone)


def _day(at: int) -> str:
    return format_day(at, language(), zone=current_shop().settings.timezone)


def _clock(at: int) -> str:
    return format_clock(at, language(), zone=current_shop().settings.timezone)


class _Assets:
    """Addresses of static files that change with their content, so that browsers may keep them for a year."""

    def __init__(self, app: Flask) -> None:
        self._folder = app.static_folder or ""
        self._addresses: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._addresses:
            with open(f"{self._folder}/{name}", "rb") as source:
                digest = hashlib.sha256(source.read()).hexdigest()[:12]
            self._addresses[name] = f"/static/{name}?v={digest}"
        return self._addresses[name]
