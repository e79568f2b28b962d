"""Plan groups as they stand: which plans a subscriber may choose among, and what is chosen most."""

import json
from dataclasses import dataclass
from functools import lru_cache

from encore.rules.plan_groups import PlanGroup, read_plan_group
from encore.services.shop import Shop
from encore.store import orders
from encore.store import plan_groups as rows

# "Most chosen" is counted from our own orders, and says nothing below thirty of them (R34).
MOST_CHOSEN_DAYS = 90
_LEAST_CHOICES = 30
_DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class MostChosen:
    """The plan that was ordered most often, of `orders` orders in `days` days."""

    product_id: str
    orders: int
    days: int


def group_of(shop: Shop, product_id: str) -> PlanGroup | None:
    """Return the group a plan is in; a plan is in one group at most."""
    for row in rows.list_plan_groups(shop.store):
        group = read_group_row(row.definition_json, version=row.version)
        if group.place_of(product_id) is not None:
            return group
    return None


@lru_cache(maxsize=256)
def read_group_row(definition_json: str, *, version: int) -> PlanGroup:
    """Read a stored group; raises ValueError if it is not what an import stored."""
    group = read_plan_group(json.loads(definition_json), version=version)
    if not isinstance(group, PlanGroup):
        raise ValueError(f"stored plan group cannot be read: {group[0].where} {group[0].key}")
    return group


def most_chosen(shop: Shop, group: PlanGroup) -> MostChosen | None:
    """Return the plan of a group that was ordered most; None while there is too little to count."""
    since = shop.now() - MOST_CHOSEN_DAYS * _DAY_MS
    counted = orders.count_by_product(shop.store, [plan.product_id for plan in group.plans], since=since)
    if sum(counted.values()) < _LEAST_CHOICES:
        return None
    product_id = max(counted, key=lambda name: (counted[name], name))
    return MostChosen(product_id=product_id, orders=counted[product_id], days=MOST_CHOSEN_DAYS)
