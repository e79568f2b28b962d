"""`worker`: background work, beside the web or once by hand."""

import signal
import threading
from types import FrameType

import click

from encore.services import worker as worker_service

from .output import Shop, with_shop


@click.command()
@click.option("--once", is_flag=True, help="Do everything that is due, then end.")
@with_shop
def worker(shop: Shop, once: bool) -> None:
    """Send what is queued, settle what is unknown, read webhooks, send messages; ends after SIGTERM or Ctrl-C."""
    if once:
        click.echo(f"{worker_service.run_once(shop)} things done")
        return
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    worker_service.run(shop, stop=stop)


COMMANDS = (worker,)
