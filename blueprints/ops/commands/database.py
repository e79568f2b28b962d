"""`db`: the schema. It alone runs while migrations are pending."""

import click

from encore.store import schema

from .output import Shop, fail, with_shop


@click.group()
def db() -> None:
    """The schema of the store."""


@db.command()
@with_shop
def upgrade(shop: Shop) -> None:
    """Apply every migration that is pending."""
    try:
        done = schema.upgrade(shop.store, now=shop.now())
    except schema.SchemaChanged as error:
        fail(f"{error} was edited after it was applied: use the release it came with.")
    click.echo("\n".join(f"applied {name}" for name in done) or "up to date")


@db.command()
@with_shop
def status(shop: Shop) -> None:
    """List what is applied and what is pending; status 1 if anything is."""
    try:
        missing = schema.pending(shop.store)
    except schema.SchemaChanged as error:
        fail(f"{error} was edited after it was applied: use the release it came with.")
    for migration in schema.migrations():
        click.echo(f"{'pending' if migration.name in missing else 'applied'}  {migration.name}")
    if missing:
        raise click.exceptions.Exit(1)


COMMANDS = (db,)
