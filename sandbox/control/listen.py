"""`listen`: one more endpoint for as long as the command runs, and a line for each delivery."""

import signal
import time
from typing import Any

from ..core.clock import rfc3339
from .client import Client

# How often new deliveries are asked for.
POLL_S = 0.3


def listen(client: Client, url: str, types: list[str]) -> None:
    """Forward events to `url` until SIGINT or SIGTERM; prints the signing secret once, then each delivery.

    Raises CommandError if the sandbox refuses the address or is gone.
    """
    # Both raise KeyboardInterrupt, also where a shell has told its background jobs to ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    endpoint = client.post("endpoints", {"url": url, "description": "listen", "filter_types": types})
    try:
        print(f"Forwarding to {url}; the signing secret is {endpoint['secrets'][0]} (Ctrl-C ends it)", flush=True)
        _follow(client, endpoint["id"])
    except KeyboardInterrupt:
        pass
    finally:
        client.delete(f"endpoints/{endpoint['id']}")


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
