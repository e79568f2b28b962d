"""The twin: what the parts of the sandbox share, and its switches."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..http.server import Connection, Request, Response, Server
from ..money.proration import RULES
from .clock import Clock
from .ids import Ids
from .store import Doc, Store

BUSINESS_ID = "bus_P3SXLcppjXgagmHSVaH3N"
# A brand id may equal the business id; here it does, as in the provider's examples.
BRAND_ID = BUSINESS_ID

# Every switch stands for a question the documentation leaves open. Name -> (default, allowed values or type).
SWITCHES: dict[str, tuple[Any, tuple[Any, ...] | type]] = {
    "saved_card_decline": ("payment_failed", ("payment_failed", "http_422")),
    "payment_names_method": (False, bool),
    "saved_method_delay": (0.0, float),
    "saves_cards": (True, bool),
    "free_trial": ("zero_payment", ("zero_payment", "no_payment")),
    "action_link": (True, bool),
    "billing_address_omitted": ("refused", ("refused", "stored")),
    "declined_checkout": ("stay", ("stay", "redirect")),
    "refund_outcome": ("succeeded", ("succeeded", "failed", "pending")),
    "refund_window_days": (30, int),
    "partial_refunds": (True, bool),
    "wallet_pays": (True, bool),
    "card_network_case": ("lower", ("lower", "upper")),
    "abandoned_checkouts": (True, bool),
    "webhook_tries": (8, int),
    "adaptive_currency": (False, bool),
    "adaptive_fees": ("added", ("added", "included")),
    "multiple_subscriptions": (True, bool),
    "plan_change_links": (True, bool),
    "indian_renewals": ("after_48_h", ("after_48_h", "at_once")),
    "change_plan_answer": ("handles", ("handles", "empty")),
    "preview_total": ("after_credit", ("after_credit", "before_credit")),
    "grace_period_days": (0, int),
    "grace_end": ("on_hold", ("on_hold", "cancelled")),
    "dunning": (False, bool),
    "dunning_window_days": (13, int),
    **{name: (values[0], values) for name, values in RULES.items()},
}


@dataclass(frozen=True)
class Options:
    """How this sandbox was started."""

    public_url: str
    api_key: str | None = None
    demo: bool = True


def no_routes(request: Request, connection: Connection) -> Response:
    """Stand in until the routes are gathered."""
    raise LookupError(request.path)


@dataclass
class Twin:
    """One sandbox: its file, its clock, its ids and the signal that wakes the background thread."""

    store: Store
    clock: Clock
    ids: Ids
    options: Options
    wake: threading.Event = field(default_factory=threading.Event)
    # Held while events go out, so that a reset can wait for the delivery under way.
    delivering: threading.Lock = field(default_factory=threading.Lock)
    # Endpoint -> how often contract mode has answered a refused request as its sensible sister; see contract.py.
    sister_answers: dict[str, int] = field(default_factory=dict)
    # Method and route template of every wire route, parameters unnamed; filled when the app is built.
    endpoints: frozenset[str] = frozenset()
    # Answers a request by its route, as the server would; filled with `endpoints`.
    respond: Callable[[Request, Connection], Response] = no_routes
    # The running server, for `/_sandbox/listen`; none while the app is built.
    server: Server | None = None

    def switch(self, name: str) -> Any:
        """Return the value of a switch."""
        values: Doc = self.store.setting("switches", {})
        return values.get(name, SWITCHES[name][0])

    def switches(self) -> Doc:
        """Return every switch with its value."""
        return {name: self.switch(name) for name in SWITCHES}

    def set_switch(self, name: str, value: Any) -> None:
        """Set one switch; the caller has checked the value."""
        self.store.set_setting("switches", {**self.store.setting("switches", {}), name: value})

    def url(self, path: str) -> str:
        """Return an address on this sandbox that a browser can open."""
        return self.options.public_url + path

    def later(self, *, due_at: int, action: str, doc: Doc) -> None:
        """Do `action` when the sandbox clock reaches `due_at`."""
        self.store.insert(
            "INSERT INTO timers (due_at, action, doc) VALUES (:due_at, :action, :doc)",
            due_at=due_at,
            action=action,
            doc=json.dumps(doc),
        )
        self.store.after_commit(self.wake.set)
