"""HTTP in, HTML or JSON out: the only code that knows Flask, besides the composition root."""

from flask import Flask

from encore.services.shop import Shop

from . import account, checkout, errors, merchant, offers, ops, security, storefront, subscriptions, webhooks
from . import web as _web


def register(app: Flask) -> None:
    """Install words, walls and routes on `app`, whose `extensions["encore"]` is the Shop."""
    shop: Shop = app.extensions["encore"]
    # First of all hooks: an error page needs the request's language.
    _web.install(app)
    security.install(app, shop.settings)
    errors.install(app)
    for part in (storefront, checkout, offers, account, subscriptions, merchant, webhooks, ops):
        app.register_blueprint(part.bp)
    app.register_blueprint(account.sign_in_bp)
    app.register_blueprint(account.recommendations_bp)
    app.register_blueprint(subscriptions.quotes_bp)
    app.register_blueprint(subscriptions.dues_bp)
    app.register_blueprint(subscriptions.cards_bp)
    # Deliveries come from a server and carry a signature of their own: no form token can be theirs.
    app.extensions["csrf"].exempt(webhooks.bp)
