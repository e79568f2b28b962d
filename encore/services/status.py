"""Status: is the process up, and can the shop serve buyers now; as JSON for machines that ask often."""

import threading
from typing import Any

from encore.errors import NotExecuted, ProviderError
from encore.services import budgets, catalogue, demo
from encore.services.processes import is_silent
from encore.services.shop import Shop
from encore.store import meta, processes, schema

_ASK_S = 2.0
_GOOD_FOR_S = 5.0
_BAD_FOR_S = 1.0


def healthz(shop: Shop) -> dict[str, Any]:
    """Say that this process answers; nothing else is looked at."""
    return {"status": "ok", "mode": shop.settings.mode}


class Readiness:
    """Answers `/readyz`. The provider is asked at most every few seconds, however often we are."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._provider = "unknown"

    def readyz(self) -> tuple[dict[str, Any], bool]:
        """Return each part's state and whether buyers can be served: `ok` or what is wrong, a word each."""
        parts = {"database": self._database()}
        if parts["database"] == "ok":
            parts |= {
                "worker": self._worker(),
                "provider": self._ask_provider(),
                "catalogue": self._catalogue(),
                "seed": self._seed(),
            }
        is_ready = all(state == "ok" for state in parts.values())
        return {"status": "ok" if is_ready else "not_ready", **parts}, is_ready

    def _database(self) -> str:
        try:
            return "ok" if not schema.pending(self._shop.store) else "pending_migrations"
        except Exception:
            # Whatever the file or its driver raises, the answer to a machine is the same.
            return "unreadable"

    def _worker(self) -> str:
        latest = processes.get_latest_heartbeat(self._shop.store, "worker")
        if latest is None:
            return "missing"
        return "silent" if is_silent(latest, now=self._shop.now()) else "ok"

    def _catalogue(self) -> str:
        return "ok" if meta.get_number(self._shop.store, catalogue.SYNCED_AT) is not None else "not_synced"

    def _seed(self) -> str:
        # Only the sandbox has a demo; everywhere else the merchant's own offers may come at any time.
        if not self._shop.settings.is_sandbox:
            return "ok"
        return "ok" if meta.get_number(self._shop.store, demo.SEEDED_AT) is not None else "not_seeded"

    def _ask_provider(self) -> str:
        with self._lock:
            now = self._shop.clock.monotonic()
            fresh_s = _GOOD_FOR_S if self._provider == "ok" else _BAD_FOR_S
            if self._asked_at is None or now - self._asked_at >= fresh_s:
                self._provider = ask_provider(self._shop)
                self._asked_at = now
            return self._provider


def ask_provider(shop: Shop) -> str:
    """Ask the provider for one product: `ok`, `refused` (the key), `unreachable`, or `busy` (calls are for money)."""
    if not budgets.take(shop, "catalogue"):
        return "busy"
    try:
        shop.dodo.products.list(page_number=0, page_size=1, budget=shop.dodo.budget(_ASK_S))
    except NotExecuted as error:
        return "refused" if error.status in (401, 403) else "busy"
    except ProviderError:
        return "unreachable"
    return "ok"
