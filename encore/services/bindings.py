"""Bindings: which browser an offer instance is for, asked before anything of it is shown or done."""

from encore.services import sign_ins
from encore.services.shop import Shop
from encore.store.offer_instances import OfferInstance


def is_bound(shop: Shop, instance: OfferInstance, buyer_key: str | None) -> bool:
    """Tell whether a browser may see and answer an instance.

    What follows an order belongs to the browser that made it. A recommendation belongs to the account: to every browser
    that is signed in to it, and to none that has only paid under its address.
    """
    if buyer_key is None:
        return False
    if instance.is_recommendation:
        return sign_ins.has_account(shop, buyer_key, customer_id=instance.customer_id)
    return instance.buyer_key == buyer_key
