"""The shop: its parts, wired once by the composition root and passed to every use case."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from encore.clock import Clock
from encore.dodo import Dodo, Timeouts
from encore.services.processes import Presence
from encore.settings import Settings
from encore.store import Store, open_store

# More sends at once than this wait in the queue: each may hold a thread for 13 s, and pages must go on.
SEND_SLOTS = 8


class MoneyMovesInTransaction(RuntimeError):
    """The provider was to be called while this thread holds a write transaction."""


@dataclass
class Shop:
    """Everything a use case needs. `send_slots` bounds the charging requests of this process, `pool` runs the
    provider reads that a page needs side by side."""

    settings: Settings
    clock: Clock
    store: Store
    dodo: Dodo
    presence: Presence
    send_slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(SEND_SLOTS))
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(32, thread_name_prefix="reads"))

    def now(self) -> int:
        """Return the wall clock in epoch milliseconds."""
        return self.clock.now()

    def close(self) -> None:
        """Give back what this process holds."""
        self.pool.shutdown()
        self.presence.leave()
        self.store.close()


def open_shop(settings: Settings, *, clock: Clock | None = None) -> Shop:
    """Wire the parts for these settings; the schema is not touched."""
    clock = clock or Clock()
    store = open_store(settings.database_path)

    def forbid() -> None:
        # A socket held open inside a transaction would block every other click, and a rollback could forget
        # a charge that was made.
        if store.in_write():
            raise MoneyMovesInTransaction
        # A call takes time: what was read before it is no news after it.
        store.forget()

    dodo = Dodo(
        base_url=settings.provider_url,
        api_key=settings.api_key,
        clock=clock,
        timeouts=Timeouts(
            connect_s=settings.connect_timeout_s,
            charge_s=settings.charge_timeout_s,
            total_s=settings.budget_s,
        ),
        forbid=forbid,
    )
    return Shop(
        settings=settings,
        clock=clock,
        store=store,
        dodo=dodo,
        presence=Presence(store, clock=clock, lock_dir=settings.data_dir / "locks"),
    )
