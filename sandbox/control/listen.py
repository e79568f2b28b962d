"""`listen`: one more endpoint for as long as the command runs, and a line for each delivery."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..core.clock import rfc3339
from .client import Client

# How often new deliveries are asked for.
POLL_S = 0.3


def listen(client: Client, url: str | None, types: list[str]) -> None:
    """Send events to `url` until SIGINT or SIGTERM; prints the signing secret once, then each delivery.

    Without an address the command receives them itself and answers 200, for whoever has no shop yet. Raises
    CommandError if the sandbox refuses the address or is gone.
    """
    # Both raise KeyboardInterrupt, also where a shell has told its background jobs to ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if url is None:
        with _receiver() as own:
            _listen(client, own, types, f"Receiving at {own}")
    else:
        _listen(client, url, types, f"Forwarding to {url}")


def _listen(client: Client, url: str, types: list[str], title: str) -> None:
    endpoint = client.post("endpoints", {"url": url, "description": "listen", "filter_types": types})
    try:
        print(f"{title}; the signing secret is {endpoint['secrets'][0]} (Ctrl-C ends it)", flush=True)
        _follow(client, endpoint["id"])
    except KeyboardInterrupt:
        pass
    finally:
        client.delete(f"endpoints/{endpoint['id']}")


@contextmanager
def _receiver() -> Iterator[str]:
    """Answer 200 to whatever is sent to a free port of this machine; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taken)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class _Taken(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: each delivery is a line already."""


def _follow(client: Client, endpoint_id: str) -> None:
    last = 0
    while True:
        for delivery in client.get(f"deliveries?endpoint_id={endpoint_id}&after={last}")["items"]:
            print(line(delivery), flush=True)
            last = delivery["id"]
        time.sleep(POLL_S)


def line(delivery: Any) -> str:
    """Return one delivery as a line: time, answer, event, id, latency."""
    at = rfc3339(delivery["at"])[:19].replace("T", " ")
    answer = delivery["status"] or delivery["error"]
    tried = f" try {delivery['try']}" if delivery["try"] > 1 else ""
    return f"{at}  [{answer}]  {delivery['type']}{tried}  {delivery['webhook_id']}  {delivery['latency_ms']:.0f} ms"
