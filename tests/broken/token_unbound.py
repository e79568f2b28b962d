"""Broken: the cookie is not checked, so whoever has an offer's address and a token acts on it.

A plugin of pytest: `-p tests.broken.token_unbound` makes the child process this build.
"""

import pytest

from encore.services import checkout, offers
from encore.services.shop import Shop
from encore.store import checkouts, offer_instances
from encore.store.checkouts import Checkout
from encore.store.offer_instances import OfferInstance


def pytest_configure(config: pytest.Config) -> None:
    """Find what an address names for anybody."""

    def any_instance(shop: Shop, instance_id: str, *, buyer_key: str | None) -> OfferInstance | None:
        return offer_instances.get_instance(shop.store, instance_id)

    def any_checkout(shop: Shop, ref: str, *, buyer_key: str | None) -> Checkout | None:
        return checkouts.get_by_ref(shop.store, ref)

    offers.bound_instance = any_instance
    checkout.bound_checkout = any_checkout
