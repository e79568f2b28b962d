"""What the benchmark measures: each function does one thing to an installation and returns its rows of the table."""

import gzip
import json
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from standardwebhooks import Webhook

from encore.settings import load_settings
from tests.installation import Buyer, Installation
from tests.sandbox_process import wait_for
from tests.tools import load
from tests.tools.bench_shop import Meter, Ready, make_ready, pay, read_memory, read_ready, write_request

# Every call the shop makes for a buyer.
_ENDPOINTS = (
    "POST /checkouts",
    "POST /checkouts/preview",
    "GET /checkouts/{id}",
    "GET /payments/{id}",
    "GET /customers/{id}/payment-methods",
)
_CONNECTIONS = 8
_LIVE = "('queued','sending','unknown','pending','action_required')"


@dataclass(frozen=True)
class Row:
    """A line of the table; `is_met` is None where there is no bar."""

    what: str
    value: str
    bar: str = ""
    is_met: bool | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure_own_time(shop: Installation, *, buyers: int) -> list[Row]:
    """Own time of return page and accept while every answer of the provider takes 100 ms more; two buyers at once."""
    paid = pay(shop, buyers, tag="own")
    with slow_provider(shop, 0.1, _ENDPOINTS):
        returns = load.run(shop.port, [write_request(b, "GET", f"/r/{b.ref}") for b in paid], connections=2)
        ready = [read_ready(buyer, buyer.get(f"/r/{buyer.ref}")) for buyer in paid]
        accepts = load.run(shop.port, [one.accept for one in ready], connections=2)
    return [
        own_row("return page, provider 100 ms: own time", returns, good=200),
        own_row("accept, provider 100 ms: own time", accepts, good=303),
    ]


def own_row(what: str, found: load.Load, *, good: int) -> Row:
    """Return a row of own times, held against 30 ms for 95 of a hundred."""
    own = [answer.own_ms for answer in found.answers]
    p95 = percentile(own, 0.95)
    provider = median(answer.provider_ms for answer in found.answers)
    words = f"p50 {median(own):.1f}, p95 {p95:.1f}, p99 {percentile(own, 0.99):.1f} ms (provider {provider:.0f} ms)"
    return Row(what, words + _faults(found, good), "p95 <= 30 ms", p95 <= 30 and found.count(good) == len(own))


def _faults(found: load.Load, *good: int) -> str:
    bad = len(found.answers) - found.count(*good)
    return f"; {bad} WRONG ANSWERS" if bad else ""


@contextmanager
def slow_provider(shop: Installation, seconds: float, endpoints: Sequence[str]) -> Iterator[None]:
    """Let these endpoints of the provider take so much longer, inside."""
    for endpoint in endpoints:
        shop.sandbox.fault(endpoint, f"slow:{seconds:g}", effect="before", times=1_000_000)
    try:
        yield
    finally:
        shop.sandbox.clear_faults()


def measure_pages(shop: Installation, ready: Sequence[Ready], *, rounds: int, pages: int) -> list[Row]:
    """Offer pages a second, each asked for by the browser it belongs to; the median of `rounds`."""
    requests = [one.page for one in ready]
    done = [_metered(shop, requests, total=pages) for _ in range(rounds)]
    return [_rate_row("offer pages", done, bar=800, good=200)]


def measure_accepts(shop: Installation, batches: Sequence[Sequence[Ready]]) -> list[Row]:
    """Accepts a second with a provider that answers at once; each of a new buyer, each charged exactly once."""
    before = len(shop.sandbox.charges())
    done = [_metered(shop, [one.accept for one in batch], total=len(batch)) for batch in batches]
    _settle_all(shop, limit_s=60)
    charges = len(shop.sandbox.charges()) - before
    accepts = sum(len(batch) for batch in batches)
    paid = _count_outcome(shop, [one for batch in batches for one in batch], outcome="charged")
    return [
        _rate_row("accepts", done, bar=200, good=303),
        _accept_latency_row(done),
        Row(
            "accepts charged exactly once",
            f"{accepts} accepts, {charges} charging requests, {paid} charged",
            "equal",
            accepts == charges == paid,
        ),
    ]


def _accept_latency_row(done: Sequence["Metered"]) -> Row:
    p99 = median(percentile([a.wall_ms for a in one.load.answers], 0.99) for one in done)
    return Row("accept, slowest of a hundred", f"{p99:.0f} ms", "p99 <= 500 ms", p99 <= 500)


@dataclass(frozen=True)
class Metered:
    """One round of load, with the processor time of web and sandbox a request, in ms."""

    load: load.Load
    web_ms: float
    sandbox_ms: float


