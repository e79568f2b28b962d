"""`mail link`: the way into the test mail page."""

import click

from encore.services import mail as mail_service

from .output import Shop, fail, with_shop


@click.group()
def mail() -> None:
    """Messages."""


@mail.command()
@with_shop
def link(shop: Shop) -> None:
    """Print a link that opens the test mail page once."""
    if not shop.settings.is_sandbox:
        fail("The test mail page exists with the sandbox only.")
    click.echo(mail_service.mail_link(shop))


COMMANDS = (mail,)
