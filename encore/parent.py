"""`python app.py`: the parent that starts sandbox, worker and web, says when they are ready, and ends them all.

It imports the standard library and the settings only: nothing of the product runs in it.
"""

import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from time import sleep
from types import FrameType
from typing import NoReturn

from encore.children import Child, ChildEnded, Children
from encore.clock import Clock
from encore.settings import Settings, SettingsError, load_settings
from encore.web_server import web_command

_READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.05
_READY = "ready"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stop(Exception):
    """Somebody asked us to stop."""


class _CannotStart(Exception):
    """The start failed; the message is one sentence for the person at the keyboard."""


def main() -> int:
    """Run everything until a signal (status 0), until something fails (1), or stop at wrong settings (2)."""
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    run = _Run(settings)
    for number in _SIGNALS:
        signal.signal(number, run.note_signal)
    try:
        run.start()
        run.watch()
    except _Stop:
        return 0
    except (ChildEnded, _CannotStart) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        run.stop()


class _Run:
    """One run of the whole: `start` returns when buyers can be served."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = Clock()
        self._signals = 0
        # In a checkout the parts are top-level packages; installed, they lie within ours.
        root = Path(__file__).parent.parent
        is_checkout = (root / "app.py").exists()
        self._prefix = "" if is_checkout else "encore."
        self._sandbox_url = f"http://127.0.0.1:{settings.sandbox_port}"
        # A base address names a provider that somebody else runs, a sandbox of their own included.
        self._has_sandbox = settings.is_sandbox and not os.environ.get("DODO_PAYMENTS_BASE_URL")
        env = dict(os.environ)
        if self._has_sandbox:
            env.setdefault("ENCORE_TWIN_URL", self._sandbox_url)
        self._children = Children(
            env=env,
            cwd=root if is_checkout else Path.cwd(),
            log_dir=settings.data_dir / "logs",
            pause=self._pause,
        )

    def note_signal(self, number: int, frame: FrameType | None) -> None:
        """Count signals, no more: raising here could lose a process between its start and our note of it."""
        self._signals += 1

    def start(self) -> None:
        """Start everything and print where it is."""
        self._demand_free_port("PORT", self._settings.port)
        cards = self._start_sandbox() if self._has_sandbox else None
        self._children.finish(self._flask_task("upgrade", "db", "upgrade"))
        self._children.next_wave()
        self._children.start("worker", [sys.executable, "-m", *self._flask("worker")])
        self._children.start("web", web_command(f"{self._prefix}app:create_app", self._settings.port))
        mail_link = self._flask_task("mail-link", "mail", "link") if self._settings.is_sandbox else None
        self._wait_until_ready()
        self._print_welcome(
            cards=self._children.finish(cards) if cards else None,
            mail_link=self._children.finish(mail_link) if mail_link else None,
        )

    def watch(self) -> NoReturn:
        """Return never: a signal or the end of a process ends the run by an exception."""
        while True:
            self._children.check()
            self._pause(0.2)

    def stop(self) -> None:
        """End every process of this run; a signal that comes while it waits ends them at once."""
        before = self._signals
        self._children.stop(is_urgent=lambda: self._signals > before)

    def _pause(self, seconds: float = _LOOK_EVERY_S) -> None:
        if self._signals:
            raise _Stop
        sleep(seconds)

    def _task(self, name: str, *arguments: str) -> Child:
        return self._children.start(name, [sys.executable, "-m", *arguments], is_task=True)

    def _flask_task(self, name: str, *arguments: str) -> Child:
        return self._task(name, *self._flask(*arguments))

    def _flask(self, *arguments: str) -> tuple[str, ...]:
        return ("flask", "--app", f"{self._prefix}app", *arguments)

    def _start_sandbox(self) -> Child:
        """Start the sandbox, and beside it the command that lists its test cards, which is returned."""
        settings = self._settings
        self._demand_free_port("SANDBOX_PORT", settings.sandbox_port)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        command = (
            *(sys.executable, "-m", f"{self._prefix}sandbox"),
            f"--port={settings.sandbox_port}",
            f"--db={settings.data_dir / 'sandbox.sqlite3'}",
            f"--webhook-url=http://127.0.0.1:{settings.port}/webhooks/dodo",
            f"--webhook-secret={settings.webhook_keys[0]}",
            f"--api-key={settings.api_key}",
        )
        self._children.start("sandbox", list(command))
        return self._task("cards", f"{self._prefix}sandbox", "cards")

    def _demand_free_port(self, variable: str, port: int) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise _CannotStart(
                    f"Port {port} is in use: set {variable} to a free one, such as {variable}={port + 1}."
                ) from None

    def _wait_until_ready(self) -> None:
        """Wait for /readyz, doing the first sync and the demo seed if it says that they are missing."""
        deadline = self._clock.monotonic() + _READY_WITHIN_S
        to_fill = ["not_synced", "not_seeded"]
        while (answer := self._ask_ready()) != _READY:
            if self._clock.monotonic() > deadline:
                raise _CannotStart(f"The web did not get ready in {_READY_WITHIN_S:g} s; /readyz said: {answer}.")
            for missing in [word for word in to_fill if word in answer]:
                to_fill.remove(missing)
                self._fill(missing)
            self._children.check()
            self._pause()

    def _ask_ready(self) -> str:
        """Return _READY, or the body of another answer, or why there is none."""
        url = f"http://127.0.0.1:{self._settings.port}/readyz"
        # Without the proxies of the environment: this is our own machine.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(url, timeout=5):
                return _READY
        except urllib.error.HTTPError as error:
            return error.read(2000).decode("utf-8", errors="replace")
        except OSError as error:
            return str(error)

    def _fill(self, missing: str) -> None:
        """Copy the provider's catalogue, or make the demo from it."""
        if missing == "not_synced":
            self._children.finish(self._flask_task("sync", "dodo", "sync"))
        else:
            self._children.finish(self._flask_task("seed", "seed", "--demo"))

    def _print_welcome(self, *, cards: str | None, mail_link: str | None) -> None:
        lines = ["Encore is running; Ctrl-C stops it.", "", f"  Shop     {self._settings.public_url}"]
        if self._has_sandbox:
            lines.append(f"  Sandbox  {self._sandbox_url}")
        if mail_link is not None:
            lines.append(f"  Mail     {mail_link.strip()}")
        lines.append(f"  Logs     {self._settings.data_dir / 'logs'}")
        if cards is not None:
            lines += ["", "  Test cards: number, expiry, CVC, then what happens now and at later one-click payments"]
            lines += [f"    {line}".rstrip() for line in cards.splitlines()]
        print("\n".join(lines), flush=True)