def _metered(shop: Installation, requests: Sequence[str], *, total: int) -> Metered:
    meter = Meter(shop)
    found = load.run(shop.port, requests, connections=_CONNECTIONS, total=total)
    web_ms, sandbox_ms = meter.read()
    return Metered(found, web_ms / total, sandbox_ms / total)


def _rate_row(what: str, done: Sequence[Metered], *, bar: int, good: int) -> Row:
    rate = median(one.load.per_second for one in done)
    wall = [median(percentile([a.wall_ms for a in one.load.answers], share) for one in done) for share in (0.5, 0.99)]
    words = f"{rate:.0f}/s, p50 {wall[0]:.1f}, p99 {wall[1]:.1f} ms; processor {median(o.web_ms for o in done):.2f} ms"
    sandbox_ms = median(one.sandbox_ms for one in done)
    if sandbox_ms >= 0.1:
        words += f" + sandbox {sandbox_ms:.2f} ms"
    all_good = all(one.load.count(good) == len(one.load.answers) for one in done)
    return Row(
        f"{what} a second",
        words + "".join(_faults(o.load, good) for o in done),
        f">= {bar}/s",
        rate >= bar and all_good,
    )


def measure_prepared(shop: Installation, *, buyers: int) -> list[Row]:
    """The return page of buyers whose webhook came first: the worker has fetched everything, the page asks nothing."""
    paid = pay(shop, buyers, tag="early")
    # The first offer and the one a no leads to, for each order.
    sql = (
        "SELECT count(*) AS n FROM prepared_quotes JOIN orders ON orders.id = prepared_quotes.order_id"
        " JOIN customers ON customers.id = orders.customer_id WHERE customers.email LIKE 'early%'"
    )
    wait_for(lambda: _count(shop, sql) == 2 * buyers, limit_s=30, what="the worker's preparation")
    found = load.run(shop.port, [write_request(b, "GET", f"/r/{b.ref}") for b in paid], connections=1)
    # By the clock in each answer: the worker asks the provider in the same moment, for other reasons.
    asked = sum(answer.provider_ms > 0 for answer in found.answers)
    shown = sum('data-testid="offer"' in buyer.get(f"/r/{buyer.ref}") for buyer in paid)
    wall = [answer.wall_ms for answer in found.answers]
    return [
        Row(
            "return page after the webhook: asks the provider",
            f"{asked} of {shown} pages; p50 {median(wall):.1f}, p95 {percentile(wall, 0.95):.1f} ms",
            "0",
            not asked and shown == buyers,
        )
    ]


def measure_webhooks(shop: Installation, *, per_second: int, seconds: int) -> list[Row]:
    """The answer to deliveries at a steady rate while the worker processes them."""
    bodies = [json.dumps(item["body"]) for item in shop.sandbox.deliveries() if item["type"] == "payment.succeeded"]
    secret = Webhook(load_settings(shop.env).webhook_keys[0])
    requests = [
        _delivery(shop, secret, bodies[number % len(bodies)], webhook_id=f"msg_bench_{number}")
        for number in range(per_second * seconds)
    ]
    found = load.run(shop.port, requests, connections=16, per_second=per_second)
    wall = [answer.wall_ms for answer in found.answers]
    p99 = percentile(wall, 0.99)
    words = f"p50 {median(wall):.1f}, p99 {p99:.1f} ms" + _faults(found, 204)
    return [
        Row(f"webhook answers at {per_second}/s", words, "p99 <= 250 ms", p99 <= 250 and found.count(204) == len(wall))
    ]


