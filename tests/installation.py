"""A whole installation in its own processes: sandbox, web, worker, and browsers that speak plain HTTP to it.

Crashes, races and faults are tested here: what is killed is a real process, what is lost is a real answer.
"""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from encore.services import catalogue, demo
from encore.services.shop import open_shop
from encore.settings import load_settings
from encore.store import Store, open_store, schema
from encore.tokens import make_link_token
from encore.web_server import web_command
from tests import nursery
from tests.nursery import Child
from tests.sandbox_process import SandboxProcess, start_sandbox, wait_for

# What 13 s, 15 min and 8 s are in a test, where nobody waits for real minutes (proof.md, section 1).
QUICK = {
    "ENCORE_TESTING": "1",
    "ENCORE_LIMITS": "off",
    "ENCORE_DODO_TIER": "off",
    "ENCORE_CHARGE_TIMEOUT_S": "0.5",
    "ENCORE_BUDGET_S": "3",
    "ENCORE_QUARANTINE_S": "0.6",
    "ENCORE_LOOK_EVERY_S": "0.1",
    "ENCORE_POLL_EVERY_S": "1",
}


@dataclass
class Installation:
    """One shop: `env` is what its processes see, `web` and `worker` run while they are not None."""

    folder: Path
    port: int
    sandbox: SandboxProcess
    env: dict[str, str]
    web: Child | subprocess.Popen[bytes] | None = None
    worker: Child | None = None
    _stores: list[Store] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The shop's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Store:
        """The installation's rows, read by the test beside the processes."""
        if not self._stores:
            self._stores.append(open_store(self.folder / "encore.sqlite3"))
        return self._stores[0]

    def start_web(self, *, app: str = "app", processes: int = 1, **env: str) -> None:
        """Start the web process and wait until it answers; `app` is the module of its composition root."""
        # One process is started sooner; whoever is about two of them starts two.
        _, _, *command = web_command(f"{app}:create_app", self.port, processes=processes)
        self.web = self._spawn(command, env, log="web.log")
        wait_for(self.answers, limit_s=20, what="the web process")

    def start_worker(self, *, app: str = "app", **env: str) -> None:
        """Start the worker and wait until it has registered, or has met a crash point on the way."""
        worker = self._spawn(["flask", "--app", app, "worker"], env, log="worker.log")
        self.worker = worker
        registered = "SELECT id FROM processes WHERE kind = 'worker' AND pid = :pid"
        wait_for(
            lambda: worker.poll() is not None or self.store.row(registered, pid=worker.pid),
            limit_s=20,
            what="the worker",
        )

    def flask(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        command = ["flask", "--app", "app", *arguments]
        return nursery.run(*command, env={**self.env, **env}, timeout=60)

    def kill(self, name: str) -> None:
        """kill -9 `web` or `worker`, its children too."""
        process: Child | subprocess.Popen[bytes] | None = getattr(self, name)
        if process is not None:
            # One that met its crash point is gone already, its group with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            setattr(self, name, None)

    def stop(self) -> None:
        """End everything."""
        self.kill("web")
        self.kill("worker")
        for store in self._stores:
            store.close()

    def audit(self) -> dict[str, Any]:
        """Run `flask audit` with the sandbox's own log as witness and return its report."""
        witness = self.folder / "witness.json"
        logs = {"requests": self.sandbox.requests(), "deliveries": self.sandbox.deliveries()}
        witness.write_text(json.dumps(logs))
        answer = self.flask("audit", "--json", "--witness", str(witness))
        report: dict[str, Any] = json.loads(answer.stdout or "{}")
        report["exit"], report["errors"] = answer.returncode, answer.stderr
        return report

    def wait_row(self, sql: str, *, limit_s: float = 10.0, **params: object) -> dict[str, Any]:
        """Wait for a row and return it: the synchronisation of every test here."""
        found: dict[str, Any] = wait_for(lambda: self.store.row(sql, **params), limit_s=limit_s, what=sql)
        return found

    def answers(self) -> bool:
        """Return whether the web process answers now."""
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def wait_link(self, address: str, *, number: int = 0) -> str:
        """Wait for the worker to mail the sign-in link with this number, from 0, to an address; returns its path."""
        row = self.wait_row(
            "SELECT id FROM sign_in_links WHERE address = :address AND expires_at IS NOT NULL"
            " ORDER BY asked_at LIMIT 1 OFFSET :number",
            address=address,
            number=number,
        )
        return f"/account/sign-in/link/{make_link_token(load_settings(self.env).secret_keys, row['id'])}"

    def _spawn(self, command: list[str], env: dict[str, str], *, log: str) -> Child:
        return nursery.start(*command, env={**self.env, **env}, log=self.folder / log)


@dataclass
class Buyer:
    """A browser without JavaScript: a cookie jar, and the forms of the page it is on."""

    shop: Installation
    email: str
    card: str = "4242424242424242"
    expiry: str = "06/32"
    session: requests.Session = field(default_factory=requests.Session)
    ref: str = ""

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def buy(self, slug: str = "starter-course") -> str:
        """Buy in the shop, pay on the hosted page, and return the return page's HTML."""
        page = self.get(f"/p/{slug}")
        started = self.post_form(page, "buy")
        assert started.status_code == 303, started.text[:300]
        session_id = started.headers["location"].rsplit("/", 1)[1]
        paid = self.shop.sandbox.pay(session_id, card=self.card, email=self.email, expiry=self.expiry)
        self.ref = paid.headers["location"].split("?")[0].rsplit("/", 1)[1]
        return self.get(f"/r/{self.ref}")

    def open_link(self) -> str:
        """Ask for a sign-in link and follow it; returns the page with its button."""
        earlier = self.shop.store.rows("SELECT id FROM sign_in_links WHERE address = :address", address=self.email)
        asked = self.post_form(self.get("/account/sign-in"), "sign-in", email=self.email)
        assert asked.status_code == 303, asked.text[:300]
        return self.get(self.shop.wait_link(self.email, number=len(earlier)))

    def sign_in(self) -> str:
        """Prove this buyer's address by the link in the mail; returns the account's page."""
        done = self.post_form(self.open_link(), "sign-in-confirm")
        assert done.status_code == 303, done.text[:300]
        return self.get(done.headers["location"])

    def get(self, path: str) -> str:
        """Read a page, following redirects within the shop."""
        return self.session.get(self.shop.url + path, timeout=20).text

    def post_form(self, html: str, testid: str, **more: str) -> requests.Response:
        """Post the form with this hook as it stands on the page."""
        action, fields = read_form(html, testid)
        headers = {"origin": self.shop.url}
        return self.session.post(
            self.shop.url + action, data={**fields, **more}, headers=headers, allow_redirects=False, timeout=20
        )


def read_form(html: str, testid: str) -> tuple[str, dict[str, str]]:
    """Return the action and the hidden fields of the form with this hook."""
    found = re.search(rf'<form\b[^>]*data-testid="{testid}"[^>]*>.*?</form>', html, re.S)
    assert found is not None, f"no {testid} on: {html[:400]}"
    action = re.search(r'action="([^"]+)"', found[0])
    assert action is not None
    fields = {}
    for tag in re.findall(r"<input\b[^>]*>", found[0]):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name is not None:
            fields[name[1]] = value[1] if value else ""
    return action[1], fields


def outcome_of(html: str) -> str | None:
    """Return the page's `outcome` state, None if it has none."""
    found = re.search(r'data-testid="outcome"[^>]*data-state="([^"]+)"', html) or re.search(
        r'data-state="([^"]+)"[^>]*data-testid="outcome"', html
    )
    return found[1] if found else None


@contextmanager
def running_installation(folder: Path, *, checkout_host: str | None = None, **env: str) -> Iterator[Installation]:
    """Set up a shop with the demo and a sandbox; web and worker are started by the test, and all ends with it.

    `checkout_host` is another name of this machine, such as localhost: browsers then find the hosted pages there, so
    that no cookie is shared and the way back to the shop crosses sites.
    """
    port = free_port()
    sandbox, origins = _start_sandbox(folder, checkout_host)
    env = {**origins, **env}
    try:
        shop = Installation(folder=folder, port=port, sandbox=sandbox, env=_environment(folder, port, sandbox, env))
        _fill(shop)
        secret = load_settings(shop.env).webhook_keys[0]
        sandbox.webhooks(url=f"{shop.url}/webhooks/dodo", secret=secret)
        try:
            yield shop
        finally:
            shop.stop()
    finally:
        sandbox.stop()


def _start_sandbox(folder: Path, checkout_host: str | None) -> tuple[SandboxProcess, dict[str, str]]:
    if checkout_host is None:
        return start_sandbox(folder), {}
    port = free_port()
    origin = f"http://{checkout_host}:{port}"
    sandbox = start_sandbox(folder, port=port, public_url=origin)
    return sandbox, {"ENCORE_CHECKOUT_ORIGINS": origin, "ENCORE_MEDIA_ORIGINS": origin}


def _environment(folder: Path, port: int, sandbox: SandboxProcess, env: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ENCORE_", "DODO_")) and "proxy" not in k.lower()}
    own = {"ENCORE_DATA": str(folder), "PORT": str(port), "SANDBOX_PORT": str(sandbox.port)}
    return {**kept, **QUICK, **own, **env}


def _fill(shop: Installation) -> None:
    """Do here what `db upgrade`, `dodo sync` and `seed --demo` do: three processes less for every shop."""
    opened = open_shop(load_settings(shop.env))
    schema.upgrade(opened.store, now=opened.now())
    catalogue.sync(opened)
    assert demo.seed(opened) == "seeded"
    opened.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
