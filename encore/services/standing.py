"""Standing: whether what a page offers may still be taken, by the rows of this moment."""

from dataclasses import dataclass

from encore.services import funnels
from encore.services.shop import Shop
from encore.store import checkouts, offer_instances
from encore.store.offer_instances import OfferInstance
from encore.store.orders import Order


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`is_live`: offer, funnel and product are sold and the order it follows stands; the customer may own or have
    declined the product, on whatever page and device, since this offer was shown."""

    is_live: bool
    is_owned: bool
    is_declined: bool


def authority_until(shop: Shop, order: Order) -> int:
    """Return until when the browser that paid an order may act on it, in epoch milliseconds (security.md, 4)."""
    checkout = checkouts.get_checkout(shop.store, order.checkout_id) if order.checkout_id else None
    return checkout.authority_until if checkout else shop.now()


def standing_of(shop: Shop, instance: OfferInstance) -> Standing:
    """Return how an instance stands, whether or not it was answered or has run out."""
    # One statement: a claim asks this while everybody else's waits.
    row = offer_instances.get_standing(shop.store, instance.id)
    if row is None:
        return Standing(is_live=False, is_owned=False, is_declined=False)
    return Standing(
        is_live=row.order_state == "granted"
        and row.archived_at is None
        and (row.offer_state, row.funnel_state) == (funnels.LIVE, funnels.LIVE)
        and not funnels.is_over(shop, funnels.read_offer_row(row.definition_json, version=row.version)),
        is_owned=bool(row.is_owned),
        is_declined=bool(row.is_declined),
    )
