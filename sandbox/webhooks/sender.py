"""Sending a webhook: one POST that follows no redirect and knows no proxy, on a connection that is kept for a moment.

A new connection for each event would cost the sandbox and the shop more than the event itself.
"""

import contextlib
import http.client
import select
import threading
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

# Shorter than any server's patience, so that a connection is not taken up just when the shop closes it (our choice).
KEPT_S = 1.0
# How much of an answer is read: enough to show an error page's title (our choice).
READ_BYTES = 2048
KINDS: dict[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


class SendError(Exception):
    """No answer came; the text is the kind of failure: ConnectTimeout, ReadTimeout or ConnectionError."""


@dataclass(frozen=True)
class Answer:
    """What the shop answered; the body is the beginning of it."""

    status: int
    body: bytes


class Sender:
    """Sends from any thread. `timeout_s` is the longest wait for a connection, and for each piece of an answer."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        # Idle connections with the moment of their last answer, latest last, by scheme and host.
        self._idle: dict[tuple[str, str], list[tuple[http.client.HTTPConnection, float]]] = {}
        # When an endpoint with a limit may get the next event, by its id.
        self._next_turns: dict[str, float] = {}

    def wait_turn(self, endpoint_id: str, per_second: int | None) -> None:
        """Wait until an endpoint's limit lets out one more; None and 0 are no limit.

        The provider documents `rate_limit` as a number alone. That it counts deliveries in a second of real time, sent
        evenly spaced, is our choice.
        """
        if not per_second:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_turns.get(endpoint_id, now))
            self._next_turns[endpoint_id] = turn + 1 / per_second
        time.sleep(turn - now)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send and return the answer, whatever its status. Raises SendError.

        A kept connection that turns out to be closed is no failure of the shop: the event goes out on a new one.
        """
        try:
            place = urlsplit(url)
            kept = self._take(place)
            if kept is not None:
                with contextlib.suppress(ConnectionError):
                    return self._exchange(place, kept, body, headers)
            return self._exchange(place, self._connect(place), body, headers)
        except TimeoutError:
            raise SendError("ReadTimeout") from None
        except (OSError, ValueError, http.client.HTTPException):
            raise SendError("ConnectionError") from None

    def close_idle(self) -> None:
        """Close what was not used lately."""
        with self._lock:
            for kept in self._idle.values():
                while kept and time.monotonic() - kept[0][1] >= KEPT_S:
                    kept.pop(0)[0].close()

    def _take(self, place: SplitResult) -> http.client.HTTPConnection | None:
        self.close_idle()
        with self._lock:
            kept = self._idle.get((place.scheme, place.netloc), [])
            while kept:
                connection, _ = kept.pop()
                # Anything to read on it now is the shop's goodbye.
                if not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        return None

    def _connect(self, place: SplitResult) -> http.client.HTTPConnection:
        connection = KINDS[place.scheme](place.hostname or "", place.port, timeout=self._timeout_s)
        try:
            connection.connect()
        except TimeoutError:
            raise SendError("ConnectTimeout") from None
        return connection

    def _exchange(
        self, place: SplitResult, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> Answer:
        target = (place.path or "/") + (f"?{place.query}" if place.query else "")
        try:
            connection.request("POST", target, body, headers)
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.read(READ_BYTES))
        except BaseException:
            connection.close()
            raise
        # A connection with more to read cannot be used again; after "Connection: close" there is no socket any more.
        if not reply.isclosed():
            connection.close()
        elif connection.sock is not None:
            with self._lock:
                self._idle.setdefault((place.scheme, place.netloc), []).append((connection, time.monotonic()))
        return answer
