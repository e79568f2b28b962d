"""Checks of offers that change a plan, before they go live: what could never be shown or taken is a fault."""

from collections.abc import Iterable, Iterator, Mapping

from encore.rules.funnels import RETURN_PAGE, Funnel
from encore.rules.kinds import PLAN_CHANGE, Fault, Offer
from encore.rules.money import Money
from encore.rules.plan_changes import AT_RENEWAL, MODE_AT_RENEWAL
from encore.rules.plan_groups import PlanGroup
from encore.services import plan_groups
from encore.services.shop import Shop
from encore.store import catalogue
from encore.store import plan_groups as group_rows


def groups_with(shop: Shop, drafted: Mapping[str, PlanGroup]) -> list[PlanGroup]:
    """Return the plan groups there will be once the drafted ones are published."""
    stored = (
        plan_groups.read_group_row(row.definition_json, version=row.version)
        for row in group_rows.list_plan_groups(shop.store)
    )
    return [*(group for group in stored if group.id not in drafted), *drafted.values()]


def offer_faults(offer: Offer, groups: Iterable[PlanGroup]) -> Iterator[Fault]:
    """Check that the plan of an offer is above another one, and that the provider takes its mode at its time."""
    if offer.kind != PLAN_CHANGE:
        return
    where, named = f"offers.{offer.id}.product", (("product", offer.product_id),)
    group = _group_of(offer.product_id, groups)
    if group is None:
        yield Fault(where=where, key="fault.not_a_plan", values=named)
    elif group.place_of(offer.product_id) == 0:
        yield Fault(where=where, key="fault.lowest_plan", values=(*named, ("group", group.id)))
    if offer.timing == AT_RENEWAL and offer.mode not in (None, MODE_AT_RENEWAL):
        values = (("mode", str(offer.mode)), ("only", MODE_AT_RENEWAL))
        yield Fault(where=f"offers.{offer.id}.mode", key="fault.mode_at_renewal", values=values)


def funnel_faults(funnel: Funnel, offers: Mapping[str, Offer], groups: Iterable[PlanGroup]) -> Iterator[Fault]:
    """Check that what the rules of a funnel say was bought can be changed to the plans that its steps offer."""
    steps = {step.key: offers[step.offer_id] for step in funnel.steps if step.offer_id in offers}
    for step in funnel.steps:
        offer, other = steps.get(step.key), steps.get(step.on_declined)
        if offer is None or offer.kind != PLAN_CHANGE:
            continue
        if funnel.placement != RETURN_PAGE:
            # In the account every plan stands beside the others already, with its price.
            named = (("product", offer.product_id), ("placement", funnel.placement))
            yield Fault(where=f"funnels.{funnel.id}.{step.key}", key="fault.plan_placement", values=named)
        if other is not None and (other.kind, other.product_id) == (PLAN_CHANGE, offer.product_id):
            named = (("declined", step.key), ("product", offer.product_id))
            yield Fault(where=f"funnels.{funnel.id}.{step.on_declined}", key="fault.plan_declined", values=named)
        group = _group_of(offer.product_id, groups)
        for bought in sorted(_bought(funnel)):
            if group is None or group.direction(bought, offer.product_id) != "up":
                named = (("product", offer.product_id), ("bought", bought))
                yield Fault(where=f"funnels.{funnel.id}.{step.key}", key="fault.plan_not_above", values=named)


def prices_in(shop: Shop, funnel: Funnel, offers: Mapping[str, Offer], groups: Iterable[PlanGroup]) -> dict[str, Money]:
    """Return the least that each change of plan in a funnel is about, by listed prices: a measure of what is cheaper.

    It goes from the plans that an order of the funnel may hold by then: those its rules name, and those that a step
    before it has led to. For checks of a file alone: what a buyer sees and pays is the provider's preview.
    """
    prices: dict[str, Money] = {}
    for step in funnel.steps:
        offer = offers.get(step.offer_id)
        if offer is None or offer.kind != PLAN_CHANGE:
            continue
        before = (offers.get(other.offer_id) for other in funnel.steps if other.on_accepted == step.key)
        held = _bought(funnel) | {other.product_id for other in before if other is not None}
        price = _least_price(shop, offer, _group_of(offer.product_id, groups), held)
        if price is not None:
            prices[offer.id] = price
    return prices


def _least_price(shop: Shop, offer: Offer, group: PlanGroup | None, held: set[str]) -> Money | None:
    wanted = catalogue.get_product(shop.store, offer.product_id)
    place = group.place_of(offer.product_id) if group else None
    if group is None or wanted is None or not place:
        return None
    price = Money(wanted.price_minor, wanted.currency)
    if offer.mode == MODE_AT_RENEWAL:
        return price
    below = [plan.product_id for plan in group.plans[:place]]
    # Where no rule says what was bought it may be any of them.
    starts = [product_id for product_id in below if product_id in held] or below
    found = (catalogue.get_product(shop.store, product_id) for product_id in starts)
    given_back = [product.price_minor for product in found if product and product.currency == wanted.currency]
    return Money(max(0, wanted.price_minor - max(given_back, default=0)), wanted.currency)


def _group_of(product_id: str, groups: Iterable[PlanGroup]) -> PlanGroup | None:
    return next((group for group in groups if group.place_of(product_id) is not None), None)


def _bought(funnel: Funnel) -> set[str]:
    """Return the products that an order must be of for a funnel to match, empty if that is not said."""
    return {
        str(product_id)
        for group in funnel.rules
        for condition in group
        if (condition.field, condition.operator) == ("product", "is") and len(group) == 1
        for product_id in condition.value
    }
