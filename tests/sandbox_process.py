"""Start the sandbox as the separate program it is, and order things of it over HTTP.

Every suite that needs a provider uses this: `start_sandbox(tmp_path)` gives a running twin on a free port.
"""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 20.0
COURSE = "pdt_StarterCourse000000001"
BUNDLE = "pdt_CompleteBundle00000002"
TEMPLATES = "pdt_DesignTemplates0000003"
BASIC = "pdt_BasicPlan0000000000004"
PRO = "pdt_ProPlan000000000000005"
# Its add-ons: both plans take extra projects at 10, only Pro takes the brand kit at 15.
EXTRA_PROJECT = "adn_ExtraProject0000000001"
BRAND_KIT = "adn_BrandKit0000000000002"
SACH = "pdt_SachBaoBi0000000000006"
ATLAS = "pdt_TypeAtlas0000000000007"
CLUB = "pdt_FontClub00000000000008"


@dataclass
class SandboxProcess:
    """A running sandbox: its address, its control routes, and the one way to end it."""

    process: subprocess.Popen[str]
    url: str
    db: Path
    key: str = "test-key"
    # Called with method, path, status and body of each answer that `get` and `post` take.
    judge: Callable[[str, str, int, Any], None] | None = None
    _session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self._session.trust_env = False

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rsplit(":", 1)[1])

    # The wire, with a key that is taken.

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Send one wire request on a connection of its own; never follows a redirect."""
        headers = {"authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        with requests.Session() as session:
            session.trust_env = False
            options.setdefault("timeout", 10)
            return session.request(
                method, self.url + path, json=body, headers=headers, allow_redirects=False, **options
            )

    def get(self, path: str, **params: Any) -> Any:
        """Read a wire object that must be there."""
        return self._taken(self.call("GET", path, params=params))

    def post(self, path: str, body: Any) -> Any:
        """Send a wire POST that must succeed."""
        return self._taken(self.call("POST", path, body))

    def _taken(self, answer: requests.Response) -> Any:
        assert answer.status_code == 200, answer.text
        body = answer.json() if answer.content else None
        if self.judge is not None and body is not None:
            self.judge(str(answer.request.method), urlsplit(str(answer.request.url)).path, answer.status_code, body)
        return body

    def buy(
        self,
        product_id: str = COURSE,
        *,
        card: str = "4242424242424242",
        email: str = "lan@example.com",
        country: str = "US",
        zipcode: str = "10001",
        quantity: int = 1,
        expiry: str = "06/32",
        **checkout: Any,
    ) -> Any:
        """Buy on the hosted page, as a browser would; returns the payment as the wire shows it."""
        cart = [{"product_id": product_id, "quantity": quantity}]
        session_id = self.post("/checkouts", {"product_cart": cart, **checkout})["session_id"]
        self.pay(session_id, card=card, email=email, country=country, zipcode=zipcode, expiry=expiry)
        return self.get(f"/payments/{self.get(f'/checkouts/{session_id}')['payment_id']}")

    def pay(
        self,
        session_id: str,
        *,
        card: str = "4242424242424242",
        email: str = "lan@example.com",
        country: str = "US",
        zipcode: str = "10001",
        expiry: str = "06/32",
        **more: str,
    ) -> requests.Response:
        """Fill in and send the hosted page's form."""
        form = {
            "email": email,
            "name": "Lan Nguyen",
            "country": country,
            "zipcode": zipcode,
            "card_number": card,
            "expiry": expiry,
            "cvc": "123",
            **more,
        }
        return self._session.post(f"{self.url}/session/{session_id}", data=form, allow_redirects=False, timeout=10)

    def fail_renewal(self, subscription_id: str) -> None:
        """Let a subscription be renewed now, and its card be declined: it goes on hold."""
        customer_id = self.get(f"/subscriptions/{subscription_id}")["customer"]["customer_id"]
        self.next_payment("failed", "INSUFFICIENT_FUNDS", match={"customer_id": customer_id})
        soon = datetime.fromtimestamp(self.control("clock")["now"] / 1000 + 1, UTC).isoformat()
        moved = self.call("PATCH", f"/subscriptions/{subscription_id}", {"next_billing_date": soon})
        assert moved.status_code == 200, moved.text
        self.clock(2)

    def methods(self, customer_id: str) -> list[Any]:
        """Return the customer's saved methods."""
        items: list[Any] = self.get(f"/customers/{customer_id}/payment-methods")["items"]
        return items

    # Control.

    def control(self, route: str, body: Any = None, *, method: str | None = None) -> Any:
        """Call `/_sandbox/<route>`: POST with a body, else GET."""
        method = method or ("GET" if body is None else "POST")
        answer = self._session.request(method, f"{self.url}/_sandbox/{route}", json=body, timeout=10)
        assert answer.status_code in (200, 204), answer.text
        return answer.json() if answer.content else None

    def fault(
        self,
        endpoint: str,
        fault: str,
        *,
        effect: str = "none",
        times: int = 1,
        match: dict[str, Any] | None = None,
        retry_after: str | None = None,
    ) -> Any:
        """Order a fault; the words are in docs/operator/sandbox.md."""
        body = {"endpoint": endpoint, "effect": effect, "fault": fault, "times": times}
        if match is not None:
            body["match"] = match
        if retry_after is not None:
            body["retry_after"] = retry_after
        return self.control("faults", body)

    def clear_faults(self) -> None:
        """Take every fault back."""
        self.control("faults", method="DELETE")

    def next_payment(self, outcome: str, error_code: str | None = None, **more: Any) -> Any:
        """Order the outcome of the next charge."""
        body = {"outcome": outcome, **more}
        if error_code is not None:
            body["error_code"] = error_code
        return self.control("payments", body)

    def switch(self, **values: Any) -> Any:
        """Set switches."""
        return self.control("switches", values)

    def clock(self, advance_s: float) -> Any:
        """Move the sandbox clock."""
        return self.control("clock", {"advance_s": advance_s})

    def lists(self, **orders: Any) -> Any:
        """Order how the list of payments misleads."""
        return self.control("lists", orders)

    def webhooks(self, **orders: Any) -> Any:
        """Order how webhooks are delivered."""
        return self.control("webhooks", orders)

    def requests(self, method: str | None = None, path: str | None = None) -> list[Any]:
        """Return the wire requests received since the last reset, oldest first."""
        log = self.control("requests")
        assert not log["dropped"], "the log is not whole: it proves no absence"
        return [
            item
            for item in log["items"]
            if (method is None or item["method"] == method) and (path is None or item["path"] == path)
        ]

    def charges(self, **metadata: Any) -> list[Any]:
        """Return the confirming `POST /checkouts` received, only those with this metadata."""
        return [
            item
            for item in self.requests("POST", "/checkouts")
            if isinstance(item["body"], dict)
            and item["body"].get("confirm")
            and metadata.items() <= (item["body"].get("metadata") or {}).items()
        ]

    def payments(self) -> list[Any]:
        """Return every payment the sandbox holds, oldest first, as it keeps them."""
        items: list[Any] = self.control("objects/payments")["items"]
        return items

    def deliveries(self) -> list[Any]:
        """Return every webhook delivery tried, oldest first."""
        items: list[Any] = self.control("deliveries")["items"]
        return items

    def reset(self) -> None:
        """Start over; where webhooks go stays."""
        self.control("reset", {})

    def stop(self) -> int:
        """End the process and return its exit status."""
        self._session.close()
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_sandbox(tmp_path: Path, **options: Any) -> SandboxProcess:
    """Start a sandbox on a free port and wait until it answers.

    Options are the command line's: `webhook_url=..., webhook_secret=..., seed=1, no_demo=True, port=...`.
    """
    db = options.pop("db", tmp_path / "sandbox.sqlite3")
    command = [sys.executable, "-m", "sandbox", "--port", str(options.pop("port", 0)), "--db", str(db)]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        command += [flag] if value is True else [flag, str(value)]
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    return SandboxProcess(process, _address(process), Path(db))


def _address(process: subprocess.Popen[str]) -> str:
    """Read the start-up line, which names the port and is printed once the port is open."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_LIMIT_S)
    line = process.stdout.readline() if ready else ""
    listening = re.search(r"listening on http://(\S+):(\d+)", line)
    if listening is None:
        process.kill()
        process.wait()
        raise RuntimeError(f"the sandbox did not start: {line!r}")
    return f"http://{listening[1]}:{listening[2]}"


def wait_for(check: Any, *, limit_s: float = 10.0, what: str = "the condition") -> Any:
    """Return the first true value of `check()`; polls a real state, and fails after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true within {limit_s} s")
