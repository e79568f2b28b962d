"""Facts: the plain values about an order and its buyer that conditions, rules and guards read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from encore.rules.methods import MethodCheck
from encore.rules.money import Money


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """What a decision needs to know of a product in our copy of the catalogue."""

    price: Money
    is_archived: bool


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a decision needs to know of the subscription an order sold: its plan now, and the plans above that.

    `obstacle` is why the plan cannot be changed now, `unpayable` why the card of the subscription may not be charged
    by one click of this browser; None for nothing in the way.
    """

    product_id: str
    above: frozenset[str]
    obstacle: str | None
    unpayable: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """The plain values that rules and guards read, about one order just paid; `now` is epoch milliseconds.

    `total` is what the order came to; `orders_so_far` counts this one. `products` is the catalogue by product id.
    `open_products`: those with a yes that is not settled. `downsells_shown`: products this customer was ever shown as
    a downsell. `ups_shown`, `downs_shown`: pages shown for this order. `method` is the check of the card that paid.
    `plan`: of the subscription the order sold, None if it sold none or nothing is known of it.
    """

    customer_id: str
    products_bought: frozenset[str]
    total: Money
    country: str | None
    language: str
    orders_so_far: int
    owned_products: frozenset[str]
    suppressed_products: frozenset[str]
    products: Mapping[str, ProductFacts]
    live_offers: frozenset[str]
    method: MethodCheck
    now: int
    open_products: frozenset[str] = field(default=frozenset())
    downsells_shown: frozenset[str] = field(default=frozenset())
    ups_shown: int = 0
    downs_shown: int = 0
    plan: PlanFacts | None = None
