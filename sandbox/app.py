"""The sandbox's Flask application: every route in one place."""

import sys
import traceback

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from . import (
    checkouts,
    control,
    customers,
    discounts,
    disputes,
    home,
    hosted,
    payments,
    places,
    products,
    refunds,
    subscriptions,
)
from .gateway import OWN_PREFIXES, normal_endpoint
from .twin import Twin
from .wire import MESSAGES, WireError, answer

WIRE = (products.bp, customers.bp, checkouts.bp, payments.bp, subscriptions.bp, refunds.bp, disputes.bp, discounts.bp)


def create_app(twin: Twin) -> Flask:
    """Build the application around a twin; it sets no cookie and keeps no session."""
    app = Flask(__name__)
    app.extensions["twin"] = twin
    for blueprint in (*WIRE, control.bp, hosted.bp, home.bp):
        app.register_blueprint(blueprint)
    app.add_url_rule("/checkout/supported_countries", view_func=supported_countries)
    app.register_error_handler(WireError, refused)
    app.register_error_handler(HTTPException, not_served)
    app.register_error_handler(Exception, broken)
    twin.endpoints = frozenset(_wire_endpoints(app))
    return app


def supported_countries() -> Response:
    """List where the provider sells."""
    return answer(list(places.SUPPORTED_COUNTRIES))


def refused(error: WireError) -> Response:
    """Answer a refusal in the wire's shape."""
    return answer({"code": error.code, "message": error.message}, error.status)


def not_served(error: HTTPException) -> Response:
    """Answer an unknown route or method in the wire's shape."""
    code = "NOT_FOUND" if error.code == 404 else (error.name or "error").upper().replace(" ", "_")
    return answer({"code": code, "message": MESSAGES.get(code, error.name)}, error.code or 500)


def broken(error: Exception) -> Response:
    """Answer our own mistake; the trace goes to the terminal."""
    traceback.print_exception(error, file=sys.stderr)
    return answer({"code": "INTERNAL_SERVER_ERROR", "message": "The sandbox broke; see its terminal"}, 500)


def _wire_endpoints(app: Flask) -> list[str]:
    endpoints = []
    for rule in app.url_map.iter_rules():
        if rule.rule != "/" and not rule.rule.startswith(OWN_PREFIXES):
            template = rule.rule.replace("<", "{").replace(">", "}")
            endpoints += [normal_endpoint(f"{method} {template}") for method in rule.methods or ()]
    return endpoints
