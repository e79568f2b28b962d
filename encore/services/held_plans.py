"""Held plans: what a buyer subscribes to already, which the shop leads to a change of instead of selling a second."""

from collections.abc import Sequence

from encore.rules.plan_changes import STATUSES_WITH_ACCESS
from encore.services import plan_groups
from encore.services.shop import Shop
from encore.store import subscriptions
from encore.store.subscriptions import Subscription

# What is paused or on hold goes on when it is resumed or paid: a second one would then be charged beside it.
_HELD = (*STATUSES_WITH_ACCESS, "paused", "on_hold")


def find(
    shop: Shop, product_id: str, *, buyer_key: str | None, customer_ids: Sequence[str] = ()
) -> Subscription | None:
    """Return the subscription to a plan, or to another of its group, that this browser bought or its account has (P8).

    Nobody else's counts, and none that is over.
    """
    group = plan_groups.group_of(shop, product_id)
    of_browser = subscriptions.list_of_browser(shop.store, buyer_key) if buyer_key else []
    of_account = [row for customer in customer_ids for row in subscriptions.list_of_customer(shop.store, customer)]
    for row in (*of_account, *of_browser):
        is_alike = row.product_id == product_id or (group is not None and group.place_of(row.product_id) is not None)
        if is_alike and row.status in _HELD:
            return row
    return None
