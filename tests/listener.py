"""A small shop's end of the webhooks: it keeps what arrives and answers as told."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_c2FuZGJveC1saXN0ZW5lci1zZWNyZXQ="


@dataclass(frozen=True)
class Arrival:
    """One request that arrived; header names are lower case."""

    headers: dict[str, str]
    body: bytes
    # The port it came from: the same one twice is the same connection twice.
    port: int = 0


class Listener:
    """An HTTP server on a free port. `statuses` are given in turn, then `status` for the rest; `answer` is the body."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.statuses: list[int] = []
        self.status = 204
        self.answer = b""
        # A shop that hangs up after each answer without saying so.
        self.hangs_up = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhooks/dodo"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def clear(self) -> None:
        """Forget what arrived and answer 204 again."""
        with self._lock:
            self.arrivals, self.statuses, self.status, self.answer, self.hangs_up = [], [], 204, b"", False

    def events(self) -> list[Any]:
        """Return the verified bodies in order of arrival."""
        return [Webhook(SECRET).verify(arrival.body, arrival.headers) for arrival in list(self.arrivals)]

    def types(self) -> list[str]:
        """Return the event types in order of arrival."""
        return [event["type"] for event in self.events()]

    def _take(self, arrival: Arrival) -> int:
        with self._lock:
            self.arrivals.append(arrival)
            return self.statuses.pop(0) if self.statuses else self.status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(listener._take(Arrival(headers, body, self.client_address[1])))
                self.send_header("content-length", str(len(listener.answer)))
                self.end_headers()
                self.wfile.write(listener.answer)
                self.close_connection = listener.hangs_up

            def log_message(self, format: str, *args: Any) -> None:
                return

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
