"""Hosted sessions that carry a customer's id: Dodo's page then knows the buyer, and shows their saved methods.

Whoever opens such a page is taken for that customer, so it is opened only by a browser that is signed in to their
account, and a browser is led to it only for as long as it is (security.md, section 2). Paying is no sign-in.
"""

from collections.abc import Callable

from encore.dodo.models import CheckoutCreated
from encore.errors import NotExecuted, RateLimited
from encore.services import sign_ins
from encore.services.shop import Shop
from encore.store import customer_sessions


def create(
    request_for: Callable[[str | None], CheckoutCreated], *, customer_id: str | None
) -> tuple[CheckoutCreated, str | None]:
    """Create a session for a customer, or for nobody known; returns it and whose id it carries.

    A customer whom the provider refuses, gone or not allowed another subscription, buys as everybody else does. An
    unconfirmed session charges nothing, so asking a second time costs nothing. Raises what `request_for` raises.
    """
    if customer_id is not None:
        try:
            return request_for(customer_id), customer_id
        except RateLimited:
            raise
        except NotExecuted:
            pass
    return request_for(None), None


def note(shop: Shop, session_id: str, *, customer_id: str | None) -> None:
    """Store whose id a session carries, inside the `store.write()` that stores its address."""
    if customer_id is not None:
        customer_sessions.insert_session(shop.store, session_id, customer_id=customer_id)


def may_open(shop: Shop, session_id: str | None, *, buyer_key: str) -> bool:
    """Tell whether a browser may be led to a session: one that carries a customer's id needs their account now."""
    customer_id = _customer_of(shop, session_id)
    return customer_id is None or sign_ins.has_account(shop, buyer_key, customer_id=customer_id)


def is_known(shop: Shop, session_id: str | None) -> bool:
    """Tell whether a session carries a customer's id."""
    return _customer_of(shop, session_id) is not None


def _customer_of(shop: Shop, session_id: str | None) -> str | None:
    return customer_sessions.get_customer_id(shop.store, session_id) if session_id else None


def sign_in_url(shop: Shop, return_url: str) -> str:
    """Return where to sign in again for a session that is not to be opened without, and to come back from there."""
    return f"{shop.settings.public_url}/account/sign-in?to={return_url.removeprefix(shop.settings.public_url)}"