def _delivery(shop: Installation, secret: Webhook, body: str, *, webhook_id: str) -> str:
    moment = datetime.now(UTC)
    lines = [
        "POST /webhooks/dodo HTTP/1.1",
        f"Host: 127.0.0.1:{shop.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body.encode())}",
        f"webhook-id: {webhook_id}",
        f"webhook-timestamp: {int(moment.timestamp())}",
        f"webhook-signature: {secret.sign(webhook_id, moment, body)}",
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def measure_slow_charges(shop: Installation, *, buyers: int) -> list[Row]:
    """`buyers` accepts at once while each charge takes 2 s: how long they wait, and what becomes of all."""
    ready = make_ready(shop, buyers, tag="slow")
    with slow_provider(shop, 2, ("POST /checkouts",)):
        began = time.monotonic()
        found = load.run(shop.port, [one.accept for one in ready], connections=buyers)
        _settle_all(shop, limit_s=90)
        seconds = time.monotonic() - began
    slowest = max(answer.wall_ms for answer in found.answers)
    charged = _count_outcome(shop, ready, outcome="charged")
    words = f"slowest answer {slowest / 1000:.2f} s; all settled after {seconds:.1f} s, {charged} charged"
    is_right = charged == buyers == found.count(303)
    return [Row(f"{buyers} accepts, each charge takes 2 s", words + _faults(found, 303), "all charged", is_right)]


def measure_shutdown(shop: Installation, *, buyers: int, restart: Callable[[], None]) -> list[Row]:
    """SIGTERM while `buyers` charges are on their way: each must still be answered, and each attempt settled."""
    ready = make_ready(shop, buyers, tag="term")
    before = len(shop.sandbox.charges())
    web = shop.web
    assert web is not None
    with slow_provider(shop, 1.5, ("POST /checkouts",)):
        running = load.start(shop.port, [one.accept for one in ready], connections=buyers)
        wait_for(lambda: len(shop.sandbox.charges()) - before == buyers, limit_s=20, what="the charging requests")
        web.send_signal(signal.SIGTERM)
        found = running.wait()
        status = web.wait(timeout=30)
    restart()
    _settle_all(shop, limit_s=60)
    charged = _count_outcome(shop, ready, outcome="charged")
    words = f"{found.count(303)} of {buyers} answered, {charged} charged and settled, exit {status}"
    return [Row("SIGTERM in mid-accept", words, "none lost", found.count(303) == charged == buyers and status == 0)]


def measure_memory(shop: Installation) -> list[Row]:
    """What the web server holds after all the load before this."""
    found = read_memory(shop)
    if found is None:
        return [Row("memory of the web server", "not run: this system does not tell")]
    words = f"largest process {found.largest_rss:.0f} MB resident, all {found.total_pss:.0f} MB (pss)"
    return [
        Row("memory of the web server after load", words, "<= 150 MB", max(found.largest_rss, found.total_pss) <= 150)
    ]


def measure_bytes(shop: Installation) -> list[Row]:
    """Bytes of each customer page as served, with everything it loads; compressed in brackets."""
    buyer = Buyer(shop, "bytes@example.com")
    pages = {"shop": "/", "product": "/p/starter-course"}
    buyer.buy()
    pages |= {"return page with offer": f"/r/{buyer.ref}", "order page": f"/orders/{buyer.ref}"}
    rows = [_bytes_row(f"bytes: {name}", buyer.get(path), buyer) for name, path in pages.items()]
    buyer.post_form(buyer.get(f"/r/{buyer.ref}"), "offer-accept")
    return [*rows, _bytes_row("bytes: receipt", buyer.get(f"/r/{buyer.ref}"), buyer)]


def _bytes_row(what: str, html: str, buyer: Buyer) -> Row:
    parts = [html.encode()]
    for address in sorted(set(re.findall(r'(?:href|src)="(/static/[^"#]+)', html))):
        parts.append(buyer.session.get(buyer.shop.url + address, timeout=10).content)
    total, packed = sum(len(part) for part in parts), sum(len(gzip.compress(part)) for part in parts)
    words = f"HTML {len(parts[0]):,}, all {total:,} ({packed:,}) in {len(parts)} requests"
    is_met = len(parts[0]) <= 24_000 and total <= 108_000 and packed <= 34_000 and len(parts) <= 6
    return Row(what, words, "24,000; 108,000 (34,000); 6", is_met)


def measure_audit(shop: Installation) -> list[Row]:
    """`flask audit`, with the sandbox's own log as witness, over everything the benchmark did."""
    report = shop.audit()
    words = f"exit {report['exit']}" + (f": {report['errors'][:200]}" if report["errors"] else "")
    return [Row("audit after all of it", words, "clean", report["exit"] == 0)]


def _settle_all(shop: Installation, *, limit_s: float) -> None:
    sql = f"SELECT count(*) AS n FROM attempts WHERE state IN {_LIVE}"
    wait_for(lambda: _count(shop, sql) == 0, limit_s=limit_s, what="every attempt's end")


def _count_outcome(shop: Installation, ready: Sequence[Ready], *, outcome: str) -> int:
    ids = {one.instance_id for one in ready}
    rows = shop.store.rows("SELECT offer_instance_id AS id FROM acceptances WHERE outcome = :outcome", outcome=outcome)
    return sum(row["id"] in ids for row in rows)


def _count(shop: Installation, sql: str) -> int:
    row = shop.store.row(sql)
    return int(row["n"]) if row else 0
