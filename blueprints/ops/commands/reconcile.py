"""`reconcile`: ask the provider for everything of the last weeks and settle what we do not know."""

import click

from encore.services import poll
from encore.services import reconcile as reconcile_service
from encore.services.rebuild import rebuild as rebuild_service

from .output import Shop, fail, with_shop


@click.command()
@click.option(
    "--rebuild", "is_rebuild", is_flag=True, help="After an older backup was restored: take in what it lacks."
)
@with_shop
def reconcile(shop: Shop, is_rebuild: bool) -> None:
    """Read five weeks of payments, settle by them, and look at every attempt that is due."""
    if is_rebuild:
        _rebuild(shop)
        return
    read = poll.sweep(shop)
    looked = reconcile_service.look_due(shop, reconcile_service.Quarantine())
    click.echo(f"{read} payments read; {looked} attempts looked at")


def _rebuild(shop: Shop) -> None:
    found = rebuild_service(shop)
    click.echo(f"{found.settled} payments settled; {len(found.left_to_person)} left to a person")
    for payment_id in found.left_to_person:
        click.echo(f"left to a person  {payment_id}")
    if not found.is_complete:
        fail("The provider did not show everything: run it again.")


COMMANDS = (reconcile,)
