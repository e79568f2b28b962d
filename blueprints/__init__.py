"""HTTP in, HTML or JSON out: the only code that knows Flask, besides the composition root."""

from importlib.util import find_spec

from flask import Flask

from encore.services.shop import Shop

from . import account, checkout, errors, offers, security, storefront, webhooks
from . import web as _web

_PARTS = [storefront, checkout, offers, account, webhooks]
if find_spec("encore.services.mail"):
    from . import merchant

    _PARTS.append(merchant)
if find_spec(f"{__name__}.ops"):
    from . import ops

    _PARTS.append(ops)


def register(app: Flask) -> None:
    """Install walls, words and routes on `app`, whose `extensions["encore"]` is the Shop."""
    shop: Shop = app.extensions["encore"]
    # First of all hooks: an error page needs the request's language.
    _web.install(app)
    security.install(app, shop.settings)
    errors.install(app)
    for part in _PARTS:
        app.register_blueprint(part.bp)
