"""Every route of the twin in one place."""

from .control import routes as control
from .core.places import SUPPORTED_COUNTRIES
from .core.twin import Twin
from .http.call import Call, Routes, answer
from .http.gateway import is_wire, normal_endpoint
from .http.router import Router
from .http.server import Response
from .pages import draw, home, hosted
from .resources import checkouts, customers, discounts, disputes, payments, products, refunds, subscriptions

misc = Routes()
WIRE = (products, customers, checkouts, payments, subscriptions, refunds, disputes, discounts)
PAGES = (control, hosted, home, draw)


@misc.get("/checkout/supported_countries")
def supported_countries(call: Call) -> Response:
    """List where the provider sells."""
    return answer(list(SUPPORTED_COUNTRIES))


def create_router(twin: Twin) -> Router:
    """Gather the routes and tell the twin which endpoints a fault can be ordered for."""
    router = Router([*misc.all, *(route for module in (*WIRE, *PAGES) for route in module.routes.all)])
    twin.endpoints = frozenset(
        normal_endpoint(f"{route.method} {route.template}") for route in router.routes if is_wire(route.template)
    )
    return router
