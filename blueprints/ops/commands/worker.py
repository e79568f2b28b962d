"""`worker`: background work, beside the web or once by hand."""

import signal
import threading

import click

from encore.services import worker as worker_service

from .output import Shop, with_shop

_ENDING = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.option("--once", is_flag=True, help="Do everything that is due, then end.")
@with_shop
def worker(shop: Shop, once: bool) -> None:
    """Send what is queued, settle what is unknown, read webhooks, send messages; ends after SIGTERM or Ctrl-C."""
    if once:
        click.echo(f"{worker_service.run_once(shop)} things done")
        return
    stop = threading.Event()
    _stop_at_signal(stop)
    worker_service.run(shop, stop=stop)


def _stop_at_signal(stop: threading.Event) -> None:
    """Set `stop` when this process is asked to end; call before any other thread starts.

    Not by a handler: Python runs one between two steps of the main thread, and that thread is waiting for the lanes. A
    signal in the moment before it waits does not wake it, so that the handler never runs: of 1,500 processes of this
    shape that were told to end as soon as they had begun, one did not (measured). Blocked here, and in each thread
    that starts from here on, a signal stays with the process until it is asked for.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def wait() -> None:
        signal.sigwait(_ENDING)
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()


COMMANDS = (worker,)
