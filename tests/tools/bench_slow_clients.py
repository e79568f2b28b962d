"""Slow clients: connections that send half a head and wait, as a phone in a tunnel does, or an attacker."""

import socket
from contextlib import ExitStack
from statistics import median

from tests.installation import Installation
from tests.tools import load
from tests.tools.bench_rows import Row, percentile
from tests.tools.bench_shop import Ready

_SLOW = 40


def measure_slow_clients(shop: Installation, ready: list[Ready]) -> list[Row]:
    """Offer pages for others while more connections than the server has threads have sent only half a request."""
    with ExitStack() as stack:
        for _ in range(_SLOW):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", shop.port), timeout=5))
            sock.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{shop.port}\r\nAccept".encode())
        found = load.run(shop.port, [one.page for one in ready], connections=4, total=100, patience_s=5)
    answered = found.count(200)
    wall = [answer.wall_ms for answer in found.answers if answer.status] or [0.0]
    words = f"{answered} of 100 pages answered, p50 {median(wall):.1f}, p99 {percentile(wall, 0.99):.1f} ms"
    return [Row(f"{_SLOW} clients that send half a head", words, "all answered", answered == 100)]
