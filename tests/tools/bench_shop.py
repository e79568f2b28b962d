"""The installation a benchmark runs on: its web server, its buyers, and what both cost."""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlencode

from encore.web_server import web_command
from tests.installation import Buyer, Installation, read_form
from tests.sandbox_process import ROOT, wait_for

APP = "tests.tools.timed_app:create_app"
# What the product would use, not the shortened times of the tests; only limits and call budget are lifted.
SETTINGS = {
    "ENCORE_TESTING": "1",
    "ENCORE_LIMITS": "off",
    "ENCORE_DODO_TIER": "off",
    "ENCORE_CHARGE_TIMEOUT_S": "13",
    "ENCORE_BUDGET_S": "19",
    "ENCORE_QUARANTINE_S": "2",
    "ENCORE_LOOK_EVERY_S": "0.5",
    "ENCORE_POLL_EVERY_S": "300",
}
# Buyers are made by this many threads at once: their time is not measured.
_SHOPPERS = 8


def _gunicorn(workers: int, threads: int) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", f"{APP}()", "--bind", f"127.0.0.1:{port}", "--no-control-socket"),
            *("--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)),
            *("--graceful-timeout", "20", "--log-level", "warning"),
        ]

    return command


def _granian(workers: int, threads: int) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        words = web_command(APP, port)
        words[words.index("--workers") + 1] = str(workers)
        words[words.index("--blocking-threads") + 1] = str(threads)
        return words

    return command


# The servers compared; "the product" is what `python app.py` starts.
SERVERS: dict[str, Callable[[int], list[str]]] = {
    "the product": lambda port: web_command(APP, port),
    "gunicorn 1x32": _gunicorn(1, 32),
    "gunicorn 1x16": _gunicorn(1, 16),
    "gunicorn 2x16": _gunicorn(2, 16),
    "granian 1x32": _granian(1, 32),
    "granian 1x16": _granian(1, 16),
    "granian 2x16": _granian(2, 16),
}


@dataclass(frozen=True)
class Ready:
    """A buyer with an offer before them, and the requests their browser would send."""

    email: str
    instance_id: str
    page: str
    accept: str


@dataclass(frozen=True)
class Memory:
    """Resident and proportional memory of the web processes, in MB, the largest process and all together."""

    largest_rss: float
    total_pss: float


def start_web(shop: Installation, server: str) -> None:
    """Start one of SERVERS and wait until it answers."""
    with (shop.folder / "web.log").open("ab") as log:
        shop.web = subprocess.Popen(
            SERVERS[server](shop.port), cwd=ROOT, env=shop.env, stdout=log, stderr=log, start_new_session=True
        )
    wait_for(lambda: _answers(shop.url), limit_s=20, what="the web process")


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/healthz", timeout=2):
            return True
    except OSError:
        return False


def make_ready(shop: Installation, count: int, *, tag: str, slug: str = "starter-course") -> list[Ready]:
    """Let `count` new buyers pay for the first product and come back to their offer."""

    def one(number: int) -> Ready:
        buyer = Buyer(shop, f"{tag}{number}@example.com")
        return read_ready(buyer, buyer.buy(slug))

    with ThreadPoolExecutor(_SHOPPERS) as pool:
        return list(pool.map(one, range(count)))


def pay(shop: Installation, count: int, *, tag: str) -> list[Buyer]:
    """Let `count` new buyers pay without coming back to the shop yet."""

    def one(number: int) -> Buyer:
        buyer = Buyer(shop, f"{tag}{number}@example.com")
        started = buyer.post_form(buyer.get("/p/starter-course"), "buy")
        session_id = started.headers["location"].rsplit("/", 1)[1]
        paid = shop.sandbox.pay(session_id, email=buyer.email)
        buyer.ref = paid.headers["location"].split("?")[0].rsplit("/", 1)[1]
        return buyer

    with ThreadPoolExecutor(_SHOPPERS) as pool:
        return list(pool.map(one, range(count)))


def read_ready(buyer: Buyer, html: str) -> Ready:
    """Take the page a buyer is on apart into what the load client sends."""
    action, fields = read_form(html, "offer-accept")
    page = action.rsplit("/", 1)[0]
    return Ready(
        email=buyer.email,
        instance_id=page.rsplit("/", 1)[1],
        page=write_request(buyer, "GET", page),
        accept=write_request(buyer, "POST", action, fields),
    )


def write_request(buyer: Buyer, method: str, path: str, fields: dict[str, str] | None = None, *more: str) -> str:
    """Write a request out as this buyer's browser sends it, `more` being further lines of its head."""
    body = urlencode(fields) if fields else ""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in buyer.session.cookies)
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{buyer.shop.port}", f"Cookie: {cookies}"]
    lines += ["Accept: text/html", "Accept-Language: en", "Accept-Encoding: gzip, br"]
    lines += more
    if method == "POST":
        lines += [f"Origin: {buyer.shop.url}", "Sec-Fetch-Site: same-origin"]
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines) + "\r\n\r\n" + body


class Meter:
    """Processor time of web and sandbox since it was made, in milliseconds; zero where there is no /proc."""

    def __init__(self, shop: Installation) -> None:
        self._shop = shop
        self._web, self._sandbox = self._read()

    def read(self) -> tuple[float, float]:
        """Return what the web processes and the sandbox have used."""
        web, sandbox = self._read()
        return web - self._web, sandbox - self._sandbox

    def _read(self) -> tuple[float, float]:
        web = sum(processor_ms(pid) for pid in web_pids(self._shop))
        return web, processor_ms(self._shop.sandbox.process.pid)


def web_pids(shop: Installation) -> list[int]:
    """Return the web server's processes; it leads a process group of its own."""
    if shop.web is None or not os.path.isdir("/proc/self"):
        return []
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if _group_of(pid) == shop.web.pid]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def processor_ms(pid: int) -> float:
    """Return the processor time a process has used, in milliseconds; zero where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat") as source:
            fields = source.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def read_memory(shop: Installation) -> Memory | None:
    """Return what the web processes hold now; None where the system does not tell."""
    found = [_memory_of(pid) for pid in web_pids(shop)]
    if not found:
        return None
    return Memory(largest_rss=max(rss for rss, _ in found), total_pss=sum(pss for _, pss in found))


def _memory_of(pid: int) -> tuple[float, float]:
    with open(f"/proc/{pid}/smaps_rollup") as source:
        text = source.read()
    sizes = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE))
    return int(sizes["Rss"]) / 1024, int(sizes["Pss"]) / 1024
