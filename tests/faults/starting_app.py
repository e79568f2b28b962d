"""An application that never comes to its end of starting: what a process of the server is told in that time is seen."""

import threading
from typing import NoReturn


def create_app() -> NoReturn:
    """Wait for ever, as a slow disk or a busy machine would have it for a while."""
    print("starting", flush=True)
    while True:
        threading.Event().wait()
