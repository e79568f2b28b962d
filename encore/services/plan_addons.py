"""A subscription's add-ons as its buyer sees them: those to choose from, and what a change does to those held."""

from collections.abc import Iterable
from dataclasses import dataclass

from encore.rules.money import Money
from encore.rules.plan_changes import Addon
from encore.services.shop import Shop
from encore.store import addons as rows
from encore.store import catalogue


@dataclass(frozen=True, kw_only=True)
class AddonChoice:
    """An add-on that a subscription has or may have, and how many it has; no `price`: it is not listed any more."""

    id: str
    name: str
    description: str
    price: Money | None
    interval_count: int | None
    interval_unit: str | None
    quantity: int


@dataclass(frozen=True, kw_only=True)
class AddonChange:
    """An add-on that a subscription has, or has after a change, and how many before and after."""

    name: str
    before: int
    after: int

    @property
    def is_changed(self) -> bool:
        """Whether it is added, removed, or becomes more or fewer."""
        return self.before != self.after


def list_choices(shop: Shop, product_id: str, held: Iterable[Addon]) -> tuple[AddonChoice, ...]:
    """Return the add-ons of a plan, those held first though they be listed no more."""
    product = catalogue.get_product(shop.store, product_id)
    has = {addon.addon_id: addon.quantity for addon in held}
    listed = {addon.id: addon for addon in rows.list_of_product(shop.store, product_id)}
    return tuple(
        AddonChoice(
            id=addon_id,
            name=listed[addon_id].name if addon_id in listed else name_of(shop, addon_id),
            description=listed[addon_id].description if addon_id in listed else "",
            price=Money(listed[addon_id].price_minor, listed[addon_id].currency) if addon_id in listed else None,
            interval_count=product.interval_count if product else None,
            interval_unit=product.interval_unit if product else None,
            quantity=has.get(addon_id, 0),
        )
        for addon_id in dict.fromkeys((*has, *listed))
    )


def list_changes(shop: Shop, before: Iterable[Addon], after: Iterable[Addon]) -> tuple[AddonChange, ...]:
    """Return every add-on before and after a change."""
    old = {addon.addon_id: addon.quantity for addon in before}
    new = {addon.addon_id: addon.quantity for addon in after}
    return tuple(
        AddonChange(name=name_of(shop, addon_id), before=old.get(addon_id, 0), after=new.get(addon_id, 0))
        for addon_id in dict.fromkeys((*old, *new))
    )


def name_of(shop: Shop, addon_id: str) -> str:
    """Return what the provider calls an add-on, or its id where it never was listed."""
    addon = rows.get_addon(shop.store, addon_id)
    return addon.name if addon else addon_id
