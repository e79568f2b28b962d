"""`web`: become the web process, once settings and schema are known to be right."""

import os

import click

from encore.web_server import web_command

from .output import Shop, with_shop


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; TLS is the business of a proxy.")
@with_shop
def web(shop: Shop, host: str) -> None:
    """Serve pages and webhooks on PORT until SIGTERM or Ctrl-C; charges under way are then finished."""
    # What is wrong with the settings was said on the way here: each process of the server would say it again.
    package = __name__.partition("blueprints")[0]
    command = web_command(f"{package}app:create_app", shop.settings.port, host=host)
    shop.close()
    os.execv(command[0], command)


COMMANDS = (web,)
