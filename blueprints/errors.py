"""One error, three shapes: a page for people, a fragment for htmx, problem+json for programs."""

import structlog
from flask import Flask, Response, g, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException, MethodNotAllowed, SecurityError

from encore.errors import EncoreError
from encore.store import StoreFull

from .security import CardNumberRefused
from .web import clean_address, current_shop, go, wants_partial

# The errors that have words of their own; every other client error is told as 400, server error as 500.
WORDED = frozenset({400, 403, 404, 405, 409, 413, 429, 500, 503})
# Posts that never move money and follow no yes: broken, they are not told as a payment that is being checked. A route
# that is not named here may have charged.
CHARGES_NOTHING = frozenset(
    {
        *("storefront.start", "checkout.pay_again", "sign_in.ask", "sign_in.sign_in", "sign_in.sign_out"),
        *("offers.decline", "offers.choose_card", "offers.choose_quantity"),
        *("account.remove_method", "recommendations.open_card"),
        *("subscriptions.preview", "subscriptions.cancel", "subscriptions.end", "subscriptions.resume"),
        *("subscriptions.cancel_scheduled", "merchant.open_link"),
    }
)
_THIS_MACHINE = {"localhost", "127.0.0.1"}
_PROGRAM_PATHS = ("/webhooks/", "/healthz", "/readyz", "/metrics")

log = structlog.get_logger("encore.web")


def install(app: Flask) -> None:
    """Answer every error of every route."""
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(EncoreError, _answer_encore)
    app.register_error_handler(StoreFull, _answer_full)
    app.register_error_handler(Exception, _answer_unexpected)


def answer(status: int, *, code: str | None = None, retry_at: int | None = None) -> Response:
    """Answer with an error in the shape its asker reads; `retry_at` is epoch milliseconds."""
    if request.path.startswith(_PROGRAM_PATHS) or _wants_json():
        return _problem(status)
    values = {
        "status": status if status in WORDED else (400 if status < 500 else 500),
        "code": code,
        "retry_at": retry_at,
        # A broken answer to a post may hide a charge that went through; a GET never charges.
        "is_money_unknown": status >= 500 and request.method == "POST" and request.endpoint not in CHARGES_NOTHING,
        "request_id": g.get("request_id", ""),
        "state": "error",
        "is_partial": wants_partial(),
    }
    template = "errors/_inline.html" if wants_partial() else "errors/error.html"
    return make_response(render_template(template, **values), status)


def _wants_json() -> bool:
    accepted = request.accept_mimetypes
    return accepted.best_match(["text/html", "application/json"], default="text/html") == "application/json"


def _problem(status: int) -> Response:
    response = jsonify(type="about:blank", status=status, request_id=g.get("request_id", ""))
    response.status_code = status
    response.content_type = "application/problem+json"
    return response


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return make_response(error.get_response())
    code = None
    if isinstance(error, CardNumberRefused):
        code = "card_number"
    elif isinstance(error, CSRFError):
        code = "stale_form"
    elif isinstance(error, SecurityError):
        if request.method in ("GET", "HEAD") and _is_this_machine():
            return go(current_shop().settings.public_url + clean_address())
        code = "other_host"
    response = answer(status, code=code)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _is_this_machine() -> bool:
    """Tell whether a shop on this machine was opened under its other name, localhost for 127.0.0.1 or the reverse.

    Nothing else is redirected: behind a proxy that forwards a wrong name it would lead round in a circle.
    """
    asked = str(request.environ.get("HTTP_HOST", "")).partition(":")[0]
    return {asked, current_shop().settings.public_host} == _THIS_MACHINE


def _answer_encore(error: EncoreError) -> Response:
    # Its status and message may be facts about the provider: those are for logs, not for buyers.
    log.warning("request.failed", error=type(error).__name__, code=error.code, rule=str(request.url_rule))
    return answer(503)


def _answer_full(error: StoreFull) -> Response:
    log.error("request.store_full", rule=str(request.url_rule))
    return answer(503)


def _answer_unexpected(error: Exception) -> Response:
    log.exception("request.broke", rule=str(request.url_rule), request_id=g.get("request_id", ""))
    return answer(500)
