"""The web server: the one command by which `python app.py`, `flask web`, the tests and the benchmark serve the shop."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from threading import Thread
from time import sleep
from types import FrameType
from typing import Any

from encore.children import end_with_parent
from encore.i18n import preload

# Measured on Encore itself: docs/operator/performance.md. Threads, because a charge may take seconds.
PROCESSES, _THREADS = 2, 16
# Longer than all provider calls of a request (19 s), so that a charge under way is settled and not cut.
_GRACE_S = 20
_LOOK_S = 1.0
# Source: glibc, malloc.h.
_M_ARENA_MAX = -8


def web_command(factory: str, port: int, *, host: str = "127.0.0.1", processes: int = PROCESSES) -> list[str]:
    """Return the server's command for an application factory, such as `app:create_app`.

    It writes no access log, which would hold query strings, and replaces a process of its own that died.
    """
    return [
        *(sys.executable, "-m", "encore.web_server", factory, "--interface", "wsgi", "--factory"),
        *("--host", host, "--port", str(port), "--http", "1", "--no-ws"),
        *("--workers", str(processes), "--blocking-threads", str(_THREADS)),
        *("--respawn-failed-workers", "--workers-kill-timeout", str(_GRACE_S), "--log-level", "error"),
    ]


def main() -> None:
    """Be the server, after loading the application's module and languages: its processes then share that memory."""
    # Its options are the command's: one of the environment's could bring back the access log.
    for name in [name for name in os.environ if name.startswith("GRANIAN_")]:
        del os.environ[name]
    from granian.cli import entrypoint

    hear_one_signal()
    # Until a process of the server hears signals itself it has its parent's handler, and would lose what it is told.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    end = end_with_parent()
    if end is not None:
        # Orphans would go on answering on the port beside the server that takes their place.
        os.register_at_fork(after_in_child=end)
    parent = os.getpid()
    os.register_at_fork(after_in_child=lambda: Thread(target=_end_after, args=(parent,), daemon=True).start())
    import_module(sys.argv[1].partition(":")[0])
    preload()
    _share_arenas()
    # What the garbage collector does not walk through, it does not copy.
    gc.freeze()
    entrypoint()  # type: ignore[no-untyped-call]


def _end_after(parent: int) -> None:
    """Tell this process to end once its parent is gone, until it hears it.

    The kernel tells it at once, but a signal that comes right before the main thread begins to wait does not wake it.
    """
    while True:
        sleep(_LOOK_S)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def hear_one_signal() -> None:
    """Let each process of the server heed the first signal to end, and no other.

    Granian's own handler stands still for ever when it is called again. Two come as a rule: the kernel tells of a
    parent's end once for each of the parent's threads, and whoever ends a process group, as Ctrl-C does, tells the
    parent as well, which then tells its processes.
    """
    from granian import _signals

    listen: Callable[..., None] = _signals.set_main_signals

    def listen_once(handler: Callable[[int, FrameType | None], None], *more: Any) -> None:
        heard: list[int] = []

        def hear(number: int, frame: FrameType | None) -> None:
            heard.append(number)
            if len(heard) == 1:
                handler(number, frame)

        listen(hear, *more)

    _signals.set_main_signals = listen_once


def _share_arenas() -> None:
    """Let all threads of a process allocate from two arenas; by default glibc gives each its own, half empty (7 MB)."""
    # Elsewhere than on glibc there is nothing to set.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


if __name__ == "__main__":
    main()
