"""`dodo sync` and `seed`: the provider's products, and the demo made from them."""

import click

from encore.services import catalogue as catalogue_service
from encore.services import demo

from .output import Shop, with_shop

_SEEDED = {
    "seeded": "The demo's offers are live.",
    "already": "The demo was seeded before; nothing was changed.",
    "own_offers": "There are offers already; nothing was changed.",
    "other_catalogue": "The provider does not sell the demo's products; nothing was changed.",
}


@click.group()
def dodo() -> None:
    """The provider."""


@dodo.command()
@with_shop
def sync(shop: Shop) -> None:
    """Copy the provider's products into the shop."""
    found = catalogue_service.sync(shop)
    click.echo(f"{found.on_sale} products on sale")
    for product_id in found.archived:
        click.echo(f"archived {product_id}")


@click.command()
@click.option("--demo", "is_demo", is_flag=True, required=True, help="The demo shop's offers.")
@with_shop
def seed(shop: Shop, is_demo: bool) -> None:
    """Make the demo's offers in a store that has none."""
    click.echo(_SEEDED[demo.seed(shop)])


COMMANDS = (dodo, seed)
