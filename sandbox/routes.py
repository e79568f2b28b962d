"""Every route of the twin in one place."""

from .control import routes as control
from .control import scenarios, snapshots
from .control import webhooks as webhook_control
from .core.twin import Twin
from .http.call import Call
from .http.gateway import is_wire, normal_endpoint
from .http.router import Router
from .pages import authentication, checkout, draw, home, payment_link, static_link
from .pages import portal as portal_pages
from .resources import (
    addons,
    checkouts,
    customers,
    direct_payments,
    direct_subscriptions,
    discounts,
    disputes,
    entitlement_grants,
    invoices,
    licenses,
    misc,
    payment_retries,
    payments,
    portal,
    products,
    refunds,
    subscription_changes,
    subscriptions,
    uploads,
    wallets,
)
from .webhooks import endpoints as webhooks

WIRE = (
    products,
    addons,
    uploads,
    customers,
    wallets,
    portal,
    checkouts,
    payments,
    direct_payments,
    direct_subscriptions,
    payment_retries,
    subscriptions,
    subscription_changes,
    refunds,
    invoices,
    disputes,
    discounts,
    webhooks,
    licenses,
    entitlement_grants,
    misc,
)
PAGES = (
    control,
    webhook_control,
    snapshots,
    scenarios,
    checkout,
    authentication,
    payment_link,
    static_link,
    portal_pages,
    home,
    draw,
)


def create_router(twin: Twin) -> Router:
    """Gather the routes and tell the twin which endpoints a fault can be ordered for."""
    router = Router(route for module in (*WIRE, *PAGES) for route in module.routes.all)
    twin.endpoints = frozenset(
        normal_endpoint(f"{route.method} {route.template}") for route in router.routes if is_wire(route.template)
    )
    twin.respond = lambda request, connection: router.respond(Call(twin, request, connection))
    return router
