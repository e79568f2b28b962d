"""The demo shop's offers: imported through the same path as a merchant's own, from a file that ships with us."""

from importlib.resources import files
from typing import Literal

from encore.errors import EncoreError
from encore.services import offer_files
from encore.services.shop import Shop
from encore.store import catalogue, meta, offers

SEEDED_AT = "demo.seeded_at"
_FILE = "starter-course.toml"
_ACCOUNT_FILE = "account.toml"
# The products those files are about, by the names of the sandbox's demo catalogue.
_PRODUCTS = ("starter-course", "complete-bundle", "design-templates")
# And its plans, where the catalogue has them.
_PLANS_FILE = "plans.toml"
_PLANS = ("basic-plan", "pro-plan")

Seeded = Literal["seeded", "already", "own_offers", "other_catalogue"]


class DemoRefused(EncoreError):
    """The shipped demo does not pass the checks of an import; the message names the first fault."""

    code = "demo_refused"


def seed(shop: Shop) -> Seeded:
    """Make the demo's offers in a store that has none, once.

    `own_offers`: the store has offers, which are left alone. `other_catalogue`: the provider sells other products, so
    there is nothing to offer. Raises DemoRefused if the file does not pass its own checks.
    """
    if meta.get_number(shop.store, SEEDED_AT) is not None:
        return "already"
    if offers.list_offers(shop.store):
        return _note(shop, "own_offers")
    if any(catalogue.get_by_slug(shop.store, slug) is None for slug in _PRODUCTS):
        return _note(shop, "other_catalogue")
    _import(shop, _FILE)
    _import(shop, _ACCOUNT_FILE)
    if all(catalogue.get_by_slug(shop.store, slug) is not None for slug in _PLANS):
        _import(shop, _PLANS_FILE)
    return _note(shop, "seeded")


def _import(shop: Shop, file: str) -> None:
    result = offer_files.import_text(shop, _read(file))
    if isinstance(result, offer_files.Refused):
        fault = result.faults[0].fault
        raise DemoRefused(f"{file}: {fault.where}: {fault.key} {dict(fault.values)}")


def demo_text() -> str:
    """Return the demo's offers and funnel as a merchant would write them."""
    return _read(_FILE)


def _read(file: str) -> str:
    return (files("encore.services") / "recipes" / file).read_text("utf-8")


def _note(shop: Shop, what: Seeded) -> Seeded:
    with shop.store.write():
        meta.mark_value(shop.store, SEEDED_AT, value=shop.now())
    return what
