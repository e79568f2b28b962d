"""The thread that delivers events and does what the sandbox clock has made due."""

import threading

from ..billing.timers import run_timers
from ..core.twin import Twin
from .delivery import TIMEOUT_S, deliver_due
from .sender import Sender

# How often the thread looks by itself; it is woken at once for anything new.
IDLE_S = 0.5


class Background:
    """Works until it is stopped; one broken event or timer does not end it."""

    def __init__(self, twin: Twin, *, timeout_s: float = TIMEOUT_S) -> None:
        self._twin = twin
        self._sender = Sender(timeout_s)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the delivery under way."""
        self._stopping = True
        self._twin.wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._twin.wake.clear()
            try:
                run_timers(self._twin)
                with self._twin.delivering:
                    has_more = deliver_due(self._twin, self._sender)
            except Exception as error:
                # The edge of a job: whatever it was, the next round may do better.
                print(f"sandbox: background: {error!r}", flush=True)
                has_more = False
            if not has_more:
                self._sender.close_idle()
                self._twin.wake.wait(IDLE_S)
