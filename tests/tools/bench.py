"""`make bench`: what Encore and its sandbox cost and how quick they are. Nothing here fails a build: misses are marked.

`--sandbox` measures the sandbox alone. `--compare` measures the web servers of `bench_shop.SERVERS` against each other
instead, `--only WORD` some of them.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from encore.store.engine import sqlite_version
from tests.installation import Installation, running_installation
from tests.tools import bench_rows as rows
from tests.tools.bench_accounts import measure_many_orders, measure_plans
from tests.tools.bench_rows import Row
from tests.tools.bench_sandbox import measure_sandbox
from tests.tools.bench_shop import SERVERS, SETTINGS, make_ready, start_web, web_pids
from tests.tools.bench_slow_clients import measure_slow_clients

_BATCHES = 3


def main() -> None:
    """Run, print the table, exit 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench", description=__doc__)
    parser.add_argument("--compare", action="store_true", help="compare web servers instead")
    parser.add_argument("--sandbox", action="store_true", help="measure the sandbox alone")
    parser.add_argument("--only", default="", help="with --compare: servers whose name holds this")
    parser.add_argument("--buyers", type=int, default=120, help="buyers of each of the three rounds of accepts")
    options = parser.parse_args()
    began = time.monotonic()
    if options.compare:
        for server in SERVERS:
            if server != "the product" and options.only in server:
                _print_table(f"web server: {server}", _compare(server, buyers=options.buyers))
    else:
        _print_settings()
        if not options.sandbox:
            _print_table("make bench", _measure(buyers=options.buyers))
        _print_table("the sandbox", measure_sandbox())
    print(f"\n{time.monotonic() - began:.0f} s in all; load average {os.getloadavg()[0]:.1f}")


def _measure(*, buyers: int) -> list[Row]:
    found: list[Row] = []
    with _installation("the product") as shop:
        # No worker and no webhooks yet: what is measured is the web tier.
        shop.sandbox.webhooks(drop=True)
        batches = [make_ready(shop, buyers, tag=f"batch{number}-") for number in range(_BATCHES)]
        found += rows.measure_own_time(shop, buyers=40)
        found += rows.measure_pages(shop, batches[0], rounds=_BATCHES, pages=1500)
        found += rows.measure_accepts(shop, batches)
        found += rows.measure_memory(shop)
        shop.sandbox.webhooks(drop=False)
        shop.start_worker()
        found += rows.measure_prepared(shop, buyers=20)
        found += rows.measure_webhooks(shop, per_second=100, seconds=5)
        found += rows.measure_slow_charges(shop, buyers=32)
        found += rows.measure_shutdown(shop, buyers=6, restart=lambda: start_web(shop, "the product"))
        found += rows.measure_bytes(shop)
        found += measure_plans(shop, buyers=10)
        found += rows.measure_audit(shop)
        # Last: the copied orders are nobody's payments.
        found += measure_many_orders(shop)
        print(f"  processes  1 load client, {len(web_pids(shop))} web, 1 worker, 1 sandbox; {os.cpu_count()} cores")
    return found


def _compare(server: str, *, buyers: int) -> list[Row]:
    found: list[Row] = []
    with _installation(server) as shop:
        shop.sandbox.webhooks(drop=True)
        shop.start_worker()
        batches = [make_ready(shop, buyers, tag=f"batch{number}-") for number in range(_BATCHES)]
        found += rows.measure_pages(shop, batches[0], rounds=_BATCHES, pages=1500)
        found += rows.measure_accepts(shop, batches)
        found += rows.measure_memory(shop)
        found += rows.measure_slow_charges(shop, buyers=32)
        found += measure_slow_clients(shop, make_ready(shop, 4, tag="patient"))
        found += rows.measure_shutdown(shop, buyers=6, restart=lambda: start_web(shop, server))
        found += rows.measure_audit(shop)
    return found


@contextmanager
def _installation(server: str) -> Iterator[Installation]:
    with tempfile.TemporaryDirectory() as folder, running_installation(Path(folder), **SETTINGS) as shop:
        start_web(shop, server)
        yield shop


def _print_settings() -> None:
    settings = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
    print(f"  settings   {settings}")
    print("  load tool  tests/tools/load.py: raw sockets in a process of its own, 8 connections unless a row says else")
    print("  times      medians of three rounds; own time is wall time without that of open provider calls")
    print(
        f"  versions   Python {platform.python_version()}, SQLite {sqlite_version()}, granian {version('granian')},"
        f" {platform.system()} {platform.machine()}"
    )


def _print_table(title: str, found: list[Row]) -> None:
    print(f"\n{title}")
    wide = max(len(row.what) for row in found)
    for row in found:
        mark = {True: "ok  ", False: "MISS", None: "    "}[row.is_met]
        print(f"  {mark}  {row.what:<{wide}}  {row.value}" + (f"  [{row.bar}]" if row.bar else ""))


if __name__ == "__main__":
    main()
