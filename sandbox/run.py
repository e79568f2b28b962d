"""Start and stop the twin's server."""

import argparse
import signal
import sqlite3
import threading
from errno import ENOENT
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO

from .contract import contract_router
from .control.demo import seed
from .control.webhooks import checked_secret
from .core.clock import Clock
from .core.endpoints import set_first_endpoint
from .core.ids import Ids
from .core.store import Store
from .core.twin import Options, Twin
from .http.call import WireError
from .http.faults import is_seconds
from .http.gateway import Gateway
from .http.server import Server
from .routes import create_router
from .webhooks.background import Background
from .webhooks.delivery import TIMEOUT_S
from .webhooks.endpoints import read_url


def run_server(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    options = _read(arguments)
    try:
        # Held, not used: it goes with the process, however that ends.
        lock = _lock(options.db)
        store = Store(options.db)
    except (OSError, sqlite3.Error) as error:
        print(f"sandbox: cannot use {options.db}: {getattr(error, 'strerror', None) or error}")
        return 1
    try:
        server = Server(options.host, options.port)
    except OSError as error:
        print(f"sandbox: cannot listen on {options.host}:{options.port}: {error.strerror}")
        return 1
    twin = _twin(options, store, server)
    background = Background(twin, timeout_s=options.webhook_timeout_s)
    router = create_router(twin)
    gateway = Gateway(contract_router(router, twin) if options.contract else router, twin)
    background.start()
    try:
        # An exception, for a handler that sets an event can come while that very event is being looked at.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        server.start(gateway)
        print(f"sandbox: listening on http://{options.host}:{server.port}", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    background.stop()
    server.stop()
    lock.close()
    return 0


def _lock(db: Path) -> IO[bytes]:
    """Return a lock on the sandbox's file, for two processes would each do what is due; raises OSError if it is held.

    It is a file beside: closing any handle on the SQLite file itself would drop SQLite's own locks.
    """
    if not db.parent.is_dir():
        raise FileNotFoundError(ENOENT, f"there is no folder {db.parent}")
    lock = db.with_name(db.name + ".lock").open("ab")
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise BlockingIOError(error.errno, "another sandbox is running on it") from None
    return lock


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Dodo Payments' offline twin",
        epilog="Commands for one that runs: python -m sandbox help",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=4010, help="0 picks a free one")
    parser.add_argument("--db", type=Path, required=True, help="the sandbox's SQLite file")
    parser.add_argument("--webhook-url", help="where events are delivered")
    parser.add_argument("--webhook-secret", help="whsec_ and base64")
    parser.add_argument("--webhook-timeout-s", type=_seconds, default=TIMEOUT_S)
    parser.add_argument("--api-key", help="the only key taken from another machine; loopback may use any")
    parser.add_argument("--public-url", help="how browsers reach the sandbox")
    parser.add_argument("--seed", type=int, help="make the same ids in every run")
    parser.add_argument("--no-demo", action="store_true", help="start without the demo catalogue")
    parser.add_argument("--contract", action="store_true", help="answer the official SDK's own tests; nothing lasts")
    options = parser.parse_args(arguments)
    if bool(options.webhook_url) != bool(options.webhook_secret):
        parser.error("--webhook-url and --webhook-secret go together")
    try:
        if options.webhook_secret:
            checked_secret(options.webhook_secret, "--webhook-secret")
        for name in ("--webhook-url", "--public-url"):
            url = getattr(options, name[2:].replace("-", "_"))
            if url is not None:
                read_url({name: url}, name)
    except WireError as error:
        parser.error(error.message)
    return options


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65_535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    # An hour is more than any shop takes (our choice).
    if not is_seconds(text) or not 0 < float(text) <= 3600:
        raise argparse.ArgumentTypeError("must be more than 0, at most 3600")
    return float(text)


def _ids(store: Store, seed: int | None) -> Ids:
    """Return the source of ids; with a seed, one that gives a file started again no id that it may have already."""
    starts = int(store.setting("starts", 0))
    store.set_setting("starts", starts + 1)
    return Ids(f"{seed}/{starts}" if seed is not None and starts else seed)


def _twin(options: argparse.Namespace, store: Store, server: Server) -> Twin:
    host = f"[{options.host}]" if ":" in options.host else options.host
    public_url = (options.public_url or f"http://{host}:{server.port}").rstrip("/")
    twin = Twin(
        store=store,
        clock=Clock(store),
        ids=_ids(store, options.seed),
        options=Options(public_url=public_url, api_key=options.api_key, demo=not options.no_demo),
        server=server,
    )
    if options.webhook_url:
        set_first_endpoint(twin, {"url": options.webhook_url, "secret": options.webhook_secret, "old_secrets": []})
    if twin.options.demo:
        with store.write():
            seed(twin)
    return twin
