"""`reconcile`: ask the provider for everything of the last weeks and settle what we do not know."""

import click

from encore.services import reconcile as reconcile_service

from .output import Shop, with_shop


@click.command()
@with_shop
def reconcile(shop: Shop) -> None:
    """Read five weeks of payments, settle by them, and look at every attempt that is due."""
    changed = reconcile_service.sweep(shop)
    looked = reconcile_service.look_due(shop, reconcile_service.Quarantine())
    click.echo(f"{changed} payments changed something; {looked} attempts looked at")


COMMANDS = (reconcile,)
