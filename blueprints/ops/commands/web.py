"""`web`: become the web process, once settings and schema are known to be right."""

import os
import socket
from pathlib import Path

import click

from encore.web_server import web_command

from .output import Shop, fail, with_shop


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; TLS is the business of a proxy.")
@with_shop
def web(shop: Shop, host: str) -> None:
    """Serve pages and webhooks on PORT until SIGTERM or Ctrl-C; charges under way are then finished."""
    # What is wrong with the settings was said on the way here: each process of the server would say it again.
    package = __name__.partition("blueprints")[0]
    command = web_command(f"{package}app:create_app", shop.settings.port, host=host)
    shop.close()
    _demand_free(host, shop.settings.port)
    os.execve(command[0], command, os.environ if package else _with_checkout(os.environ))


def _demand_free(host: str, port: int) -> None:
    """End the command if somebody listens there: the server would share the port with them, and the requests too."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fail(f"{host} port {port} cannot be taken ({error.strerror}): set PORT to a free one.")


def _with_checkout(environ: "os._Environ[str]") -> dict[str, str]:
    """Let the server find a checkout's modules from any folder, as this command found them."""
    paths = [str(Path(__file__).parents[3]), environ.get("PYTHONPATH", "")]
    return {**environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


COMMANDS = (web,)
