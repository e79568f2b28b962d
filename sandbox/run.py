"""Start and stop the twin's server."""

import argparse
import signal
import threading
from pathlib import Path

from .contract import contract_router
from .control.demo import seed
from .control.webhooks import checked_secret
from .core.clock import Clock
from .core.endpoints import set_first_endpoint
from .core.ids import Ids
from .core.store import Store
from .core.twin import Options, Twin
from .http.call import WireError
from .http.gateway import Gateway
from .http.server import Server
from .routes import create_router
from .webhooks.background import Background
from .webhooks.delivery import TIMEOUT_S


def run_server(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    options = _read(arguments)
    store = Store(options.db)
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
    return 0


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Dodo Payments' offline twin",
        epilog="Commands for one that runs: python -m sandbox help",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4010, help="0 picks a free one")
    parser.add_argument("--db", type=Path, required=True, help="the sandbox's SQLite file")
    parser.add_argument("--webhook-url", help="where events are delivered")
    parser.add_argument("--webhook-secret", help="whsec_ and base64")
    parser.add_argument("--webhook-timeout-s", type=float, default=TIMEOUT_S)
    parser.add_argument("--api-key", help="the only key taken from another machine; loopback may use any")
    parser.add_argument("--public-url", help="how browsers reach the sandbox")
    parser.add_argument("--seed", type=int, help="make the same ids in every run")
    parser.add_argument("--no-demo", action="store_true", help="start without the demo catalogue")
    parser.add_argument("--contract", action="store_true", help="answer the official SDK's own tests; nothing lasts")
    options = parser.parse_args(arguments)
    if bool(options.webhook_url) != bool(options.webhook_secret):
        parser.error("--webhook-url and --webhook-secret go together")
    if options.webhook_secret:
        try:
            checked_secret(options.webhook_secret, "--webhook-secret")
        except WireError as error:
            parser.error(error.message)
    return options


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
