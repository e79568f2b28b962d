"""`alarms`: what a person must look at, and the word that it was looked at."""

import click

from encore.services import bookkeeping
from encore.store import alarms as alarm_rows

from .output import Shop, fail, json_option, print_records, with_shop


@click.group()
def alarms() -> None:
    """What a person must look at."""


@alarms.command("list")
@json_option
@with_shop
def list_standing(shop: Shop, as_json: bool) -> None:
    """List the alarms that stand, oldest first."""
    found = alarm_rows.list_standing(shop.store)
    print_records(found, columns=("kind", "object", "detail", "raised_at"), as_json=as_json, empty="No alarms.")


@alarms.command()
@click.argument("kind")
@click.argument("object_id", metavar="OBJECT")
@with_shop
def clear(shop: Shop, kind: str, object_id: str) -> None:
    """Say that an alarm was dealt with: it is raised again should the same happen anew."""
    if not bookkeeping.clear_alarm(shop, kind, object_id=object_id):
        fail(f"No alarm {kind} stands for {object_id}.")
    click.echo(f"cleared  {kind}  {object_id}")


COMMANDS = (alarms,)
