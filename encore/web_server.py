"""The web server: the one command by which `python app.py`, `flask web`, the tests and the benchmark serve the shop."""

import ctypes
import gc
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

from encore.children import end_with_parent
from encore.i18n import preload

# Measured on Encore itself: docs/operator/performance.md. Threads, because a charge may take seconds.
PROCESSES, _THREADS = 2, 16
# Longer than all provider calls of a request (19 s), so that a charge under way is settled and not cut.
_GRACE_S = 20
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

    # Until a process of the server hears signals itself it has its parent's handler, and would lose what it is told.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    end = end_with_parent()
    if end is not None:
        # Orphans would go on answering on the port beside the server that takes their place.
        os.register_at_fork(after_in_child=end)
    import_module(sys.argv[1].partition(":")[0])
    preload()
    _share_arenas()
    # What the garbage collector does not walk through, it does not copy.
    gc.freeze()
    entrypoint()  # type: ignore[no-untyped-call]


def _share_arenas() -> None:
    """Let all threads of a process allocate from two arenas; by default glibc gives each its own, half empty (7 MB)."""
    # Elsewhere than on glibc there is nothing to set.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


if __name__ == "__main__":
    main()
